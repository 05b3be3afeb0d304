// PCMPESTRI PCMPESTRM PCMPISTRI PCMPISTRM: SDM vol. 2. The comparison is in fpu/string-compare.ts, but for what C libraries
// search strings with: PCMPISTRI on bytes, for equal elements or for any of a set.

import { CPU, FLAG, FX, REG } from '../cpu-state.ts';
import { SSE_SCRATCH } from '../fpu/sse-operation.ts';
import { STRING_COMPARE, STRING_FLAGS } from '../fpu/string-compare.ts';
import { add, and, clz, ctz, i32, load, ltU, or, select, shl, sub, xor, type Expr } from '../wasm/expr.ts';
import { i8x16, v128Const } from '../wasm/simd.ts';
import type { Env } from './env.ts';
import type { Row } from './row.ts';

/** The memory operand need not be aligned. */
const compare = (kind: number) => (e: Env): void => {
  const { fn } = e;
  const b = fn.let(e.readVector(1, 'v128', 128));
  const a = fn.let(e.readVector(0, 'v128', 128));
  fn.store(128, e.cpu, a, SSE_SCRATCH.a);
  const control = fn.let(e.imm(8));
  const words = 1, otherThanEqual = 4; // ranges, or a string in a string
  if (kind === 0) fn.if(and(control, i32(words | otherThanEqual)), () => elsewhere(e, kind, b), () => compareBytes(e, a, b, control));
  else elsewhere(e, kind, b);
  if (kind & STRING_COMPARE.mask) fn.store(128, e.cpu, load('v128', 128, e.cpu, SSE_SCRATCH.result), CPU.fxState + FX.xmm);
  else e.setReg(REG.rcx, 32, e.field(SSE_SCRATCH.result));
  e.flags.all(e.field(STRING_FLAGS));
};
function elsewhere(e: Env, kind: number, b: Expr): void {
  e.fn.store(128, e.cpu, b, SSE_SCRATCH.b);
  e.slow('pcmpstr', or(e.imm(8), i32(kind | (e.opSize === 64 ? STRING_COMPARE.wide : 0))));
}
const BYTES = 16, ALL = 0xffff;
/** Leaves index and flags where the routine elsewhere does. Bits of words stand for bytes. */
function compareBytes(e: Env, a: Expr, b: Expr, control: Expr): void {
  const { fn, cpu } = e;
  const length = (v: Expr): Expr => fn.let(ctz(or(i8x16.bitmask(i8x16.eq(v, v128Const(0n))), i32(1 << BYTES))));
  const valid = (n: Expr): Expr => fn.let(sub(shl(i32(1), n), i32(1)));
  const [lengthA, lengthB] = [length(a), length(b)];
  const [validA, validB] = [valid(lengthA), valid(lengthB)];
  const bits = fn.var('i32');
  fn.if(and(control, i32(8)), () => {
    const bothEnded = xor(or(validA, validB), i32(ALL));
    bits.set(or(and(i8x16.bitmask(i8x16.eq(a, b)), and(validA, validB)), bothEnded));
  }, () => {
    const i = fn.var('i32', i32(0));
    bits.set(i32(0));
    fn.block((done) => fn.loop((again) => {
      fn.brUnless(done, ltU(i.get, lengthA));
      const wanted = i8x16.splat(load('i32', 8, add(cpu, i.get), SSE_SCRATCH.a));
      bits.set(or(bits.get, i8x16.bitmask(i8x16.eq(b, wanted))));
      i.set(add(i.get, i32(1)));
      fn.br(again);
    }));
    bits.set(and(bits.get, validB));
  });
  const negated = select(and(control, i32(0x20)), validB, i32(ALL));
  const result = fn.let(select(and(control, i32(0x10)), xor(bits.get, negated), bits.get));
  const found = select(and(control, i32(0x40)), sub(i32(31), clz(result)), ctz(result));
  fn.store(32, cpu, select(result, found, i32(BYTES)), SSE_SCRATCH.result);
  const flag = (condition: Expr, value: number): Expr => select(condition, i32(value), i32(0));
  const ended = or(flag(ltU(lengthB, i32(BYTES)), FLAG.zf), flag(ltU(lengthA, i32(BYTES)), FLAG.sf));
  fn.store(32, cpu, or(or(flag(result, FLAG.cf), flag(and(result, i32(1)), FLAG.of)), ended), STRING_FLAGS);
}
const row = (name: string, opcode: string, kind: number): Row =>
  ({ name, opcode: `66 0F 3A ${opcode} /r ib`, operands: ['Vx', 'Wx', 'Ib'], sem: compare(kind), flags: 'w' });

export const sseString: readonly Row[] = [
  row('PCMPESTRM', '60', STRING_COMPARE.explicit | STRING_COMPARE.mask), row('PCMPESTRI', '61', STRING_COMPARE.explicit),
  row('PCMPISTRM', '62', STRING_COMPARE.mask), row('PCMPISTRI', '63', 0),
];
