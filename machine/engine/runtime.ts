// The shared routines of generated code, written with the same emitter: flag readers, 128-bit division, leaving, jumping
// through the jump cache, and the page walk that fills the TLB. What needs a decision goes on to TypeScript.

import { CPU, MODE } from '../cpu-state.ts';
import { emitReaders, flagsInContext, type FlagReaders } from '../isa/flags.ts';
import { add, and, clz, divU, eq, eqz, geU, gtU, i32, i64, leU, load, ltU, mul, ne, or, select, shl, shrS, shrU, sub, widenU, wrap, xor, type Expr } from '../wasm/expr.ts';
import type { Callee, Fn, Label } from '../wasm/fn.ts';
import { ModuleBuilder } from '../wasm/module.ts';
import { HANDLER, HOST, HYPERCALL, RUNTIME } from './imports.ts';
import { emitDirectExit, emitIndirectExit, emitUnlinkedExit } from './interp-env.ts';
import { emitSystemCall, type SystemCallPaths } from './system-call.ts';
import { codeEntryOf, continueAt, enterBlockAt, enterCached, enterUncounted, isCanonical, jumpEntry, noteFilled, recordRip, tlbEntry } from './tables.ts';
import { ACCESS_INFO, BLOCK_TABLE, INNER, MMU, NOTED, REC } from './record.ts';

/** Where the frames of a domain lie: constants of the routines' module. */
export interface FrameGeometry {
  /** capsule offset of frame 0 */
  readonly frames: number;
  readonly totalFrames: number;
  /** capsule offset of the flags of frames, one byte each */
  readonly frameFlags: number;
  /** capsule offset of the block table */
  readonly blockTable: number;
}

/**
 * Builds the module. Its exports are the RUNTIME routines, `enter(cpu, record)`, which runs from a record on,
 * `rflags(cpu)`, the six flags, and `fill(address, byte, length)`, faster than JavaScript's on shared memory.
 */
export function buildRuntime(g: FrameGeometry, paths?: SystemCallPaths): Uint8Array {
  const m = new ModuleBuilder('runtime', HANDLER);
  const slow = m.import('translateSlow', HOST.translateSlow.params, HOST.translateSlow.result);
  const hypercall = m.import('hypercall', HYPERCALL.params, HYPERCALL.result);
  const exception = m.import('exception', HYPERCALL.params, HYPERCALL.result);
  const handlerType = m.typeIndex(HANDLER.params, HANDLER.result);
  const define = (name: keyof typeof RUNTIME): { fn: Fn; callee: Callee } => m.fn(RUNTIME[name].params, RUNTIME[name].result, name);

  const readers: Partial<Record<keyof FlagReaders, Callee>> = {};
  emitReaders((name, body) => {
    const { fn, callee } = define(name);
    body(fn, fn.param(0), fn.param(1), fn.param(2), readers);
    fn.unreachable();
    readers[name] = callee;
  });
  leave(define('leave').fn);
  const miss = define('jumpMiss');
  jumpMiss(miss.fn, handlerType, g);
  const direct = define('direct').fn, across = define('across').fn, indirect = define('indirect').fn;
  emitDirectExit(direct, miss.callee, handlerType, direct.param(1), direct.param(2));
  emitUnlinkedExit(across, miss.callee, handlerType, across.param(1), across.param(2));
  emitIndirectExit(indirect, miss.callee, handlerType, indirect.param(1), indirect.param(2));
  divide(define('div128').fn);
  signedDivide(define('idiv128').fn, m.fn(RUNTIME.div128.params, 'i32'));
  const translate = define('translate');
  fillTlb(translate.fn, slow, g);
  const plain = define('plain');
  plainAddress(plain.fn, translate.callee);
  stackPage(define('stack').fn, translate.callee, plain.callee);
  stackRange(define('stackRange').fn);
  once(define('once').fn, handlerType);
  const resume = define('resume');
  resumeAtRip(resume.fn, handlerType, g);
  fault(define('fault').fn, handlerType, exception, resume.callee);
  const fill = m.fn(['i32', 'i32', 'i32'], undefined, 'fill').fn;
  fill.fill(fill.param(0), fill.param(1), fill.param(2));
  const { fn: rflags, callee: readFlags } = m.fn(['i32'], 'i32', 'rflags');
  const words = flagsInContext(rflags, rflags.param(0));
  rflags.return(rflags.call(readers.status as Callee, words.op(), words.res(), words.a()));
  emitSystemCall(define('systemCall').fn, paths, { rflags: readFlags, resume: resume.callee, hypercall, frames: g.frames });
  const enter = m.fn(HANDLER.params, 'i32', 'enter').fn;
  enterUncounted(enter, handlerType, enter.param(1));
  const follow = m.fn(HANDLER.params, 'i32', 'follow').fn;
  continueAt(follow, handlerType, follow.param(1));
  return m.bytes();
}

/** Charges what the block retired up to the record (`done` more), sets rip to the record or behind it. */
function leave(fn: Fn): void {
  const [cpu, record, code, done] = [0, 1, 2, 3].map((i) => fn.param(i)) as [Expr, Expr, Expr, Expr];
  fn.store(32, cpu, sub(sub(load('i32', 32, cpu, CPU.budget), load('i32', 8, record, REC.icount)), done), CPU.budget);
  const length = select(eqz(done), i64(0), load('i64', 8, record, REC.length));
  fn.store(64, cpu, add(recordRip(cpu, record), length), CPU.rip);
  fn.store(32, cpu, record, CPU.exitOp);
  fn.return(code);
}

/**
 * A jump whose target is not in the jump cache. Decoded code that is known is gone on with; only its targets come into
 * the jump cache, so they are canonical. Of computed jumps, the first targets go to TypeScript, which notes them.
 */
function jumpMiss(fn: Fn, handlerType: number, g: FrameGeometry): void {
  const [cpu, record, target] = [0, 1, 2].map((i) => fn.param(i)) as [Expr, Expr, Expr];
  fn.store(64, cpu, target, CPU.rip);
  const linked = fn.let(load('i32', 32, cpu, CPU.exitOp));
  fn.block((unknown) => {
    const noted = fn.let(load('i32', 32, record, REC.link));
    fn.brIf(unknown, and(eqz(linked), ltU(noted, i32(NOTED))));
    const found = findBlock(fn, cpu, target, g, unknown);
    const samePage = eqz(shrU(xor(load('i64', 64, cpu, CPU.page), target), i64(12)));
    fn.if(and(ne(linked, i32(0)), samePage), () => fn.store(32, linked, found, REC.link));
    enterBlockAt(fn, handlerType, found, target);
  });
  fn.if(linked, () => fn.return(i32(INNER.link)));
  fn.if(isCanonical(fn, target), () => {
    fn.store(32, cpu, record, CPU.jumpedFrom);
    fn.return(i32(INNER.lookup));
  });
  fn.store(32, cpu, record, CPU.exitOp);
  fn.return(i32(INNER.badTarget));
}
function resumeAtRip(fn: Fn, handlerType: number, g: FrameGeometry): void {
  const cpu = fn.param(0);
  const rip = fn.let(load('i64', 64, cpu, CPU.rip));
  const entry = jumpEntry(fn, cpu, rip);
  fn.if(eq(load('i64', 64, entry, MMU.jumps), rip), () => enterCached(fn, handlerType, entry, rip));
  fn.block((unknown) => enterBlockAt(fn, handlerType, findBlock(fn, cpu, rip, g, unknown), rip));
  fn.store(32, cpu, i32(0), CPU.exitOp);
  fn.return(i32(INNER.lookup));
}
/**
 * The first record of the block that begins at an address, by the tables of the vCPU; its jump cache then knows it too.
 * What is not plain, as in fillTlb, goes to `unknown`.
 */
function findBlock(fn: Fn, cpu: Expr, va: Expr, g: FrameGeometry, unknown: Label): Expr {
  const page = fn.let(and(shrU(va, i64(12)), i64((1n << 36n) - 1n)));
  const mmu = fn.let(load('i32', 32, cpu, CPU.mmu));
  const cached = codeEntryOf(fn, mmu, va);
  const frame = fn.var('i32');
  const known = fn.let(load('i64', 64, cached, MMU.code));
  fn.if(eq(shrU(known, i64(20)), page), () => frame.set(and(wrap(known), i32(0xf_ffff))), () => {
    fn.brUnless(unknown, isCanonical(fn, va));
    frame.set(load('i32', 32, cpu, CPU.cr3));
    for (const shift of [39, 30, 21, 12]) {
      const entry = tableEntry(fn, va, frame.get, shift, g);
      // present, accessed, executable; no large page
      fn.brIf(unknown, ne(and(entry, i64(1n << 63n | 0x21n | (shift === 30 || shift === 21 ? 0x80n : 0n))), i64(0x21)));
      frame.set(frameOf(fn, entry, g, unknown));
    }
    fn.store(64, cached, or(shl(page, i64(20)), widenU(frame.get)), MMU.code);
    noteFilled(fn, mmu, add(cached, i32(MMU.code)), MMU.targets);
  });
  const physical = fn.let(or(shl(frame.get, i32(12)), and(wrap(va), i32(4095))));
  const slot = fn.var('i32', shl(and(xor(physical, shrU(physical, i32(15))), i32(BLOCK_TABLE.hashes - 1)), i32(4)));
  const isElsewhere = (): Expr => ne(load('i32', 32, slot.get, g.blockTable), physical);
  fn.if(isElsewhere(), () => {
    slot.set(add(slot.get, i32(8)));
    fn.brIf(unknown, isElsewhere());
  });
  const mode = fn.let(load('i32', 32, cpu, CPU.mode));
  const variant = or(and(mode, i32(MODE.compat32)), and(shrU(mode, i32(1)), i32(MODE.ts >>> 1)));
  const record = fn.let(xor(load('i32', 32, slot.get, g.blockTable + 4), variant));
  fn.brIf(unknown, and(record, i32(3)));
  const jump = jumpEntry(fn, cpu, va);
  fn.store(64, jump, va, MMU.jumps);
  fn.store(64, jump, widenU(record), MMU.jumps + 8); // and no region
  noteFilled(fn, mmu, add(jump, i32(MMU.jumps)), MMU.targets);
  return record;
}
/** The entry for an address in a table of some level. */
const tableEntry = (fn: Fn, va: Expr, table: Expr, shift: number, g: FrameGeometry): Expr =>
  fn.let(load('i64', 64, add(add(shl(table, i32(12)), i32(g.frames)), and(wrap(shrU(va, i64(shift - 3))), i32(0xff8)))));
/** The frame that an entry names, which must exist. */
function frameOf(fn: Fn, entry: Expr, g: FrameGeometry, giveUp: Label): Expr {
  const frame = fn.let(and(shrU(entry, i64(12)), i64((1n << 40n) - 1n)));
  fn.brIf(giveUp, geU(frame, i64(g.totalFrames)));
  return wrap(frame);
}

/**
 * 128 by 64 bits, unsigned: long division by digits of 32 bits (Knuth, The Art of Computer Programming, 4.3.1, algorithm D). 0 when the
 * quotient does not fit 64 bits (#DE).
 */
function divide(fn: Fn): void {
  const [cpu, high, low, divisor] = [0, 1, 2, 3].map((i) => fn.param(i)) as [Expr, Expr, Expr, Expr];
  const upper = (v: Expr): Expr => fn.let(shrU(v, i64(32))), lower = (v: Expr): Expr => fn.let(and(v, i64(0xffff_ffffn)));
  fn.if(geU(high, divisor), () => fn.return(i32(0)));
  const by = fn.let(clz(divisor)); // the divisor's highest bit becomes 1
  const d = fn.let(shl(divisor, by)), d1 = upper(d), d0 = lower(d);
  const rest = fn.var('i64', or(shl(high, by), shrU(shrU(low, i64(1)), sub(i64(63), by))));
  const lows = fn.let(shl(low, by));
  /** The next digit, of `rest` and one more digit by d: estimated by d's upper half, at most two too large. */
  const digit = (next: Expr): Expr => {
    const q = fn.var('i64', divU(rest.get, d1));
    const r = fn.var('i64', sub(rest.get, mul(q.get, d1)));
    fn.block((done) => fn.loop((again) => {
      fn.brUnless(done, or(ne(shrU(q.get, i64(32)), i64(0)), gtU(mul(q.get, d0), or(shl(r.get, i64(32)), next))));
      q.set(sub(q.get, i64(1)));
      r.set(add(r.get, d1));
      fn.brIf(again, eqz(shrU(r.get, i64(32))));
    }));
    rest.set(sub(or(shl(rest.get, i64(32)), next), mul(q.get, d)));
    return fn.let(q.get);
  };
  const q1 = digit(upper(lows)), q0 = digit(lower(lows));
  fn.store(64, cpu, or(shl(q1, i64(32)), q0), CPU.quotient);
  fn.store(64, cpu, shrU(rest.get, by), CPU.remainder);
  fn.return(i32(1));
}

function signedDivide(fn: Fn, inner: { fn: Fn; callee: Callee }): void {
  divide(inner.fn);
  inner.fn.unreachable();
  const [cpu, high, low, divisor] = [0, 1, 2, 3].map((i) => fn.param(i)) as [Expr, Expr, Expr, Expr];
  const negative = fn.let(shrS(high, i64(63)));
  const divisorSign = fn.let(shrS(divisor, i64(63)));
  // |dividend| by two's complement over both halves
  const lo = fn.let(sub(xor(low, negative), negative));
  const hi = fn.let(add(xor(high, negative), widenU(and(wrap(and(negative, i64(1))), eqz(lo)))));
  fn.if(eqz(fn.call(inner.callee, cpu, hi, lo, sub(xor(divisor, divisorSign), divisorSign))), () => fn.return(i32(0)));
  const sign = fn.let(xor(negative, divisorSign));
  const magnitude = fn.let(load('i64', 64, cpu, CPU.quotient));
  const limit = sub(i64((1n << 63n) - 1n), sign); // 2^63 - 1, or 2^63 for a negative quotient
  fn.if(gtU(magnitude, limit), () => fn.return(i32(0)));
  fn.store(64, cpu, sub(xor(magnitude, sign), sign), CPU.quotient);
  const remainder = load('i64', 64, cpu, CPU.remainder);
  fn.store(64, cpu, sub(xor(remainder, negative), negative), CPU.remainder);
  fn.return(i32(1));
}

/** The stack's page comes from the TLB of writes: it may be read and written. An access in another page asks again. */
function stackPage(fn: Fn, translate: Callee, plain: Callee): void {
  const [cpu, record, va, info] = [0, 1, 2, 3].map((i) => fn.param(i)) as [Expr, Expr, Expr, Expr];
  const page = fn.let(and(va, i64(-4096)));
  const entry = tlbEntry(fn, load('i32', 32, cpu, CPU.mmu), va);
  const inside = leU(add(and(wrap(va), i32(4095)), and(info, i32(0xff))), i32(4096));
  fn.if(and(inside, eq(load('i64', 64, entry, MMU.write), page)), () => fn.return(add(wrap(va), rememberStack(fn, cpu, entry, page))));
  fn.store(64, cpu, i64(-1), CPU.stackPage);
  const write = and(info, i32(ACCESS_INFO.write));
  fn.if(and(inside, and(eqz(write), eq(load('i64', 64, entry, MMU.read), page))), () => fn.return(add(wrap(va), load('i32', 32, entry, MMU.read + 8))));
  fn.if(write, () => fn.return(fn.call(plain, cpu, record, va, info)));
  fn.return(fn.call(translate, cpu, record, va, info));
}
/** The stack is in a page that the TLB has. @returns capsule offset less address */
function rememberStack(fn: Fn, cpu: Expr, entry: Expr, page: Expr): Expr {
  const by = fn.let(load('i32', 32, entry, MMU.write + 8));
  fn.store(32, cpu, by, CPU.stackAdd);
  fn.store(64, cpu, page, CPU.stackPage);
  return by;
}
/** What the TLB does not have is left to the interpreter, which fills it. */
function stackRange(fn: Fn): void {
  const [cpu, record, va, bytes] = [0, 1, 2, 3].map((i) => fn.param(i)) as [Expr, Expr, Expr, Expr];
  const page = fn.let(and(va, i64(-4096)));
  const entry = tlbEntry(fn, load('i32', 32, cpu, CPU.mmu), va);
  fn.if(and(leU(add(and(wrap(va), i32(4095)), bytes), i32(4096)), eq(load('i64', 64, entry, MMU.write), page)), () => {
    fn.drop(rememberStack(fn, cpu, entry, page));
    fn.return(i32(1));
  });
  fn.store(32, cpu, record, CPU.redo);
  fn.return(i32(0));
}
/** What the TLB cannot know, as writes to frames with code or page tables and accesses across pages, is left to the handler. */
function plainAddress(fn: Fn, translate: Callee): void {
  const [cpu, record, va, info] = [0, 1, 2, 3].map((i) => fn.param(i)) as [Expr, Expr, Expr, Expr];
  const host = fn.let(fn.call(translate, cpu, record, va, info));
  fn.if(eqz(host), () => fn.return(host));
  const half = select(and(info, i32(ACCESS_INFO.write)), i32(MMU.write), i32(MMU.read));
  const entry = fn.let(add(tlbEntry(fn, load('i32', 32, cpu, CPU.mmu), va), half));
  const known = and(eq(load('i64', 64, entry), and(va, i64(-4096))), eq(add(wrap(va), load('i32', 32, entry, 8)), host));
  fn.if(known, () => fn.return(host), undefined, true);
  fn.store(32, cpu, record, CPU.redo);
  fn.return(i32(0));
}
/** Behind the record's copy stands one that ends the handlers' chain. */
function once(fn: Fn, handlerType: number): void {
  const [cpu, record] = [fn.param(0), fn.param(1)];
  for (let at = 0; at < REC.size; at += 8) fn.store(64, cpu, load('i64', 64, record, at), CPU.once + at);
  continueAt(fn, handlerType, fn.let(add(cpu, i32(CPU.once))));
}
/** The state is that before an instruction, which raises an exception or is now executed by its handler. */
function fault(fn: Fn, handlerType: number, exception: Callee, resume: Callee): void {
  const cpu = fn.param(0);
  const redo = fn.let(load('i32', 32, cpu, CPU.redo));
  fn.if(redo, () => {
    fn.store(32, cpu, i32(0), CPU.redo);
    continueAt(fn, handlerType, redo);
  });
  fn.store(32, cpu, sub(load('i32', 32, cpu, CPU.budget), load('i32', 8, load('i32', 32, cpu, CPU.exitOp), REC.icount)), CPU.budget);
  const exit = fn.let(fn.call(exception, cpu));
  fn.if(exit, () => fn.return(exit));
  fn.returnCall(resume, cpu);
}

/** What the walk does not decide is TypeScript's (engine/mmu.ts, which is the whole truth about translation). */
function fillTlb(fn: Fn, slow: Callee, g: FrameGeometry): void {
  const [cpu, record, va, info] = [0, 1, 2, 3].map((i) => fn.param(i)) as [Expr, Expr, Expr, Expr];
  walkTables(fn, g);
  fn.return(fn.call(slow, cpu, record, wrap(va), wrap(shrU(va, i64(32))), info));
}
/**
 * The page walk for an access that missed the TLB. It returns where that is if it is plain: canonical, within one page, present and
 * permitted at every level, accessed (and dirty, for writes) bits already set, no flags on the frame of a write.
 */
function walkTables(fn: Fn, g: FrameGeometry): void {
  const [cpu, , va, info] = [0, 1, 2, 3].map((i) => fn.param(i)) as [Expr, Expr, Expr, Expr];
  const lo = fn.let(wrap(va));
  fn.block((giveUp) => {
    const size = and(info, i32(0xff));
    fn.brIf(giveUp, gtU(add(and(lo, i32(4095)), size), i32(4096)));
    fn.brIf(giveUp, load('i32', 32, cpu, CPU.watching));
    fn.brIf(giveUp, and(and(shrU(info, i32(11)), i32(1)), ne(and(lo, sub(size, i32(1))), i32(0)))); // locked, and not aligned
    fn.brIf(giveUp, eqz(isCanonical(fn, va)));
    const write = fn.let(and(shrU(info, i32(8)), i32(1)));
    const mmu = fn.let(load('i32', 32, cpu, CPU.mmu));
    const half = fn.let(add(tlbEntry(fn, mmu, va), select(write, i32(MMU.write), i32(MMU.read))));
    const page = fn.let(and(va, i64(-4096)));
    // compiled code that looked for another page first has not asked the TLB
    fn.if(eq(load('i64', 64, half), page), () => fn.return(add(lo, load('i32', 32, half, 8))));
    const need = fn.let(or(i64(0x21), widenU(shl(write, i32(1))))); // present, accessed; writable for writes
    const table = fn.var('i32', load('i32', 32, cpu, CPU.cr3));
    for (const shift of [39, 30, 21, 12]) {
      const entry = tableEntry(fn, va, table.get, shift, g);
      const wanted = shift === 12 ? or(need, widenU(shl(write, i32(6)))) : need; // dirty in the last level
      const pinned = fn.let(wanted);
      fn.brIf(giveUp, ne(and(entry, pinned), pinned));
      if (shift === 30 || shift === 21) fn.brIf(giveUp, wrap(and(entry, i64(0x80))));
      table.set(frameOf(fn, entry, g, giveUp));
    }
    fn.brIf(giveUp, and(write, ne(load('i32', 8, add(table.get, i32(g.frameFlags))), i32(0))));
    const host = fn.let(add(shl(table.get, i32(12)), i32(g.frames)));
    fn.store(64, half, page);
    fn.store(32, half, sub(host, wrap(page)), 8);
    noteFilled(fn, mmu, half, MMU.pages);
    fn.return(add(host, and(lo, i32(4095))));
  });
}
