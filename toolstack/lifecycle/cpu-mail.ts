// What Domain-0 and a physical CPU say to each other. They are different threads: all of a domain but its memory and the
// words that hypervisor/domain-glance.ts reads belongs to the CPU that it is on, and is changed there. Only Domain-0 has the other end
// of this mail, so what comes by it is done in its name (hypervisor/management.ts). No guest's hypercall becomes a request.

import type { CapsuleShape } from '#base/capsule.ts';
import type { LogLevel } from '#base/host.ts';
import type { BuilderErrorCode } from '../builder/builder-error.ts';
import type { KernelImage } from '../builder/kernel-image.ts';
import type { Announcement } from './cpu-peers.ts';
import type { DomainEnd } from './domain-end.ts';
import type { DomainConfig, DomainWires } from './make-domain.ts';

export interface MakeConfig extends Pick<DomainConfig, 'domid' | 'name' | 'uuid' | 'memory' | 'maxmem' | 'vcpus' | 'commandLine' | 'initrd' | 'unzippedInitrd'> {
  /** its bytes, like the initrd's, lie in shared memory: they are not copied on the way */
  readonly kernel: KernelImage;
  readonly weight: number;
  readonly cap: number;
  /** CPUs that may run it at the same time */
  readonly machines: number;
}
/** A domain that was taken off a CPU: its capsule is all of it. */
export interface Parcel extends Announcement {
  /** host time when its clock was read last, ns */
  readonly recordedAt: number;
}

/** A domain, some of whose vCPUs another CPU is to run. */
export interface Loan extends Announcement {
  /** host time at its system time 0, ns */
  readonly origin: number;
  /** which of the domain's threads the CPU is (hypervisor/domain-threads.ts) */
  readonly thread: number;
  readonly weight: number;
  readonly cap: number;
}

/** What a CPU can be asked, and what it answers. */
export interface CpuServices {
  /** Makes a domain, which is paused. `origin`: host time at its system time 0, ns. @throws BuilderError */
  make(config: MakeConfig): { readonly capsule: CapsuleShape; readonly wires: DomainWires; readonly origin: number };
  /** Takes up a domain that was on another CPU. */
  attach(parcel: Parcel): null;
  /** Stops a domain and forgets it. What it does afterwards to its memory, nothing, is the answer's meaning. */
  detach(domid: number): Parcel;
  /** Says which CPUs run the vCPUs of a domain from now on, this one first; none of the others does when this is asked. */
  spread(domid: number, cpus: readonly number[]): { readonly capsule: CapsuleShape; readonly origin: number };
  /** Runs some of the vCPUs of a domain that is on another CPU. */
  lend(loan: Loan): null;
  /** Stops doing so. */
  withdraw(domid: number): null;
  /** Stops a domain, if it is on this CPU, and gives up what it has of others. It may be on no other CPU. */
  destroy(domid: number): null;
  /** There is a domain on another CPU. */
  announce(domain: Announcement): null;
  /** Nobody has anything of a destroyed domain any more. */
  forget(domid: number): null;
  /** When this is answered the domain does not run. */
  pause(domid: number): null;
  unpause(domid: number): null;
  /** Crashes a domain, as if it had done something that Xen does not survive for it. @param why one line, for the report */
  crash(domid: number, why: string): null;
  /** The contexts of its vCPUs (hypervisor/vcpu-context.ts): of a domain that is here, or of one that is nowhere any more. */
  contexts(which: number | Omit<Parcel, 'recordedAt'>): readonly Uint8Array[];
  share(domid: number, weight: number, cap: number): null;
  /** Keeps what the CPU's domains do in a ring, from its buffer, or no longer. */
  trace(ring: SharedArrayBuffer | undefined): null;
  /** What a debug key tells of the CPU and its domains, in lines. */
  debugKey(key: string): readonly string[];
  /** How many frames the domain may own (XEN_DOMCTL_max_mem). What it has already it keeps. */
  maxMemory(domid: number, frames: number): null;
  /** An event for a port of the guest. */
  notify(domid: number, port: number): null;
  /** The same, sent by domain `from`. */
  deliver(domid: number, port: number, from: number): null;
  /** Gives back the memory of domains that are gone. */
  collect(): null;
}
export type ServiceName = keyof CpuServices;
/** A request; `id` 0: nobody waits for the answer. */
export type CpuRequest = { readonly [K in ServiceName]: { readonly id: number; readonly service: K; readonly args: Parameters<CpuServices[K]> } }[ServiceName];

export interface CpuFailure {
  readonly message: string;
  /** where in our code it was, of an error of ours: for the log */
  readonly stack: string | undefined;
  /** of a BuilderError */
  readonly code: BuilderErrorCode | undefined;
}
export type CpuReport =
  | { readonly kind: 'answer'; readonly id: number; readonly value: ReturnType<CpuServices[ServiceName]> }
  | { readonly kind: 'failure'; readonly id: number; readonly failure: CpuFailure }
  /** events of guests for Domain-0: domid and port, in turn */
  | { readonly kind: 'events'; readonly events: readonly number[] }
  /** events of guests for domains that are not here: domid, port and sender, in turn */
  | { readonly kind: 'peerEvents'; readonly events: readonly number[] }
  /** a destroyed domain is gone: nobody has anything of it any more */
  | { readonly kind: 'gone'; readonly domid: number }
  /** a domain has shut itself down; it is forgotten here */
  | { readonly kind: 'ended'; readonly domid: number; readonly end: DomainEnd }
  /** domains have waited for their turn: perhaps some would be better off elsewhere */
  | { readonly kind: 'crowded' }
  | { readonly kind: 'log'; readonly level: LogLevel; readonly message: string };

/** The CPU's end of the mail. */
export interface Mailbox {
  /** True when there is something to take. As cheap as a look at a word of memory. */
  readonly hasMail: boolean;
  /** The oldest request that was not taken; undefined when there is none. */
  take(): CpuRequest | undefined;
  send(report: CpuReport): void;
  /** Resolves after `ns` (Infinity: never), or when mail comes. */
  sleep(ns: number): Promise<void>;
  /** Wakes another CPU, which looks at its domains. */
  wake(cpu: number): void;
  /** Lets the host do what has piled up. */
  turn(): Promise<void>;
}
