// HYPERVISOR_sched_op and its compat form (public/sched.h): give the processor away, wait, shut down.
//
// A vCPU that blocks or polls is marked first and looked at for events afterwards, so that an event that comes in
// between wakes it.

import { EFAULT, EINVAL, ENOSPC, ENOSYS, EPERM, ESRCH } from '#abi/errno.ts';
import { SCHEDOP, sched_poll, sched_remote_shutdown, sched_shutdown, sched_watchdog } from '#abi/sched.ts';
import { evtchn_port } from '#abi/event-channel.ts';
import { DOMID_SELF } from '#abi/xen.ts';
import type { Domain } from './domain.ts';
import { domainSchedOf, domainShutdown, NR_DOMAIN_WATCHDOG_TIMERS } from './domain-sched.ts';
import { checkTarget } from './domid.ts';
import { portIsPending } from './event-port.ts';
import { eventsNeedDelivery } from './event-upcall.ts';
import { guestRangeOk } from './guest-access.ts';
import { GuestStruct } from './guest-struct.ts';
import type { Hypercall, HypercallArgs } from './hypercall.ts';
import { stopped } from './privilege.ts';
import { clockOf } from './time.ts';
import { endSlice, preempt, schedOf, wake } from './vcpu-sched.ts';
import { type Vcpu, VPF } from './vcpu.ts';

const MAX_POLLED_PORTS = 128;

const shutdownArg = new GuestStruct(sched_shutdown);
const pollArg = new GuestStruct(sched_poll);
const polledPort = new GuestStruct(evtchn_port);
const remoteShutdownArg = new GuestStruct(sched_remote_shutdown);
const watchdogArg = new GuestStruct(sched_watchdog);

/** (cmd, arg): 0 or a negated errno; a watchdog's number for SCHEDOP_watchdog. */
export const do_sched_op: Hypercall = (v, a) => {
  switch (a.lo(0)) {
    case SCHEDOP.yield: return yieldSlice(v);
    case SCHEDOP.block: return block(v);
    case SCHEDOP.shutdown:
      if (!shutdownArg.read(v, a.lo(1), a.hi(1))) return -EFAULT;
      domainShutdown(v.domain, shutdownArg.view.reason & 0xff);
      return 0;
    case SCHEDOP.poll: return pollArg.read(v, a.lo(1), a.hi(1)) ? poll(v) : -EFAULT;
    case SCHEDOP.remote_shutdown:
      if (!remoteShutdownArg.read(v, a.lo(1), a.hi(1))) return -EFAULT;
      return remoteShutdownArg.view.domain_id === DOMID_SELF || checkTarget(v.domain, remoteShutdownArg.view.domain_id) === -ESRCH ? -ESRCH : stopped(v.domain);
    case SCHEDOP.shutdown_code: return shutdownCode(v, a);
    case SCHEDOP.watchdog:
      return watchdogArg.read(v, a.lo(1), a.hi(1)) ? watchdog(v.domain, watchdogArg.view.id, watchdogArg.view.timeout) : -EFAULT;
    case SCHEDOP.pin_override: return -EPERM;
    default: return -ENOSYS;
  }
};

/** (cmd, arg) of Xen before 3.1: a shutdown's reason is the argument itself. */
export const do_sched_op_compat: Hypercall = (v, a) => {
  switch (a.lo(0)) {
    case SCHEDOP.yield: return yieldSlice(v);
    case SCHEDOP.block: return block(v);
    case SCHEDOP.shutdown: domainShutdown(v.domain, a.lo(1) & 0xff); return 0;
    default: return -ENOSYS;
  }
};

/** Lets the next vCPU of the domain run, if another one can. */
function yieldSlice(v: Vcpu): number {
  const { vcpus } = v.domain.threads;
  const at = vcpus.indexOf(v);
  for (let i = 1; i < vcpus.length; i++) {
    const other = vcpus[(at + i) % vcpus.length] as Vcpu;
    if (!other.runnable) continue;
    preempt(other);
    break;
  }
  return 0;
}

/** Unmasks events and waits for one. */
function block(v: Vcpu): number {
  v.upcallMask = 0;
  v.pause(VPF.blocked);
  if (eventsNeedDelivery(v)) v.unpause(VPF.blocked);
  return 0;
}

function poll(v: Vcpu): number {
  const { ports, nr_ports, timeout } = pollArg.view;
  const lo = Number(ports & 0xffff_ffffn);
  const hi = Number(ports >> 32n);
  if (nr_ports > MAX_POLLED_PORTS) return -EINVAL;
  if (!guestRangeOk(lo, hi, nr_ports * 4)) return -EFAULT;
  const s = schedOf(v);
  s.pollPort = 0;
  v.pause(VPF.blocked | VPF.polling);
  const result = eventsNeedDelivery(v) ? 0 : checkPolled(v, lo, hi, nr_ports);
  if (result !== undefined) {
    v.unpause(VPF.blocked);
    v.unpause(VPF.polling);
    return result;
  }
  if (nr_ports === 1) s.pollPort = polledPort.view.port;
  if (timeout !== 0n) setPollTimeout(v, Number(BigInt.asIntN(64, timeout)));
  return 0;
}

/** What the call returns at once: an error, or 0 when one of the ports is pending; undefined when it has to wait. */
function checkPolled(v: Vcpu, lo: number, hi: number, count: number): number | undefined {
  for (let i = 0; i < count; i++) {
    const at = lo + i * 4;
    if (!polledPort.read(v, at >>> 0, at > 0xffff_ffff ? hi + 1 : hi)) return -EFAULT;
    const { port } = polledPort.view;
    if (!v.domain.events.isValid(port)) return -EINVAL;
    if (portIsPending(v.domain, port)) return 0;
  }
  return undefined;
}

function setPollTimeout(v: Vcpu, deadline: number): void {
  if (deadline <= clockOf(v.domain).now()) return wake(v);
  schedOf(v).pollTimeout = deadline;
  endSlice(v);
}

function shutdownCode(v: Vcpu, a: HypercallArgs): number {
  if (!shutdownArg.read(v, a.lo(1), a.hi(1))) return -EFAULT;
  const s = domainSchedOf(v.domain);
  if (s.shutdownCode === 0) s.shutdownCode = 1 + (shutdownArg.view.reason & 0xff);
  return 0;
}

/** id 0 starts a new watchdog and returns its number; a time-out of 0 seconds stops one that runs. */
function watchdog(domain: Domain, id: number, seconds: number): number {
  if (id > NR_DOMAIN_WATCHDOG_TIMERS) return -EINVAL;
  const s = domainSchedOf(domain);
  const number = id !== 0 ? id : [1, 2].find((n) => !(s.watchdogsInUse & n));
  if (number === undefined) return -ENOSPC;
  const bit = 1 << (number - 1);
  if (id !== 0 && !(s.watchdogsInUse & bit)) return -EINVAL;
  if (id !== 0 && seconds === 0) {
    s.watchdogsInUse &= ~bit;
    return 0;
  }
  s.watchdogsInUse |= bit;
  s[number === 1 ? 'watchdog0' : 'watchdog1'] = clockOf(domain).now() + seconds * 1e9;
  return id === 0 ? number : 0;
}
