// The copy of a vCPU's time record that a guest may have registered at an address of its kernel's. As the record
// never changes (time.ts) the copy is written once, as soon as the guest has the page mapped writable.

import { vcpu_time_info, XEN_PVCLOCK_TSC_STABLE_BIT } from '#abi/xen.ts';
import { GuestStruct } from './guest-struct.ts';
import { underKernelTables } from './runstate.ts';
import { TSC_SHIFT, TSC_TO_SYSTEM_MUL } from './time.ts';
import { schedOf } from './vcpu-sched.ts';
import type { Vcpu } from './vcpu.ts';

const copy = new GuestStruct(vcpu_time_info);

/** Writes the copy if that has not been done yet. */
export function updateTimeArea(v: Vcpu): void {
  const s = schedOf(v);
  if (!s.timeAreaStale) return;
  const lo = Number(s.timeArea & 0xffff_ffffn);
  const hi = Number(s.timeArea >> 32n);
  copy.view.version = 2;
  copy.view.tsc_to_system_mul = TSC_TO_SYSTEM_MUL;
  copy.view.tsc_shift = TSC_SHIFT;
  copy.view.flags = XEN_PVCLOCK_TSC_STABLE_BIT;
  underKernelTables(v, () => { if (copy.write(v, lo, hi)) s.timeAreaStale = 0; });
}
