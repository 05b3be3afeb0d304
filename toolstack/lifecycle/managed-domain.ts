// A domain as Domain-0 knows it: what it was made from, where it runs, and the back ends that serve it.

import { SHUTDOWN } from '#abi/xen.ts';
import type { Capsule } from '#base/capsule.ts';
import type { DomainGlance } from '#hypervisor/domain-glance.ts';
import { DOMAIN_0, domctl } from '#hypervisor/management.ts';
import type { Affinity } from './affinity.ts';
import type { BackEnds } from './connect-domain.ts';
import type { ConsoleLog } from './console-log.ts';
import type { CpuLink } from './cpu-link.ts';
import type { MakeConfig } from './cpu-mail.ts';
import type { DomainEnd } from './domain-end.ts';
import type { Load } from './placement.ts';
import { RestartPolicy } from './restart-policy.ts';

/** What becomes of a domain that has ended by itself (xl.cfg(5), "Event Actions"). */
export const EVENT_ACTIONS = ['destroy', 'restart', 'preserve', 'rename-restart', 'coredump-destroy', 'coredump-restart'] as const;
export type EventAction = (typeof EVENT_ACTIONS)[number];
/** What a domain is made from. Kernel and initrd are read anew each time it starts. */
export interface DomainSpec {
  readonly name: string;
  readonly uuid: string;
  /** what it is to have, and may have: MiB */
  readonly memory: number;
  readonly maxmem: number;
  /** what it is to use, and may use */
  readonly vcpus: number;
  readonly maxvcpus: number;
  readonly weight: number;
  /** per cent of a CPU; 0: no cap */
  readonly cap: number;
  /** CPUs that it may run on, by vCPU */
  readonly affinity: readonly Affinity[];
  readonly onPoweroff: EventAction;
  readonly onReboot: EventAction;
  readonly onCrash: EventAction;
  /** files of kernel and initrd, and the kernel's command line, as they were given: for those who ask. No kernel: the default guest's */
  readonly kernel?: string;
  readonly ramdisk?: string;
  readonly cmdline: string;
  readonly images: () => Pick<MakeConfig, 'kernel' | 'initrd' | 'unzippedInitrd' | 'commandLine'>;
}

/** Shortest time, in ns, over which a domain's load is measured. */
const MEASURED = 200e6;
/** More than a domain has. */
const PORTS = 2 ** 20;

export class ManagedDomain implements Load {
  readonly domid: number;
  spec: DomainSpec;
  console: ConsoleLog;
  readonly capsule: Capsule;
  readonly glance: DomainGlance;
  /** host time of its creation, ns */
  readonly since: number;
  /** host time at its system time 0: it does not change when the domain is moved */
  private readonly origin: number;
  allowed: ReadonlySet<number>;
  /** where it runs; and who runs some of its vCPUs beside that one */
  link: CpuLink;
  helpers: readonly CpuLink[] = [];
  backEnds: BackEnds | undefined;
  /** the toolstack wants it so; while somebody else holds it still as well, `glance` shows it paused and this is false */
  paused: boolean;
  /** how many want it to stand still for a while, beside that */
  holds = 0;
  /** goes on to the domain that takes its place */
  restarts: RestartPolicy = new RestartPolicy();
  /** how it ended; undefined while it runs */
  ended: DomainEnd['kind'] | undefined;
  /** it is being destroyed */
  dying = false;
  /** it is on its way to another CPU: resolves when it is there */
  moving: Promise<void> | undefined;
  /** it is taken to be busy until something is known */
  load: number;
  private readonly held = new Map<number, () => void>();
  private measuredAt: number;
  private wanted = 0;

  constructor(domid: number, spec: DomainSpec, capsule: Capsule, console: ConsoleLog, allowed: ReadonlySet<number>, link: CpuLink, paused: boolean, origin: number, since: number) {
    this.domid = domid;
    this.spec = spec;
    this.console = console;
    this.capsule = capsule;
    this.glance = domctl(DOMAIN_0).getdomaininfo(capsule, spec.maxvcpus);
    this.allowed = allowed;
    this.link = link;
    this.paused = paused;
    this.origin = origin;
    this.since = this.measuredAt = since;
    this.load = spec.weight;
  }

  get cpu(): number { return this.link.id; }
  /** The SHUTDOWN reason, undefined while it runs. A CPU that died with its domains left none. */
  get shutdownReason(): number | undefined { return this.glance.shutdownReason ?? (this.ended === 'crash' ? SHUTDOWN.crash : undefined); }
  /** ns, at a host time. */
  systemTime(now: number): number { return now - this.origin; }
  /** As `xl list` shows it: running, blocked, paused, shut down, crashed. */
  get state(): string {
    const { isBlocked, isPaused } = this.glance;
    const letter = (c: string, on: boolean): string => (on ? c : '-');
    const runs = this.ended === undefined;
    return letter('r', runs && !isBlocked && !isPaused) + letter('b', runs && isBlocked) + letter('p', isPaused) + letter('s', this.ended === 'poweroff' || this.ended === 'reboot') + letter('c', this.ended === 'crash') + letter('d', this.dying);
  }

  /** An event for a port of the guest. While it moves, events wait. */
  notify(port: number): void { this.send(port, () => this.link.tell('notify', this.domid, port)); }
  /** The same, sent by domain `from`. */
  deliver(port: number, from: number): void { this.send(from * PORTS + port, () => this.link.tell('deliver', this.domid, port, from)); }
  /** @param key of the event: the same one is held once */
  private send(key: number, event: () => void): void {
    if (this.moving) this.held.set(key, event);
    else event();
  }
  /** Does something when it is on a CPU: at that moment, for another move may begin when one ends. */
  async arrived<T>(body: () => T): Promise<Awaited<T>> {
    while (this.moving) await this.moving;
    return await body();
  }
  /** Notes that it is on its way until `arrival` resolves. It must not be already. */
  move(arrival: Promise<void>): void {
    this.moving = arrival.finally(() => {
      this.moving = undefined;
      for (const event of this.held.values()) event();
      this.held.clear();
    });
  }

  /** Measures its load, if it is time. @param now host time, ns */
  measure(now: number): void {
    const { share, isPaused } = this.glance;
    const time = now - this.measuredAt;
    if (isPaused || this.ended !== undefined) this.load = 0;
    else if (time >= MEASURED) this.load = share.weight * Math.min(1, (share.wanted - this.wanted) / time, share.cap === 0 ? 1 : share.cap / 100);
    else return;
    this.wanted = share.wanted;
    this.measuredAt = now;
  }
}
