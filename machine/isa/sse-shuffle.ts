// Packing, interleaving, shuffling, and single elements in and out of vectors: SDM vol. 2. The control of a shuffle is
// an immediate that the description does not know, so it is turned into byte numbers for one swizzle.

import { add, gtU, i32, load, select, shl, type Expr } from '../wasm/expr.ts';
import { i16x8, i32x4, i64x2, i8x16, laneConst, v128, v128Const } from '../wasm/simd.ts';
import type { Env } from './env.ts';
import type { Row } from './row.ts';
import { binary128, binaryMmx, enterMmx, immediateField, joined, lanesOf, packed, read128, readLow, readMmx2, readMmxSource, sseRow, write128, writeMmx, type PackedOperation } from './vector.ts';

/** Interleaves the low halves of both operands, lanes of `bytes` bytes. */
const unpackLow = (bytes: number): PackedOperation => lanesOf(bytes, ...Array.from({ length: 16 / bytes }, (_, i) => (i >> 1) + (i & 1) * (16 / bytes)));
const unpackHigh = (bytes: number): PackedOperation => lanesOf(bytes, ...Array.from({ length: 16 / bytes }, (_, i) => (i >> 1) + (i & 1) * (16 / bytes) + 8 / bytes));
/** For MMX: the upper half of what interleaving the 64 bits gives. */
const unpackHighMmx = (bytes: number): PackedOperation => (a, b, e) => {
  const both = e.fn.let(unpackLow(bytes)(a, b, e));
  return lanesOf(8, 1, 1)(both, both, e);
};

const shuffleBytes = (mask: number): PackedOperation => (a, b) => i8x16.swizzle(a, v128.and(b, laneConst(8, mask)));
const BYTE_NUMBERS = v128Const(0x0706_0504_0302_0100n, 0x0f0e_0d0c_0b0a_0908n);

/** The immediate's four 2-bit fields, one a lane of 32 bits. */
const fields32 = (e: Env): Expr =>
  v128.and(i32x4.shrU(i32x4.mul(i32x4.splat(e.imm(8)), v128Const(0x0000_0010_0000_0040n, 0x0000_0001_0000_0004n)), i32(6)), laneConst(32, 3));
/** Byte numbers of the lanes of 32 bits that the immediate names. */
const dwordControl = (e: Env): Expr => e.fn.let(i32x4.add(i32x4.mul(fields32(e), laneConst(32, 0x0404_0404)), laneConst(32, 0x0302_0100)));
/** Byte numbers of the words 0 to 3 that the immediate names, in both halves. */
const wordControl = (e: Env): Expr => {
  const fields = v128.and(i16x8.shrU(i16x8.mul(i16x8.splat(e.imm(8)), laneConst(64, 0x0001_0004_0010_0040n)), i32(6)), laneConst(16, 3));
  return i16x8.add(i16x8.mul(fields, laneConst(16, 0x0202)), laneConst(16, 0x0100));
};
const pshufd = (e: Env): void => write128(e, 0, i8x16.swizzle(read128(e, 1), dwordControl(e)));
const pshuflw = (e: Env): void => write128(e, 0, i8x16.swizzle(read128(e, 1), v128.bitselect(wordControl(e), BYTE_NUMBERS, v128Const(-1n, 0n))));
const pshufhw = (e: Env): void => write128(e, 0, i8x16.swizzle(read128(e, 1), v128.bitselect(i8x16.add(wordControl(e), laneConst(8, 8)), BYTE_NUMBERS, v128Const(0n, -1n))));
const pshufw = (e: Env): void => writeMmx(e, 0, i8x16.swizzle(readMmxSource(e), wordControl(e)));
/** Two lanes of the destination, then two of the source. */
const shufps = (e: Env): void => {
  const b = read128(e, 1);
  const control = dwordControl(e);
  write128(e, 0, lanesOf(8, 0, 3)(i8x16.swizzle(read128(e, 0), control), i8x16.swizzle(b, control), e));
};
const shufpd = (e: Env): void => {
  const b = read128(e, 1);
  const a = read128(e, 0);
  const pick = (v: Expr, bit: number): Expr => select(immediateField(e, bit, 1), i64x2.extract(v, 1), i64x2.extract(v, 0));
  write128(e, 0, i64x2.replace(i64x2.splat(pick(a, 0)), 1, pick(b, 1)));
};

/** The bytes of (a : b) >> 8 × immediate, of registers of `size` bytes. */
const align = (e: Env, a: Expr, b: Expr, size: 8 | 16): Expr => {
  const n = e.fn.let(e.imm(8));
  const from = e.fn.let(i8x16.add(BYTE_NUMBERS, i8x16.splat(select(gtU(n, i32(32)), i32(32), n))));
  if (size === 8) return i8x16.swizzle(lanesOf(8, 0, 2)(b, a, e), from);
  return v128.or(i8x16.swizzle(b, from), i8x16.swizzle(a, i8x16.sub(from, laneConst(8, 16))));
};
const palignr = (e: Env): void => {
  const b = read128(e, 1);
  write128(e, 0, align(e, read128(e, 0), b, 16));
};
const palignrMmx = (e: Env): void => {
  const [a, b] = readMmx2(e);
  writeMmx(e, 0, align(e, a, b, 8));
};

// ---- single elements

/** Capsule address of the element of `bytes` bytes that the immediate names in register operand k. */
const elementAddress = (e: Env, k: number, bytes: number, size = 16): Expr =>
  add(e.registerAddress(k), shl(immediateField(e, 0, size / bytes - 1), i32(Math.log2(bytes))));
const insert = (bytes: 1 | 2 | 4 | 8) => (e: Env): void => {
  const v = e.read(1);
  e.fn.store(bytes * 8, elementAddress(e, 0, bytes), v);
};
const extract = (bytes: 1 | 2 | 4 | 8) => (e: Env): void => e.write(0, load(bytes === 8 ? 'i64' : 'i32', bytes * 8, elementAddress(e, 1, bytes)));
/** PINSRD and PEXTRD, or PINSRQ and PEXTRQ, by operand size. */
const bySize = (f: (bytes: 4 | 8) => (e: Env) => void) => (e: Env): void => f(e.opSize === 64 ? 8 : 4)(e);
const pinsrwMmx = (e: Env): void => {
  let v: Expr | undefined;
  enterMmx(e, () => { v = e.read(1); });
  writeMmx(e, 0, readLow(e, 0, 64));
  e.fn.store(16, elementAddress(e, 0, 2, 8), v as Expr);
};
const pextrwMmx = (e: Env): void => {
  enterMmx(e);
  e.write(0, load('i32', 16, elementAddress(e, 1, 2, 8)));
};

const LANES = [['BW', '60', '68', 1], ['WD', '61', '69', 2], ['DQ', '62', '6A', 4]] as const;

export const sseShuffle: readonly Row[] = [
  ...LANES.flatMap(([name, low, high, bytes]) => [
    // the MMX form reads no more memory than it needs, the XMM form does
    { name: `PUNPCKL${name}`, opcode: `NP 0F ${low} /r`, operands: ['Pq', 'Qd'], sem: binaryMmx(unpackLow(bytes)) },
    sseRow(`PUNPCKL${name}`, `0F ${low}`, unpackLow(bytes)),
    ...packed(`PUNPCKH${name}`, `0F ${high}`, unpackHigh(bytes), unpackHighMmx(bytes)),
  ]),
  sseRow('PUNPCKLQDQ', '0F 6C', unpackLow(8)), sseRow('PUNPCKHQDQ', '0F 6D', unpackHigh(8)),
  { name: 'UNPCKLPS', opcode: 'NP 0F 14 /r', operands: ['Vps', 'Wps'], sem: binary128(unpackLow(4)) },
  { name: 'UNPCKHPS', opcode: 'NP 0F 15 /r', operands: ['Vps', 'Wps'], sem: binary128(unpackHigh(4)) },
  { name: 'UNPCKLPD', opcode: '66 0F 14 /r', operands: ['Vpd', 'Wpd'], sem: binary128(unpackLow(8)) },
  { name: 'UNPCKHPD', opcode: '66 0F 15 /r', operands: ['Vpd', 'Wpd'], sem: binary128(unpackHigh(8)) },
  ...packed('PACKSSWB', '0F 63', i8x16.narrowS, joined(i8x16.narrowS)), ...packed('PACKSSDW', '0F 6B', i16x8.narrowS, joined(i16x8.narrowS)),
  ...packed('PACKUSWB', '0F 67', i8x16.narrowU, joined(i8x16.narrowU)), sseRow('PACKUSDW', '0F 38 2B', i16x8.narrowU),
  ...packed('PSHUFB', '0F 38 00', shuffleBytes(0x8f), shuffleBytes(0x87)),
  { name: 'PSHUFD', opcode: '66 0F 70 /r ib', operands: ['Vx', 'Wx', 'Ib'], sem: pshufd },
  { name: 'PSHUFLW', opcode: 'F2 0F 70 /r ib', operands: ['Vx', 'Wx', 'Ib'], sem: pshuflw },
  { name: 'PSHUFHW', opcode: 'F3 0F 70 /r ib', operands: ['Vx', 'Wx', 'Ib'], sem: pshufhw },
  { name: 'PSHUFW', opcode: 'NP 0F 70 /r ib', operands: ['Pq', 'Qq', 'Ib'], sem: pshufw },
  { name: 'SHUFPS', opcode: 'NP 0F C6 /r ib', operands: ['Vps', 'Wps', 'Ib'], sem: shufps },
  { name: 'SHUFPD', opcode: '66 0F C6 /r ib', operands: ['Vpd', 'Wpd', 'Ib'], sem: shufpd },
  { name: 'PALIGNR', opcode: '66 0F 3A 0F /r ib', operands: ['Vx', 'Wx', 'Ib'], sem: palignr },
  { name: 'PALIGNR', opcode: 'NP 0F 3A 0F /r ib', operands: ['Pq', 'Qq', 'Ib'], sem: palignrMmx },
  { name: 'PINSRW', opcode: '66 0F C4 /r ib', operands: ['Vx', 'Rd', 'Ib'], sem: insert(2) },
  { name: 'PINSRW', opcode: '66 0F C4 /r ib', operands: ['Vx', 'Mw', 'Ib'], sem: insert(2) },
  { name: 'PINSRW', opcode: 'NP 0F C4 /r ib', operands: ['Pq', 'Rd', 'Ib'], sem: pinsrwMmx },
  { name: 'PINSRW', opcode: 'NP 0F C4 /r ib', operands: ['Pq', 'Mw', 'Ib'], sem: pinsrwMmx },
  { name: 'PINSRB', opcode: '66 0F 3A 20 /r ib', operands: ['Vx', 'Rd', 'Ib'], sem: insert(1) },
  { name: 'PINSRB', opcode: '66 0F 3A 20 /r ib', operands: ['Vx', 'Mb', 'Ib'], sem: insert(1) },
  { name: 'PINSRD', opcode: '66 0F 3A 22 /r ib', operands: ['Vx', 'Ey', 'Ib'], sem: bySize(insert) },
  { name: 'PEXTRW', opcode: '66 0F C5 /r ib', operands: ['Gd', 'Ux', 'Ib'], sem: extract(2) },
  { name: 'PEXTRW', opcode: 'NP 0F C5 /r ib', operands: ['Gd', 'Nq', 'Ib'], sem: pextrwMmx },
  { name: 'PEXTRW', opcode: '66 0F 3A 15 /r ib', operands: ['Rd', 'Vx', 'Ib'], sem: extract(2) },
  { name: 'PEXTRW', opcode: '66 0F 3A 15 /r ib', operands: ['Mw', 'Vx', 'Ib'], sem: extract(2) },
  { name: 'PEXTRB', opcode: '66 0F 3A 14 /r ib', operands: ['Rd', 'Vx', 'Ib'], sem: extract(1) },
  { name: 'PEXTRB', opcode: '66 0F 3A 14 /r ib', operands: ['Mb', 'Vx', 'Ib'], sem: extract(1) },
  { name: 'EXTRACTPS', opcode: '66 0F 3A 17 /r ib', operands: ['Ed', 'Vx', 'Ib'], sem: extract(4) },
  { name: 'PEXTRD', opcode: '66 0F 3A 16 /r ib', operands: ['Ey', 'Vx', 'Ib'], sem: bySize(extract) },
];
