// Timers of a domain: each vCPU has a single-shot and a periodic timer, both raise VIRQ_TIMER, and the time-out of
// SCHEDOP_poll; the domain has two watchdogs. Deadlines are system time, so they survive a move with the capsule.
//
// The periodic timer ticks only while its vCPU runs, as Xen's: it never wakes a vCPU.

import { SHUTDOWN, VIRQ } from '#abi/xen.ts';
import type { Domain } from './domain.ts';
import { domainSchedOf, domainShutdown } from './domain-sched.ts';
import { sendVcpuVirq, virqPort } from './event-port.ts';
import type { Hypercall } from './hypercall.ts';
import { clockOf } from './time.ts';
import { endSlice, schedOf, wake } from './vcpu-sched.ts';
import { type Vcpu, VPF } from './vcpu.ts';

/** A running vCPU's slice, in ns: timers that fall due later than this need no special care. */
export const SLICE_NS = 1_000_000;
/** What Xen makes of a set_timer_op too far away to be meant: 100 ms. */
const WORKAROUND_NS = 100_000_000;
const TOO_FAR = 2 ** 50;

/** Sets the single-shot timer, in place of what it was set to. A deadline that has passed fires now. */
export function setSingleshot(v: Vcpu, deadline: number): void {
  const s = schedOf(v);
  const now = clockOf(v.domain).now();
  s.singleshot = 0;
  if (deadline <= now) return sendVcpuVirq(v, VIRQ.TIMER);
  s.singleshot = deadline;
  if (deadline - now < SLICE_NS) endSlice(v);
}

export function stopSingleshot(v: Vcpu): void { schedOf(v).singleshot = 0; }

/** (timeout): absolute system time in ns, 0 to stop. */
export const do_set_timer_op: Hypercall = (v, a) => {
  const timeout = a.num(0);
  const now = clockOf(v.domain).now();
  if (timeout === 0) stopSingleshot(v);
  else if (timeout - now < TOO_FAR) setSingleshot(v, timeout);
  else setSingleshot(v, now + WORKAROUND_NS); // NaN too: negative or beyond 2^53
  return 0;
};

/** The earliest deadline that can wake something on this thread, system time in ns; Infinity when there is none. */
export function nextTimer(domain: Domain): number {
  let next = Infinity;
  const consider = (deadline: number): void => { if (deadline !== 0 && deadline < next) next = deadline; };
  for (const v of domain.threads.vcpus) {
    const s = schedOf(v);
    consider(s.singleshot);
    consider(s.pollTimeout);
  }
  const { watchdogsInUse, watchdog0, watchdog1 } = domainSchedOf(domain);
  if (watchdogsInUse & 1) consider(watchdog0);
  if (watchdogsInUse & 2) consider(watchdog1);
  return next;
}

/** Fires what is due on this thread. */
export function runTimers(domain: Domain): void {
  const now = clockOf(domain).now();
  for (const v of domain.threads.vcpus) {
    const s = schedOf(v);
    if (s.singleshot !== 0 && s.singleshot <= now) {
      s.singleshot = 0;
      sendVcpuVirq(v, VIRQ.TIMER);
    }
    if (s.pollTimeout !== 0 && s.pollTimeout <= now) {
      s.pollTimeout = 0;
      if (v.pauseFlags & VPF.polling) wake(v);
    }
  }
  const { watchdogsInUse, watchdog0, watchdog1 } = domainSchedOf(domain);
  const expired = (watchdogsInUse & 1 && watchdog0 <= now) || (watchdogsInUse & 2 && watchdog1 <= now);
  if (expired) domainShutdown(domain, SHUTDOWN.watchdog);
}

/** When the periodic timer of a running vCPU ticks next; Infinity when it does not. */
export function nextPeriodic(v: Vcpu): number {
  const { periodicPeriod, periodicLast } = schedOf(v);
  return periodicPeriod === 0 || virqPort(v, VIRQ.TIMER) === 0 ? Infinity : periodicLast + periodicPeriod;
}

/** Ticks the periodic timer of a vCPU that is about to run, if it is time. */
export function runPeriodic(v: Vcpu, now: number): void {
  if (now < nextPeriodic(v)) return;
  schedOf(v).periodicLast = now;
  sendVcpuVirq(v, VIRQ.TIMER);
}
