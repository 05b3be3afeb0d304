// How long each vCPU has been running, runnable, blocked and offline (public/vcpu.h), and the copy of it that a
// guest may have registered. The copy is written where the guest put it in its kernel's address space, translated
// anew each time with the rights of a guest write: the hypervisor cannot be made to write where the guest could not.

import { RUNSTATE, vcpu_runstate_info, XEN_RUNSTATE_UPDATE } from '#abi/vcpu.ts';
import { VMASST_TYPE_runstate_update_flag } from '#abi/xen.ts';
import { GuestStruct } from './guest-struct.ts';
import { clockOf } from './time.ts';
import { schedOf } from './vcpu-sched.ts';
import type { Vcpu } from './vcpu.ts';
import { vmAssist } from './vm-assist.ts';

const info = new GuestStruct(vcpu_runstate_info);
const TIME_FIELD = ['timeRunning', 'timeRunnable', 'timeBlocked', 'timeOffline'] as const;

/** Ends the current spell and begins one in `state` (RUNSTATE). */
export function changeRunstate(v: Vcpu, state: number, now: number): void {
  const s = schedOf(v);
  if (s.runstate === state) return;
  s[TIME_FIELD[s.runstate as 0 | 1 | 2 | 3]] += Math.max(0, now - s.runstateEntry);
  s.runstate = state;
  s.runstateEntry = now;
}

/** The vCPU's times in the form that guests see, the current spell included when `upToDate`. */
export function runstateInfo(v: Vcpu, upToDate: boolean): GuestStruct<{ state: 'u32'; state_entry_time: 'u64'; time_running: 'u64'; time_runnable: 'u64'; time_blocked: 'u64'; time_offline: 'u64' }> {
  const s = schedOf(v);
  const spell = upToDate ? Math.max(0, clockOf(v.domain).now() - s.runstateEntry) : 0;
  const time = (state: number): bigint => BigInt(s[TIME_FIELD[state as 0 | 1 | 2 | 3]] + (s.runstate === state ? spell : 0));
  const { view } = info;
  view.state = s.runstate;
  view.state_entry_time = BigInt(s.runstateEntry);
  view.time_running = time(RUNSTATE.running);
  view.time_runnable = time(RUNSTATE.runnable);
  view.time_blocked = time(RUNSTATE.blocked);
  view.time_offline = time(RUNSTATE.offline);
  return info;
}

/** Brings the guest's registered copy up to date. Nothing happens when it is not mapped writable just now. */
export function updateRunstateArea(v: Vcpu): void {
  const address = schedOf(v).runstateArea;
  if (address === 0n) return;
  const lo = Number(address & 0xffff_ffffn);
  const hi = Number(address >> 32n);
  underKernelTables(v, () => {
    const copy = runstateInfo(v, false);
    if (vmAssist(v.domain, VMASST_TYPE_runstate_update_flag)) {
      copy.view.state_entry_time |= XEN_RUNSTATE_UPDATE;
      copy.write(v, lo, hi);
      copy.view.state_entry_time &= ~XEN_RUNSTATE_UPDATE;
    }
    copy.write(v, lo, hi);
  });
}

/** Runs `body` while the vCPU's kernel page tables are in force: registered areas are addresses of the guest kernel. */
export function underKernelTables(v: Vcpu, body: () => void): void {
  const inUser = !v.kernelMode;
  if (inUser) v.toggleMode();
  body();
  if (inUser) v.toggleMode();
}
