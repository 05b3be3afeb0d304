// SYSCALL. The machine leaves for the hypervisor, unless that has given it code for what needs no decision.

import { CPU, EXIT, MODE, REG } from '../cpu-state.ts';
import { CC, STATUS } from '../isa/flags.ts';
import { add, and, eqz, gtU, i32, i64, load, ne, or, shl, sub, widenU, wrap, shrU, type Expr } from '../wasm/expr.ts';
import type { Callee, Fn } from '../wasm/fn.ts';
import { MMU, REC } from './record.ts';
import { isCanonical, recordRip, tlbEntry } from './tables.ts';

/** What the hypervisor's code is written with. All state is in the context; rip and the budget are taken care of. */
export interface SystemCallTools {
  readonly fn: Fn;
  readonly cpu: Expr;
  /** address of the instruction behind the SYSCALL */
  readonly nextRip: Expr;
  /** Takes the ordinary way out when a condition holds. Nothing may have changed by then. */
  giveUpIf(condition: Expr): void;
  /** The MMU context that a field of the vCPU's remembers, if it is that of a base table still; else gives up. */
  contextOf(field: number, mfn: Expr): Expr;
  /** Capsule address of guest memory within a page that the TLB of an MMU context has; else gives up. */
  cached(mmu: Expr, va: Expr, bytes: number, write: boolean): Expr;
  isCanonical(va: Expr): Expr;
  /** Capsule address of a frame. */
  frame(mfn: Expr): Expr;
  /** RFLAGS, i32 */
  flags(): Expr;
  /** As Machine.setFlags. */
  setFlags(rflags: Expr): void;
  /** Has the hypervisor serve the call, and goes on behind it or where that says. @param stop for when it has, as for goOn */
  serve(stop: () => Expr): void;
  /** Goes on at an address; where `stop` holds, after the hypervisor has had a look. */
  goOn(rip: Expr, stop: Expr): void;
}
/** Code for system calls from user and kernel mode. */
export interface SystemCallPaths {
  user(t: SystemCallTools): void;
  kernel(t: SystemCallTools): void;
}
interface Shared {
  readonly rflags: Callee;
  readonly resume: Callee;
  readonly hypercall: Callee;
  readonly frames: number;
}

/** Writes the RUNTIME routine `systemCall(cpu, record)`. */
export function emitSystemCall(fn: Fn, paths: SystemCallPaths | undefined, shared: Shared): void {
  const [cpu, record] = [fn.param(0), fn.param(1)];
  const nextRip = fn.let(add(recordRip(cpu, record), i64(2)));
  const rflags = fn.let(or(or(fn.call(shared.rflags, cpu), load('i32', 32, cpu, CPU.flags)), i32(2)));
  fn.store(32, cpu, sub(load('i32', 32, cpu, CPU.budget), add(load('i32', 8, record, REC.icount), i32(1))), CPU.budget);
  const enter = (): void => {
    fn.store(64, cpu, nextRip, CPU.rip);
    fn.store(64, cpu, nextRip, CPU.regs + REG.rcx * 8);
    fn.store(64, cpu, widenU(rflags), CPU.regs + REG.r11 * 8);
  };
  const resumeUnless = (stop: Expr): void => {
    const spent = shrU(load('i32', 32, cpu, CPU.budget), i32(31));
    fn.if(or(stop, spent), () => fn.return(i32(EXIT.budget)));
    fn.returnCall(shared.resume, cpu);
  };
  if (paths) {
    fn.block((ordinary) => {
      fn.brUnless(ordinary, load('i32', 32, cpu, CPU.shortcuts));
      const tools: SystemCallTools = {
        fn, cpu, nextRip,
        giveUpIf: (condition) => fn.brIf(ordinary, condition),
        contextOf(field, mfn) {
          const mmu = fn.let(load('i32', 32, cpu, field));
          fn.brIf(ordinary, eqz(mmu));
          fn.brIf(ordinary, ne(load('i32', 32, mmu, MMU.base), mfn));
          return mmu;
        },
        cached(mmu, va, bytes, write) {
          fn.brIf(ordinary, gtU(and(wrap(va), i32(4095)), i32(4096 - bytes)));
          const entry = tlbEntry(fn, mmu, va);
          const half = write ? MMU.write : MMU.read;
          fn.brIf(ordinary, ne(load('i64', 64, entry, half), and(va, i64(-4096))));
          return fn.let(add(wrap(va), load('i32', 32, entry, half + 8)));
        },
        isCanonical: (va) => isCanonical(fn, va),
        frame: (mfn) => fn.let(add(shl(mfn, i32(12)), i32(shared.frames))),
        flags: () => rflags,
        setFlags(value) {
          fn.store(32, cpu, i32(CC.all | 7 << 8), CPU.ccOp);
          fn.store(64, cpu, widenU(and(value, i32(STATUS))), CPU.ccA);
          fn.store(32, cpu, and(value, i32(~STATUS & ~2)), CPU.flags);
        },
        serve(stop) {
          enter();
          const exit = fn.let(fn.call(shared.hypercall, cpu));
          fn.if(exit, () => fn.return(exit));
          resumeUnless(stop());
        },
        goOn(rip, stop) {
          fn.store(64, cpu, rip, CPU.rip);
          resumeUnless(stop);
        },
      };
      const kernel = and(load('i32', 32, cpu, CPU.mode), i32(MODE.kernel));
      fn.if(kernel, () => paths.kernel(tools), () => paths.user(tools));
    });
  }
  enter();
  fn.return(i32(EXIT.syscall));
}
