// How a vCPU learns of events: the upcall flag in its vcpu_info, and the end of its waiting.

import { vcpu_info } from '#abi/xen.ts';
import type { Domain } from './domain.ts';
import { XEN_FRAME } from './layout.ts';
import { preempt, schedOf, wake } from './vcpu-sched.ts';
import { type Vcpu, VPF } from './vcpu.ts';

/** Raises the upcall flag of a vCPU and wakes it. */
export function markEventsPending(v: Vcpu): void {
  const { domain } = v;
  const was = Atomics.exchange(domain.capsule.u8, v.info + vcpu_info.offset.evtchn_upcall_pending, 1);
  const mfn = (v.info - domain.capsule.frames) >>> 12;
  if (mfn !== XEN_FRAME.sharedInfo) domain.machine.frameWritten(mfn);
  if (was) return;
  wake(v);
  preempt(v);
}

/** True when the vCPU has an event to take and takes events. */
export function eventsNeedDelivery(v: Vcpu): boolean { return v.upcallPending && v.upcallMask === 0; }

/** Ends SCHEDOP_poll of those who wait for this port. */
export function wakePollers(domain: Domain, port: number): void {
  for (const v of domain.vcpus) {
    if (!(v.pauseFlags & VPF.polling)) continue;
    const polled = schedOf(v).pollPort;
    if (polled === 0 || polled === port) wake(v);
  }
}
