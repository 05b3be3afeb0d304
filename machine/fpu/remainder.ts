// FPREM, FPREM1, FSCALE, FXTRACT and FRNDINT (Intel SDM vol. 2).

import { type Float80, BIAS, INTEGER_BIT, bitLength, infinity, isFinite80, kindOf, scaleOf, zero } from './float80.ts';
import { fromInteger, roundToInteger } from './convert.ts';
import type { Operation } from './operation.ts';
import { round80 } from './rounding.ts';
import { FSW } from './words.ts';

export interface Remainder { value: Float80; /** C0, C3, C1 (quotient bits 2, 1, 0) and C2 (reduction incomplete); null when there is no quotient */ condition: number | null }

/** Exponent of a finite non-zero value: 2^n <= |v| < 2^(n+1). */
const exponentOf = (v: Float80): number => scaleOf(v) + bitLength(v.sig) - 1;

/**
 * The remainder of a ÷ b, exact.
 * @param nearest FPREM1: the quotient is rounded to nearest; otherwise FPREM: truncated
 */
export function remainder(a: Float80, b: Float80, nearest: boolean, op: Operation): Remainder {
  const ka = kindOf(a), kb = kindOf(b);
  const nan = op.nan2(a, ka, b, kb);
  if (nan) return { value: nan, condition: null };
  if (ka === 'infinity' || kb === 'zero') return { value: op.invalid(), condition: null };
  if (op.denormal(ka, kb)) return { value: a, condition: null };
  if (ka === 'zero') return { value: a, condition: 0 };
  if (kb === 'infinity') return { value: round80(a.sign, a.sig, scaleOf(a), op), condition: 0 };
  const distance = exponentOf(a) - exponentOf(b);
  return distance < 64 ? wholeRemainder(a, b, nearest, op) : partialRemainder(a, b, distance, op);
}

/** Reduces the exponents' distance by 32 to 63, so that what is left of it is a multiple of 32. */
function partialRemainder(a: Float80, b: Float80, distance: number, op: Operation): Remainder {
  const left = distance - (32 | (distance & 31));
  const { value } = wholeRemainder(a, b, false, op, left);
  return { value, condition: FSW.c2 };
}

function wholeRemainder(a: Float80, b: Float80, nearest: boolean, op: Operation, raise = 0): Remainder {
  const scaleB = scaleOf(b) + raise;
  const scale = Math.min(scaleOf(a), scaleB);
  if (scaleB - scaleOf(a) > 66) return { value: round80(a.sign, a.sig, scaleOf(a), op), condition: 0 };
  const n = a.sig << BigInt(scaleOf(a) - scale);
  const d = b.sig << BigInt(scaleB - scale);
  let q = n / d;
  let r = n - q * d;
  if (nearest && (2n * r > d || (2n * r === d && (q & 1n) === 1n))) {
    q += 1n;
    r -= d;
  }
  const sign = r < 0n ? a.sign ^ 1 : a.sign;
  const value = r === 0n ? zero(a.sign) : round80(sign, r < 0n ? -r : r, scale, op);
  return { value, condition: quotientCondition(Number(q & 7n)) };
}

const quotientCondition = (q: number): number => (q & 4 ? FSW.c0 : 0) | (q & 2 ? FSW.c3 : 0) | (q & 1 ? FSW.c1 : 0);

/** Beyond this, any finite operand over- or underflows whatever its exponent. */
const SCALE_LIMIT = 0x1_0000;

/** a × 2^trunc(b) */
export function scale(a: Float80, b: Float80, op: Operation): Float80 {
  const ka = kindOf(a), kb = kindOf(b);
  const nan = op.nan2(a, ka, b, kb);
  if (nan) return nan;
  if (kb === 'infinity' && ka === (b.sign ? 'infinity' : 'zero')) return op.invalid();
  if (op.denormal(ka, kb)) return a;
  if (kb === 'infinity') return b.sign ? zero(a.sign) : infinity(a.sign);
  if (ka === 'infinity' || ka === 'zero') return a;
  if (kb === 'zero' && (a.sig & INTEGER_BIT) === 0n) return a; // a denormal stays as it is, without underflow
  return round80(a.sign, a.sig, scaleOf(a) + truncated(b), op);
}

/** Integer part of a finite value, limited to ±SCALE_LIMIT. */
function truncated(b: Float80): number {
  if (b.exp < BIAS) return 0;
  const magnitude = b.exp > BIAS + 16 ? SCALE_LIMIT : Number(b.sig >> BigInt(63 - (b.exp - BIAS)));
  return b.sign ? -magnitude : magnitude;
}

/** Splits into exponent and significand, both floating-point. */
export function extract(a: Float80, op: Operation): { exponent: Float80; significand: Float80 } {
  const kind = kindOf(a);
  const nan = op.nan1(a, kind);
  if (nan) return { exponent: nan, significand: nan };
  if (kind === 'infinity') return { exponent: infinity(0), significand: a };
  if (kind === 'zero') {
    op.raise(FSW.ze);
    return { exponent: infinity(1), significand: a };
  }
  op.denormal(kind);
  const sig = a.sig << BigInt(64 - bitLength(a.sig));
  return { exponent: fromInteger(BigInt(exponentOf(a))), significand: { sign: a.sign, exp: BIAS, sig } };
}

/** Rounds to an integer in floating-point form by rounding control. */
export function roundInteger(a: Float80, op: Operation): Float80 {
  const kind = kindOf(a);
  const nan = op.nan1(a, kind);
  if (nan) return nan;
  if (op.denormal(kind) || !isFinite80(kind) || kind === 'zero' || scaleOf(a) >= 0) return a;
  const n = roundToInteger(a, op.rounding, op);
  return n === 0n ? zero(a.sign) : fromInteger(n);
}

