// What SSE4.1 added beside plain arithmetic: blending, widening, inserting singles, searching and testing. SDM vol. 2.

import { add, and, eqz, gtU, i32, load, or, select, shl, shrU, type Expr } from '../wasm/expr.ts';
import { fromI32, i16x8, i32x4, i64x2, i8x16, laneConst, v128, v128Const } from '../wasm/simd.ts';
import { FLAG } from '../cpu-state.ts';
import type { Env } from './env.ts';
import type { Row } from './row.ts';
import { immediateField, laneMask, read128, readLow, readXmm0, unary128, write128 } from './vector.ts';

/** Lanes of the source where the mask is set, of the destination elsewhere. */
const blend = (mask: (e: Env) => Expr) => (e: Env): void => {
  const b = read128(e, 1);
  write128(e, 0, v128.bitselect(b, read128(e, 0), mask(e)));
};
const blendImmediate = (bits: 16 | 32 | 64): Row['sem'] => blend((e) => laneMask(e, bits, e.imm(8)));
/** By the sign of each lane of XMM0. */
const blendVariable = (lanes: typeof i8x16 | typeof i32x4 | typeof i64x2, bits: number): Row['sem'] => blend((e) => lanes.shrS(readXmm0(e), i32(bits - 1)));

/** Immediate: element of a source register, element of the destination, elements that become zero. */
const insertps = (e: Env): void => {
  const v = e.isMemory(1) ? e.readVector(1, 'i32', 32) : e.fn.let(load('i32', 32, add(e.registerAddress(1), shl(immediateField(e, 6, 3), i32(2)))));
  e.fn.store(32, add(e.registerAddress(0), shl(immediateField(e, 4, 3), i32(2))), v);
  write128(e, 0, v128.andnot(read128(e, 0), laneMask(e, 32, e.imm(8))));
};

/** PMOVSX and PMOVZX: the source has as many bits as it needs. */
const widen = (bits: 16 | 32 | 64, ...steps: ((v: Expr) => Expr)[]) => (e: Env): void => write128(e, 0, steps.reduce((v, f) => f(v), readLow(e, 1, bits)));
const S = [i16x8.extendLowS, i32x4.extendLowS, i64x2.extendLowS] as const;
const U = [i16x8.extendLowU, i32x4.extendLowU, i64x2.extendLowU] as const;
const wideningRows = (name: string, first: number, [byte, word, dword]: typeof S | typeof U): Row[] => {
  const row = (suffix: string, n: number, operand: string, sem: Row['sem']): Row =>
    ({ name: `${name}${suffix}`, opcode: `66 0F 38 ${(first + n).toString(16)} /r`, operands: ['Vx', operand], sem });
  return [
    row('BW', 0, 'Wq', widen(64, byte)), row('BD', 1, 'Wd', widen(32, byte, word)), row('BQ', 2, 'Ww', widen(16, byte, word, dword)),
    row('WD', 3, 'Wq', widen(64, word)), row('WQ', 4, 'Wd', widen(32, word, dword)), row('DQ', 5, 'Wq', widen(64, dword)),
  ];
};

/**
 * MPSADBW: eight sums of absolute differences of four bytes: a block of the source (immediate bits 1:0, in units of four
 * bytes) against blocks that begin at consecutive bytes of the destination (from the one that bit 2 names).
 */
const mpsadbw = (e: Env): void => {
  const b = read128(e, 1);
  const window = (k: number): Expr => v128Const(0x0706_0504_0302_0100n + BigInt(k) * 0x0101_0101_0101_0101n, 0n);
  const from = e.fn.let(i8x16.splat(immediateField(e, 0, 4)));
  const block = e.fn.let(i8x16.splat(shl(immediateField(e, 0, 3), i32(2))));
  const a = read128(e, 0);
  const difference = (k: number): Expr => {
    const x = i16x8.extendLowU(i8x16.swizzle(a, i8x16.add(from, window(k))));
    const y = i16x8.extendLowU(i8x16.swizzle(b, i8x16.add(block, laneConst(8, k))));
    return i16x8.abs(i16x8.sub(x, y));
  };
  write128(e, 0, [0, 1, 2, 3].map(difference).reduce((x, y) => i16x8.add(x, y)));
};

/** The least unsigned word, and its number: both in one key, so that the first of equals wins. */
const phminposuw = (b: Expr, e: Env): Expr => {
  const key = (i: number): Expr => or(shl(i16x8.extractU(b, i), i32(3)), i32(i));
  const least = e.fn.var('i32', key(0));
  for (let i = 1; i < 8; i++) {
    const next = e.fn.let(key(i));
    least.set(select(gtU(least.get, next), next, least.get));
  }
  return fromI32(or(shrU(least.get, i32(3)), shl(and(least.get, i32(7)), i32(16))));
};

const none = (v: Expr): Expr => eqz(v128.anyTrue(v));
const ptest = (e: Env): void => {
  const b = read128(e, 1);
  const a = read128(e, 0);
  e.flags.all(or(shl(none(v128.and(a, b)), i32(Math.log2(FLAG.zf))), none(v128.andnot(b, a))));
};

const immediateRow = (name: string, opcode: string, sem: Row['sem'], w = 'Wx'): Row => ({ name, opcode: `66 0F 3A ${opcode} /r ib`, operands: ['Vx', w, 'Ib'], sem });
const plainRow = (name: string, opcode: string, sem: Row['sem']): Row => ({ name, opcode: `66 0F 38 ${opcode} /r`, operands: ['Vx', 'Wx'], sem });

export const sse41: readonly Row[] = [
  immediateRow('BLENDPS', '0C', blendImmediate(32)), immediateRow('BLENDPD', '0D', blendImmediate(64)), immediateRow('PBLENDW', '0E', blendImmediate(16)),
  plainRow('PBLENDVB', '10', blendVariable(i8x16, 8)), plainRow('BLENDVPS', '14', blendVariable(i32x4, 32)), plainRow('BLENDVPD', '15', blendVariable(i64x2, 64)),
  immediateRow('INSERTPS', '21', insertps, 'Wd'),
  ...wideningRows('PMOVSX', 0x20, S), ...wideningRows('PMOVZX', 0x30, U),
  immediateRow('MPSADBW', '42', mpsadbw),
  plainRow('PHMINPOSUW', '41', unary128(phminposuw)),
  { ...plainRow('PTEST', '17', ptest), flags: 'w' },
];
