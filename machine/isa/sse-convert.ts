// Conversions between integers, singles and doubles, and rounding to integers: SDM vol. 2, CVT and ROUND. What runs
// inline and what does not is told in float-path.ts.

import { SSE, type ShapeName } from '../fpu/sse-operation.ts';
import { and, eq, eqz, i32, i64, ne, op, or, select, shrU, type Expr } from '../wasm/expr.ts';
import { f32x4, f64x2, i32x4, i64x2, i8x16, laneConst, v128 } from '../wasm/simd.ts';
import type { Env } from './env.ts';
import { fastOrExact, floatConst, notNominal, PD, PS, readFloat, SD, SS, writeFloat, type FloatForm } from './float-path.ts';
import type { Row } from './row.ts';
import { enterMmx, lanesOf, read128, readLow, write128, writeMmx } from './vector.ts';

const PE_SET_AND_MASKED = 0x1020;
const DAZ = 0x40;
/** i32: an inexact result changes MXCSR or raises #XM */
const precisionMatters = (e: Env): Expr => ne(and(e.mxcsr(), i32(PE_SET_AND_MASKED)), i32(PE_SET_AND_MASKED));

// ---- float to integer

/** Rounds as MXCSR says while that is to nearest; the exact routine does the others. */
const notNearest = (e: Env): Expr => and(e.mxcsr(), i32(0x6000));

/** A scalar to a signed integer of the operand size. Out of range is left to the exact routine, as are NaNs. */
const toInteger = (f: FloatForm, truncate: boolean) => (e: Env): void => {
  const wide = e.opSize === 64;
  const v = readFloat(e, 1, f);
  const whole = e.fn.let(truncate ? f.trunc(v) : f.nearest(v));
  // the limits are powers of two, which both formats hold
  const inRange = and(f.lt(whole, limit(f, wide)), f.le(limit(f, wide, true), whole));
  const inexact = and(eqz(f.eq(whole, v)), precisionMatters(e));
  const refused = [eqz(inRange), inexact, ...(truncate ? [] : [notNearest(e)])].reduce(or);
  const operation = wide ? (truncate ? SSE.truncateToInt64 : SSE.toInt64) : truncate ? SSE.truncateToInt32 : SSE.toInt32;
  // i32 or i64.trunc_sat_f32_s or _f64_s: never traps
  const converted = op(wide ? 'i64' : 'i32', [0xfc, (wide ? 4 : 0) + (f.double ? 2 : 0)], whole);
  e.write(0, fastOrExact(e, converted, refused, { operation, shape: f.shape }, v));
};
/** ±2^31 or ±2^63 */
function limit(f: FloatForm, wide: boolean, negative = false): Expr {
  const [bits, sign] = f.double ? [wide ? 0x43e0_0000_0000_0000n : 0x41e0_0000_0000_0000n, 1n << 63n] : [wide ? 0x5f00_0000n : 0x4f00_0000n, 1n << 31n];
  return floatConst(f.double, negative ? bits | sign : bits);
}

/** Lanes to 32-bit integers. */
function toIntegers(e: Env, f: FloatForm, v: Expr, truncate: boolean, shape: ShapeName): Expr {
  const whole = e.fn.let(truncate ? f.trunc(v) : f.nearest(v));
  const splat = f.double ? f64x2.splat : f32x4.splat;
  const inRange = v128.and(f.lt(whole, splat(limit(f, false))), f.le(splat(limit(f, false, true)), whole));
  const inexact = and(eqz(f.all(f.eq(whole, v))), precisionMatters(e));
  const refused = [eqz(f.all(inRange)), inexact, ...(truncate ? [] : [notNearest(e)])].reduce(or);
  const converted = f.double ? i32x4.truncSatF64x2SZero(whole) : i32x4.truncSatF32x4S(whole);
  return fastOrExact(e, converted, refused, { operation: truncate ? SSE.truncateToInt32 : SSE.toInt32, shape }, v);
}
const toIntegers128 = (f: FloatForm, truncate: boolean) => (e: Env): void => write128(e, 0, toIntegers(e, f, read128(e, 1), truncate, f.shape));
/** CVTPS2PI, CVTPD2PI and their truncating forms: the source is an XMM register or memory. */
const toIntegersMmx = (f: FloatForm, truncate: boolean) => (e: Env): void => {
  let v: Expr | undefined;
  const read = (): void => { v = f.double ? read128(e, 1) : readLow(e, 1, 64); };
  enterMmx(e, e.isMemory(1) ? read : undefined);
  if (!v) read();
  writeMmx(e, 0, toIntegers(e, f, v as Expr, truncate, f.double ? 'pd' : 'pi'));
};

// ---- integer to float

/** A general register or memory to a scalar. Doubles hold every 32-bit integer. */
const fromInteger = (f: FloatForm) => (e: Env): void => {
  const wide = e.opSize === 64;
  const n = e.read(1);
  // f32 or f64.convert_i32_s or _i64_s
  const converted = e.fn.let(op(f.double ? 'f64' : 'f32', [(f.double ? 0xb7 : 0xb2) + (wide ? 2 : 0)], n));
  if (f.double && !wide) { writeFloat(e, converted); return; }
  // an inexact result is beyond 2^24 or 2^53, and so is what it converts back to, unless that saturates
  const back = wide ? op('i64', [0xfc, f.double ? 6 : 4], converted) : op('i32', [0xfc, 0], converted);
  const exactly = and(eq(back, n), ne(n, wide ? i64(0x7fff_ffff_ffff_ffffn) : i32(0x7fff_ffff)));
  const refused = and(eqz(exactly), notNominal(e));
  writeFloat(e, fastOrExact(e, converted, refused, { operation: wide ? SSE.fromInt64 : SSE.fromInt32, shape: f.shape }, n));
};
/** Four 32-bit integers to singles; or two, from an MMX register or memory. */
const toSingles = (e: Env, n: Expr, shape: ShapeName): Expr => {
  const converted = e.fn.let(f32x4.convertI32x4S(n));
  const back = i32x4.truncSatF32x4S(converted);
  const exactly = v128.andnot(i32x4.eq(back, n), i32x4.eq(n, i32x4.splat(i32(0x7fff_ffff))));
  return fastOrExact(e, converted, and(eqz(i8x16.allTrue(exactly)), notNominal(e)), { operation: SSE.fromInt32, shape }, n);
};
/** The source of CVTPI2PS and CVTPI2PD: only a register makes it an MMX instruction. */
function readPackedIntegers(e: Env): Expr {
  if (!e.isMemory(1)) enterMmx(e);
  return readLow(e, 1, 64);
}
const cvtpi2ps = (e: Env): void => {
  const r = toSingles(e, readPackedIntegers(e), 'pi');
  e.fn.store(64, e.registerAddress(0), i64x2.extract(r, 0));
};

const cvtpi2pd = (e: Env): void => write128(e, 0, f64x2.convertLowI32x4S(readPackedIntegers(e)));

// ---- between single and double

/** Widening is exact; only NaNs and denormals report anything. */
const widenScalar = (e: Env): void => {
  const v = readFloat(e, 1, SS);
  writeFloat(e, fastOrExact(e, op('f64', [0xbb], v), SS.odd(e, v), { operation: SSE.convert, shape: 'ss' }, v));
};
const narrowScalar = (e: Env): void => {
  const v = readFloat(e, 1, SD);
  const r = e.fn.let(op('f32', [0xb6], v));
  writeFloat(e, fastOrExact(e, r, or(notNominal(e), SS.outside(e, r, SD.isZero(v))), { operation: SSE.convert, shape: 'sd' }, v));
};
const widenPacked = (e: Env): void => {
  const v = readLow(e, 1, 64);
  write128(e, 0, fastOrExact(e, f64x2.promoteLowF32x4(v), PS.odd(e, v), { operation: SSE.convert, shape: 'pi' }, v));
};
/** The upper two lanes of the result are zeros, exactly. */
const narrowPacked = (e: Env): void => {
  const v = read128(e, 1);
  const r = e.fn.let(f32x4.demoteF64x2Zero(v));
  const exactZero = lanesOf(4, 0, 2, 4, 4)(PD.isZero(v), laneConst(32, -1), e);
  write128(e, 0, fastOrExact(e, r, or(notNominal(e), PS.outside(e, r, exactZero)), { operation: SSE.convert, shape: 'pd' }, v));
};

// ---- rounding to an integer in the same format

/** Immediate: bit 2 takes MXCSR's mode in place of bits 1:0; bit 3 does not report an inexact result. */
const roundTo = (f: FloatForm) => (e: Env): void => {
  const v = readFloat(e, 1, f);
  const imm = e.fn.let(e.imm(8));
  const mxcsr = e.mxcsr();
  const mode = e.fn.let(and(select(and(imm, i32(4)), shrU(mxcsr, i32(13)), imm), i32(3)));
  const r = e.fn.var(v.type);
  e.fn.if(and(mode, i32(2)),
    () => e.fn.if(and(mode, i32(1)), () => r.set(f.trunc(v)), () => r.set(f.ceil(v))),
    () => e.fn.if(mode, () => r.set(f.floor(v)), () => r.set(f.nearest(v))));
  const inexact = eqz(f.all(f.eq(r.get, v)));
  const matters = and(eqz(and(imm, i32(8))), precisionMatters(e));
  const refused = [and(mxcsr, i32(DAZ)), eqz(f.all(f.eq(v, v))), and(inexact, matters)].reduce(or);
  writeFloat(e, fastOrExact(e, r.get, refused, { operation: SSE.round, shape: f.shape, immediate: imm }, v));
};

const row = (name: string, opcode: string, operands: string[], sem: Row['sem']): Row => ({ name, opcode: `${opcode} /r${operands.length === 3 ? ' ib' : ''}`, operands, sem });
const general = (name: string, opcode: string, operands: string[], sem: Row['sem']): Row => ({ ...row(name, opcode, operands, sem), size: 'y' });

export const sseConvert: readonly Row[] = [
  row('CVTPI2PS', 'NP 0F 2A', ['Vps', 'Qq'], cvtpi2ps), row('CVTPI2PD', '66 0F 2A', ['Vpd', 'Qq'], cvtpi2pd),
  general('CVTSI2SS', 'F3 0F 2A', ['Vss', 'Ey'], fromInteger(SS)), general('CVTSI2SD', 'F2 0F 2A', ['Vsd', 'Ey'], fromInteger(SD)),
  row('CVTTPS2PI', 'NP 0F 2C', ['Pq', 'Wq'], toIntegersMmx(PS, true)), row('CVTTPD2PI', '66 0F 2C', ['Pq', 'Wpd'], toIntegersMmx(PD, true)),
  general('CVTTSS2SI', 'F3 0F 2C', ['Gy', 'Wss'], toInteger(SS, true)), general('CVTTSD2SI', 'F2 0F 2C', ['Gy', 'Wsd'], toInteger(SD, true)),
  row('CVTPS2PI', 'NP 0F 2D', ['Pq', 'Wq'], toIntegersMmx(PS, false)), row('CVTPD2PI', '66 0F 2D', ['Pq', 'Wpd'], toIntegersMmx(PD, false)),
  general('CVTSS2SI', 'F3 0F 2D', ['Gy', 'Wss'], toInteger(SS, false)), general('CVTSD2SI', 'F2 0F 2D', ['Gy', 'Wsd'], toInteger(SD, false)),
  row('CVTPS2PD', 'NP 0F 5A', ['Vpd', 'Wq'], widenPacked), row('CVTPD2PS', '66 0F 5A', ['Vps', 'Wpd'], narrowPacked),
  row('CVTSS2SD', 'F3 0F 5A', ['Vsd', 'Wss'], widenScalar), row('CVTSD2SS', 'F2 0F 5A', ['Vss', 'Wsd'], narrowScalar),
  row('CVTDQ2PS', 'NP 0F 5B', ['Vps', 'Wx'], (e) => write128(e, 0, toSingles(e, read128(e, 1), 'ps'))),
  row('CVTPS2DQ', '66 0F 5B', ['Vx', 'Wps'], toIntegers128(PS, false)), row('CVTTPS2DQ', 'F3 0F 5B', ['Vx', 'Wps'], toIntegers128(PS, true)),
  row('CVTTPD2DQ', '66 0F E6', ['Vx', 'Wpd'], toIntegers128(PD, true)), row('CVTPD2DQ', 'F2 0F E6', ['Vx', 'Wpd'], toIntegers128(PD, false)),
  row('CVTDQ2PD', 'F3 0F E6', ['Vpd', 'Wq'], (e) => write128(e, 0, f64x2.convertLowI32x4S(readLow(e, 1, 64)))),
  row('ROUNDPS', '66 0F 3A 08', ['Vps', 'Wps', 'Ib'], roundTo(PS)), row('ROUNDPD', '66 0F 3A 09', ['Vpd', 'Wpd', 'Ib'], roundTo(PD)),
  row('ROUNDSS', '66 0F 3A 0A', ['Vss', 'Wss', 'Ib'], roundTo(SS)), row('ROUNDSD', '66 0F 3A 0B', ['Vsd', 'Wsd', 'Ib'], roundTo(SD)),
];
