// The domains of this machine, as the toolstack in Domain-0 knows them: what libxl does for xl. Domain-0 itself is this
// process; it has a line in the list and nothing else can be done to it.

import type { Host } from '#base/host.ts';
import { MAX_WEIGHT, MIN_WEIGHT } from '#hypervisor/credit.ts';
import type { Domain } from '#hypervisor/domain.ts';
import { VPF } from '#hypervisor/vcpu.ts';
import type { RegionCompiler } from '#machine/engine/region-job.ts';
import { LocalClient } from '../xenstore/local-client.ts';
import { domainPath } from '../xenstore/path.ts';
import { releaseDomain } from '../xenstore/domain-tree.ts';
import type { Store } from '../xenstore/store.ts';
import type { KernelImage } from '../builder/kernel-image.ts';
import type { Decompressors } from '../builder/decompress/decompressors.ts';
import { ConsoleLog } from './console-log.ts';
import { createDomain, type CreatedDomain } from './create-domain.ts';
import { endOf } from './domain-end.ts';
import type { PhysicalCpu, Placed } from './physical-cpu.ts';

/** What becomes of a domain that has ended by itself (xl.cfg(5), "Event Actions"). */
export type EventAction = 'destroy' | 'restart' | 'preserve';
/** What a domain is made from. Kernel and initrd are read anew each time it starts. */
export interface DomainSpec {
  readonly name: string;
  readonly uuid: string;
  /** MiB */
  readonly memory: number;
  readonly vcpus: number;
  readonly weight: number;
  /** per cent of a CPU; 0: no cap */
  readonly cap: number;
  readonly onPoweroff: EventAction;
  readonly onReboot: EventAction;
  readonly onCrash: EventAction;
  readonly images: () => { readonly kernel: KernelImage; readonly initrd: Uint8Array | undefined; readonly commandLine: string };
}

/** One that the toolstack refuses, for the user: what is wrong and what to do. */
export class DomainError extends Error {}

export class ManagedDomain {
  readonly domid: number;
  spec: DomainSpec;
  readonly created: CreatedDomain & { readonly compiler: RegionCompiler };
  readonly console: ConsoleLog;
  readonly placed: Placed;
  /** host time of its creation, ns */
  readonly since: number;
  /** how it ended; undefined while it runs */
  ended: 'poweroff' | 'reboot' | 'crash' | undefined;

  constructor(domid: number, spec: DomainSpec, created: ManagedDomain['created'], console: ConsoleLog, placed: Placed, since: number) {
    this.domid = domid;
    this.spec = spec;
    this.created = created;
    this.console = console;
    this.placed = placed;
    this.since = since;
  }
  get domain(): Domain { return this.created.domain; }
  get isPaused(): boolean { return this.domain.vcpus.every((v) => (v.pauseFlags & VPF.paused) !== 0); }
  /** As `xl list` shows it: running, blocked, paused, shut down, crashed. */
  get state(): string {
    const blocked = !this.domain.vcpus.some((v) => (v.pauseFlags & ~VPF.paused) === 0);
    const letter = (c: string, on: boolean): string => (on ? c : '-');
    const runs = this.ended === undefined;
    return letter('r', runs && !blocked && !this.isPaused) + letter('b', runs && blocked) + letter('p', this.isPaused) + letter('s', this.ended === 'poweroff' || this.ended === 'reboot') + letter('c', this.ended === 'crash') + letter('d', false);
  }
}

function checkShare({ weight, cap, vcpus }: DomainSpec): void {
  if (!Number.isInteger(weight) || weight < MIN_WEIGHT || weight > MAX_WEIGHT) throw new DomainError(`weight ${weight}: not from ${MIN_WEIGHT} to ${MAX_WEIGHT}`);
  if (!Number.isInteger(cap) || cap < 0 || cap > vcpus * 100) throw new DomainError(`cap ${cap}: not from 0 to ${vcpus * 100} per cent`);
}
const FIRST_DOMID = 1, LAST_DOMID = 0x7fef;

export class Domains {
  readonly store: Store;
  /** told what an administrator wants in the log */
  private readonly log: (line: string) => void;
  private readonly host: Host;
  private readonly cpu: PhysicalCpu;
  private readonly make: { readonly compiler: () => RegionCompiler; readonly decompressors: Decompressors };
  private readonly byId = new Map<number, ManagedDomain>();
  private nextDomid = FIRST_DOMID;

  constructor(store: Store, host: Host, cpu: PhysicalCpu, make: Domains['make'], log: (line: string) => void) {
    this.store = store;
    this.host = host;
    this.cpu = cpu;
    this.make = make;
    this.log = log;
    cpu.onEnd = (placed) => this.ended(placed);
  }

  list(): ManagedDomain[] { return [...this.byId.values()]; }
  /** @param which name or number @throws DomainError */
  get(which: string): ManagedDomain {
    const found = /^\d+$/.test(which) ? this.byId.get(Number(which)) : undefined;
    const domain = found ?? this.list().find((d) => d.spec.name === which);
    if (!domain) throw new DomainError(which === '0' || which === 'Domain-0' ? 'Domain-0 is the machine itself: that cannot be done to it' : `${which}: no such domain`);
    return domain;
  }

  /** @throws DomainError, BuilderError */
  create(spec: DomainSpec, paused: boolean, console: ConsoleLog = new ConsoleLog()): ManagedDomain {
    this.requireFree(spec.name);
    const domid = this.newDomid();
    checkShare(spec);
    const compiler = this.make.compiler();
    const created = this.build(spec, domid, console, compiler);
    console.connect(created.console, () => this.cpu.wake());
    if (paused) for (const v of created.domain.vcpus) v.pause(VPF.paused);
    const placed = this.cpu.place(created.domain);
    placed.share.weight = spec.weight;
    placed.share.cap = spec.cap;
    const domain = new ManagedDomain(domid, spec, { ...created, compiler }, console, placed, this.host.now());
    this.byId.set(domid, domain);
    this.log(`domain ${domid} (${spec.name}): created${paused ? ', paused' : ''}`);
    return domain;
  }
  pause(domain: ManagedDomain): void { for (const v of domain.domain.vcpus) v.pause(VPF.paused); }
  unpause(domain: ManagedDomain): void {
    for (const v of domain.domain.vcpus) v.unpause(VPF.paused);
    this.cpu.wake();
  }
  /** Changes what part of the processor a domain gets; undefined: as it is. @throws DomainError */
  setShare(domain: ManagedDomain, weight = domain.spec.weight, cap = domain.spec.cap): void {
    const spec = { ...domain.spec, weight, cap };
    checkShare(spec);
    domain.spec = spec;
    Object.assign(domain.placed.share, { weight, cap });
  }
  /** Asks the guest to power off or to reboot, by xenstore (xenstore-paths, control/shutdown). */
  request(domain: ManagedDomain, what: 'poweroff' | 'reboot'): void {
    new LocalClient(this.store).write(`${domainPath(domain.domid)}/control/shutdown`, what);
    this.cpu.wake();
  }
  /** Ends a domain at once. */
  destroy(domain: ManagedDomain): void {
    this.remove(domain);
    domain.console.end();
    this.log(`domain ${domain.domid} (${domain.spec.name}): destroyed`);
  }
  private remove(domain: ManagedDomain): void {
    this.cpu.remove(domain.placed);
    this.byId.delete(domain.domid);
    domain.created.xenstore.close();
    domain.created.compiler.close();
    releaseDomain(this.store, domain.domid, domain.spec.uuid);
  }
  /** @throws DomainError */
  rename(domain: ManagedDomain, name: string): void {
    this.requireFree(name);
    domain.spec = { ...domain.spec, name };
    const client = new LocalClient(this.store);
    client.write(`${domainPath(domain.domid)}/name`, name);
    client.write(`/vm/${domain.spec.uuid}/name`, name);
  }

  private build(spec: DomainSpec, domid: number, console: ConsoleLog, compiler: RegionCompiler): CreatedDomain {
    try {
      const { kernel, initrd, commandLine } = spec.images();
      return createDomain({
        domid, name: spec.name, uuid: spec.uuid, memory: spec.memory, vcpus: spec.vcpus, kernel, ...(initrd ? { initrd } : {}), commandLine, deterministic: false,
        compiler, decompressors: this.make.decompressors,
      }, this.host, this.store, (bytes) => console.write(bytes));
    } catch (error) {
      compiler.close();
      throw error;
    }
  }
  private requireFree(name: string): void {
    if (!/^[A-Za-z0-9_][A-Za-z0-9._+-]{0,62}$/.test(name) || /^\d+$/.test(name) || name === 'Domain-0') throw new DomainError(`${name}: a domain's name has up to 63 letters, digits, dots, dashes, pluses and underscores, and is no number`);
    if (this.list().some((d) => d.spec.name === name)) throw new DomainError(`${name}: there is a domain of that name`);
  }
  private newDomid(): number {
    for (let tried = 0; tried <= LAST_DOMID; tried++) {
      const domid = this.nextDomid;
      this.nextDomid = domid === LAST_DOMID ? FIRST_DOMID : domid + 1;
      if (!this.byId.has(domid)) return domid;
    }
    throw new DomainError('there is no free domain number: destroy a domain first');
  }
  /** A domain has ended by itself. */
  private ended(placed: Placed): void {
    const domain = this.list().find((d) => d.placed === placed);
    if (!domain) return;
    const end = endOf(domain.domain);
    domain.ended = end.kind;
    const action = end.kind === 'poweroff' ? domain.spec.onPoweroff : end.kind === 'reboot' ? domain.spec.onReboot : domain.spec.onCrash;
    this.log(`domain ${domain.domid} (${domain.spec.name}): ${end.kind}; ${action}`);
    if (end.kind === 'crash') this.log(end.report);
    this.store.shutdownDomain(domain.domid);
    if (action === 'preserve') return;
    if (action === 'destroy') return this.destroy(domain);
    this.remove(domain);
    try {
      this.create(domain.spec, false, domain.console);
    } catch (error) {
      domain.console.end();
      this.log(`domain ${domain.spec.name}: cannot be started again: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
