// What becomes of domains that have ended by themselves, as their files say (xl.cfg(5), "Event Actions"): they are destroyed, kept,
// dumped, started again. While that goes on they are there, as they ended.

import { messageOf, stackOf } from '#base/error-text.ts';
import type { Host } from '#base/host.ts';
import { randomUuid, uuidBytes } from '#base/uuid.ts';
import { DOMAIN_0, domctl } from '#hypervisor/management.ts';
import { moveVm } from '../xenstore/domain-tree.ts';
import { CpuDied } from './cpu-link.ts';
import type { DomainEnd } from './domain-end.ts';
import type { Domains, Log } from './domains.ts';
import type { DomainSpec, EventAction, ManagedDomain } from './managed-domain.ts';
import { MOST_EARLY_CRASHES } from './restart-policy.ts';

/** What the host does for domains that have ended. */
export interface Preserver {
  /** calls back after so many ms */
  readonly later: (ms: number, then: () => void) => void;
  /** keeps a core file of a domain of this name @returns where */
  readonly saveCore: (name: string, pieces: Iterable<Uint8Array>) => Promise<string>;
}

/** What its specification says is to become of a domain that ended so. */
export function actionAfter(kind: DomainEnd['kind'], { onPoweroff, onReboot, onCrash }: DomainSpec): EventAction {
  return kind === 'poweroff' ? onPoweroff : kind === 'reboot' ? onReboot : onCrash;
}
/** Actions after which another domain takes the place, and what is done of them when none may. */
const WITHOUT_ANOTHER: Readonly<Partial<Record<EventAction, EventAction>>> = { restart: 'destroy', 'rename-restart': 'destroy', 'coredump-restart': 'coredump-destroy' };
export function startsAnother(action: EventAction): boolean { return action in WITHOUT_ANOTHER; }

export class DomainEndings {
  private readonly domains: Domains;
  private readonly host: Host;
  private readonly preserver: Preserver;
  private readonly log: Log;
  /** ends that are being seen to, cores that are being written */
  private readonly busy = new Set<Promise<void>>();

  constructor(domains: Domains, host: Host, preserver: Preserver, log: Log) {
    this.domains = domains;
    this.host = host;
    this.preserver = preserver;
    this.log = log;
  }

  /** A domain has ended; its CPU, if there was one still, has forgotten it. */
  see(domain: ManagedDomain, end: DomainEnd): void { this.begin(this.act(domain, end)); }
  /** Resolves when what the ends of domains have begun is done. */
  async settled(): Promise<void> { while (this.busy.size > 0) await Promise.all(this.busy); }

  private begin(work: Promise<void>): void {
    const guarded = work.catch((error: unknown) => this.log(stackOf(error), 'error'));
    this.busy.add(guarded);
    void guarded.then(() => this.busy.delete(guarded));
  }
  private async act(domain: ManagedDomain, end: DomainEnd): Promise<void> {
    const { domains } = this;
    const { keeper } = domains;
    const wish = actionAfter(end.kind, domain.spec);
    const action = (domains.isEnding ? WITHOUT_ANOTHER[wish] : undefined) ?? wish;
    this.log(`${who(domain)}: ${end.kind}; ${action}`);
    if (end.kind === 'crash') this.log(end.report, 'error');
    domains.store.shutdownDomain(domain.domid);
    if (!startsAnother(action)) keeper.ended(domain.spec.uuid);
    if (action === 'preserve') return domains.onLess();
    if (action === 'coredump-destroy' || action === 'coredump-restart') await this.saveCore(domain);
    if (startsAnother(action)) await this.restart(domain, end.kind, action === 'rename-restart');
    else await domains.discard(domain);
  }
  /** Starts a domain that has ended again: now, later or, if it crashes again and again, never. Until then it stays as it is. */
  private async restart(domain: ManagedDomain, kind: DomainEnd['kind'], keep: boolean): Promise<void> {
    const wait = domain.restarts.next(kind, (this.host.now() - domain.since) / 1e6);
    if (wait === 0) return this.replace(domain, keep);
    if (wait !== undefined) {
      this.log(`${who(domain)}: crashed soon after its start; it is started again in ${wait / 1000} s`, 'warning');
      return this.preserver.later(wait, () => this.begin(this.replace(domain, keep)));
    }
    this.log(`${who(domain)}: crashed ${MOST_EARLY_CRASHES} times soon after its start; it is not started again`, 'error');
    this.domains.keeper.ended(domain.spec.uuid);
    await this.domains.discard(domain);
  }
  /** Puts a new domain in the place of one that has ended. @param keep the old one stays, under another name */
  private async replace(domain: ManagedDomain, keep: boolean): Promise<void> {
    const { domains } = this;
    const { spec, paused, console, restarts } = domain;
    if (domain.dying || domains.isEnding) return; // destroyed meanwhile, or about to be
    if (keep) this.setAside(domain);
    else await domains.remove(domain);
    const make = (): Promise<ManagedDomain> => domains.make(spec, paused, console);
    try {
      const next = await make().catch((error: unknown) => {
        if (error instanceof CpuDied) return make(); // on another
        throw error;
      });
      next.restarts = restarts;
      domains.keeper.restarted(spec.uuid);
      await domains.begin(next);
    } catch (error) {
      console.end();
      domains.keeper.unstarted(spec.uuid, spec.name, error);
    }
  }
  private async saveCore(domain: ManagedDomain): Promise<void> {
    try {
      this.log(`${who(domain)}: core file written to ${await this.preserver.saveCore(domain.spec.name, await this.domains.coreOf(domain))}`);
    } catch (error) {
      this.log(`${who(domain)}: no core file: ${messageOf(error)}`, 'error');
    }
  }
  /** Gives a domain that has ended another name and UUID, for one that takes its place: as libxl, NAME-20261126T0846Z. */
  private setAside(domain: ManagedDomain): void {
    const time = new Date(this.host.wallClock() / 1e6).toISOString().replace(/[-:]/g, '').slice(0, 13);
    const name = `${domain.spec.name.slice(0, 40)}-${time}Z`;
    const random = new Uint8Array(16);
    this.host.random(random);
    const uuid = randomUuid(random);
    domain.console = domain.console.ended();
    domain.spec = { ...domain.spec, name: this.domains.list().some((d) => d.spec.name === name) ? `${name}-${domain.domid}` : name, uuid };
    domctl(DOMAIN_0).setdomainhandle(domain.capsule, uuidBytes(uuid));
    moveVm(this.domains.store, domain.domid, domain.spec.name, uuid);
  }
}

function who({ domid, spec: { name } }: ManagedDomain): string { return `domain ${domid} (${name})`; }
