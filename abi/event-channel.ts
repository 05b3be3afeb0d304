// Event channels: public/event_channel.h.

import { struct } from '#base/struct.ts';
import { cLayout, type CLayout } from './c-layout.ts';

export const EVTCHNOP = {
  bind_interdomain: 0, bind_virq: 1, bind_pirq: 2, close: 3, send: 4, status: 5, alloc_unbound: 6, bind_ipi: 7, bind_vcpu: 8, unmask: 9,
  reset: 10, init_control: 11, expand_array: 12, set_priority: 13, reset_cont: 14,
} as const;

/** Values of evtchn_status.status. */
export const EVTCHNSTAT = { closed: 0, unbound: 1, interdomain: 2, pirq: 3, virq: 4, ipi: 5 } as const;

export const evtchn_alloc_unbound = struct('evtchn_alloc_unbound', 8, { dom: 'u16', remote_dom: 'u16', port: 'u32' });
export const evtchn_bind_interdomain = struct('evtchn_bind_interdomain', 12, { remote_dom: 'u16', remote_port: 'u32', local_port: 'u32' });
export const evtchn_bind_virq = struct('evtchn_bind_virq', 12, { virq: 'u32', vcpu: 'u32', port: 'u32' });
export const evtchn_bind_pirq = struct('evtchn_bind_pirq', 12, { pirq: 'u32', flags: 'u32', port: 'u32' });
export const evtchn_bind_ipi = struct('evtchn_bind_ipi', 8, { vcpu: 'u32', port: 'u32' });
/** The one argument of close, send and unmask. */
export const evtchn_port = struct('evtchn_port', 4, { port: 'u32' });
/** The union's members overlap: unbound_dom and interdom_dom; pirq, virq and (unbound_dom, padding). */
export const evtchn_status = struct('evtchn_status', 24, { dom: 'u16', port: 'u32', status: 'u32', vcpu: 'u32', u_dom: 'u16', u_pad: 'u16', u_port: 'u32' });
export const evtchn_bind_vcpu = struct('evtchn_bind_vcpu', 8, { port: 'u32', vcpu: 'u32' });
export const evtchn_reset = struct('evtchn_reset', 2, { dom: 'u16' });
export const evtchn_init_control = struct('evtchn_init_control', 24, { control_gfn: 'u64', offset: 'u32', vcpu: 'u32', link_bits: 'u8', _pad: ['u8', 7] });
export const evtchn_expand_array = struct('evtchn_expand_array', 8, { array_gfn: 'u64' });
export const evtchn_set_priority = struct('evtchn_set_priority', 8, { port: 'u32', priority: 'u32' });

// The FIFO ABI: a word for each event in the event array, and a control block for each vCPU.

/** Priorities run from 0, the highest, to 15; each has a queue for each vCPU. */
export const EVTCHN_FIFO_PRIORITY_DEFAULT = 7, EVTCHN_FIFO_PRIORITY_MIN = 15;
export const EVTCHN_FIFO_MAX_QUEUES: number = EVTCHN_FIFO_PRIORITY_MIN + 1;
/** Bit numbers in an event word; the low EVTCHN_FIFO_LINK_BITS bits name the next event of the queue. */
export const EVTCHN_FIFO_PENDING = 31, EVTCHN_FIFO_MASKED = 30, EVTCHN_FIFO_LINKED = 29, EVTCHN_FIFO_BUSY = 28;
export const EVTCHN_FIFO_LINK_BITS = 17;
export const EVTCHN_FIFO_NR_CHANNELS: number = 1 << EVTCHN_FIFO_LINK_BITS;
export const evtchn_fifo_control_block = struct('evtchn_fifo_control_block', 72, { ready: 'u32', _rsvd: 'u32', head: ['u32', 16] });

export const C_LAYOUTS: readonly CLayout[] = [
  cLayout('event_channel.h', 'struct evtchn_alloc_unbound', evtchn_alloc_unbound),
  cLayout('event_channel.h', 'struct evtchn_bind_interdomain', evtchn_bind_interdomain),
  cLayout('event_channel.h', 'struct evtchn_bind_virq', evtchn_bind_virq),
  cLayout('event_channel.h', 'struct evtchn_bind_pirq', evtchn_bind_pirq),
  cLayout('event_channel.h', 'struct evtchn_bind_ipi', evtchn_bind_ipi),
  cLayout('event_channel.h', 'struct evtchn_close', evtchn_port),
  cLayout('event_channel.h', 'struct evtchn_status', evtchn_status, { u_dom: 'u.interdomain.dom', u_port: 'u.interdomain.port' }, ['u_pad']),
  cLayout('event_channel.h', 'struct evtchn_bind_vcpu', evtchn_bind_vcpu),
  cLayout('event_channel.h', 'struct evtchn_reset', evtchn_reset),
  cLayout('event_channel.h', 'struct evtchn_init_control', evtchn_init_control),
  cLayout('event_channel.h', 'struct evtchn_expand_array', evtchn_expand_array),
  cLayout('event_channel.h', 'struct evtchn_set_priority', evtchn_set_priority),
  cLayout('event_channel.h', 'struct evtchn_fifo_control_block', evtchn_fifo_control_block),
];
