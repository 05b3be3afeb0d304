// Leaving the guest kernel: the iret hypercall. (IRETQ itself, in ring 3, is the machine's.)
//
// The hypercall takes an iret_context from the kernel stack. Its cs decides the mode: RPL 3 is user mode (a switch of
// page tables and GS base), anything else stays in kernel mode; then RPL 3 is forced on cs and ss, IF is forced on and
// IOPL off in the real flags, and evtchn_upcall_mask becomes !IF of the frame (the mask in cs is not looked at).
// With VGCF_in_syscall Xen goes back by SYSRET: flat selectors, rcx = rip and r11 = rflags; but by IRETQ where rip is
// not canonical. A context that IRETQ refuses (bad selector, address) is loaded all the same, and faults at once.

import { FLAT_RING3_CS32, iret_context, VGCF_in_syscall, VMASST_TYPE_architectural_iopl } from '#abi/xen.ts';
import { CPU, FLAG, REG } from '#machine/cpu-state.ts';
import { copyFromGuest, guestPointer } from './guest-access.ts';
import { type Hypercall, NO_RETURN } from './hypercall.ts';
import { loadCodeAndStack, loadFlatCompat, loadFlatSegments } from './segment.ts';
import { iretFault } from './traps.ts';
import type { Vcpu } from './vcpu.ts';
import { canonical } from './words.ts';

const SIZE = iret_context.size;
/** Indexes into `words` of the low half of each field. */
const AT = Object.fromEntries(Object.entries(iret_context.offset).map(([name, offset]) => [name, offset >>> 2])) as Record<keyof typeof iret_context.offset, number>;
const bytes = new Uint8Array(SIZE);
const words = new Uint32Array(bytes.buffer);
const word = (i: number): number => words[i] as number;

/** HYPERVISOR_iret. Sets all of rip, cs, rflags, rsp, ss and rax, and rcx and r11 by the frame's flags. */
export const do_iret: Hypercall = (v) => {
  const { cpu, domain } = v;
  if (!readFrame(v, cpu.lo(REG.rsp), cpu.hi(REG.rsp))) return crash(v, 'fault while reading the IRET context from the guest stack');
  const cs = word(AT.cs) & 0xffff;
  const rflags = word(AT.rflags);
  if ((cs & 3) === 3) {
    if (v.state.guest_table_user === 0) return crash(v, 'guest switching to user mode with no user page tables');
    v.toggleMode();
  }
  if (domain.mm.vmAssist(VMASST_TYPE_architectural_iopl)) v.state.iopl = rflags & FLAG.iopl;
  v.upcallMask = rflags & FLAG.if ? 0 : 1;
  v.unmaskNmi();

  setPair(v, REG.rsp, AT.rsp);
  setPair(v, REG.rax, AT.rax);
  domain.capsule.u32[(cpu.base + CPU.rip) >>> 2] = word(AT.rip);
  domain.capsule.u32[((cpu.base + CPU.rip) >>> 2) + 1] = word(AT.rip + 1);
  const flags = (rflags & WRITABLE) | FLAG.if;
  domain.machine.setFlags(cpu, flags);
  if ((word(AT.flags) & VGCF_in_syscall) === 0) {
    setPair(v, REG.rcx, AT.rcx);
    setPair(v, REG.r11, AT.r11);
  } else {
    setPair(v, REG.rcx, AT.rip);
    cpu.setPair(REG.r11, flags, 0);
    if (canonical(word(AT.rip + 1))) return sysret(v, cs, flags);
  }
  const ss = (word(AT.ss) & 0xffff) | 3;
  const refusal = loadCodeAndStack(v, cs | 3, ss);
  if (refusal !== null) iretFault(v, cs | 3, ss, refusal);
  return NO_RETURN;
};

function crash(v: Vcpu, why: string): number {
  v.domain.crash(why, v);
  return NO_RETURN;
}

function setPair(v: Vcpu, r: number, at: number): void { v.cpu.setPair(r, word(at), word(at + 1)); }

/** The frame into `words`: word by word where it lies in one page, as it nearly always does. */
function readFrame(v: Vcpu, lo: number, hi: number): boolean {
  const offset = guestPointer(v, lo, hi, SIZE, false);
  if (offset < 0 || (offset & 3) !== 0) return copyFromGuest(v, lo, hi, bytes, 0, SIZE);
  const { u32 } = v.domain.capsule;
  for (let i = 0; i < SIZE >>> 2; i++) words[i] = u32[(offset >>> 2) + i] as number;
  return true;
}

/** The flags that a return to ring 3 may set: all that exist but IOPL, VM, VIF and VIP. */
export const WRITABLE = FLAG.cf | FLAG.pf | FLAG.af | FLAG.zf | FLAG.sf | FLAG.tf | FLAG.df | FLAG.of | FLAG.nt | FLAG.rf | FLAG.ac | FLAG.id;

/** As SYSRET: 32-bit code for the flat 32-bit selector, else 64-bit; flat either way, and without RF. */
function sysret(v: Vcpu, cs: number, flags: number): number {
  if ((flags & FLAG.rf) !== 0) v.domain.machine.setFlags(v.cpu, flags & ~FLAG.rf);
  if ((cs | 3) === FLAT_RING3_CS32) loadFlatCompat(v, FLAT_RING3_CS32);
  else loadFlatSegments(v);
  return NO_RETURN;
}
