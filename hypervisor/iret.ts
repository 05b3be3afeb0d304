// Leaving the guest kernel: the iret hypercall, and IRETQ executed in ring 3.
//
// The hypercall takes an iret_context from the kernel stack. Its cs decides the mode: RPL 3 is user mode (a switch of
// page tables and GS base), anything else stays in kernel mode; then RPL 3 is forced on cs and ss, IF is forced on and
// IOPL off in the real flags, and evtchn_upcall_mask becomes !IF of the frame (the mask in cs is not looked at).
// With VGCF_in_syscall Xen goes back by SYSRET: flat selectors, rcx = rip and r11 = rflags; but by IRETQ where rip is
// not canonical. A context that IRETQ refuses (bad selector, address) goes to the failsafe callback, after the switch.

import { FLAT_RING3_CS32, FLAT_RING3_CS64, FLAT_RING3_SS32, iret_context, VGCF_in_syscall, VMASST_TYPE_architectural_iopl } from '#abi/xen.ts';
import { CPU, FLAG, MODE, REG, SEG } from '#machine/cpu-state.ts';
import { copyFromGuest } from './guest-access.ts';
import { type Hypercall, NO_RETURN } from './hypercall.ts';
import { descriptorOffset } from './mm/descriptor-tables.ts';
import { userTable } from './mm/vcpu-mm.ts';
import { failsafe, injectException, injectGp, loadFlatKernelSegments, TRAP } from './traps.ts';
import type { Vcpu } from './vcpu.ts';
import { vmAssist } from './vm-assist.ts';
import { isCanonical } from './words.ts';

const IRET = iret_context.offset;
const bytes = new Uint8Array(iret_context.size);
const dv = new DataView(bytes.buffer);

/** HYPERVISOR_iret. Sets all of rip, cs, rflags, rsp, ss and rax, and rcx and r11 by the frame's flags. */
export const do_iret: Hypercall = (v) => {
  const { cpu, domain } = v;
  if (!copyFromGuest(v, cpu.lo(REG.rsp), cpu.hi(REG.rsp), bytes, 0, iret_context.size)) {
    domain.crash('fault while reading the IRET context from the guest stack', v);
    return NO_RETURN;
  }
  const cs = dv.getUint16(IRET.cs, true);
  const rflags = dv.getUint32(IRET.rflags, true);
  const rip = dv.getBigUint64(IRET.rip, true);
  if ((cs & 3) === 3) {
    if (userTable(v) === 0) {
      domain.crash('guest switching to user mode with no user page tables', v);
      return NO_RETURN;
    }
    v.toggleMode();
  }
  if (vmAssist(domain, VMASST_TYPE_architectural_iopl)) v.state.iopl = rflags & FLAG.iopl;
  v.upcallMask = rflags & FLAG.if ? 0 : 1;
  v.state.nmi_masked = 0;

  const flags = (rflags & WRITABLE) | FLAG.if;
  cpu.rip = rip;
  cpu.set(REG.rsp, dv.getBigUint64(IRET.rsp, true));
  cpu.set(REG.rax, dv.getBigUint64(IRET.rax, true));
  domain.machine.setFlags(cpu, flags);
  const inSyscall = (dv.getUint32(IRET.flags, true) & VGCF_in_syscall) !== 0;
  if (!inSyscall) {
    cpu.set(REG.rcx, dv.getBigUint64(IRET.rcx, true));
    cpu.set(REG.r11, dv.getBigUint64(IRET.r11, true));
  } else if (isCanonical(rip)) {
    cpu.set(REG.rcx, rip);
    cpu.setPair(REG.r11, flags, 0);
    sysret(v, cs);
    return NO_RETURN;
  }
  if (loadContext(v, cs | 3, dv.getUint16(IRET.ss, true) | 3) !== null) failsafe(v);
  return NO_RETURN;
};

/** The flags that a return to ring 3 may set: all that exist but IOPL, VM, VIF and VIP. */
const WRITABLE = FLAG.cf | FLAG.pf | FLAG.af | FLAG.zf | FLAG.sf | FLAG.tf | FLAG.df | FLAG.of | FLAG.nt | FLAG.rf | FLAG.ac | FLAG.id;

function sysret(v: Vcpu, cs: number): void {
  loadFlatKernelSegments(v);
  if ((cs | 3) !== FLAT_RING3_CS32) return;
  v.cpu.setSelector(SEG.cs, FLAT_RING3_CS32);
  setCompat(v, true);
}

/** The five words that IRETQ pops. */
const popped = new Uint8Array(40);
const poppedView = new DataView(popped.buffer);

/**
 * IRETQ in ring 3, in 64-bit mode, as the processor does it: no change of privilege, so RPL must be 3, and IF and IOPL
 * stay as they are. A refusal is an exception on the instruction itself.
 */
export function iretq(v: Vcpu): void {
  const { cpu, domain } = v;
  const lo = cpu.lo(REG.rsp);
  const hi = cpu.hi(REG.rsp);
  if (!copyFromGuest(v, lo, hi, popped, 0, popped.length)) {
    if (!isCanonical(cpu.get(REG.rsp))) return injectException(v, TRAP.stack_error, 0);
    cpu.setField64(CPU.cr2, cpu.get(REG.rsp));
    return injectException(v, TRAP.page_fault, domain.machine.faultCode);
  }
  const cs = poppedView.getUint16(8, true);
  const ss = poppedView.getUint16(32, true);
  if ((cs & 3) !== 3) return injectGp(v, cs & ~3);
  const oldRip = cpu.rip;
  cpu.rip = poppedView.getBigUint64(0, true);
  const bad = loadContext(v, cs, ss);
  if (bad !== null) {
    cpu.rip = oldRip;
    return injectException(v, bad.vector, bad.errorCode);
  }
  cpu.set(REG.rsp, poppedView.getBigUint64(24, true));
  const wanted = poppedView.getUint32(16, true) & WRITABLE;
  domain.machine.setFlags(cpu, wanted | FLAG.if);
}

interface Refusal { readonly vector: number; readonly errorCode: number }

/**
 * Loads cs and ss as a return to ring 3 does, once rip is set, with the checks of IRET (Intel SDM vol. 2).
 * @returns the exception that the processor would raise, null when both are loaded
 */
function loadContext(v: Vcpu, cs: number, ss: number): Refusal | null {
  const { cpu } = v;
  if (cs === FLAT_RING3_CS64 && ss === FLAT_RING3_SS32) {
    if (!isCanonical(cpu.rip)) return { vector: TRAP.gp_fault, errorCode: 0 };
    loadFlatKernelSegments(v);
    return null;
  }
  const code = readDescriptor(v, cs);
  if (code === null || !isCode(code)) return gp(cs);
  if (!present(code)) return { vector: TRAP.no_segment, errorCode: cs & ~3 };
  const long = (code.hi & LONG) !== 0;
  if (long && (code.hi & DEFAULT_32) !== 0) return gp(cs);
  if (long ? !isCanonical(cpu.rip) : cpu.rip > BigInt(limit(code))) return { vector: TRAP.gp_fault, errorCode: 0 };
  const stack = readDescriptor(v, ss);
  if (stack === null || !isWritableData(stack)) return gp(ss);
  if (!present(stack)) return { vector: TRAP.stack_error, errorCode: ss & ~3 };
  setCompat(v, !long);
  loadSegment(v, SEG.cs, cs, long ? 0 : base(code));
  loadSegment(v, SEG.ss, ss, long ? 0 : base(stack));
  return null;
}

const gp = (selector: number): Refusal => ({ vector: TRAP.gp_fault, errorCode: selector & ~3 });

function setCompat(v: Vcpu, on: boolean): void {
  const mode = v.cpu.field32(CPU.mode);
  v.cpu.setField32(CPU.mode, on ? mode | MODE.compat32 : mode & ~MODE.compat32);
}
function loadSegment(v: Vcpu, seg: number, selector: number, segBase: number): void {
  v.cpu.setSelector(seg, selector);
  v.cpu.setSegBase(seg, BigInt(segBase));
}

interface Descriptor { readonly lo: number; readonly hi: number }
/** Bits of a descriptor's high half (Intel SDM vol. 3, 3.4.5). */
const PRESENT = 1 << 15, SYSTEM_CLEAR = 1 << 12, DPL3 = 3 << 13, CODE = 1 << 11, CONFORMING = 1 << 10, WRITE = 1 << 9, LONG = 1 << 21, DEFAULT_32 = 1 << 22, GRANULAR = 1 << 23;

/** Null for a null selector or one beyond its table. */
function readDescriptor(v: Vcpu, selector: number): Descriptor | null {
  if (selector < 4) return null;
  const at = descriptorOffset(v, selector);
  if (at < 0) return null;
  const { dv: view } = v.domain.capsule;
  return { lo: view.getUint32(at, true), hi: view.getUint32(at + 4, true) };
}
const present = (d: Descriptor): boolean => (d.hi & PRESENT) !== 0;
/** A code segment for ring 3: conforming ones of any level, others of level 3. */
function isCode(d: Descriptor): boolean {
  if ((d.hi & SYSTEM_CLEAR) === 0 || (d.hi & CODE) === 0) return false;
  return (d.hi & CONFORMING) !== 0 || (d.hi & DPL3) === DPL3;
}
function isWritableData(d: Descriptor): boolean {
  return (d.hi & SYSTEM_CLEAR) !== 0 && (d.hi & CODE) === 0 && (d.hi & WRITE) !== 0 && (d.hi & DPL3) === DPL3;
}
const base = (d: Descriptor): number => ((d.hi & 0xff00_0000) | ((d.hi & 0xff) << 16) | (d.lo >>> 16)) >>> 0;
function limit(d: Descriptor): number {
  const raw = (d.hi & 0xf_0000) | (d.lo & 0xffff);
  return (d.hi & GRANULAR) !== 0 ? raw * 4096 + 4095 : raw;
}

/** Length, base and attributes of the code segment that runs, as emulation needs them: 64-bit or not. */
export function runsLongMode(v: Vcpu): boolean { return (v.cpu.field32(CPU.mode) & MODE.compat32) === 0; }
