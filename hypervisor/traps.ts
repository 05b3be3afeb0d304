// Delivery of exceptions, software interrupts, system calls and events to a 64-bit PV guest: Xen's bounce frames.
//
// A bounce frame is what the guest kernel finds on its stack when Xen enters it, from the top of the stack down:
//   ss, rsp, rflags, cs, rip, [error code], [gs, fs, es, ds: failsafe only], r11, rcx
// From user mode the frame goes to the kernel stack that stack_switch named, after a switch to kernel mode; in kernel
// mode it goes below the current stack pointer. The frame starts at a multiple of 16. Its cs has RPL 0 when the guest
// was in kernel mode and holds the old evtchn_upcall_mask in bits 39:32; its rflags has IF = !mask. Entry clears TF,
// NT, RF, VM and AC, masks events when the trap asks for it, and gives the guest the flat kernel selectors. As Xen
// goes back by SYSRET, rcx and r11 hold rip and rflags at the entry.
//
// A guest whose frame cannot be written, or that has no handler, is crashed: PV has no double fault.
// Facts: public/arch-x86/xen.h (trap_info), docs/guest-guide/x86/pv-traps.

import { FLAT_KERNEL_CS, FLAT_KERNEL_SS, TI_DPL, TI_IF, VGCF_failsafe_disables_events, VGCF_syscall_disables_events, arch_vcpu_info, trap_info, vcpu_info, VMASST_TYPE_architectural_iopl } from '#abi/xen.ts';
import { CPU, FLAG, NO_ERROR_CODE, REG, SEG } from '#machine/cpu-state.ts';
import { PFEC } from '#machine/machine.ts';
import { COUNTER, count } from './counters.ts';
import { guestPointer } from './guest-access.ts';
import { loadFlatSegments, type Refusal } from './segment.ts';
import { TRAP, trapName } from './trap-names.ts';
import { type Vcpu, vcpu_state } from './vcpu.ts';
import { hex64, result, subtract } from './words.ts';

/** Vectors that push an error code, as a bit set. */
const HAVE_ERROR_CODE = [8, 10, 11, 12, 13, 14, 17, 21].reduce((set, vector) => set | (1 << vector), 0);
/** INT 0x80, which 32-bit programs make system calls with. */
const LEGACY_SYSCALL = 0x80;
/** Error code bit: the selector is an interrupt vector. */
const ERROR_IDT = 2;

const STATE = vcpu_state.offset;
const TI = trap_info.offset;
const CR2 = vcpu_info.offset.arch + arch_vcpu_info.offset.cr2;
/** What Xen clears on entry, besides IOPL. */
export const CLEARED_ON_ENTRY = FLAG.ac | FLAG.vm | FLAG.rf | FLAG.nt | FLAG.tf;

/** What create_bounce_frame is asked for. */
const TBF = { errorCode: 1, interrupt: 2, failsafe: 4 } as const;

/**
 * Delivers a hardware exception.
 * @param errorCode NO_ERROR_CODE (or anything) for vectors that have none; the page fault's user bit is set here
 */
export function injectException(v: Vcpu, vector: number, errorCode: number): void {
  let code = errorCode === NO_ERROR_CODE ? 0 : errorCode;
  if (vector === TRAP.page_fault) {
    code = v.kernelMode ? code & ~PFEC.user : code | PFEC.user;
    setCr2(v, v.cpu.field64(CPU.cr2));
  }
  count(v, vector === TRAP.page_fault ? COUNTER.pageFaults : COUNTER.exceptions);
  const withCode = vector < 32 && (HAVE_ERROR_CODE & (1 << vector)) !== 0;
  if (v.domain.trace.faults) v.domain.trace.exception(v, vector, withCode ? code : undefined);
  bounceToTrap(v, vector, withCode ? TBF.errorCode : 0, code);
}

/** #GP with this error code (a selector, or zero). */
function injectGp(v: Vcpu, errorCode: number): void { injectException(v, TRAP.gp_fault, errorCode); }

/** The page-fault address as the guest sees it, in vcpu_info and by reading CR2. */
export function setCr2(v: Vcpu, address: bigint): void {
  v.domain.capsule.dv.setBigUint64(v.info + CR2, address, true);
  v.state.cr2 = address;
}

/**
 * INT n. The hardware gates of 3 and 4 are open to everybody, that of 0x80 (which Xen enters without going through
 * #GP) where the guest has a handler; for the others the guest's own table decides, level 0 being nobody. Refused: #GP
 * on the instruction itself, as the processor's closed gate gives it.
 * @param length of the instruction, which rip still points to
 */
export function softInterrupt(v: Vcpu, n: number, length: number): void {
  if (!gateOpen(v, n)) return injectGp(v, (n << 3) | ERROR_IDT);
  v.cpu.rip += BigInt(length);
  if (v.domain.trace.faults) v.domain.trace.exception(v, n, undefined);
  bounceToTrap(v, n, 0, 0);
}

function gateOpen(v: Vcpu, n: number): boolean {
  if (n === TRAP.int3 || n === TRAP.overflow) return true;
  if (n === LEGACY_SYSCALL) return trapHandlerSet(v, n);
  const dpl = (v.domain.capsule.u8[v.trapTable + n * trap_info.size + TI.flags] as number) & TI_DPL;
  return dpl >= (v.kernelMode ? 1 : 3);
}

/** SYSCALL from guest user mode: to the guest's callback, or #UD when it has none. */
export function userSyscall(v: Vcpu): void {
  const { u32 } = v.domain.capsule;
  const at = (v.base + STATE.syscall_callback_eip) >>> 2;
  const lo = u32[at] as number;
  const hi = u32[at + 1] as number;
  v.cpu.setSelector(SEG.cs, FLAT_KERNEL_CS);
  v.cpu.setSelector(SEG.ss, FLAT_KERNEL_SS);
  if ((lo | hi) === 0) {
    v.cpu.rip -= 2n;
    return injectException(v, TRAP.invalid_op, NO_ERROR_CODE);
  }
  const masks = ((u32[(v.base + STATE.vgc_flags) >>> 2] as number) & VGCF_syscall_disables_events) !== 0;
  bounce(v, lo, hi, masks ? TBF.interrupt : 0, 0);
  const { machine } = v.domain;
  machine.setFlags(v.cpu, machine.getFlags(v.cpu) & ~FLAG.df);
}

/**
 * SYSENTER: the processor saves neither rip nor rsp, so the frame has zeros and a null code selector. Without a
 * callback: #GP.
 */
export function sysenter(v: Vcpu): void {
  v.cpu.rip = 0n;
  v.cpu.set(REG.rsp, 0n);
  v.cpu.setSelector(SEG.cs, 3);
  v.cpu.setSelector(SEG.ss, FLAT_KERNEL_SS);
  const address = v.state.sysenter_callback_eip;
  if (address === 0n) return injectGp(v, 0);
  bounceTo(v, address, v.state.sysenter_disables_events ? TBF.interrupt : 0);
}

/**
 * IRETQ refused the cs and ss of a context whose other registers are loaded: its exception comes out of that context,
 * with these selectors in the frame.
 */
export function iretFault(v: Vcpu, cs: number, ss: number, refusal: Refusal): void {
  v.cpu.setSelector(SEG.cs, cs);
  v.cpu.setSelector(SEG.ss, ss);
  injectException(v, refusal.vector, refusal.errorCode);
}

/** A context's data selectors cannot be loaded: the failsafe callback gets it, with them. */
export function failsafe(v: Vcpu): void {
  const masks = (v.state.vgc_flags & VGCF_failsafe_disables_events) !== 0;
  bounceTo(v, v.state.failsafe_callback_eip, TBF.failsafe | (masks ? TBF.interrupt : 0));
}

/**
 * On the way back to the guest: an NMI if one is pending and not being handled, then an event upcall if events are
 * pending and not masked.
 */
export function deliverEvents(v: Vcpu): void {
  if (v.nmiDeliverable && !v.domain.isShutDown) deliverNmi(v);
  const { u8 } = v.domain.capsule;
  const info = v.info;
  if (u8[info + vcpu_info.offset.evtchn_upcall_pending] === 0 || u8[info + vcpu_info.offset.evtchn_upcall_mask] !== 0) return;
  if (v.domain.isShutDown) return;
  count(v, COUNTER.upcalls);
  if (v.domain.trace.events) v.domain.trace.upcall(v);
  bounceTo(v, v.state.event_callback_eip, TBF.interrupt);
}

function deliverNmi(v: Vcpu): void {
  v.state.nmi_pending = 0;
  if (!trapHandlerSet(v, TRAP.nmi)) return;
  v.state.nmi_masked = 1;
  bounceToTrap(v, TRAP.nmi, 0, 0);
}

function bounceToTrap(v: Vcpu, vector: number, flags: number, errorCode: number): void {
  const { u8, u32 } = v.domain.capsule;
  const entry = v.trapTable + vector * trap_info.size;
  const masks = ((u8[entry + TI.flags] as number) & TI_IF) !== 0;
  const at = (entry + TI.address) >>> 2;
  const lo = u32[at] as number;
  const hi = u32[at + 1] as number;
  if ((lo | hi) === 0) return v.domain.crash(`unhandled trap ${trapName(vector)} (error code 0x${errorCode.toString(16)})`, v);
  bounce(v, lo, hi, masks ? flags | TBF.interrupt : flags, errorCode);
}

function bounceTo(v: Vcpu, address: bigint, flags: number): void {
  if (address === 0n) return v.domain.crash('a callback is needed that the guest has not registered', v);
  bounce(v, Number(address & 0xffff_ffffn), Number(address >> 32n), flags, 0);
}

/** Up to 12 words of a frame, from its lowest address upwards; halves. */
const frame = new Uint32Array(24);
let words = 0;
function push(lo: number, hi: number): void {
  frame[words++] = lo;
  frame[words++] = hi;
}

/** Writes the frame and enters the guest kernel at lo:hi. */
function bounce(v: Vcpu, lo: number, hi: number, flags: number, errorCode: number): void {
  const { cpu, domain } = v;
  const { u8, u32 } = domain.capsule;
  const fromKernel = cpu.kernelMode;
  if (!fromKernel) v.toggleMode();
  const oldRspLo = cpu.lo(REG.rsp);
  const oldRspHi = cpu.hi(REG.rsp);
  const stack = (v.base + STATE.kernel_sp) >>> 2;
  const topLo = ((fromKernel ? oldRspLo : (u32[stack] as number)) & ~15) >>> 0;
  const topHi = fromKernel ? oldRspHi : (u32[stack + 1] as number);
  const maskAt = v.info + vcpu_info.offset.evtchn_upcall_mask;
  const mask = u8[maskAt] as number;
  const rflags = domain.machine.getFlags(cpu);

  words = 0;
  push(cpu.lo(REG.rcx), cpu.hi(REG.rcx));
  push(cpu.lo(REG.r11), cpu.hi(REG.r11));
  if (flags & TBF.failsafe) for (const seg of [SEG.ds, SEG.es, SEG.fs, SEG.gs]) push(cpu.selector(seg), 0);
  if (flags & TBF.errorCode) push(errorCode, 0);
  const rip = (cpu.base + CPU.rip) >>> 2;
  push(u32[rip] as number, u32[rip + 1] as number);
  const cs = cpu.selector(SEG.cs);
  push(fromKernel ? cs & ~3 : cs, mask);
  push(frameFlags(v, rflags, mask), 0);
  push(oldRspLo, oldRspHi);
  push(cpu.selector(SEG.ss), 0);

  subtract(topLo, topHi, words * 4);
  const rspLo = result.lo;
  const rspHi = result.hi;
  if (!writeFrame(v, rspLo, rspHi)) return domain.crash(`the bounce frame for ${hex64((BigInt(hi) << 32n) | BigInt(lo))} cannot be written at ${hex64((BigInt(rspHi) << 32n) | BigInt(rspLo))}`, v);
  if (flags & TBF.interrupt) u8[maskAt] = 1;

  const entryFlags = (rflags & ~(CLEARED_ON_ENTRY | FLAG.iopl)) | FLAG.if;
  domain.machine.setFlags(cpu, entryFlags);
  cpu.setPair(REG.rsp, rspLo, rspHi);
  cpu.setPair(REG.rcx, lo, hi);
  cpu.setPair(REG.r11, entryFlags, 0);
  u32[rip] = lo;
  u32[rip + 1] = hi;
  loadFlatSegments(v);
}

/** The guest's view of RFLAGS: its own interrupt flag, and its virtual IOPL if it asked for that. */
function frameFlags(v: Vcpu, rflags: number, mask: number): number {
  let shown = rflags & ~(FLAG.if | FLAG.iopl);
  if (mask === 0) shown |= FLAG.if;
  if (v.domain.mm.vmAssist(VMASST_TYPE_architectural_iopl)) shown |= v.state.iopl;
  return shown;
}

/** Copies `frame` to the guest stack, page by page; the stack is aligned, so no word crosses a page. */
function writeFrame(v: Vcpu, lo: number, hi: number): boolean {
  const { capsule, machine } = v.domain;
  for (let done = 0; done < words;) {
    const at = lo + done * 4;
    const pageLeft = (4096 - (at & 4095)) >>> 2;
    const n = Math.min(words - done, pageLeft);
    const offset = guestPointer(v, at >>> 0, at > 0xffff_ffff ? (hi + 1) >>> 0 : hi, n * 4, true);
    if (offset < 0) return false;
    for (let i = 0; i < n; i++) capsule.u32[(offset >>> 2) + i] = frame[done + i] as number;
    machine.frameWritten((offset - capsule.frames) >>> 12);
    done += n;
  }
  return true;
}

/** True when the guest has a handler for this vector. */
export function trapHandlerSet(v: Vcpu, vector: number): boolean {
  return v.domain.capsule.dv.getBigUint64(v.trapTable + vector * trap_info.size + TI.address, true) !== 0n;
}
