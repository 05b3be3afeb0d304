// Scheduling calls: public/sched.h. The reasons of a shutdown are SHUTDOWN in xen.ts.

import { struct } from '#base/struct.ts';
import { cLayout, type CLayout } from './c-layout.ts';

export const SCHEDOP = { yield: 0, block: 1, shutdown: 2, poll: 3, remote_shutdown: 4, shutdown_code: 5, watchdog: 6, pin_override: 7 } as const;

export const sched_shutdown = struct('sched_shutdown', 4, { reason: 'u32' });
/** timeout: absolute system time in ns, 0 for none */
export const sched_poll = struct('sched_poll', 24, { ports: 'u64', nr_ports: 'u32', timeout: 'u64' });
export const sched_remote_shutdown = struct('sched_remote_shutdown', 8, { domain_id: 'u16', reason: 'u32' });
/** timeout in seconds */
export const sched_watchdog = struct('sched_watchdog', 8, { id: 'u32', timeout: 'u32' });
export const sched_pin_override = struct('sched_pin_override', 4, { pcpu: 'i32' });

export const C_LAYOUTS: readonly CLayout[] = [
  cLayout('sched.h', 'struct sched_shutdown', sched_shutdown),
  cLayout('sched.h', 'struct sched_poll', sched_poll),
  cLayout('sched.h', 'struct sched_remote_shutdown', sched_remote_shutdown),
  cLayout('sched.h', 'struct sched_watchdog', sched_watchdog),
  cLayout('sched.h', 'struct sched_pin_override', sched_pin_override),
];
