// WebAssembly's 128-bit instructions by the names of its text format: `i16x8.add(a, b)`. Opcodes: WebAssembly
// specification 2.0, 5.4.9 (vector instructions).

import { assert } from '#base/assert.ts';
import { Expr, simd, type Type } from './expr.ts';

const unary = (code: number, to: Type = 'v128') => (a: Expr): Expr => simd(to, code, [a]);
const binary = (code: number) => (a: Expr, b: Expr): Expr => simd('v128', code, [a, b]);
/** every lane by the same i32 count, modulo the lane's width */
const shift = binary;
const extract = (code: number, to: Type) => (a: Expr, lane: number): Expr => simd(to, code, [a], [lane]);
/** the vector with one lane replaced */
const replace = (code: number) => (a: Expr, lane: number, value: Expr): Expr => simd('v128', code, [a, value], [lane]);

export const v128 = {
  not: unary(0x4d), and: binary(0x4e), /** a & ~b */ andnot: binary(0x4f), or: binary(0x50), xor: binary(0x51),
  /** bits of a where mask is 1, of b where it is 0 */
  bitselect: (a: Expr, b: Expr, mask: Expr): Expr => simd('v128', 0x52, [a, b, mask]),
  anyTrue: unary(0x53, 'i32'),
} as const;

export const i8x16 = {
  /** bytes of a (0..15) and b (16..31) by constant numbers */
  shuffle: (a: Expr, b: Expr, lanes: readonly number[]): Expr => {
    assert(lanes.length === 16, 'sixteen lanes');
    return simd('v128', 0x0d, [a, b], lanes);
  },
  /** bytes of a by the numbers in b; 0 for a number above 15 */
  swizzle: binary(0x0e),
  splat: unary(0x0f), extractU: extract(0x16, 'i32'), replace: replace(0x17),
  eq: binary(0x23), ltU: binary(0x26), gtS: binary(0x27), gtU: binary(0x28), geU: binary(0x2c),
  abs: unary(0x60), neg: unary(0x61), allTrue: unary(0x63, 'i32'), bitmask: unary(0x64, 'i32'),
  narrowS: binary(0x65), narrowU: binary(0x66),
  shl: shift(0x6b), shrS: shift(0x6c), shrU: shift(0x6d),
  add: binary(0x6e), addSatS: binary(0x6f), addSatU: binary(0x70), sub: binary(0x71), subSatS: binary(0x72), subSatU: binary(0x73),
  minS: binary(0x76), minU: binary(0x77), maxS: binary(0x78), maxU: binary(0x79), avgU: binary(0x7b),
} as const;

export const i16x8 = {
  splat: unary(0x10), extractU: extract(0x19, 'i32'), extractS: extract(0x18, 'i32'), replace: replace(0x1a),
  eq: binary(0x2d), gtS: binary(0x31), gtU: binary(0x32),
  abs: unary(0x80), neg: unary(0x81), allTrue: unary(0x83, 'i32'), bitmask: unary(0x84, 'i32'),
  narrowS: binary(0x85), narrowU: binary(0x86),
  extaddPairwiseS: unary(0x7c), extaddPairwiseU: unary(0x7d),
  extendLowS: unary(0x87), extendHighS: unary(0x88), extendLowU: unary(0x89), extendHighU: unary(0x8a),
  shl: shift(0x8b), shrS: shift(0x8c), shrU: shift(0x8d),
  add: binary(0x8e), addSatS: binary(0x8f), addSatU: binary(0x90), sub: binary(0x91), subSatS: binary(0x92), subSatU: binary(0x93),
  /** rounded high half of twice the product; -1 × -1 saturates */ q15mulrSatS: binary(0x82),
  mul: binary(0x95), minS: binary(0x96), minU: binary(0x97), maxS: binary(0x98), maxU: binary(0x99), avgU: binary(0x9b),
} as const;

export const i32x4 = {
  splat: unary(0x11), extract: extract(0x1b, 'i32'), replace: replace(0x1c),
  eq: binary(0x37), ltU: binary(0x3a), gtS: binary(0x3b), gtU: binary(0x3c), leU: binary(0x3e), geU: binary(0x40),
  extaddPairwiseS: unary(0x7e), extaddPairwiseU: unary(0x7f),
  abs: unary(0xa0), neg: unary(0xa1), allTrue: unary(0xa3, 'i32'), bitmask: unary(0xa4, 'i32'),
  extendLowS: unary(0xa7), extendHighS: unary(0xa8), extendLowU: unary(0xa9), extendHighU: unary(0xaa),
  shl: shift(0xab), shrS: shift(0xac), shrU: shift(0xad),
  add: binary(0xae), sub: binary(0xb1), mul: binary(0xb5), minS: binary(0xb6), minU: binary(0xb7), maxS: binary(0xb8), maxU: binary(0xb9),
  /** products of 16-bit lanes, summed by pairs */
  dotS: binary(0xba),
  extmulLowS: binary(0xbc), extmulHighS: binary(0xbd), extmulLowU: binary(0xbe), extmulHighU: binary(0xbf),
  /** toward zero; NaN gives 0, out of range the nearest limit */
  truncSatF32x4S: unary(0xf8), truncSatF64x2SZero: unary(0xfc),
} as const;

export const i64x2 = {
  splat: unary(0x12), extract: extract(0x1d, 'i64'), replace: replace(0x1e),
  eq: binary(0xd6), gtS: binary(0xd9), neg: unary(0xc1), bitmask: unary(0xc4, 'i32'),
  extendLowS: unary(0xc7), extendLowU: unary(0xc9),
  shl: shift(0xcb), shrS: shift(0xcc), shrU: shift(0xcd), add: binary(0xce), sub: binary(0xd1), mul: binary(0xd5),
  extmulLowS: binary(0xdc), extmulLowU: binary(0xde),
} as const;

export const f32x4 = {
  splat: unary(0x13), extract: extract(0x1f, 'f32'), replace: replace(0x20),
  eq: binary(0x41), ne: binary(0x42), lt: binary(0x43), gt: binary(0x44), le: binary(0x45), ge: binary(0x46),
  abs: unary(0xe0), sqrt: unary(0xe3), add: binary(0xe4), sub: binary(0xe5), mul: binary(0xe6), div: binary(0xe7),
  /** b < a ? b : a, and a < b ? b : a */
  pmin: binary(0xea), pmax: binary(0xeb),
  nearest: unary(0x6a), floor: unary(0x68), ceil: unary(0x67), trunc: unary(0x69),
  convertI32x4S: unary(0xfa), demoteF64x2Zero: unary(0x5e),
} as const;

export const f64x2 = {
  splat: unary(0x14), extract: extract(0x21, 'f64'), replace: replace(0x22),
  eq: binary(0x47), ne: binary(0x48), lt: binary(0x49), gt: binary(0x4a), le: binary(0x4b), ge: binary(0x4c),
  abs: unary(0xec), sqrt: unary(0xef), add: binary(0xf0), sub: binary(0xf1), mul: binary(0xf2), div: binary(0xf3),
  pmin: binary(0xf6), pmax: binary(0xf7),
  nearest: unary(0x94), floor: unary(0x75), ceil: unary(0x74), trunc: unary(0x7a),
  convertLowI32x4S: unary(0xfe), promoteLowF32x4: unary(0x5f),
} as const;

/** A vector constant from its halves. */
export function v128Const(low: bigint, high: bigint = low): Expr {
  const bytes: number[] = [];
  for (const half of [low, high]) for (let i = 0n; i < 64n; i += 8n) bytes.push(Number(half >> i & 0xffn));
  const e = simd('v128', 0x0c, [], bytes);
  return new Expr('v128', e.emit, undefined, true);
}
/** A vector constant with the same number in every lane of `bits`. */
export function laneConst(bits: 8 | 16 | 32 | 64, n: bigint | number): Expr {
  let half = 0n;
  for (let i = 0; i < 64; i += bits) half |= BigInt.asUintN(bits, BigInt(n)) << BigInt(i);
  return v128Const(half);
}
/** The vector whose low 32 or 64 bits are loaded, the rest zero. */
export function loadZero(bits: 32 | 64, address: Expr, offset = 0): Expr {
  return new Expr('v128', (o) => { address.emit(o); o.u8(0xfd); o.u32(bits === 32 ? 0x5c : 0x5d); o.u8(0); o.u32(offset); });
}
/** A scalar's bits as the low lane of a vector, the rest zero. */
export const fromI64 = (a: Expr): Expr => i64x2.replace(v128Const(0n), 0, a);
export const fromI32 = (a: Expr): Expr => i32x4.replace(v128Const(0n), 0, a);
