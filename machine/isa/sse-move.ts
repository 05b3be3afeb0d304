// Moves of vectors and their parts: SDM vol. 2, MOVAPS to MOVUPS, MOVD, MOVQ, MOVNT, MASKMOV and MOVMSK.

import { add, and, ctz, i32, load, sub, widenU, type Expr } from '../wasm/expr.ts';
import { fromI32, fromI64, i32x4, i64x2, i8x16 } from '../wasm/simd.ts';
import type { Env } from './env.ts';
import type { Row } from './row.ts';
import { enterMmx, enterMmxForStore, lanesOf, read128, readLow, readMmxSource, unary128, write128, writeMmx } from './vector.ts';

/** 128 bits; memory must be aligned or not */
const move = (aligned: boolean) => (e: Env): void => e.writeVector(0, 128, e.readVector(1, 'v128', 128, aligned), aligned);
/** `bits` to the low part of a register, the rest stays; or to memory */
const movePart = (bits: 32 | 64) => (e: Env): void => e.writeVector(0, bits, e.readVector(1, bits === 32 ? 'i32' : 'i64', bits));
/** `bits` to the low part of a register, the rest is cleared */
const moveZero = (bits: 32 | 64) => (e: Env): void => write128(e, 0, readLow(e, 1, bits));
const low = (e: Env, k: number): Expr => e.readVector(k, 'i64', 64);
const setHigh = (e: Env, value: Expr): void => write128(e, 0, i64x2.replace(read128(e, 0), 1, value));

const loadHigh = (e: Env): void => setHigh(e, e.readVector(1, 'i64', 64));
const storeHigh = (e: Env): void => e.writeVector(0, 64, e.readHigh(1));
const storeLow = (e: Env): void => e.writeVector(0, 64, low(e, 1));
const movddup = (e: Env): void => write128(e, 0, i64x2.splat(e.readVector(1, 'i64', 64)));

/** From a general register or memory of 32 or 64 bits. */
const fromGeneral = (e: Env): void => {
  const v = e.read(1);
  write128(e, 0, e.bits(1) === 64 ? fromI64(v) : fromI32(v));
};
const toGeneral = (e: Env): void => e.write(0, e.readVector(1, e.bits(0) === 64 ? 'i64' : 'i32', e.bits(0)));
const fromGeneralMmx = (e: Env): void => {
  let v: Expr | undefined;
  enterMmx(e, () => { v = e.read(1); });
  writeMmx(e, 0, e.wideUnsigned(v as Expr, e.bits(1)));
};
const toGeneralMmx = (e: Env): void =>
  enterMmxForStore(e, () => e.write(0, load(e.bits(0) === 64 ? 'i64' : 'i32', e.bits(0), e.registerAddress(1))));
const loadMmx = (e: Env): void => writeMmx(e, 0, readMmxSource(e));
const storeMmx = (e: Env): void => {
  if (e.isMemory(0)) enterMmxForStore(e, () => e.writeVector(0, 64, low(e, 1)));
  else {
    enterMmx(e);
    writeMmx(e, 0, low(e, 1));
  }
};
/** MOVQ2DQ and MOVDQ2Q */
const fromMmx = (e: Env): void => {
  enterMmx(e);
  write128(e, 0, readLow(e, 1, 64));
};
const toMmx = (e: Env): void => {
  enterMmx(e);
  writeMmx(e, 0, low(e, 1));
};
const storeGeneral = (e: Env): void => e.write(0, e.read(1));

/**
 * Writes to DS:rDI the bytes of operand 1 whose bit in `mask` is set; others are not touched. Processors check it as
 * stores of eight bytes, the upper one first, each whole, even where nothing is written.
 */
function storeMasked(e: Env, mask: Expr, bytes: 8 | 16): void {
  const va = e.address();
  const from = e.registerAddress(1);
  const at = (i: Expr): Expr => e.fn.let(e.linear(add(va, widenU(i))));
  for (let half = bytes - 8; half >= 0; half -= 8) e.translate(at(i32(half)), 64, true, 'operand');
  const left = e.fn.var('i32', mask);
  e.fn.block((done) => e.fn.loop((again) => {
    e.fn.brUnless(done, left.get);
    const i = e.fn.let(ctz(left.get));
    e.storeGuest(at(i), 8, load('i32', 8, add(from, i)), 'operand');
    left.set(and(left.get, sub(left.get, i32(1))));
    e.fn.br(again);
  }));
}
const maskmovdqu = (e: Env): void => storeMasked(e, e.fn.let(i8x16.bitmask(read128(e, 2))), 16);
const maskmovq = (e: Env): void => {
  enterMmx(e);
  storeMasked(e, e.fn.let(i8x16.bitmask(readLow(e, 2, 64))), 8);
};

const mask = (bits: (v: Expr) => Expr) => (e: Env): void => e.write(0, bits(read128(e, 1)));
const pmovmskbMmx = (e: Env): void => {
  enterMmx(e);
  e.write(0, i8x16.bitmask(readLow(e, 1, 64)));
};

/** Load and store forms of a move. */
const both = (name: string, loadOpcode: string, storeOpcode: string, v: string, w: string, sem: Row['sem'], store = sem): Row[] => [
  { name, opcode: `${loadOpcode} /r`, operands: [`V${v}`, `W${w}`], sem },
  { name, opcode: `${storeOpcode} /r`, operands: [`W${w}`, `V${v}`], sem: store },
];

export const sseMove: readonly Row[] = [
  ...both('MOVAPS', 'NP 0F 28', 'NP 0F 29', 'ps', 'ps', move(true)),
  ...both('MOVAPD', '66 0F 28', '66 0F 29', 'pd', 'pd', move(true)),
  ...both('MOVUPS', 'NP 0F 10', 'NP 0F 11', 'ps', 'ps', move(false)),
  ...both('MOVUPD', '66 0F 10', '66 0F 11', 'pd', 'pd', move(false)),
  ...both('MOVDQA', '66 0F 6F', '66 0F 7F', 'x', 'x', move(true)),
  ...both('MOVDQU', 'F3 0F 6F', 'F3 0F 7F', 'x', 'x', move(false)),
  { name: 'LDDQU', opcode: 'F2 0F F0 /r', operands: ['Vx', 'Mx'], sem: move(false) },
  { name: 'MOVSS', opcode: 'F3 0F 10 /r', operands: ['Vss', 'Wss'], sem: (e) => (e.isMemory(1) ? moveZero : movePart)(32)(e) },
  { name: 'MOVSS', opcode: 'F3 0F 11 /r', operands: ['Wss', 'Vss'], sem: movePart(32) },
  { name: 'MOVSD', opcode: 'F2 0F 10 /r', operands: ['Vsd', 'Wsd'], sem: (e) => (e.isMemory(1) ? moveZero : movePart)(64)(e) },
  { name: 'MOVSD', opcode: 'F2 0F 11 /r', operands: ['Wsd', 'Vsd'], sem: movePart(64) },
  ...(['NP', '66'] as const).flatMap((prefix): Row[] => [
    { name: prefix === 'NP' ? 'MOVLPS' : 'MOVLPD', opcode: `${prefix} 0F 12 /r`, operands: ['Vq', 'Mq'], sem: movePart(64) },
    { name: prefix === 'NP' ? 'MOVLPS' : 'MOVLPD', opcode: `${prefix} 0F 13 /r`, operands: ['Mq', 'Vq'], sem: storeLow },
    { name: prefix === 'NP' ? 'MOVHPS' : 'MOVHPD', opcode: `${prefix} 0F 16 /r`, operands: ['Vq', 'Mq'], sem: loadHigh },
    { name: prefix === 'NP' ? 'MOVHPS' : 'MOVHPD', opcode: `${prefix} 0F 17 /r`, operands: ['Mq', 'Vq'], sem: storeHigh },
  ]),
  { name: 'MOVHLPS', opcode: 'NP 0F 12 /r', operands: ['Vq', 'Uq'], sem: (e) => e.writeVector(0, 64, e.readHigh(1)) },
  { name: 'MOVLHPS', opcode: 'NP 0F 16 /r', operands: ['Vq', 'Uq'], sem: (e) => setHigh(e, low(e, 1)) },
  { name: 'MOVSLDUP', opcode: 'F3 0F 12 /r', operands: ['Vps', 'Wps'], sem: unary128((b, e) => lanesOf(4, 0, 0, 2, 2)(b, b, e)) },
  { name: 'MOVSHDUP', opcode: 'F3 0F 16 /r', operands: ['Vps', 'Wps'], sem: unary128((b, e) => lanesOf(4, 1, 1, 3, 3)(b, b, e)) },
  { name: 'MOVDDUP', opcode: 'F2 0F 12 /r', operands: ['Vq', 'Wq'], sem: movddup },
  { name: 'MOVD', opcode: '66 0F 6E /r', operands: ['Vx', 'Ey'], sem: fromGeneral },
  { name: 'MOVD', opcode: '66 0F 7E /r', operands: ['Ey', 'Vx'], sem: toGeneral },
  { name: 'MOVD', opcode: 'NP 0F 6E /r', operands: ['Pq', 'Ey'], sem: fromGeneralMmx },
  { name: 'MOVD', opcode: 'NP 0F 7E /r', operands: ['Ey', 'Pq'], sem: toGeneralMmx },
  { name: 'MOVQ', opcode: 'F3 0F 7E /r', operands: ['Vq', 'Wq'], sem: moveZero(64) },
  { name: 'MOVQ', opcode: '66 0F D6 /r', operands: ['Wq', 'Vq'], sem: (e) => (e.isMemory(0) ? storeLow : moveZero(64))(e) },
  { name: 'MOVQ', opcode: 'NP 0F 6F /r', operands: ['Pq', 'Qq'], sem: loadMmx },
  { name: 'MOVQ', opcode: 'NP 0F 7F /r', operands: ['Qq', 'Pq'], sem: storeMmx },
  { name: 'MOVQ2DQ', opcode: 'F3 0F D6 /r', operands: ['Vx', 'Nq'], sem: fromMmx },
  { name: 'MOVDQ2Q', opcode: 'F2 0F D6 /r', operands: ['Pq', 'Uq'], sem: toMmx },
  { name: 'MOVNTI', opcode: 'NP 0F C3 /r', operands: ['My', 'Gy'], sem: storeGeneral },
  { name: 'MOVNTQ', opcode: 'NP 0F E7 /r', operands: ['Mq', 'Pq'], sem: storeMmx },
  { name: 'MOVNTPS', opcode: 'NP 0F 2B /r', operands: ['Mps', 'Vps'], sem: move(true) },
  { name: 'MOVNTPD', opcode: '66 0F 2B /r', operands: ['Mpd', 'Vpd'], sem: move(true) },
  { name: 'MOVNTDQ', opcode: '66 0F E7 /r', operands: ['Mx', 'Vx'], sem: move(true) },
  { name: 'MOVNTDQA', opcode: '66 0F 38 2A /r', operands: ['Vx', 'Mx'], sem: move(true) },
  { name: 'MASKMOVDQU', opcode: '66 0F F7 /r', operands: ['BDx', 'Vx', 'Ux'], sem: maskmovdqu },
  { name: 'MASKMOVQ', opcode: 'NP 0F F7 /r', operands: ['BDq', 'Pq', 'Nq'], sem: maskmovq },
  { name: 'MOVMSKPS', opcode: 'NP 0F 50 /r', operands: ['Gd', 'Ups'], sem: mask(i32x4.bitmask) },
  { name: 'MOVMSKPD', opcode: '66 0F 50 /r', operands: ['Gd', 'Upd'], sem: mask(i64x2.bitmask) },
  { name: 'PMOVMSKB', opcode: '66 0F D7 /r', operands: ['Gd', 'Ux'], sem: mask(i8x16.bitmask) },
  { name: 'PMOVMSKB', opcode: 'NP 0F D7 /r', operands: ['Gd', 'Nq'], sem: pmovmskbMmx },
];
