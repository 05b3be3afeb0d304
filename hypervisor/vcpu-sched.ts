// What the scheduler keeps of a vCPU beside its VPF flags: runstate times, timers, registered areas, virtual IRQs.
// Times and deadlines are system time in nanoseconds; 0 stands for a deadline that is not set.

import { RUNSTATE } from '#abi/vcpu.ts';
import { NR_VIRQS } from '#abi/xen.ts';
import { struct } from '#base/struct.ts';
import type { Domain } from './domain.ts';
import { VCPU_STATE } from './layout.ts';
import { type Vcpu, VPF } from './vcpu.ts';

export const vcpu_sched = struct('vcpu_sched', 200, {
  initialised: 'u32', // by VCPUOP_initialise, or by the builder for vCPU 0
  runstate: 'u32', // RUNSTATE
  pollPort: 'u32', // the polled port; 0: several
  timeAreaStale: 'u32', // the copy at timeArea has yet to be written
  runstateEntry: 'f64',
  timeRunning: 'f64', timeRunnable: 'f64', timeBlocked: 'f64', timeOffline: 'f64', // before the current spell
  runstateArea: 'u64', timeArea: 'u64', // guest virtual addresses, 0: none
  singleshot: 'f64',
  pollTimeout: 'f64',
  periodicPeriod: 'f64', // ns, 0: no periodic timer
  periodicLast: 'f64',
  virqPort: ['u32', NR_VIRQS],
});
export type VcpuSched = ReturnType<typeof vcpu_sched.on>;

/** Xen ticks a PV vCPU 100 times a second until it stops the periodic timer. */
const DEFAULT_PERIOD = 10_000_000;

const views = new WeakMap<Vcpu, VcpuSched>();

/** The vCPU's record; each vCPU has one view, which stays where it points. */
export function schedOf(v: Vcpu): VcpuSched {
  let view = views.get(v);
  if (!view) views.set(v, view = vcpu_sched.on(v.domain.capsule.buffer).at(v.cpu.base + VCPU_STATE.sched));
  return view;
}

/** A vCPU as it is before the builder or the guest sets it up: down, never run. */
export function initVcpuSched(v: Vcpu): void {
  const s = schedOf(v);
  v.domain.capsule.u8.fill(0, s.base, s.base + vcpu_sched.size);
  s.runstate = RUNSTATE.offline;
  s.periodicPeriod = DEFAULT_PERIOD;
  v.pause(VPF.down);
}

/** Ends blocking and polling: an event came, or the time-out. The runstate follows when the scheduler looks. */
export function wake(v: Vcpu): void {
  if (v.unpause(VPF.polling)) schedOf(v).pollTimeout = 0;
  if (!v.unpause(VPF.blocked)) return;
  if (v.domain.trace.events) v.domain.trace.wake(v);
  preempt(v);
}

// The vCPU that should have the processor next, because something became urgent for it: a hint, not state.
const urgent = new WeakMap<Domain, Vcpu>();

/** The vCPU that this thread runs, as Xen's `current`. */
let current: Vcpu | undefined;
export function setCurrent(v: Vcpu | undefined): void { current = v; }

/** Asks for the running vCPU's slice to end early and for `v` to be next. No use when `v` is the one that runs. */
export function preempt(v: Vcpu): void {
  if (!v.domain.threads.isMine(v)) v.domain.threads.interrupt(v);
  else if (v !== current) urgent.set(v.domain, v);
}
/** Asks for the slice to end early whoever runs, because a deadline falls within it. */
export function endSlice(v: Vcpu): void { if (!urgent.has(v.domain)) urgent.set(v.domain, v); }
/** True when somebody asked for the slice to end: to be looked at after every hypercall. */
export function preemptionPending(domain: Domain): boolean { return urgent.has(domain); }
/** Takes the request, if there is one. */
export function takePreemption(domain: Domain): Vcpu | undefined {
  const v = urgent.get(domain);
  if (v) urgent.delete(domain);
  return v;
}
