// Operands of MMX and SSE instructions. A vector is a v128; an MMX register or a shorter memory operand is its low
// part, the rest zero. Memory comes first, as everywhere: a fault leaves everything as it was.
//
// 128-bit memory operands must be aligned (#GP) except where an instruction is made for unaligned ones. MMX registers
// are the significands of the x87's: an instruction that touches one raises a pending #MF, then makes all of them
// valid with TOP 0, and what it writes gets all ones as exponent and sign (Intel SDM vol. 3, 12.2).

import { CPU, FX } from '../cpu-state.ts';
import { and, i32, load, ne, shrU, widenU, type Expr } from '../wasm/expr.ts';
import { fromI32, i16x8, i32x4, i64x2, i8x16, loadZero, v128, v128Const } from '../wasm/simd.ts';
import type { Env } from './env.ts';
import type { Row } from './row.ts';

/** Meaning of a two-operand packed instruction: destination and source, both pinned. */
export type PackedOperation = (a: Expr, b: Expr, e: Env) => Expr;

/** A 128-bit operand: register, or memory that must be aligned. */
export const read128 = (e: Env, k: number): Expr => e.readVector(k, 'v128', 128, true);
/** Bits of operand k as a vector's low part; the rest is zero. Memory need not be aligned. */
export function readLow(e: Env, k: number, bits: 16 | 32 | 64): Expr {
  const at = e.isMemory(k) ? e.translate(e.address(), bits, false, 'operand') : e.registerAddress(k);
  return e.fn.let(bits === 16 ? fromI32(load('i32', 16, at)) : loadZero(bits, at));
}
/** XMM0, the implicit mask of some instructions. */
export const readXmm0 = (e: Env): Expr => e.fn.let(load('v128', 128, e.cpu, CPU.fxState + FX.xmm));
/** Writes all of an XMM register. */
export const write128 = (e: Env, k: number, value: Expr): void => e.writeVector(k, 128, value);

const PENDING = 0x80; // status word: an unmasked exception is pending
/** status word and tag byte: pending, TOP, tags */
const STATE = 0xff_3880;
const READY = 0xff_0000;

/** Raises a pending #MF. @returns the x87's state, as far as STATE */
export function checkPending(e: Env): Expr {
  const state = e.fn.let(and(load('i32', 32, e.cpu, CPU.fxState + FX.fsw), i32(STATE)));
  e.fn.if(and(state, i32(PENDING)), () => e.raise(16));
  return state;
}
/** Begins an MMX instruction. `memory` reads what is in memory, and may fault; registers are to be read afterwards. */
export function enterMmx(e: Env, memory?: () => void): void {
  const state = checkPending(e);
  memory?.();
  e.fn.if(ne(state, i32(READY)), () => e.slow('enterMmx', i32(0)));
}
/** Likewise for an MMX instruction that writes memory. When that faults, TOP is 0 already, as on processors; tags are not. */
export function enterMmxForStore(e: Env, store: () => void): void {
  const tags = CPU.fxState + FX.ftw;
  const state = checkPending(e);
  const old = e.fn.let(load('i32', 8, e.cpu, tags));
  e.fn.if(ne(state, i32(READY)), () => {
    e.slow('enterMmx', i32(0));
    e.fn.store(8, e.cpu, old, tags);
  });
  store();
  e.fn.store(8, e.cpu, i32(0xff), tags);
}
/** Both operands of an MMX instruction whose second one is a register or memory. */
export function readMmx2(e: Env): [Expr, Expr] {
  const b = readMmxSource(e);
  return [readLow(e, 0, 64), b];
}
/** The source of an MMX instruction, operand 1, in a register or memory. */
export function readMmxSource(e: Env): Expr {
  let b: Expr | undefined;
  enterMmx(e, () => { if (e.isMemory(1)) b = readLow(e, 1, e.bits(1) as 32 | 64); });
  return b ?? readLow(e, 1, 64);
}
/** Writes an MMX register from a vector's low half, or an i64. */
export function writeMmx(e: Env, k: number, value: Expr): void {
  const at = e.registerAddress(k);
  e.fn.store(64, at, value.type === 'v128' ? i64x2.extract(value, 0) : value);
  e.fn.store(16, at, i32(0xffff), 8);
}

/** destination = f(destination, source) */
export const binary128 = (f: PackedOperation) => (e: Env): void => {
  const b = read128(e, 1);
  const a = read128(e, 0);
  write128(e, 0, f(a, b, e));
};
/** destination = f(source) */
export const unary128 = (f: (b: Expr, e: Env) => Expr) => (e: Env): void => write128(e, 0, f(read128(e, 1), e));
export const binaryMmx = (f: PackedOperation) => (e: Env): void => {
  const [a, b] = readMmx2(e);
  writeMmx(e, 0, f(a, b, e));
};
export const unaryMmx = (f: (b: Expr, e: Env) => Expr) => (e: Env): void => writeMmx(e, 0, f(readMmxSource(e), e));

/** An instruction on XMM registers with prefix 66. */
export const sseRow = (name: string, opcode: string, f: PackedOperation): Row => ({ name, opcode: `66 ${opcode} /r`, operands: ['Vx', 'Wx'], sem: binary128(f) });
/** An instruction that exists for MMX and XMM registers; `mmx` where lanes of the two halves mix. */
export const packed = (name: string, opcode: string, f: PackedOperation, mmx: PackedOperation = f): Row[] => [
  { name, opcode: `NP ${opcode} /r`, operands: ['Pq', 'Qq'], sem: binaryMmx(mmx) },
  sseRow(name, opcode, f),
];
/** Likewise, of one source. */
export const packedUnary = (name: string, opcode: string, f: (b: Expr, e: Env) => Expr): Row[] => [
  { name, opcode: `NP ${opcode} /r`, operands: ['Pq', 'Qq'], sem: unaryMmx(f) },
  { name, opcode: `66 ${opcode} /r`, operands: ['Vx', 'Wx'], sem: unary128(f) },
];

const HALVES = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];
/** Both MMX operands as one vector: what packs and adds neighbours then gives the MMX result as its low half. */
export const joined = (f: PackedOperation): PackedOperation => (a, b, e) => {
  const both = e.fn.let(i8x16.shuffle(a, b, HALVES));
  return f(both, both, e);
};
/** Byte numbers of lanes of `bytes` bytes; lanes of the second operand follow those of the first. */
export const laneBytes = (lanes: readonly number[], bytes: number): number[] => lanes.flatMap((n) => Array.from({ length: bytes }, (_, i) => n * bytes + i));
/** A constant shuffle of lanes of `bytes` bytes. */
export const lanesOf = (bytes: number, ...lanes: number[]): PackedOperation => {
  const numbers = laneBytes(lanes, bytes);
  return (a, b) => i8x16.shuffle(a, b, numbers);
};
/** An immediate byte's field as an i32. */
export const immediateField = (e: Env, shift: number, mask: number): Expr => e.fn.let(and(shrU(e.imm(8), i32(shift)), i32(mask)));

/** All ones in each lane of `bits` whose bit of a small number is set: lane 0 has bit 0. */
export function laneMask(e: Env, bits: 16 | 32 | 64, chosen: Expr): Expr {
  if (bits === 16) return equalTo(e, i16x8.splat(chosen), i16x8.eq, v128Const(0x0008_0004_0002_0001n, 0x0080_0040_0020_0010n));
  if (bits === 32) return equalTo(e, i32x4.splat(chosen), i32x4.eq, v128Const(0x0000_0002_0000_0001n, 0x0000_0008_0000_0004n));
  return equalTo(e, i64x2.splat(widenU(chosen)), i64x2.eq, v128Const(1n, 2n));
}
const equalTo = (e: Env, splat: Expr, equal: (a: Expr, b: Expr) => Expr, lanes: Expr): Expr => e.fn.let(equal(v128.and(splat, lanes), lanes));
