// The door for management: what one domain does to another or to the machine, by the names of Xen's domctl, sysctl and sched_op. Who
// comes in is asked for its privilege first, and by the same check as a guest's hypercalls of these names (domctl.ts, sched-op.ts),
// which it stops: no guest is privileged. Domain-0's toolstack has no other way; tests/project/layers.test.ts looks.
//
// Here is what the hypervisor has a part in. Other commands have none: domains are placed and listed by the toolstack itself
// (XEN_DOMCTL_setvcpuaffinity, XEN_SYSCTL_getdomaininfolist), and log and host are those of the process that it is
// (XEN_SYSCTL_readconsole, XEN_SYSCTL_physinfo).

import type { XEN_DOMCTL } from '#abi/domctl.ts';
import type { SCHEDOP } from '#abi/sched.ts';
import type { XEN_SYSCTL } from '#abi/sysctl.ts';
import { Capsule, type CapsuleShape } from '#base/capsule.ts';
import { machinesOf } from '#machine/engine/siblings.ts';
import { Share } from './credit.ts';
import { pressKey } from './debug-keys/debug-keys.ts';
import { destroyDomain } from './domain-destroy.ts';
import { DomainGlance } from './domain-glance.ts';
import type { Domain } from './domain.ts';
import { initDomainState, startBootVcpu } from './init.ts';
import { initMemory } from './mm/domain-mm.ts';
import { type Caller, checkPrivilege } from './privilege.ts';
import type { TimeOptions } from './time.ts';
import type { TraceRing } from './trace-ring.ts';
import { vcpuContext } from './vcpu-context.ts';
import { VPF } from './vcpu.ts';
import { setGuestHandle } from './version.ts';

/** The toolstack's domain, the only privileged one. It is no guest: it calls the operations themselves. */
export const DOMAIN_0: Caller = { domid: 0, isPrivileged: true };

/** The caller is not privileged. */
export class Refusal extends Error {
  /** negated, as hypercalls return it */
  readonly errno: number;
  constructor({ domid }: Caller, errno: number) {
    super(`domain ${domid} is not privileged (error ${-errno})`);
    this.errno = errno;
  }
}

/** Operations, for those who may. */
function behindTheDoor<T>(operations: T): (caller: Caller) => T {
  return (caller) => {
    const refused = checkPrivilege(caller);
    if (refused !== 0) throw new Refusal(caller, refused);
    return operations;
  };
}

/** What is done to a domain. Only the thread that runs it may, except for what is said to be Domain-0's. @throws Refusal */
export const domctl = behindTheDoor({
  /**
   * Makes Xen's state of a domain in its fresh capsule.
   * @param options pages: frames that it begins with; handle: the 16 bytes of its UUID
   */
  createdomain(domain: Domain, { pages, handle, ...time }: TimeOptions & { readonly pages: number; readonly handle: Uint8Array }): void {
    initMemory(domain, pages);
    initDomainState(domain, time);
    setGuestHandle(domain.capsule, handle);
    for (let thread = 0; thread < machinesOf(domain.capsule); thread++) Share.begin(domain.capsule, thread);
  },
  /** Once, when it does not run any more (domain-destroy.ts). */
  destroydomain: destroyDomain,
  pausedomain(domain: Domain): void { for (const v of domain.threads.vcpus) v.pause(VPF.paused); },
  unpausedomain(domain: Domain): void { for (const v of domain.threads.vcpus) v.unpause(VPF.paused); },
  /** For Domain-0's thread: what it may look at while the domain runs, also what XEN_DOMCTL_getvcpuinfo tells. */
  getdomaininfo: (capsule: Capsule, vcpus: number): DomainGlance => new DomainGlance(capsule, vcpus),
  /** The contexts of all its vCPUs (vcpu-context.ts). */
  getvcpucontext: (domain: Domain): Uint8Array[] => domain.vcpus.map(vcpuContext),
  /** For Domain-0's thread. @param handle the 16 bytes of its UUID */
  setdomainhandle: setGuestHandle,
  /** vCPU 0 is up, with the registers and page tables that it has. */
  setvcpucontext: startBootVcpu,
  /** How many frames the domain may own. What it has already it keeps. */
  max_mem(domain: Domain, frames: number): void { domain.mm.state.max_pages = frames; },
  /** Its part of the processor (credit.ts). */
  scheduler_op(domain: Domain, weight: number, cap: number): void { Share.of(domain.capsule, domain.threads.me).set(weight, cap); },
} satisfies { readonly [K in keyof typeof XEN_DOMCTL]?: unknown });

/** What is done to the machine, by the thread of each physical CPU. @throws Refusal */
export const sysctl = behindTheDoor({
  /** Keeps what a domain does in a ring, or no longer. Not while it runs. */
  tbuf_op({ trace }: Domain, ring: TraceRing | undefined): void { trace.keep(ring); },
  debug_keys: pressKey,
} satisfies { readonly [K in keyof typeof XEN_SYSCTL]?: unknown });

/** @throws Refusal */
export const sched_op = behindTheDoor({
  /** Crashes a domain, as if it had done something that Xen does not survive for it. @param why one line, for the report */
  remote_shutdown(domain: Domain, why: string): void { domain.crash(why); },
} satisfies { readonly [K in keyof typeof SCHEDOP]?: unknown });

/** Maps all of a domain's memory, for Domain-0's thread. @throws Refusal */
export const mapForeign: (caller: Caller) => (shape: CapsuleShape) => Capsule = behindTheDoor((shape: CapsuleShape) => Capsule.attach(shape));
