// Where an MMU context keeps what is known of an address, as expressions, and how control goes on at a record.

import { CPU } from '../cpu-state.ts';
import { add, and, eq, eqz, geS, i32, i64, load, ltU, mul, ne, shl, shrS, shrU, sub, wrap, xor, type Expr } from '../wasm/expr.ts';
import type { Fn } from '../wasm/fn.ts';
import { CODE_HASH, HEAD, INNER, MMU, REC, type EntryLog } from './record.ts';

/** Address of the TLB entry for an address, less the offset of the read or write half. */
export const tlbEntry = (fn: Fn, mmu: Expr, va: Expr): Expr => fn.let(add(mmu, and(shrU(wrap(va), i32(8)), i32((MMU.entries - 1) << 4))));
/** Address of the jump cache entry for a target, less MMU.jumps. */
export const jumpEntry = (fn: Fn, cpu: Expr, target: Expr): Expr => jumpEntryOf(fn, load('i32', 32, cpu, CPU.mmu), target);
export function jumpEntryOf(fn: Fn, mmu: Expr, target: Expr): Expr {
  const low = fn.let(wrap(target));
  const hash = and(xor(low, shrU(low, i32(12))), i32(MMU.jumpEntries - 1));
  return fn.let(add(mmu, shl(hash, i32(4))));
}

/** Address of the entry in MMU.code for a page, as record.ts codeEntry, less MMU.code. */
export function codeEntryOf(fn: Fn, mmu: Expr, va: Expr): Expr {
  const page = and(wrap(shrU(va, i64(12))), i32(0xf_ffff));
  return fn.let(add(mmu, shl(shrU(mul(page, i32(CODE_HASH)), i32(20)), i32(3))));
}
/** Notes that an entry of an MMU context is filled. */
export function noteFilled(fn: Fn, mmu: Expr, entry: Expr, log: EntryLog): void {
  const n = fn.let(load('i32', 32, mmu, log.count));
  fn.store(32, mmu, add(n, i32(1)), log.count);
  fn.if(ltU(n, i32(log.size)), () => fn.store(32, add(mmu, shl(n, i32(2))), entry, log.at), undefined, true);
}
/** Address of a record's instruction. */
export const recordRip = (cpu: Expr, record: Expr): Expr => add(load('i64', 64, cpu, CPU.page), load('i64', 16, record, REC.offset));

/** Bits 47..63 of an address are alike, i32. */
export function isCanonical(fn: Fn, va: Expr): Expr {
  const top = fn.let(shrS(va, i64(47)));
  return eq(top, shrS(top, i64(1)));
}
/** On to a block, which is counted: the machine is left, with nothing done yet, when it has become hot. */
export function enterBlock(fn: Fn, handlerType: number, record: Expr): void {
  const head = fn.let(sub(record, i32(HEAD.size)));
  const left = fn.let(sub(load('i32', 32, head, HEAD.count), i32(1)));
  fn.store(32, head, left, HEAD.count);
  fn.if(eqz(left), () => {
    fn.store(32, fn.param(0), record, CPU.exitOp);
    fn.return(i32(INNER.hot));
  }, undefined, false);
  fn.returnCallIndirect(handlerType, load('i32', 32, head, HEAD.entry), fn.param(0), record);
}
/** The same without counting. */
export function enterUncounted(fn: Fn, handlerType: number, record: Expr): void {
  fn.returnCallIndirect(handlerType, load('i32', 32, sub(record, i32(HEAD.size)), HEAD.entry), fn.param(0), record);
}
/** On to a block at an address that may be in another page. */
export function enterBlockAt(fn: Fn, handlerType: number, record: Expr, va: Expr): void {
  fn.store(64, fn.param(0), and(va, i64(-4096)), CPU.page);
  enterBlock(fn, handlerType, record);
}
/**
 * On to what an entry of the jump cache leads to. Where that is a region, the entry says so from the second time on: there are lines enough
 * to wait for without the one that the record is in.
 */
export function enterCached(fn: Fn, handlerType: number, entry: Expr, va: Expr): void {
  enterCachedRegion(fn, handlerType, entry, va);
  fn.store(64, fn.param(0), and(va, i64(-4096)), CPU.page);
  const record = fn.let(load('i32', 32, entry, MMU.jumps + 8));
  const way = fn.let(load('i32', 32, sub(record, i32(HEAD.size)), HEAD.entry));
  fn.if(ne(way, load('i32', 16, record, REC.handler)), () => fn.store(32, entry, way, MMU.jumps + 12), undefined, false);
  enterBlock(fn, handlerType, record);
}
/** The same for a region only. */
export function enterCachedRegion(fn: Fn, handlerType: number, entry: Expr, va: Expr): void {
  const cpu = fn.param(0);
  const region = fn.let(load('i32', 32, entry, MMU.jumps + 12));
  fn.if(region, () => {
    fn.store(64, cpu, and(va, i64(-4096)), CPU.page);
    fn.returnCallIndirect(handlerType, region, cpu, load('i32', 32, entry, MMU.jumps + 8));
  }, undefined, true);
}
/** Whether compiled code waits for a return to an address, and the slice goes on: its function goes on when this one returns EXIT.none. */
export const isAwaited = (fn: Fn, target: Expr, budget: Expr): Expr => and(geS(budget, i32(0)), eq(load('i64', 64, load('i32', 32, fn.param(0), CPU.innermost)), target));
/** On to a record's handler, which is not the way into a block. */
export function continueAt(fn: Fn, handlerType: number, record: Expr): void {
  fn.returnCallIndirect(handlerType, load('i32', 16, record, REC.handler), fn.param(0), record);
}
