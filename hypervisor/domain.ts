// One domain: its capsule, its machine and its vCPUs. Subsystems hang off it; their state lies in the capsule.
//
// A domain runs until it is shut down: by SCHEDOP_shutdown, by the toolstack, or by a crash (which is a shutdown with
// reason SHUTDOWN_crash). A domain that was shut down never runs again.

import { SHUTDOWN } from '#abi/xen.ts';
import type { Capsule } from '#base/capsule.ts';
import type { Host } from '#base/host.ts';
import { struct } from '#base/struct.ts';
import type { Machine } from '#machine/machine.ts';
import { crashReport } from './crash.ts';
import { crashTextOf, setCrashText } from './crash-text.ts';
import type { Peer, Peers } from './domain-registry.ts';
import { DomainThreads } from './domain-threads.ts';
import { deliver } from './event-peer.ts';
import { PortTable } from './event-table.ts';
import { DOMAIN_STATE } from './layout.ts';
import { Mm } from './mm/mm.ts';
import type { Caller } from './privilege.ts';
import { Trace } from './trace.ts';
import { Vcpu } from './vcpu.ts';

/** Domain-wide state at DOMAIN_STATE.domain. */
export const domain_state = struct('domain_state', 32, {
  shutdown: 'u32', // 0: runs; else 1 + SHUTDOWN reason
  pci_cf8: 'u32', // last value written to port 0xcf8
  cmos_index: 'u32', // last value written to port 0x70
  domid: 'u32',
  random: 'u64', // state of the generator behind RDRAND, for deterministic domains
  reserved: ['u32', 2],
});
type DomainState = ReturnType<typeof domain_state.on>;

export class Domain implements Caller {
  readonly domid: number;
  /** Domain-0 is, which is no guest (privilege.ts) */
  readonly isPrivileged = false;
  readonly capsule: Capsule;
  readonly machine: Machine;
  readonly host: Host;
  readonly mm: Mm;
  readonly events: PortTable;
  readonly vcpus: readonly Vcpu[];
  readonly state: DomainState;
  readonly trace: Trace;
  readonly threads: DomainThreads;
  /** takes the events of other domains; they may come late (Peer.notify) */
  notify: Peer['notify'] = (port, from) => deliver(this, port, from);
  /** instructions that raised #UD because we do not implement them, by name: how often */
  readonly unimplemented: Map<string, number> = new Map();
  /** called once when the domain is shut down (scheduler, toolstack) */
  onShutdown: ((reason: number) => void) | undefined;

  /** @param thread which of the domain's threads this one is */
  constructor(domid: number, machine: Machine, host: Host, thread = 0) {
    this.domid = domid;
    this.machine = machine;
    this.capsule = machine.capsule;
    this.host = host;
    this.mm = new Mm(this.capsule, machine, host);
    this.events = new PortTable(this.capsule);
    this.state = domain_state.on(this.capsule.buffer).at(DOMAIN_STATE.domain);
    this.state.domid = domid;
    this.trace = new Trace(host);
    this.vcpus = machine.cpus.map((cpu) => new Vcpu(this, cpu));
    this.threads = new DomainThreads(this, thread);
    this.threads.onTaken = () => this.mm.foreign.forget();
  }

  /** the domains that this one may reach; itself is among them once it was added */
  get peers(): Peers { return this.mm.peers; }

  /** the report of the crash that ended the domain, whichever thread made it */
  get crashText(): string | undefined { return crashTextOf(this.capsule); }
  set crashText(text: string) { setCrashText(this.capsule, text); }
  get isShutDown(): boolean { return this.state.shutdown !== 0; }
  /** The SHUTDOWN reason, undefined while the domain runs. */
  get shutdownReason(): number | undefined { return this.state.shutdown === 0 ? undefined : this.state.shutdown - 1; }

  /** Stops every vCPU for good. The first reason stays. @param reason SHUTDOWN */
  shutdown(reason: number): void {
    if (this.isShutDown) return;
    Atomics.store(this.capsule.u32, (DOMAIN_STATE.domain + domain_state.offset.shutdown) >>> 2, reason + 1);
    this.threads.interruptAll();
    this.onShutdown?.(reason);
  }

  /**
   * Ends the domain because of something it did that Xen does not survive for it. The state is left as it was.
   * @param why one line, for the report
   * @param v the vCPU that did it, if one did
   */
  crash(why: string, v?: Vcpu): void {
    if (this.isShutDown) return;
    this.crashText = crashReport(this, why, v);
    this.host.log('error', `domain ${this.domid} crashed: ${why}`);
    this.shutdown(SHUTDOWN.crash);
  }
}
