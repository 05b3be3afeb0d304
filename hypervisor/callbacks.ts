// Where the guest wants to be entered: the trap table, the callbacks and the kernel stack.
// Hypercalls set_trap_table, set_callbacks, callback_op, nmi_op and stack_switch (public/arch-x86/xen.h, callback.h,
// nmi.h). Addresses must be canonical. Selectors are kept but a 64-bit guest is always entered through the flat ones.

import {
  CALLBACKF_mask_events, CALLBACKOP_register, CALLBACKOP_unregister, CALLBACKTYPE_event, CALLBACKTYPE_failsafe, CALLBACKTYPE_nmi,
  CALLBACKTYPE_syscall, CALLBACKTYPE_syscall32, CALLBACKTYPE_sysenter, callback_register, callback_unregister, FLAT_KERNEL_CS, arch_shared_info, shared_info, TI_IF,
  trap_info, VGCF_failsafe_disables_events, VGCF_syscall_disables_events, XENNMI_register_callback, XENNMI_unregister_callback, xennmi_callback,
} from '#abi/xen.ts';
import { EFAULT, EINVAL, ENOSYS } from '#abi/errno.ts';
import { copyFromGuest } from './guest-access.ts';
import type { Hypercall } from './hypercall.ts';
import { XEN_FRAME } from './layout.ts';
import { TRAP } from './trap-names.ts';
import type { Vcpu } from './vcpu.ts';
import { add, canonical, isCanonical, result } from './words.ts';

const TI = trap_info.offset;
/** Trap table entries in one call: a table has 256 vectors, a guest that never ends its list must not hold us. */
const MAX_TRAP_ENTRIES = 4096;

const bytes = new Uint8Array(32);
const dv = new DataView(bytes.buffer);

/** set_trap_table(struct trap_info *): entries until one with address 0; a null pointer clears the whole table. */
export const do_set_trap_table: Hypercall = (v, a) => {
  const { u8 } = v.domain.capsule;
  let lo = a.lo(0);
  let hi = a.hi(0);
  if ((lo | hi) === 0) {
    u8.fill(0, v.trapTable, v.trapTable + 256 * trap_info.size);
    return 0;
  }
  for (let i = 0; i < MAX_TRAP_ENTRIES; i++) {
    if (!copyFromGuest(v, lo, hi, bytes, 0, trap_info.size)) return -EFAULT;
    const addressHi = dv.getUint32(TI.address + 4, true);
    if ((dv.getUint32(TI.address, true) | addressHi) === 0) return 0;
    if (!canonical(addressHi)) return -EINVAL;
    dv.setUint16(TI.cs, dv.getUint16(TI.cs, true) | 3, true);
    u8.set(bytes.subarray(0, trap_info.size), v.trapTable + dv.getUint8(TI.vector) * trap_info.size);
    add(lo, hi, trap_info.size);
    lo = result.lo;
    hi = result.hi;
  }
  return -EINVAL;
};

/** set_callbacks(event, failsafe, syscall): addresses that are not canonical are passed over without an error. */
export const do_set_callbacks: Hypercall = (v, a) => {
  registerCallback(v, CALLBACKTYPE_event, 0, a.big(0));
  registerCallback(v, CALLBACKTYPE_failsafe, 0, a.big(1));
  registerCallback(v, CALLBACKTYPE_syscall, 0, a.big(2));
  return 0;
};

/** callback_op(cmd, struct callback_register or callback_unregister *). */
export const do_callback_op: Hypercall = (v, a) => {
  const cmd = a.int(0);
  if (cmd === CALLBACKOP_register) {
    if (!copyFromGuest(v, a.lo(1), a.hi(1), bytes, 0, callback_register.size)) return -EFAULT;
    return registerCallback(v, dv.getUint16(0, true), dv.getUint16(callback_register.offset.flags, true), dv.getBigUint64(callback_register.offset.address, true));
  }
  if (cmd === CALLBACKOP_unregister) {
    if (!copyFromGuest(v, a.lo(1), a.hi(1), bytes, 0, callback_unregister.size)) return -EFAULT;
    return unregisterCallback(v, dv.getUint16(0, true));
  }
  return -ENOSYS;
};

/** nmi_op(cmd, struct xennmi_callback *). */
export const do_nmi_op: Hypercall = (v, a) => {
  const cmd = a.lo(0);
  if (cmd === XENNMI_register_callback) {
    if (!copyFromGuest(v, a.lo(1), a.hi(1), bytes, 0, xennmi_callback.size)) return -EFAULT;
    return registerNmi(v, dv.getBigUint64(xennmi_callback.offset.handler_address, true));
  }
  if (cmd !== XENNMI_unregister_callback) return -ENOSYS;
  clearTrap(v, TRAP.nmi);
  return 0;
};

/** stack_switch(ss, sp): the stack that Xen enters the guest kernel on from user mode. */
export const do_stack_switch: Hypercall = (v, a) => {
  const { u32 } = v.domain.capsule;
  const at = v.base >>> 2; // kernel_ss and kernel_sp come first in vcpu_state
  u32[at] = a.lo(0) | 3;
  u32[at + 1] = a.hi(0);
  u32[at + 2] = a.lo(1);
  u32[at + 3] = a.hi(1);
  return 0;
};

function registerCallback(v: Vcpu, type: number, flags: number, address: bigint): number {
  if (!isCanonical(address)) return -EINVAL;
  const { state } = v;
  const masks = (flags & CALLBACKF_mask_events) !== 0;
  switch (type) {
    case CALLBACKTYPE_event: state.event_callback_eip = address; return 0;
    case CALLBACKTYPE_failsafe: state.failsafe_callback_eip = address; setFlag(v, VGCF_failsafe_disables_events, masks); return 0;
    case CALLBACKTYPE_syscall: state.syscall_callback_eip = address; setFlag(v, VGCF_syscall_disables_events, masks); return 0;
    case CALLBACKTYPE_syscall32: state.syscall32_callback_eip = address; state.syscall32_disables_events = masks ? 1 : 0; return 0;
    case CALLBACKTYPE_sysenter: state.sysenter_callback_eip = address; state.sysenter_disables_events = masks ? 1 : 0; return 0;
    case CALLBACKTYPE_nmi: return registerNmi(v, address);
    default: return -ENOSYS;
  }
}

function unregisterCallback(v: Vcpu, type: number): number {
  switch (type) {
    case CALLBACKTYPE_event: case CALLBACKTYPE_failsafe: case CALLBACKTYPE_syscall: case CALLBACKTYPE_syscall32: case CALLBACKTYPE_sysenter: return -EINVAL;
    case CALLBACKTYPE_nmi: clearTrap(v, TRAP.nmi); return 0;
    default: return -ENOSYS;
  }
}

/** The NMI handler is an entry of the trap table that masks events. A reason that waits on vCPU 0 is raised again. */
function registerNmi(v: Vcpu, address: bigint): number {
  if (!isCanonical(address)) return -EINVAL;
  const { dv: view } = v.domain.capsule;
  const entry = v.trapTable + TRAP.nmi * trap_info.size;
  view.setUint8(entry + TI.vector, TRAP.nmi);
  view.setUint8(entry + TI.flags, TI_IF);
  view.setUint16(entry + TI.cs, FLAT_KERNEL_CS, true);
  view.setBigUint64(entry + TI.address, address, true);
  if (v.id === 0 && nmiReason(v) !== 0n) v.state.nmi_pending = 1;
  return 0;
}

function nmiReason(v: Vcpu): bigint {
  return v.domain.capsule.dv.getBigUint64(v.domain.capsule.frame(XEN_FRAME.sharedInfo) + shared_info.offset.arch + arch_shared_info.offset.nmi_reason, true);
}

function clearTrap(v: Vcpu, vector: number): void {
  v.domain.capsule.u8.fill(0, v.trapTable + vector * trap_info.size, v.trapTable + (vector + 1) * trap_info.size);
}

function setFlag(v: Vcpu, flag: number, on: boolean): void {
  v.state.vgc_flags = on ? v.state.vgc_flags | flag : v.state.vgc_flags & ~flag;
}
