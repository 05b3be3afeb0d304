// How SSE arithmetic runs inline, and when it may not.
//
// WebAssembly rounds to nearest, has no exception flags and gives NaNs of its own choice. The inline result is taken
// only where nothing of that can be seen: MXCSR masks all exceptions, rounds to nearest, has neither DAZ nor FTZ and
// has PE set already (so that an inexact result changes nothing); no operand is a NaN or denormal; and the result is
// neither NaN nor infinite nor tiny. Everything else goes to fpu/sse-slow.ts, which is exact in all of it. PE gets set
// by the first inexact result of a program and stays.
//
// Operations whose inline form is exact by itself (comparison, minimum, widening) do not look at MXCSR at all.

import { SSE_IMMEDIATE_SHIFT, SSE_SCRATCH, sseArgument, type ShapeName } from '../fpu/sse-operation.ts';
import { and, eqz, gtU, i32, i64, leU, load, ltU, ne, op, or, shl, sub, type Expr } from '../wasm/expr.ts';
import { f32x4, f64x2, i8x16, laneConst, v128, v128Const } from '../wasm/simd.ts';
import type { Env } from './env.ts';
import { read128 } from './vector.ts';

/** MXCSR without the flags IE to UE, when the inline result is right: all masked, nearest, PE set. */
const NOMINAL = 0x1fbf;
const FLAGS_BUT_PE = 0x1f;
/** i32: MXCSR keeps the inline result from being taken. */
export const notNominal = (e: Env): Expr => ne(or(e.mxcsr(), i32(FLAGS_BUT_PE)), i32(NOMINAL));

/** One of the four element formats: how to compute with it and to look at it. */
export interface FloatForm {
  readonly shape: ShapeName;
  readonly scalar: boolean;
  readonly double: boolean;
  readonly add: (a: Expr, b: Expr) => Expr;
  readonly sub: (a: Expr, b: Expr) => Expr;
  readonly mul: (a: Expr, b: Expr) => Expr;
  readonly div: (a: Expr, b: Expr) => Expr;
  readonly sqrt: (a: Expr) => Expr;
  /** a < b ? a : b, and a > b ? a : b */
  readonly lesser: (a: Expr, b: Expr) => Expr;
  readonly greater: (a: Expr, b: Expr) => Expr;
  /** masks: i32 0 or 1 for scalars, all ones in a lane for vectors */
  readonly eq: (a: Expr, b: Expr) => Expr;
  readonly lt: (a: Expr, b: Expr) => Expr;
  readonly le: (a: Expr, b: Expr) => Expr;
  /** i32: a mask holds in every lane */
  readonly all: (mask: Expr) => Expr;
  /** i32: some lane is a NaN or denormal */
  readonly odd: (e: Env, a: Expr) => Expr;
  /** i32: some lane is denormal */
  readonly denormal: (e: Env, a: Expr) => Expr;
  /** i32: some lane is a NaN or infinite */
  readonly unbounded: (e: Env, r: Expr) => Expr;
  /** i32: some lane is a NaN, infinite or tiny; a zero passes where the mask `exactZero` holds */
  readonly outside: (e: Env, r: Expr, exactZero: Expr) => Expr;
  /** mask: lanes that are zeros */
  readonly isZero: (a: Expr) => Expr;
  /** i32: some lane is not (0 or greater) */
  readonly negative: (e: Env, a: Expr) => Expr;
  readonly nearest: (a: Expr) => Expr;
  readonly floor: (a: Expr) => Expr;
  readonly ceil: (a: Expr) => Expr;
  readonly trunc: (a: Expr) => Expr;
}

const two = (code: number) => (a: Expr, b: Expr): Expr => op(a.type, [code], a, b);
const test = (code: number) => (a: Expr, b: Expr): Expr => op('i32', [code], a, b);
const one = (code: number) => (a: Expr): Expr => op(a.type, [code], a);
/** A scalar's bits as an integer. */
export const bitsOf = (v: Expr): Expr => (v.type === 'f64' ? op('i64', [0xbd], v) : op('i32', [0xbc], v));
export const floatOf = (bits: Expr): Expr => (bits.type === 'i64' ? op('f64', [0xbf], bits) : op('f32', [0xbe], bits));
/** A scalar constant. */
export const floatConst = (double: boolean, bits: bigint): Expr => floatOf(double ? i64(bits) : i32(Number(BigInt.asIntN(32, bits))));

/** The scalar forms work on the bits without their sign, shifted to the top: `magnitude`, an unsigned integer. */
function scalarForm(double: boolean): FloatForm {
  const int = double ? i64 : (n: bigint): Expr => i32(Number(BigInt.asIntN(32, n)));
  const least = double ? 0x0020_0000_0000_0000n : 0x0100_0000n; // magnitude of the least normal number
  const infinite = double ? 0xffe0_0000_0000_0000n : 0xff00_0000n;
  const nothing = floatConst(double, 0n);
  const magnitude = (e: Env, v: Expr): Expr => e.fn.let(shl(bitsOf(v), int(1n)));
  const o = double ? 0xa0 : 0x92; // add
  const c = double ? 0x61 : 0x5b; // eq
  const r = double ? 0x9b : 0x8d; // ceil
  const lt = test(c + 2), gt = test(c + 3);
  const pick = (condition: (a: Expr, b: Expr) => Expr) => (a: Expr, b: Expr): Expr => op(a.type, [0x1b], a, b, condition(a, b));
  return {
    shape: double ? 'sd' : 'ss', scalar: true, double,
    add: two(o), sub: two(o + 1), mul: two(o + 2), div: two(o + 3), sqrt: one(double ? 0x9f : 0x91),
    lesser: pick(lt), greater: pick(gt), eq: test(c), lt, le: test(c + 4), all: (m) => m,
    denormal: (e, v) => ltU(sub(magnitude(e, v), int(1n)), int(least - 1n)),
    odd: (e, v) => {
      const m = magnitude(e, v);
      return and(gtU(sub(m, int(least)), int(infinite - least)), ne(m, int(0n)));
    },
    unbounded: (e, v) => leU(int(infinite), magnitude(e, v)),
    outside: (e, v, exactZero) => {
      const m = magnitude(e, v);
      // the least normal number itself counts as tiny: it may have been rounded up
      const beyond = leU(int(infinite - least - 1n), sub(m, int(least + 1n)));
      return and(beyond, eqz(and(exactZero, eqz(m))));
    },
    isZero: (v) => test(c)(v, nothing),
    negative: (_e, v) => eqz(op('i32', [c + 5], v, nothing)),
    nearest: one(r + 3), floor: one(r + 1), ceil: one(r), trunc: one(r + 2),
  };
}

function packedForm(double: boolean): FloatForm {
  const f = double ? f64x2 : f32x4;
  const bits = double ? 64 : 32;
  const least = laneConst(bits, double ? 0x0010_0000_0000_0000n : 0x0080_0000n);
  const infinite = laneConst(bits, double ? 0x7ff0_0000_0000_0000n : 0x7f80_0000n);
  const nothing = v128Const(0n);
  const some = (mask: Expr): Expr => v128.anyTrue(mask);
  const notAll = (mask: Expr): Expr => eqz(i8x16.allTrue(mask));
  const denormals = (v: Expr): Expr => v128.and(f.lt(f.abs(v), least), f.ne(v, nothing));
  return {
    shape: double ? 'pd' : 'ps', scalar: false, double,
    add: f.add, sub: f.sub, mul: f.mul, div: f.div, sqrt: f.sqrt,
    lesser: (a, b) => f.pmin(b, a), greater: (a, b) => f.pmax(b, a), eq: f.eq, lt: f.lt, le: f.le, all: i8x16.allTrue,
    denormal: (_e, v) => some(denormals(v)),
    odd: (_e, v) => some(v128.or(denormals(v), f.ne(v, v))),
    unbounded: (_e, v) => notAll(f.lt(f.abs(v), infinite)),
    outside: (e, v, exactZero) => {
      const m = e.fn.let(f.abs(v));
      return notAll(v128.or(v128.and(f.gt(m, least), f.lt(m, infinite)), v128.and(exactZero, f.eq(v, nothing))));
    },
    isZero: (v) => f.eq(v, nothing),
    negative: (_e, v) => notAll(f.ge(v, nothing)),
    nearest: f.nearest, floor: f.floor, ceil: f.ceil, trunc: f.trunc,
  };
}

export const SS: FloatForm = scalarForm(false);
export const SD: FloatForm = scalarForm(true);
export const PS: FloatForm = packedForm(false);
export const PD: FloatForm = packedForm(true);

/** Operand k in a form: f32, f64 or v128. */
export const readFloat = (e: Env, k: number, form: FloatForm): Expr =>
  form.scalar ? e.readVector(k, form.double ? 'f64' : 'f32', form.double ? 64 : 32) : read128(e, k);
/** Writes a result to register operand 0; a scalar leaves the rest as it is. */
export const writeFloat = (e: Env, value: Expr): void => e.writeVector(0, widthOf(value), value);
const widthOf = (v: Expr): number => (v.type === 'v128' ? 128 : v.type === 'f64' || v.type === 'i64' ? 64 : 32);

/** What the exact routine shall do: operation and shape (sse-operation.ts), and an immediate if there is one. */
export interface Exact { readonly operation: number; readonly shape: ShapeName; readonly immediate?: Expr }

/** Runs the exact routine on pinned operands. The result lies in the context; an unmasked exception leaves the function. */
export function callExact(e: Env, exact: Exact, a: Expr, b?: Expr): void {
  e.fn.store(widthOf(a), e.cpu, a, SSE_SCRATCH.a);
  if (b) e.fn.store(widthOf(b), e.cpu, b, SSE_SCRATCH.b);
  const argument = i32(sseArgument(exact.operation, exact.shape));
  e.slow('sse', exact.immediate ? or(argument, shl(exact.immediate, i32(SSE_IMMEDIATE_SHIFT))) : argument);
}
/** The inline result, or the exact one where `refused` (i32) holds. */
export function fastOrExact(e: Env, fast: Expr, refused: Expr, exact: Exact, a: Expr, b?: Expr): Expr {
  const result = e.fn.var(fast.type, fast);
  e.fn.if(refused, () => {
    callExact(e, exact, a, b);
    result.set(load(fast.type, widthOf(fast), e.cpu, SSE_SCRATCH.result));
  }, undefined, false);
  return e.fn.let(result.get);
}
