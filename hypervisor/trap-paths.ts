// The system calls of a 64-bit guest that need no decision, as generated code: SYSCALL from user mode into the guest
// kernel, and the iret hypercall back. They are what traps.ts (userSyscall) and iret.ts do, for flat 64-bit segments,
// stack frames within one page that is in the TLB, and no event or NMI to deliver; for all else they give up before they
// have changed anything, and the machine exits. The state that they change is described in vcpu.ts.

import {
  FLAT_KERNEL_CS, FLAT_KERNEL_SS, FLAT_RING3_CS32, HYPERVISOR, iret_context, vcpu_info, VGCF_in_syscall, VGCF_syscall_disables_events, VMASST_TYPE_architectural_iopl,
} from '#abi/xen.ts';
import { CPU, FLAG, MODE, REG, SEG } from '#machine/cpu-state.ts';
import type { SystemCallPaths, SystemCallTools } from '#machine/engine/system-call.ts';
import { add, and, eq, eqz, geU, gtU, i32, i64, load, ne, or, select, shl, shrU, sub, widenU, wrap, type Expr } from '#machine/wasm/expr.ts';
import { HYPERCALL_RING, hypercall_record, vcpu_state } from './vcpu.ts';
import { DOMAIN_STATE, VCPU_STATE } from './layout.ts';
import { vcpu_mm } from './mm/gdt.ts';
import { mm_state } from './mm/mm-state.ts';
import { WRITABLE } from './iret.ts';
import { CODE, DEFAULT_32, DPL, LONG, NOT_SYSTEM, PRESENT, READ_WRITE } from './segment.ts';
import { CLEARED_ON_ENTRY } from './traps.ts';

const at = (field: keyof typeof vcpu_state.offset): number => VCPU_STATE.vcpu + vcpu_state.offset[field];
const register = (r: number): number => CPU.regs + r * 8;
const INFO = vcpu_info.offset;
/** rcx, r11, rip, cs, rflags, rsp, ss */
const FRAME_WORDS = 7;
/** What both segments of a return must be: there, and for ring 3. */
const RING3 = PRESENT | DPL | NOT_SYSTEM;

/** Hypercalls that are frequent, and after which the guest goes on at once: nobody has to look at what else is to be run. */
const SERVED = [
  HYPERVISOR.mmu_update, HYPERVISOR.stack_switch, HYPERVISOR.fpu_taskswitch, HYPERVISOR.multicall, HYPERVISOR.update_va_mapping, HYPERVISOR.xen_version,
  HYPERVISOR.set_segment_base, HYPERVISOR.mmuext_op,
].reduce((bits, number) => bits | 1n << BigInt(number), 0n);

export const systemCallPaths: SystemCallPaths = {
  user(t) {
    const { fn, cpu } = t;
    const field = (offset: number): Expr => fn.let(load('i64', 64, cpu, offset));
    const word = (offset: number): Expr => fn.let(load('i32', 32, cpu, offset));
    const callback = field(at('syscall_callback_eip'));
    t.giveUpIf(eqz(callback));
    const info = infoOf(t);
    const mmu = t.contextOf(CPU.kernelMmu, word(at('guest_table')));
    const sp = fn.let(sub(and(load('i64', 64, cpu, at('kernel_sp')), i64(-16)), i64(FRAME_WORDS * 8)));
    const host = t.cached(mmu, sp, FRAME_WORDS * 8, true);
    const rflags = t.flags();

    const mask = fn.let(load('i32', 8, info, INFO.evtchn_upcall_mask));
    const iopl = fn.let(select(architecturalIopl(), word(at('iopl')), i32(0)));
    const shown = or(or(and(rflags, i32(~(FLAG.if | FLAG.iopl))), select(mask, i32(0), i32(FLAG.if))), iopl);
    const frame = [
      t.nextRip, widenU(rflags), t.nextRip, or(i64(FLAT_KERNEL_CS), shl(widenU(mask), i64(32))), widenU(shown), field(register(REG.rsp)), i64(FLAT_KERNEL_SS),
    ];
    frame.forEach((value, i) => fn.store(64, host, value, i * 8));
    const masks = and(word(at('vgc_flags')), i32(VGCF_syscall_disables_events));
    fn.if(masks, () => fn.store(8, info, i32(1), INFO.evtchn_upcall_mask));

    const entry = fn.let(or(and(rflags, i32(~(CLEARED_ON_ENTRY | FLAG.iopl))), i32(FLAG.if)));
    fn.store(64, cpu, callback, register(REG.rcx));
    fn.store(64, cpu, widenU(entry), register(REG.r11));
    fn.store(64, cpu, sp, register(REG.rsp));
    t.setFlags(and(entry, i32(~FLAG.df)));
    switchMode(t, true, mmu);
    flatSegments(t, i32(FLAT_KERNEL_CS), i32(FLAT_KERNEL_SS));
    t.goOn(callback, eventsWait(t, info));
  },

  kernel(t) {
    const { fn, cpu } = t;
    const field = (offset: number): Expr => fn.let(load('i64', 64, cpu, offset));
    const number = field(register(REG.rax));
    fn.if(ne(number, i64(HYPERVISOR.iret)), () => {
      t.giveUpIf(geU(number, i64(64)));
      t.giveUpIf(eqz(and(shrU(i64(SERVED), number), i64(1))));
      const served = infoOf(t);
      t.serve(() => eventsWait(t, served));
    });
    t.giveUpIf(load('i32', 16, cpu, at('nmi_pending'))); // and nmi_masked
    const info = infoOf(t);
    const sp = field(register(REG.rsp));
    const host = t.cached(fn.let(load('i32', 32, cpu, CPU.mmu)), sp, iret_context.size, false);
    const word = (name: keyof typeof iret_context.offset): Expr => fn.let(load('i64', 64, host, iret_context.offset[name]));
    const [rip, rflags, cs] = [word('rip'), fn.let(wrap(word('rflags'))), fn.let(wrap(word('cs')))];
    const bySysret = fn.let(and(wrap(word('flags')), i32(VGCF_in_syscall)));
    // without breakpoints RF shows only in r11, and in the frame of what is delivered before the next instruction
    const shown = or(bySysret, load('i32', 8, info, INFO.evtchn_upcall_pending));
    t.giveUpIf(and(rflags, select(shown, i32(FLAG.tf | FLAG.rf), i32(FLAG.tf))));
    t.giveUpIf(eqz(t.isCanonical(rip)));
    const [code, stack] = [cs, wrap(word('ss'))].map((s) => fn.let(or(and(s, i32(0xffff)), i32(3)))) as [Expr, Expr];
    // SYSRET looks at no selector but the flat 32-bit one
    fn.if(bySysret, () => t.giveUpIf(eq(code, i32(FLAT_RING3_CS32))), () => {
      fn.if(or(ne(code, i32(FLAT_KERNEL_CS)), ne(stack, i32(FLAT_KERNEL_SS))), () => {
        t.giveUpIf(ne(and(descriptor(t, code), i32(RING3 | CODE | LONG | DEFAULT_32)), i32(RING3 | CODE | LONG)));
        t.giveUpIf(ne(and(descriptor(t, stack), i32(RING3 | CODE | READ_WRITE)), i32(RING3 | READ_WRITE)));
      });
    });
    const toUser = fn.let(eq(and(cs, i32(3)), i32(3)));
    const table = fn.let(load('i32', 32, cpu, at('guest_table_user')));
    t.giveUpIf(and(toUser, eqz(table)));
    const mmu = fn.var('i32', load('i32', 32, cpu, CPU.mmu));
    fn.if(toUser, () => mmu.set(t.contextOf(CPU.userMmu, table)));

    const mask = fn.let(eqz(and(rflags, i32(FLAG.if))));
    const flags = fn.let(or(and(rflags, i32(WRITABLE & ~FLAG.rf)), i32(FLAG.if)));
    count(t);
    fn.if(toUser, () => switchMode(t, false, mmu.get));
    fn.if(architecturalIopl(), () => fn.store(32, cpu, and(rflags, i32(FLAG.iopl)), at('iopl')));
    fn.store(8, info, mask, INFO.evtchn_upcall_mask);
    fn.store(64, cpu, word('rsp'), register(REG.rsp));
    fn.store(64, cpu, word('rax'), register(REG.rax));
    fn.store(64, cpu, select(bySysret, rip, word('rcx')), register(REG.rcx));
    fn.store(64, cpu, select(bySysret, widenU(flags), word('r11')), register(REG.r11));
    t.setFlags(flags);
    flatSegments(t, select(bySysret, i32(FLAT_KERNEL_CS), code), select(bySysret, i32(FLAT_KERNEL_SS), stack));
    t.goOn(rip, eventsWait(t, info));
  },
};

/** Capsule offset of vcpu_info; where it is still in shared info, the ordinary way is taken. */
function infoOf(t: SystemCallTools): Expr {
  const info = t.fn.let(load('i32', 32, t.cpu, at('vcpu_info')));
  t.giveUpIf(eqz(info));
  return info;
}
const architecturalIopl = (): Expr =>
  and(load('i32', 32, i32(DOMAIN_STATE.mm + mm_state.offset.vm_assist)), i32(1 << VMASST_TYPE_architectural_iopl));
/** An upcall or an NMI is to be delivered before the guest goes on. */
function eventsWait({ fn, cpu }: SystemCallTools, info: Expr): Expr {
  const upcall = and(ne(load('i32', 8, info, INFO.evtchn_upcall_pending), i32(0)), eqz(load('i32', 8, info, INFO.evtchn_upcall_mask)));
  const nmi = gtU(load('i32', 8, cpu, at('nmi_pending')), load('i32', 8, cpu, at('nmi_masked')));
  return fn.let(or(upcall, nmi));
}
/** Vcpu.toggleMode: tables and GS base. */
function switchMode({ fn, cpu }: SystemCallTools, toKernel: boolean, mmu: Expr): void {
  const gs = CPU.segBase + SEG.gs * 8;
  fn.store(64, cpu, load('i64', 64, cpu, gs), at(toKernel ? 'gs_base_user' : 'gs_base_kernel'));
  fn.store(64, cpu, load('i64', 64, cpu, at(toKernel ? 'gs_base_kernel' : 'gs_base_user')), gs);
  fn.store(32, cpu, load('i32', 32, cpu, CPU.mmu), toKernel ? CPU.userMmu : CPU.kernelMmu);
  fn.store(32, cpu, mmu, CPU.mmu);
  fn.store(64, cpu, i64(-1), CPU.stackPage);
  fn.store(32, cpu, load('i32', 32, cpu, at(toKernel ? 'guest_table' : 'guest_table_user')), CPU.cr3);
  const mode = load('i32', 32, cpu, CPU.mode);
  fn.store(32, cpu, toKernel ? or(mode, i32(MODE.kernel)) : and(mode, i32(~MODE.kernel)), CPU.mode);
}
/** High half of a descriptor in the first page of the guest's GDT: gdt.ts, segment.ts. */
function descriptor(t: SystemCallTools, selector: Expr): Expr {
  const { fn, cpu } = t;
  t.giveUpIf(or(and(selector, i32(0xf004)), eq(selector, i32(3))));
  const mfn = fn.let(load('i32', 32, cpu, VCPU_STATE.mm + vcpu_mm.offset.gdt_frames));
  t.giveUpIf(eqz(mfn));
  return fn.let(load('i32', 32, add(t.frame(mfn), and(selector, i32(0xff8))), 4));
}
function flatSegments({ fn, cpu }: SystemCallTools, cs: Expr, ss: Expr): void {
  fn.store(16, cpu, cs, CPU.selector + SEG.cs * 2);
  fn.store(16, cpu, ss, CPU.selector + SEG.ss * 2);
  for (const seg of [SEG.cs, SEG.ss]) fn.store(64, cpu, i64(0), CPU.segBase + seg * 8);
}
/** The hypercall's place among the last ones: hypercall-table.ts. */
function count(t: SystemCallTools): void {
  const { fn, cpu } = t;
  const n = fn.let(load('i32', 32, cpu, at('hypercall_count')));
  fn.store(32, cpu, add(n, i32(1)), at('hypercall_count'));
  const record = fn.let(add(cpu, shl(and(n, i32(HYPERCALL_RING - 1)), i32(Math.log2(hypercall_record.size)))));
  const field = (name: keyof typeof hypercall_record.offset): number => at('hypercalls') + hypercall_record.offset[name];
  fn.store(32, record, i32(HYPERVISOR.iret), field('number'));
  fn.store(32, record, i32(0), field('result'));
  fn.store(64, record, t.nextRip, field('rip'));
  fn.store(64, record, load('i64', 64, cpu, register(REG.rdi)), field('arg0'));
  fn.store(64, record, load('i64', 64, cpu, register(REG.rsi)), field('arg1'));
}
