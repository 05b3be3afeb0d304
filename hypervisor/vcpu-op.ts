// HYPERVISOR_vcpu_op (public/vcpu.h): bring vCPUs up and down, their timers, and the areas in guest memory that the
// hypervisor keeps up to date for them.

import { EEXIST, EFAULT, EINVAL, ENOENT, ENOSYS, ENXIO } from '#abi/errno.ts';
import {
  VCPUOP, vcpu_register_memory_area, vcpu_register_vcpu_info, vcpu_set_periodic_timer,
  vcpu_set_singleshot_timer,
} from '#abi/vcpu.ts';
import { SHUTDOWN, vcpu_info } from '#abi/xen.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import { domainShutdown } from './domain-sched.ts';
import { markEventsPending } from './event-upcall.ts';
import { getWritableFrame } from './guest-frame.ts';
import { GuestStruct } from './guest-struct.ts';
import type { Hypercall, HypercallArgs } from './hypercall.ts';
import { runstateInfo, updateRunstateArea } from './runstate.ts';
import { clockOf } from './time.ts';
import { updateTimeArea } from './time-area.ts';
import { setSingleshot, stopSingleshot } from './timer.ts';
import { context, initialiseVcpu } from './vcpu-initialise.ts';
import { preempt, schedOf, wake } from './vcpu-sched.ts';
import { type Vcpu, VPF } from './vcpu.ts';
import { addressOk } from './words.ts';

const areaArg = new GuestStruct(vcpu_register_memory_area);
const periodicArg = new GuestStruct(vcpu_set_periodic_timer);
const singleshotArg = new GuestStruct(vcpu_set_singleshot_timer);
const infoArg = new GuestStruct(vcpu_register_vcpu_info);

/** Shortest period of a periodic timer, and the longest time that Xen takes for a delay, in ns. */
const MIN_PERIOD = 1_000_000n, MAX_PERIOD = (1n << 62n) - 1n;

interface Call {
  /** the vCPU that calls */
  readonly caller: Vcpu;
  /** the argument's guest address */
  readonly lo: number;
  readonly hi: number;
}

/** One row for each VCPUOP, on the vCPU that the call names. */
const OPS: { readonly [cmd: number]: (v: Vcpu, call: Call) => number } = {
  [VCPUOP.initialise]: initialise,
  [VCPUOP.up]: up,
  [VCPUOP.down]: down,
  [VCPUOP.is_up]: (v) => v.pauseFlags & VPF.down ? 0 : 1,
  [VCPUOP.get_runstate_info]: (v, { caller, lo, hi }) => runstateInfo(v, true).write(caller, lo, hi) ? 0 : -EFAULT,
  [VCPUOP.register_runstate_memory_area]: registerRunstateArea,
  [VCPUOP.set_periodic_timer]: setPeriodic,
  [VCPUOP.stop_periodic_timer]: stopPeriodic,
  [VCPUOP.set_singleshot_timer]: setSingleshotTimer,
  [VCPUOP.stop_singleshot_timer]: stopSingleshotTimer,
  [VCPUOP.register_vcpu_info]: registerVcpuInfo,
  [VCPUOP.send_nmi]: sendNmi,
  [VCPUOP.get_physid]: () => -EINVAL, // only for a vCPU pinned in Domain-0
  [VCPUOP.register_vcpu_time_memory_area]: registerTimeArea,
};

/** (cmd, vcpuid, arg): 0, 1 for a vCPU that is up, or a negated errno. */
export const do_vcpu_op: Hypercall = (caller, a: HypercallArgs) => {
  const v = caller.domain.vcpus[a.lo(1)];
  if (!v) return -ENOENT;
  const op = OPS[a.lo(0)];
  return op ? op(v, { caller, lo: a.lo(2), hi: a.hi(2) }) : -ENOSYS;
};

function initialise(v: Vcpu, { caller, lo, hi }: Call): number {
  if (!context.read(caller, lo, hi)) return -EFAULT;
  return schedOf(v).initialised ? -EEXIST : initialiseVcpu(v);
}

function up(v: Vcpu): number {
  if (!schedOf(v).initialised) return -EINVAL;
  if (v.unpause(VPF.down)) preempt(v);
  return 0;
}

/** The last vCPU that goes down takes the domain with it. */
function down(v: Vcpu): number {
  const othersUp = v.domain.vcpus.some((other) => other !== v && !(other.pauseFlags & VPF.down));
  if (othersUp) v.pause(VPF.down);
  else domainShutdown(v.domain, SHUTDOWN.poweroff);
  return 0;
}

function registerRunstateArea(v: Vcpu, { caller, lo, hi }: Call): number {
  if (!areaArg.read(caller, lo, hi)) return -EFAULT;
  const { addr } = areaArg.view;
  const areaLo = Number(addr & 0xffff_ffffn);
  const areaHi = Number(addr >> 32n);
  if (!addressOk(addr)) return -EFAULT;
  schedOf(v).runstateArea = addr;
  if (v === caller) updateRunstateArea(v);
  else if (addr !== 0n) runstateInfo(v, true).write(caller, areaLo, areaHi);
  return 0;
}

function registerTimeArea(v: Vcpu, { caller, lo, hi }: Call): number {
  if (!areaArg.read(caller, lo, hi)) return -EFAULT;
  const { addr } = areaArg.view;
  if (!addressOk(addr)) return -EFAULT;
  const s = schedOf(v);
  s.timeArea = addr;
  s.timeAreaStale = addr !== 0n ? 1 : 0;
  if (v === caller) updateTimeArea(v);
  return 0;
}

function setPeriodic(v: Vcpu, { caller, lo, hi }: Call): number {
  if (!periodicArg.read(caller, lo, hi)) return -EFAULT;
  const { period_ns } = periodicArg.view;
  if (period_ns < MIN_PERIOD || period_ns > MAX_PERIOD) return -EINVAL;
  const s = schedOf(v);
  s.periodicPeriod = Number(period_ns);
  s.periodicLast = clockOf(v.domain).now();
  return 0;
}

function stopPeriodic(v: Vcpu): number {
  schedOf(v).periodicPeriod = 0;
  return 0;
}

/** VCPU_SSHOTTMR_future is ignored, as Xen 4.17.7 does: old Linux kernels asked for it and took the -ETIME badly. */
function setSingleshotTimer(v: Vcpu, { caller, lo, hi }: Call): number {
  if (v !== caller) return -EINVAL;
  if (!singleshotArg.read(v, lo, hi)) return -EFAULT;
  setSingleshot(v, Number(BigInt.asIntN(64, singleshotArg.view.timeout_abs_ns)));
  return 0;
}

function stopSingleshotTimer(v: Vcpu, { caller }: Call): number {
  if (v !== caller) return -EINVAL;
  stopSingleshot(v);
  return 0;
}

/**
 * Moves vcpu_info into a frame of the guest's, for good. All words count as pending afterwards: an event that came
 * during the move must not be lost, one too many does no harm.
 */
function registerVcpuInfo(v: Vcpu, { caller, lo, hi }: Call): number {
  if (!infoArg.read(caller, lo, hi)) return -EFAULT;
  const { domain } = v;
  const { offset } = infoArg.view;
  const mfn = Number(infoArg.view.mfn);
  if (offset > PAGE_SIZE - vcpu_info.size || offset % vcpu_info.align !== 0) return -ENXIO;
  if (v.state.vcpu_info !== 0 || (v !== caller && !(v.pauseFlags & VPF.down))) return -EINVAL;
  if (!getWritableFrame(domain, mfn)) return -EINVAL;
  const to = domain.capsule.frame(mfn) + offset;
  domain.capsule.u8.copyWithin(to, v.info, v.info + vcpu_info.size);
  v.state.vcpu_info = to;
  const select = (to + vcpu_info.offset.evtchn_pending_sel) >>> 2;
  Atomics.store(domain.capsule.i32, select, -1);
  Atomics.store(domain.capsule.i32, select + 1, -1);
  domain.capsule.u8[to + vcpu_info.offset.evtchn_upcall_pending] = 0;
  markEventsPending(v);
  return 0;
}

function sendNmi(v: Vcpu, { lo, hi }: Call): number {
  if ((lo | hi) !== 0) return -EINVAL;
  v.state.nmi_pending = 1;
  wake(v);
  preempt(v);
  return 0;
}
