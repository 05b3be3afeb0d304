// Packed integer arithmetic, logic, comparison and shifts on MMX and XMM registers: SDM vol. 2, PABS to PXOR.

import { gtU, i32, i64, select, widenU, wrap, type Expr } from '../wasm/expr.ts';
import { i16x8, i32x4, i64x2, i8x16, laneConst, v128, v128Const } from '../wasm/simd.ts';
import type { Env } from './env.ts';
import type { Row } from './row.ts';
import { binary128, enterMmx, joined, lanesOf, packed, packedUnary, read128, readLow, sseRow, write128, writeMmx, type PackedOperation } from './vector.ts';

/** The upper 16 bits of each of eight 32-bit products given as two vectors. */
const upperHalves = (low: Expr, high: Expr, e: Env): Expr => lanesOf(2, 1, 3, 5, 7, 9, 11, 13, 15)(low, high, e);
const mulHighS: PackedOperation = (a, b, e) => upperHalves(i32x4.extmulLowS(a, b), i32x4.extmulHighS(a, b), e);
const mulHighU: PackedOperation = (a, b, e) => upperHalves(i32x4.extmulLowU(a, b), i32x4.extmulHighU(a, b), e);
/** (a × b + 2^14) >> 15; the product of the two least numbers wraps where WebAssembly saturates */
const mulHighRounded: PackedOperation = (a, b) => {
  const least = laneConst(16, 0x8000);
  return v128.xor(i16x8.q15mulrSatS(a, b), v128.and(i16x8.eq(a, least), i16x8.eq(b, least)));
};
/** Unsigned bytes of a times signed bytes of b, neighbours added with saturation. */
const mulAddBytes: PackedOperation = (a, b) => {
  const even = i16x8.mul(v128.and(a, laneConst(16, 0xff)), i16x8.shrS(i16x8.shl(b, i32(8)), i32(8)));
  const odd = i16x8.mul(i16x8.shrU(a, i32(8)), i16x8.shrS(b, i32(8)));
  return i16x8.addSatS(even, odd);
};
/** Lanes 0 and 2 of 32 bits to the front. */
const evens = (v: Expr, e: Env): Expr => lanesOf(4, 0, 2, 0, 2)(v, v, e);
const mulEvenU: PackedOperation = (a, b, e) => i64x2.extmulLowU(evens(a, e), evens(b, e));
const mulEvenS: PackedOperation = (a, b, e) => i64x2.extmulLowS(evens(a, e), evens(b, e));
/** Sum of the absolute differences of each eight bytes. */
const sumDifferences: PackedOperation = (a, b, e) => {
  const sums = e.fn.let(i32x4.extaddPairwiseU(i16x8.extaddPairwiseU(v128.or(i8x16.subSatU(a, b), i8x16.subSatU(b, a)))));
  return v128.and(i32x4.add(sums, i64x2.shrU(sums, i32(32))), laneConst(64, 0xffff));
};

/** Lanes of a negated, zeroed or kept as those of b are negative, zero or positive. */
const sign = (lanes: typeof i8x16 | typeof i16x8 | typeof i32x4, bits: number): PackedOperation => (a, b, e) => {
  const negative = e.fn.let(lanes.shrS(b, i32(bits - 1)));
  return v128.andnot(lanes.sub(v128.xor(a, negative), negative), lanes.eq(b, v128Const(0n)));
};

/** Even and odd lanes of both operands, then `f` of them. */
const horizontal = (bytes: 2 | 4, f: (even: Expr, odd: Expr) => Expr): PackedOperation => (a, b, e) => {
  const lanes = bytes === 2 ? [0, 2, 4, 6, 8, 10, 12, 14] : [0, 2, 4, 6];
  return f(lanesOf(bytes, ...lanes)(a, b, e), lanesOf(bytes, ...lanes.map((n) => n + 1))(a, b, e));
};
const horizontalRows = (name: string, opcode: string, bytes: 2 | 4, f: (even: Expr, odd: Expr) => Expr): Row[] =>
  packed(name, opcode, horizontal(bytes, f), joined(horizontal(bytes, f)));

// ---- shifts

interface Shifted { readonly bits: number; readonly left: (a: Expr, n: Expr) => Expr; readonly logical: (a: Expr, n: Expr) => Expr; readonly arithmetic: (a: Expr, n: Expr) => Expr }
const WORD: Shifted = { bits: 16, left: i16x8.shl, logical: i16x8.shrU, arithmetic: i16x8.shrS };
const DWORD: Shifted = { bits: 32, left: i32x4.shl, logical: i32x4.shrU, arithmetic: i32x4.shrS };
const QWORD: Shifted = { bits: 64, left: i64x2.shl, logical: i64x2.shrU, arithmetic: i64x2.shrS };

/** A shift by a 64-bit count: beyond the lane nothing is left, or only copies of the sign. */
function shifted(how: 'left' | 'logical' | 'arithmetic', lanes: Shifted, a: Expr, count: Expr): Expr {
  const beyond = gtU(count, i64(lanes.bits - 1));
  if (how === 'arithmetic') return lanes.arithmetic(a, select(beyond, i32(lanes.bits - 1), wrap(count)));
  return select(beyond, v128Const(0n), lanes[how](a, wrap(count)));
}
function shiftRows(name: string, how: 'left' | 'logical' | 'arithmetic', lanes: Shifted, byVector: string, byImmediate: string): Row[] {
  const byCount: PackedOperation = (a, b, e) => shifted(how, lanes, a, e.fn.let(i64x2.extract(b, 0)));
  const immediate = (e: Env): Expr => e.fn.let(widenU(e.imm(8)));
  return [
    ...packed(name, byVector, byCount),
    {
      name, opcode: `NP ${byImmediate} ib`, operands: ['Nq', 'Ib'],
      sem: (e) => { enterMmx(e); writeMmx(e, 0, shifted(how, lanes, readLow(e, 0, 64), immediate(e))); },
    },
    { name, opcode: `66 ${byImmediate} ib`, operands: ['Ux', 'Ib'], sem: (e) => write128(e, 0, shifted(how, lanes, read128(e, 0), immediate(e))) },
  ];
}
const BYTE_NUMBERS = v128Const(0x0706_0504_0302_0100n, 0x0f0e_0d0c_0b0a_0908n);
/** PSLLDQ and PSRLDQ: by bytes; 16 and more clear everything */
const shiftBytes = (left: boolean) => (e: Env): void => {
  const n = e.fn.let(e.imm(8));
  const by = i8x16.splat(select(gtU(n, i32(16)), i32(16), n));
  write128(e, 0, i8x16.swizzle(read128(e, 0), (left ? i8x16.sub : i8x16.add)(BYTE_NUMBERS, by)));
};

/** Float forms of the logical instructions do the same. */
const logicRows = (name: string, prefix: 'NP' | '66', opcode: string, type: 'ps' | 'pd', f: PackedOperation): Row =>
  ({ name, opcode: `${prefix} ${opcode} /r`, operands: [`V${type}`, `W${type}`], sem: binary128(f) });
/** b & ~a */
const andNot: PackedOperation = (a, b) => v128.andnot(b, a);
const LOGIC: readonly [string, string, PackedOperation][] = [['AND', '0F 54', v128.and], ['ANDN', '0F 55', andNot], ['OR', '0F 56', v128.or], ['XOR', '0F 57', v128.xor]];

export const sseInt: readonly Row[] = [
  ...packed('PADDB', '0F FC', i8x16.add), ...packed('PADDW', '0F FD', i16x8.add), ...packed('PADDD', '0F FE', i32x4.add), ...packed('PADDQ', '0F D4', i64x2.add),
  ...packed('PADDSB', '0F EC', i8x16.addSatS), ...packed('PADDSW', '0F ED', i16x8.addSatS), ...packed('PADDUSB', '0F DC', i8x16.addSatU), ...packed('PADDUSW', '0F DD', i16x8.addSatU),
  ...packed('PSUBB', '0F F8', i8x16.sub), ...packed('PSUBW', '0F F9', i16x8.sub), ...packed('PSUBD', '0F FA', i32x4.sub), ...packed('PSUBQ', '0F FB', i64x2.sub),
  ...packed('PSUBSB', '0F E8', i8x16.subSatS), ...packed('PSUBSW', '0F E9', i16x8.subSatS), ...packed('PSUBUSB', '0F D8', i8x16.subSatU), ...packed('PSUBUSW', '0F D9', i16x8.subSatU),
  ...packed('PMULLW', '0F D5', i16x8.mul), ...packed('PMULHW', '0F E5', mulHighS), ...packed('PMULHUW', '0F E4', mulHighU), ...packed('PMULHRSW', '0F 38 0B', mulHighRounded),
  ...packed('PMULUDQ', '0F F4', mulEvenU), ...packed('PMADDWD', '0F F5', i32x4.dotS), ...packed('PMADDUBSW', '0F 38 04', mulAddBytes),
  sseRow('PMULDQ', '0F 38 28', mulEvenS), sseRow('PMULLD', '0F 38 40', i32x4.mul),
  ...packed('PSADBW', '0F F6', sumDifferences), ...packed('PAVGB', '0F E0', i8x16.avgU), ...packed('PAVGW', '0F E3', i16x8.avgU),
  ...packed('PMINUB', '0F DA', i8x16.minU), ...packed('PMAXUB', '0F DE', i8x16.maxU), ...packed('PMINSW', '0F EA', i16x8.minS), ...packed('PMAXSW', '0F EE', i16x8.maxS),
  sseRow('PMINSB', '0F 38 38', i8x16.minS), sseRow('PMINSD', '0F 38 39', i32x4.minS), sseRow('PMINUW', '0F 38 3A', i16x8.minU), sseRow('PMINUD', '0F 38 3B', i32x4.minU),
  sseRow('PMAXSB', '0F 38 3C', i8x16.maxS), sseRow('PMAXSD', '0F 38 3D', i32x4.maxS), sseRow('PMAXUW', '0F 38 3E', i16x8.maxU), sseRow('PMAXUD', '0F 38 3F', i32x4.maxU),
  ...packed('PCMPEQB', '0F 74', i8x16.eq), ...packed('PCMPEQW', '0F 75', i16x8.eq), ...packed('PCMPEQD', '0F 76', i32x4.eq), sseRow('PCMPEQQ', '0F 38 29', i64x2.eq),
  ...packed('PCMPGTB', '0F 64', i8x16.gtS), ...packed('PCMPGTW', '0F 65', i16x8.gtS), ...packed('PCMPGTD', '0F 66', i32x4.gtS), sseRow('PCMPGTQ', '0F 38 37', i64x2.gtS),
  ...packed('PAND', '0F DB', v128.and), ...packed('PANDN', '0F DF', andNot), ...packed('POR', '0F EB', v128.or), ...packed('PXOR', '0F EF', v128.xor),
  ...LOGIC.flatMap(([name, opcode, f]) => [logicRows(`${name}PS`, 'NP', opcode, 'ps', f), logicRows(`${name}PD`, '66', opcode, 'pd', f)]),
  ...packedUnary('PABSB', '0F 38 1C', i8x16.abs), ...packedUnary('PABSW', '0F 38 1D', i16x8.abs), ...packedUnary('PABSD', '0F 38 1E', i32x4.abs),
  ...packed('PSIGNB', '0F 38 08', sign(i8x16, 8)), ...packed('PSIGNW', '0F 38 09', sign(i16x8, 16)), ...packed('PSIGND', '0F 38 0A', sign(i32x4, 32)),
  ...horizontalRows('PHADDW', '0F 38 01', 2, i16x8.add), ...horizontalRows('PHADDD', '0F 38 02', 4, i32x4.add), ...horizontalRows('PHADDSW', '0F 38 03', 2, i16x8.addSatS),
  ...horizontalRows('PHSUBW', '0F 38 05', 2, i16x8.sub), ...horizontalRows('PHSUBD', '0F 38 06', 4, i32x4.sub), ...horizontalRows('PHSUBSW', '0F 38 07', 2, i16x8.subSatS),
  ...shiftRows('PSRLW', 'logical', WORD, '0F D1', '0F 71 /2'), ...shiftRows('PSRAW', 'arithmetic', WORD, '0F E1', '0F 71 /4'), ...shiftRows('PSLLW', 'left', WORD, '0F F1', '0F 71 /6'),
  ...shiftRows('PSRLD', 'logical', DWORD, '0F D2', '0F 72 /2'), ...shiftRows('PSRAD', 'arithmetic', DWORD, '0F E2', '0F 72 /4'), ...shiftRows('PSLLD', 'left', DWORD, '0F F2', '0F 72 /6'),
  ...shiftRows('PSRLQ', 'logical', QWORD, '0F D3', '0F 73 /2'), ...shiftRows('PSLLQ', 'left', QWORD, '0F F3', '0F 73 /6'),
  { name: 'PSRLDQ', opcode: '66 0F 73 /3 ib', operands: ['Ux', 'Ib'], sem: shiftBytes(false) },
  { name: 'PSLLDQ', opcode: '66 0F 73 /7 ib', operands: ['Ux', 'Ib'], sem: shiftBytes(true) },
];
