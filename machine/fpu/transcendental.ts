// F2XM1, FYL2X, FYL2XP1, FPATAN, FPTAN, FSIN, FCOS, FSINCOS. The manual promises an error below 1 ulp and no more
// (Intel SDM vol. 1, 8.3.10). Here the result is the exact one rounded once by rounding control, after the operand
// rules of each instruction's table; inexact is always reported, as the processor does even for exact results.
//
// The trigonometric instructions reduce their argument by a π of 66 bits, as the processor does (8.3.8): for large
// arguments the result is that of the reduced one, which is not the mathematical one.

import { type Float80, INTEGER_BIT, ONE, bitLength, infinity, isNaN80, kindOf, negate, scaleOf, zero } from './float80.ts';
import { stickyQuotient } from './arithmetic.ts';
import { atan, expMinus1, ln2, log2, pi, sinCos } from './fixed-point.ts';
import type { Operation } from './operation.ts';
import { round80 } from './rounding.ts';
import { FSW } from './words.ts';

/** Good bits of an intermediate result. */
const BITS = 140;
/** Below 2^-TINY a function is its first-order term, but for "sticky". */
const TINY = 140;

/** Exponent of a finite non-zero value: 2^n <= |v| < 2^(n+1). */
const exponentOf = (v: Float80): number => scaleOf(v) + bitLength(v.sig) - 1;
/** |v| in fixed point; exact when p reaches its last bit. */
const fixed = (v: Float80, p: number): bigint => {
  const shift = scaleOf(v) + p;
  return shift >= 0 ? v.sig << BigInt(shift) : v.sig >> BigInt(-shift);
};

/** Rounds an irrational number n × 2^e, n not 0. */
function rounded(n: bigint, e: number, op: Operation): Float80 {
  const m = n < 0n ? -n : n;
  return round80(n < 0n ? 1 : 0, m << 2n | 1n, e - 2, op);
}

/** A result that the processor calls inexact though it is exact: precision, and underflow of a denormal one. */
function inexact(v: Float80, op: Operation): Float80 {
  op.raise(kindOf(v) === 'denormal' ? FSW.pe | FSW.ue : FSW.pe);
  return v;
}

const signed = (n: bigint, sign: number): bigint => (sign ? -n : n);

/** 2^x - 1. Beyond [-1, 1], where the manual leaves it undefined, the processor gives x back. */
export function exp2Minus1(x: Float80, op: Operation): Float80 {
  const kind = kindOf(x);
  const nan = op.nan1(x, kind);
  if (nan) return nan;
  if (kind === 'zero') return x;
  if (kind === 'infinity') return x.sign ? negate(ONE) : x;
  if (op.denormal(kind)) return x;
  const exponent = exponentOf(x);
  if (exponent >= 0) {
    const isOne = x.sig === ONE.sig && exponent === 0;
    return inexact(isOne && x.sign ? { sign: 1, exp: x.exp - 1, sig: x.sig } : x, op);
  }
  if (exponent < -TINY) return rounded(signed(x.sig * ln2(BITS), x.sign), scaleOf(x) - BITS, op);
  const p = BITS - exponent;
  return rounded(expMinus1(signed(fixed(x, p), x.sign) * ln2(p) >> BigInt(p), p), -p, op);
}

/** y × log2 x */
export function yLog2(x: Float80, y: Float80, op: Operation): Float80 {
  const kx = kindOf(x), ky = kindOf(y);
  const nan = op.nan2(x, kx, y, ky);
  if (nan) return nan;
  if (x.sign && kx !== 'zero') return op.invalid();
  if (kx === 'zero') {
    if (ky === 'zero') return op.invalid();
    if (ky !== 'infinity') op.raise(FSW.ze);
    return infinity(y.sign ^ 1);
  }
  const exponent = kx === 'infinity' ? 1 : exponentOf(x);
  const isOne = kx === 'normal' && exponent === 0 && x.sig === ONE.sig;
  if ((kx === 'infinity' && ky === 'zero') || (isOne && ky === 'infinity')) return op.invalid();
  if (op.denormal(kx, ky)) return y;
  const sign = y.sign ^ (exponent < 0 ? 1 : 0);
  if (kx === 'infinity' || ky === 'infinity') return infinity(sign);
  if (isOne || ky === 'zero') return zero(sign);
  const p = BITS + 64;
  // the exponent apart, but for numbers just below 1, which would lose their relative precision by it
  const apart = exponent === -1 ? 0 : exponent;
  return product(y, (BigInt(apart) << BigInt(p)) + log2(fixed(x, p - apart), p), p, op);
}

/** y × n / 2^p */
function product(y: Float80, n: bigint, p: number, op: Operation): Float80 {
  const whole = BigInt.asUintN(p, n) === 0n;
  const m = y.sig * (n < 0n ? -n : n);
  const sign = y.sign ^ (n < 0n ? 1 : 0);
  if (whole) return inexact(round80(sign, m, scaleOf(y) - p, op), op);
  return rounded(signed(m, sign), scaleOf(y) - p, op);
}

/** y × log2 (x + 1) */
export function yLog2Plus1(x: Float80, y: Float80, op: Operation): Float80 {
  const kx = kindOf(x), ky = kindOf(y);
  const nan = op.nan2(x, kx, y, ky);
  if (nan) return nan;
  if (kx === 'infinity' && (x.sign || ky === 'zero')) return op.invalid();
  if (kx === 'zero' && ky === 'infinity') return op.invalid();
  if (op.denormal(kx, ky)) return y;
  const sign = x.sign ^ y.sign;
  if (kx === 'infinity' || ky === 'infinity') return infinity(sign);
  if (kx === 'zero' || ky === 'zero') return zero(sign);
  const exponent = exponentOf(x);
  if (x.sign && exponent >= 0) return inexact(x, op);
  if (exponent < -TINY) {
    const p = 2 * BITS;
    return rounded(signed(y.sig * x.sig * ((1n << BigInt(2 * p)) / ln2(p)), sign), scaleOf(x) + scaleOf(y) - p, op);
  }
  const p = BITS + 64 + Math.max(0, -exponent);
  return product(y, log2((1n << BigInt(p)) + signed(fixed(x, p), x.sign), p), p, op);
}

/** The angle of the point (x, y), in (-π, π]. */
export function arcTangent(y: Float80, x: Float80, op: Operation): Float80 {
  const kx = kindOf(x), ky = kindOf(y);
  const nan = op.nan2(x, kx, y, ky);
  if (nan) return nan;
  if (op.denormal(kx, ky)) return y;
  const quarter = (n: bigint): Float80 => rounded(signed(n * pi(BITS), y.sign), -BITS - 2, op);
  if (kx === 'infinity') {
    if (ky === 'infinity') return quarter(x.sign ? 3n : 1n);
    return x.sign ? quarter(4n) : zero(y.sign);
  }
  if (ky === 'infinity') return quarter(2n);
  if (ky === 'zero') return x.sign ? quarter(4n) : y;
  if (kx === 'zero') return quarter(2n);
  return finiteAngle(y, x, op);
}

/** The significand with its highest bit at 2^63. */
const normalised = (v: Float80): bigint => v.sig << BigInt(64 - bitLength(v.sig));

function finiteAngle(y: Float80, x: Float80, op: Operation): Float80 {
  const distance = exponentOf(y) - exponentOf(x);
  if (distance < -TINY && !x.sign) {
    const shift = 140 + Math.max(0, bitLength(x.sig) - bitLength(y.sig));
    const q = stickyQuotient(y.sig << BigInt(shift), x.sig);
    return rounded(signed((q << 2n) - 1n, y.sign), scaleOf(y) - scaleOf(x) - shift - 2, op);
  }
  const p = BITS + Math.min(Math.abs(distance), TINY);
  const steep = distance > 0 || (distance === 0 && normalised(y) > normalised(x));
  const [small, great] = steep ? [x, y] : [y, x];
  const base = atan(ratio(small, great, p), p);
  const acute = steep ? (pi(p) >> 1n) - base : base;
  return rounded(signed(x.sign ? pi(p) - acute : acute, y.sign), -p, op);
}

/** |a / b| in fixed point, for |a| <= |b|. */
function ratio(a: Float80, b: Float80, p: number): bigint {
  const shift = scaleOf(a) - scaleOf(b) + p;
  return shift >= 0 ? (a.sig << BigInt(shift)) / b.sig : (a.sig >> BigInt(-shift)) / b.sig;
}

/** The processor's π, of 66 bits: PI66 / 2^66. */
const PI66 = 0xc90f_daa2_2168_c234_cn;
/** Arguments of this exponent and above are out of range: C2 is set and nothing done. */
export const TRIGONOMETRIC_LIMIT = 63;

/** An angle reduced to [-π/4, π/4]: r / 2^p, and the quadrant that it came from. */
interface Reduced { r: bigint; p: number; quadrant: number }

function reduce(x: Float80): Reduced {
  const exponent = exponentOf(x);
  const exact = Math.max(67, 63 - exponent);
  const half = PI66 << BigInt(exact - 67);
  const n = fixed(x, exact);
  const turns = (2n * n + half) / (2n * half);
  const r = n - turns * half;
  const lead = exact - bitLength(r < 0n ? -r : r);
  const p = Math.max(exact, BITS + lead);
  return { r: signed(r << BigInt(p - exact), x.sign), p, quadrant: Number(signed(turns, x.sign) & 3n) };
}

/** Sine and cosine of a finite value below the limit, as numbers n × 2^-p. */
function sineAndCosine(x: Float80): { sin: bigint; cos: bigint; p: number } {
  if (exponentOf(x) < -TINY) {
    // sin x and cos x are x and 1, a little nearer to zero
    const p = 128 - scaleOf(x);
    return { sin: signed((x.sig << 128n) - 1n, x.sign), cos: (1n << BigInt(p)) - 1n, p };
  }
  const { r, p, quadrant } = reduce(x);
  const { sin, cos } = sinCos(r, p);
  const [s, c] = (quadrant & 1) === 0 ? [sin, cos] : [cos, -sin];
  return (quadrant & 2) === 0 ? { sin: s, cos: c, p } : { sin: -s, cos: -c, p };
}

/** Is the operand a number that the trigonometric instructions leave alone, with C2 set? */
export function beyondTrigonometry(x: Float80): boolean {
  return kindOf(x) === 'normal' && exponentOf(x) >= TRIGONOMETRIC_LIMIT;
}

/** What a trigonometric operand gives without computing; null where there is something to compute. */
function trigonometricSpecial(x: Float80, op: Operation): Float80 | null {
  const kind = kindOf(x);
  if (kind === 'infinity') return op.invalid();
  if (isNaN80(kind) || kind === 'unsupported') return op.nan1(x, kind);
  return op.denormal(kind) ? x : null;
}

export interface SineCosine { sin: Float80; cos: Float80 }

/** Sine and cosine; each rounded by itself. C1 is that of the cosine. */
export function sineCosine(x: Float80, op: Operation): SineCosine {
  const special = trigonometricSpecial(x, op);
  if (special) return { sin: special, cos: special };
  return { sin: sineOf(x, op), cos: cosineOf(x, op) };
}

export function sine(x: Float80, op: Operation): Float80 {
  return trigonometricSpecial(x, op) ?? sineOf(x, op);
}

export function cosine(x: Float80, op: Operation): Float80 {
  return trigonometricSpecial(x, op) ?? cosineOf(x, op);
}

/** The least normal number and below: sine and tangent are the operand itself, in every rounding direction. */
function isLeast(x: Float80): boolean {
  return x.exp <= 1 && x.sig <= INTEGER_BIT;
}
const least = (x: Float80, op: Operation): Float80 => inexact(round80(x.sign, x.sig, scaleOf(x), op), op);

function sineOf(x: Float80, op: Operation): Float80 {
  if (x.sig === 0n) return x;
  if (isLeast(x)) return least(x, op);
  const { sin, p } = sineAndCosine(x);
  return rounded(sin, -p, op);
}

function cosineOf(x: Float80, op: Operation): Float80 {
  if (x.sig === 0n) return ONE;
  const { cos, p } = sineAndCosine(x);
  return rounded(cos, -p, op);
}

/** Tangent, and the 1 (or NaN) that FPTAN pushes after it. */
export function tangent(x: Float80, op: Operation): { tan: Float80; one: Float80 } {
  const special = trigonometricSpecial(x, op);
  if (special) return { tan: special, one: special };
  if (x.sig === 0n) return { tan: x, one: ONE };
  if (isLeast(x)) return { tan: least(x, op), one: ONE };
  if (exponentOf(x) < -TINY) return { tan: rounded(signed(x.sig << 128n, x.sign), scaleOf(x) - 128, op), one: ONE };
  const { sin, cos, p } = sineAndCosine(x);
  const shift = BigInt(BITS + Math.max(0, p - bitLength(sin < 0n ? -sin : sin)));
  return { tan: rounded((sin << shift) / cos, -Number(shift), op), one: ONE };
}
