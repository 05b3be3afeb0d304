// Floating-point arithmetic and comparison of SSE to SSE4.1: SDM vol. 2. What runs inline and what does not is told in
// float-path.ts.

import { FLAG } from '../cpu-state.ts';
import { SSE, SSE_SCRATCH } from '../fpu/sse-operation.ts';
import { and, eq, eqz, i32, i64, load, ne, or, select, shl, xor, type Expr } from '../wasm/expr.ts';
import { v128, v128Const } from '../wasm/simd.ts';
import type { Env } from './env.ts';
import { callExact, fastOrExact, notNominal, PD, PS, readFloat, SD, SS, writeFloat, type FloatForm } from './float-path.ts';
import type { Row } from './row.ts';
import { immediateField, laneMask, lanesOf, read128, write128 } from './vector.ts';

/** An operation on two pinned operands of a form, with result and flags of SSE. */
type Arithmetic = (e: Env, f: FloatForm, a: Expr, b: Expr) => Expr;

const odd2 = (e: Env, f: FloatForm, a: Expr, b: Expr): Expr => or(f.odd(e, a), f.odd(e, b));
const denormal2 = (e: Env, f: FloatForm, a: Expr, b: Expr): Expr => or(f.denormal(e, a), f.denormal(e, b));

/** Sums and differences of normal numbers are never tiny and inexact at once. */
const sum = (operation: number, compute: (f: FloatForm, a: Expr, b: Expr) => Expr): Arithmetic => (e, f, a, b) => {
  const r = e.fn.let(compute(f, a, b));
  const refused = or(notNominal(e), or(f.unbounded(e, r), denormal2(e, f, a, b)));
  return fastOrExact(e, r, refused, { operation, shape: f.shape }, a, b);
};
const anyOf = (f: FloatForm, x: Expr, y: Expr): Expr => (f.scalar ? or : v128.or)(x, y);
const addition: Arithmetic = sum(SSE.add, (f, a, b) => f.add(a, b));
const subtraction: Arithmetic = sum(SSE.subtract, (f, a, b) => f.sub(a, b));
/** Even lanes are subtracted: their sign of b changes. */
const addSubtract: Arithmetic = sum(SSE.addSubtract, (f, a, b) =>
  f.add(a, v128.xor(b, f.double ? v128Const(1n << 63n, 0n) : v128Const(0x8000_0000n))));
const multiplication: Arithmetic = (e, f, a, b) => {
  const r = e.fn.let(f.mul(a, b));
  const refused = or(notNominal(e), or(f.outside(e, r, anyOf(f, f.isZero(a), f.isZero(b))), denormal2(e, f, a, b)));
  return fastOrExact(e, r, refused, { operation: SSE.multiply, shape: f.shape }, a, b);
};
const division: Arithmetic = (e, f, a, b) => {
  const r = e.fn.let(f.div(a, b));
  const refused = or(notNominal(e), or(f.outside(e, r, f.isZero(a)), denormal2(e, f, a, b)));
  return fastOrExact(e, r, refused, { operation: SSE.divide, shape: f.shape }, a, b);
};
/** The second operand, unless the first is strictly less or greater. */
const minimum: Arithmetic = (e, f, a, b) => fastOrExact(e, f.lesser(a, b), odd2(e, f, a, b), { operation: SSE.minimum, shape: f.shape }, a, b);
const maximum: Arithmetic = (e, f, a, b) => fastOrExact(e, f.greater(a, b), odd2(e, f, a, b), { operation: SSE.maximum, shape: f.shape }, a, b);

/** destination = destination op source */
const binary = (f: FloatForm, arithmetic: Arithmetic) => (e: Env): void => {
  const b = readFloat(e, 1, f);
  writeFloat(e, arithmetic(e, f, readFloat(e, 0, f), b));
};
const squareRoot = (f: FloatForm) => (e: Env): void => {
  const b = readFloat(e, 1, f);
  const refused = or(notNominal(e), or(f.negative(e, b), f.denormal(e, b)));
  writeFloat(e, fastOrExact(e, f.sqrt(b), refused, { operation: SSE.squareRoot, shape: f.shape }, b));
};
/** RCPPS and RSQRTPS, by table; they raise nothing. */
const approximate = (f: FloatForm, operation: number) => (e: Env): void => {
  const b = readFloat(e, 1, f);
  callExact(e, { operation, shape: f.shape }, b);
  writeFloat(e, load(b.type, f.scalar ? 32 : 128, e.cpu, SSE_SCRATCH.result));
};

/** Neighbours of both operands: even and odd lanes, then one operation on them. */
const horizontal = (f: FloatForm, arithmetic: Arithmetic) => (e: Env): void => {
  const b = read128(e, 1);
  const a = read128(e, 0);
  const [bytes, lanes] = f.double ? [8, [0, 2]] : [4, [0, 2, 4, 6]];
  const even = e.fn.let(lanesOf(bytes, ...lanes)(a, b, e));
  const odd = e.fn.let(lanesOf(bytes, ...lanes.map((n) => n + 1))(a, b, e));
  write128(e, 0, arithmetic(e, f, even, odd));
};

// ---- comparison

/** Result of a predicate 0 to 3, for operands that are no NaNs, as bits of the element's type. */
function predicate(e: Env, f: FloatForm, a: Expr, b: Expr, which: Expr): Expr {
  const mask = (m: Expr): Expr => (!f.scalar ? m : f.double ? select(m, i64(-1), i64(0)) : select(m, i32(-1), i32(0)));
  const result = e.fn.var(!f.scalar ? 'v128' : f.double ? 'i64' : 'i32');
  const none = !f.scalar ? v128Const(0n) : f.double ? i64(0) : i32(0);
  e.fn.if(eqz(which), () => result.set(mask(f.eq(a, b))), () =>
    e.fn.if(eq(which, i32(1)), () => result.set(mask(f.lt(a, b))), () =>
      e.fn.if(eq(which, i32(2)), () => result.set(mask(f.le(a, b))), () => result.set(none))));
  return result.get;
}
/** CMPPS and its kin: bit 2 of the immediate turns the predicate into its opposite. */
const compare = (f: FloatForm) => (e: Env): void => {
  const b = readFloat(e, 1, f);
  const a = readFloat(e, 0, f);
  const imm = e.fn.let(e.imm(8));
  const plain = e.fn.let(predicate(e, f, a, b, e.fn.let(and(imm, i32(3)))));
  const opposite = ne(and(imm, i32(4)), i32(0));
  const inverse = !f.scalar ? v128.not(plain) : xor(plain, f.double ? i64(-1) : i32(-1));
  const refused = odd2(e, f, a, b);
  writeFloat(e, fastOrExact(e, select(opposite, inverse, plain), refused, { operation: SSE.compare, shape: f.shape, immediate: imm }, a, b));
};

/** COMISS and UCOMISS: ZF, PF and CF; the other three are cleared. */
const order = (f: FloatForm, operation: number) => (e: Env): void => {
  const b = readFloat(e, 1, f);
  const a = readFloat(e, 0, f);
  const fast = or(shl(f.eq(a, b), i32(Math.log2(FLAG.zf))), f.lt(a, b));
  e.flags.all(fastOrExact(e, fast, odd2(e, f, a, b), { operation, shape: f.shape }, a, b));
};

// ---- dot products

/**
 * DPPS and DPPD: products of the lanes that the immediate's upper half names, their sum in the lanes that its lower
 * half names. Every step rounds and may raise exceptions; the order of the operands shows in NaNs.
 */
const dotProduct = (f: FloatForm) => (e: Env): void => {
  const b = read128(e, 1);
  const a = read128(e, 0);
  const bits = f.double ? 64 : 32;
  const [factors, targets] = [laneMask(e, bits, immediateField(e, 4, 15)), laneMask(e, bits, immediateField(e, 0, 15))];
  const masked = (v: Expr): Expr => e.fn.let(v128.and(v, factors));
  const lanes = (v: Expr, ...numbers: number[]): Expr => e.fn.let(lanesOf(bits / 8, ...numbers)(v, v, e));
  const products = multiplication(e, f, masked(a), masked(b));
  if (f.double) { write128(e, 0, v128.and(addition(e, f, products, lanes(products, 1, 0)), targets)); return; }
  const pairs = addition(e, f, lanes(products, 1, 0, 3, 2), products);
  write128(e, 0, v128.and(addition(e, f, pairs, lanes(pairs, 2, 3, 0, 1)), targets));
};

// ---- rows

const FORMS: readonly [suffix: string, prefix: string, form: FloatForm][] = [['PS', 'NP', PS], ['PD', '66', PD], ['SS', 'F3', SS], ['SD', 'F2', SD]];
const SINGLES = FORMS.filter(([, , f]) => !f.double);
const row = (name: string, prefix: string, opcode: string, f: FloatForm, sem: Row['sem'], ...more: string[]): Row =>
  ({ name, opcode: `${prefix} 0F ${opcode} /r${more.length ? ' ib' : ''}`, operands: [`V${f.shape}`, `W${f.shape}`, ...more], sem });
/** A row for each element format. */
const family = (name: string, opcode: string, sem: (f: FloatForm) => Row['sem'], forms = FORMS): Row[] =>
  forms.map(([suffix, prefix, f]) => row(`${name}${suffix}`, prefix, opcode, f, sem(f)));
const arithmeticRows = (name: string, opcode: string, arithmetic: Arithmetic): Row[] => family(name, opcode, (f) => binary(f, arithmetic));

export const sseFloat: readonly Row[] = [
  ...arithmeticRows('ADD', '58', addition), ...arithmeticRows('MUL', '59', multiplication), ...arithmeticRows('SUB', '5C', subtraction),
  ...arithmeticRows('MIN', '5D', minimum), ...arithmeticRows('DIV', '5E', division), ...arithmeticRows('MAX', '5F', maximum),
  ...family('SQRT', '51', squareRoot),
  ...family('RSQRT', '52', (f) => approximate(f, SSE.reciprocalRoot), SINGLES), ...family('RCP', '53', (f) => approximate(f, SSE.reciprocal), SINGLES),
  row('ADDSUBPS', 'F2', 'D0', PS, binary(PS, addSubtract)), row('ADDSUBPD', '66', 'D0', PD, binary(PD, addSubtract)),
  row('HADDPS', 'F2', '7C', PS, horizontal(PS, addition)), row('HADDPD', '66', '7C', PD, horizontal(PD, addition)),
  row('HSUBPS', 'F2', '7D', PS, horizontal(PS, subtraction)), row('HSUBPD', '66', '7D', PD, horizontal(PD, subtraction)),
  ...FORMS.map(([suffix, prefix, f]) => row(`CMP${suffix}`, prefix, 'C2', f, compare(f), 'Ib')),
  { ...row('UCOMISS', 'NP', '2E', SS, order(SS, SSE.orderQuiet)), flags: 'w' }, { ...row('UCOMISD', '66', '2E', SD, order(SD, SSE.orderQuiet)), flags: 'w' },
  { ...row('COMISS', 'NP', '2F', SS, order(SS, SSE.orderSignalling)), flags: 'w' }, { ...row('COMISD', '66', '2F', SD, order(SD, SSE.orderSignalling)), flags: 'w' },
  row('DPPS', '66', '3A 40', PS, dotProduct(PS), 'Ib'), row('DPPD', '66', '3A 41', PD, dotProduct(PD), 'Ib'),
];
