// The inner loop of LZ4 (lz4_Block_format.md) in WebAssembly, which copies 16 bytes at a time, whatever comes behind. In
// JavaScript a kernel's decompression took twice as long, a tenth of a guest's start (2026-11, Node 26.10).

import { Wasm, type WasmMemory, type WasmModule } from '#base/webassembly.ts';
import { add, and, eq, eqz, type Expr, geU, gtU, i32, load, ltU, or, shrU, sub } from '#machine/wasm/expr.ts';
import type { Fn, Var } from '#machine/wasm/fn.ts';
import { ModuleBuilder } from '#machine/wasm/module.ts';

/** Bytes behind the output that may be written to. */
export const SLACK = 16;
const PAGE = 65536, MAX_PAGES = 65536;

/**
 * (from, end, to, limit): decodes the block [from, end) to `to`, never past `limit` and SLACK. Returns the end of what it wrote,
 * or -1 for what is no block.
 */
type DecodeBlock = (from: number, end: number, to: number, limit: number) => number;
export interface Lz4Decoder { readonly bytes: Uint8Array; readonly block: DecodeBlock }

let module: WasmModule | undefined;
/** A decoder with a memory of so many bytes. */
export function lz4Decoder(size: number, prepare?: (memory: WasmMemory) => void): Lz4Decoder {
  module ??= new Wasm.Module(build());
  const memory = new Wasm.Memory({ initial: Math.ceil(size / PAGE), maximum: MAX_PAGES, shared: true });
  prepare?.(memory);
  const { exports } = new Wasm.Instance(module, { env: { memory } });
  return { bytes: new Uint8Array(memory.buffer), block: exports['block'] as DecodeBlock };
}

function build(): Uint8Array {
  const m = new ModuleBuilder('lz4');
  const { fn } = m.fn(['i32', 'i32', 'i32', 'i32'], 'i32', 'block');
  const from = fn.paramVar(0), end = fn.param(1), to = fn.paramVar(2), limit = fn.param(3);
  const start = fn.let(to.get);
  const token = fn.var('i32'), length = fn.var('i32');
  fn.loop((again) => {
    fn.if(geU(from.get, end), () => fn.return(i32(-1)));
    token.set(load('i32', 8, from.get));
    advance(from, i32(1));
    length.set(shrU(token.get, i32(4)));
    longer(fn, length, 15, from, end);
    fn.if(or(gtU(length.get, sub(end, from.get)), gtU(length.get, sub(limit, to.get))), () => fn.return(i32(-1)));
    copy(fn, 16, to, fn.let(from.get), length);
    advance(from, length.get);
    advance(to, length.get);
    fn.if(geU(from.get, end), () => fn.return(to.get)); // the last sequence has no match

    const offset = fn.let(load('i32', 16, from.get));
    advance(from, i32(2));
    fn.if(gtU(from.get, end), () => fn.return(i32(-1)));
    length.set(add(and(token.get, i32(15)), i32(4)));
    longer(fn, length, 19, from, end);
    fn.if(or(or(eqz(offset), gtU(offset, sub(to.get, start))), gtU(length.get, sub(limit, to.get))), () => fn.return(i32(-1)));
    const source = fn.let(sub(to.get, offset));
    fn.if(geU(offset, i32(16)), () => copy(fn, 16, to, source, length), () => copy(fn, 1, to, source, length)); // what lies near is repeated
    advance(to, length.get);
    fn.br(again);
  });
  fn.unreachable();
  return m.bytes();
}

const advance = (at: Var, by: Expr): void => at.set(add(at.get, by));
/** Adds the bytes that follow to a length that is not complete: up to the first that is not 255. */
function longer(fn: Fn, length: Var, incomplete: number, from: Var, end: Expr): void {
  fn.if(eq(length.get, i32(incomplete)), () => fn.loop((again) => {
    fn.if(geU(from.get, end), () => fn.return(i32(-1)));
    const more = fn.let(load('i32', 8, from.get));
    advance(from, i32(1));
    advance(length, more);
    fn.brIf(again, eq(more, i32(255)));
  }));
}
/** Copies `length` bytes, so many at a time, and as many as it takes to the next multiple. Those of a step do not depend on each other. */
function copy(fn: Fn, step: 1 | 16, to: Var, source: Expr, length: Var): void {
  const done = fn.var('i32', i32(0));
  fn.loop((again) => {
    fn.store(step * 8, add(to.get, done.get), load(step === 16 ? 'v128' : 'i32', step * 8, add(source, done.get)));
    advance(done, i32(step));
    fn.brIf(again, ltU(done.get, length.get));
  });
}
