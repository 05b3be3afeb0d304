// Calls on vCPUs: public/vcpu.h.

import { struct } from '#base/struct.ts';
import { cLayout, type CLayout } from './c-layout.ts';

export const VCPUOP = {
  initialise: 0, up: 1, down: 2, is_up: 3, get_runstate_info: 4, register_runstate_memory_area: 5, set_periodic_timer: 6,
  stop_periodic_timer: 7, set_singleshot_timer: 8, stop_singleshot_timer: 9, register_vcpu_info: 10, send_nmi: 11, get_physid: 12,
  register_vcpu_time_memory_area: 13,
} as const;

export const RUNSTATE = { running: 0, runnable: 1, blocked: 2, offline: 3 } as const;
/** by number */
export const RUNSTATE_NAMES: readonly string[] = Object.keys(RUNSTATE);
/** state_entry_time carries this while Xen updates the guest's copy (VMASST_TYPE_runstate_update_flag) */
export const XEN_RUNSTATE_UPDATE: bigint = 1n << 63n;
/** flag of set_singleshot_timer: refuse a time that has passed */
export const VCPU_SSHOTTMR_future = 1;

/** Times in ns, system time. time is indexed by RUNSTATE. */
export const vcpu_runstate_info = struct('vcpu_runstate_info', 48, {
  state: 'u32', state_entry_time: 'u64', time_running: 'u64', time_runnable: 'u64', time_blocked: 'u64', time_offline: 'u64',
});
/** The one argument of register_runstate_memory_area and register_vcpu_time_memory_area: a virtual address. */
export const vcpu_register_memory_area = struct('vcpu_register_memory_area', 8, { addr: 'u64' });
export const vcpu_set_periodic_timer = struct('vcpu_set_periodic_timer', 8, { period_ns: 'u64' });
export const vcpu_set_singleshot_timer = struct('vcpu_set_singleshot_timer', 16, { timeout_abs_ns: 'u64', flags: 'u32' });
export const vcpu_register_vcpu_info = struct('vcpu_register_vcpu_info', 16, { mfn: 'u64', offset: 'u32', rsvd: 'u32' });

export const C_LAYOUTS: readonly CLayout[] = [
  cLayout('vcpu.h', 'struct vcpu_runstate_info', vcpu_runstate_info,
    { time_running: 'time[0]', time_runnable: 'time[1]', time_blocked: 'time[2]', time_offline: 'time[3]' }),
  cLayout('vcpu.h', 'struct vcpu_register_runstate_memory_area', vcpu_register_memory_area),
  cLayout('vcpu.h', 'struct vcpu_register_time_memory_area', vcpu_register_memory_area),
  cLayout('vcpu.h', 'struct vcpu_set_periodic_timer', vcpu_set_periodic_timer),
  cLayout('vcpu.h', 'struct vcpu_set_singleshot_timer', vcpu_set_singleshot_timer),
  cLayout('vcpu.h', 'struct vcpu_register_vcpu_info', vcpu_register_vcpu_info),
];
