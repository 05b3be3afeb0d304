// Add, subtract, multiply, divide, square root: exact result first, then one rounding by precision and rounding
// control. Special operands as in the tables of FADD, FSUB, FMUL, FDIV and FSQRT (Intel SDM vol. 2).

import { type Float80, bitLength, infinity, kindOf, negate, scaleOf, zero } from './float80.ts';
import type { Operation } from './operation.ts';
import { round80 } from './rounding.ts';
import { FSW, ROUNDING } from './words.ts';

/** Beyond this distance the smaller addend cannot change a 64-bit result but through "sticky". */
const FAR = 200;

/** An operation on ST(0), ST(i) or memory: both operands and what to report into. */
export type Binary = (a: Float80, b: Float80, op: Operation) => Float80;

export function add(a: Float80, b: Float80, op: Operation): Float80 {
  const ka = kindOf(a), kb = kindOf(b);
  const nan = op.nan2(a, ka, b, kb);
  if (nan) return nan;
  if (ka === 'infinity' && kb === 'infinity' && a.sign !== b.sign) return op.invalid();
  if (op.denormal(ka, kb)) return a;
  if (ka === 'infinity') return a;
  if (kb === 'infinity') return b;
  return addFinite(a, b, op);
}

function addFinite(a: Float80, b: Float80, op: Operation): Float80 {
  if (a.sig === 0n && b.sig === 0n) return zero(a.sign === b.sign ? a.sign : cancelled(op));
  if (a.sig === 0n) return round80(b.sign, b.sig, scaleOf(b), op, op.precision);
  if (b.sig === 0n) return round80(a.sign, a.sig, scaleOf(a), op, op.precision);
  const [high, low] = scaleOf(a) >= scaleOf(b) ? [a, b] : [b, a];
  const distance = scaleOf(high) - scaleOf(low);
  const shift = Math.min(distance, FAR);
  const lowSig = distance > FAR ? 1n : low.sig;
  const m = (high.sig << BigInt(shift)) + (high.sign === low.sign ? lowSig : -lowSig);
  if (m === 0n) return zero(cancelled(op));
  const sign = m < 0n ? low.sign : high.sign;
  return round80(sign, m < 0n ? -m : m, scaleOf(high) - shift, op, op.precision);
}

/** Sign of an exact zero difference. */
const cancelled = (op: Operation): number => (op.rounding === ROUNDING.down ? 1 : 0);

export function subtract(a: Float80, b: Float80, op: Operation): Float80 {
  const ka = kindOf(a), kb = kindOf(b);
  return op.nan2(a, ka, b, kb) ?? add(a, negate(b), op);
}

export function multiply(a: Float80, b: Float80, op: Operation): Float80 {
  const ka = kindOf(a), kb = kindOf(b);
  const nan = op.nan2(a, ka, b, kb);
  if (nan) return nan;
  if ((ka === 'infinity' && kb === 'zero') || (ka === 'zero' && kb === 'infinity')) return op.invalid();
  if (op.denormal(ka, kb)) return a;
  const sign = a.sign ^ b.sign;
  if (ka === 'infinity' || kb === 'infinity') return infinity(sign);
  if (ka === 'zero' || kb === 'zero') return zero(sign);
  return round80(sign, a.sig * b.sig, scaleOf(a) + scaleOf(b), op, op.precision);
}

/** a ÷ b */
export function divide(a: Float80, b: Float80, op: Operation): Float80 {
  const ka = kindOf(a), kb = kindOf(b);
  const nan = op.nan2(a, ka, b, kb);
  if (nan) return nan;
  if (ka === kb && (ka === 'infinity' || ka === 'zero')) return op.invalid();
  const sign = a.sign ^ b.sign;
  if (kb === 'zero' && ka !== 'infinity') {
    op.raise(FSW.ze);
    return infinity(sign);
  }
  if (op.denormal(ka, kb)) return a;
  if (ka === 'infinity') return infinity(sign);
  if (ka === 'zero' || kb === 'infinity') return zero(sign);
  const shift = Math.max(0, 70 + bitLength(b.sig) - bitLength(a.sig));
  return round80(sign, stickyQuotient(a.sig << BigInt(shift), b.sig), scaleOf(a) - scaleOf(b) - shift, op, op.precision);
}

/** n ÷ d; the lowest bit is set where the division leaves a remainder. */
export function stickyQuotient(n: bigint, d: bigint): bigint {
  const q = n / d;
  return q * d === n ? q : q | 1n;
}

export const reversed = (f: Binary): Binary => (a, b, op) => f(b, a, op);

export function squareRoot(a: Float80, op: Operation): Float80 {
  const kind = kindOf(a);
  const nan = op.nan1(a, kind);
  if (nan) return nan;
  if (kind === 'zero') return a;
  if (a.sign) return op.invalid();
  if (op.denormal(kind) || kind === 'infinity') return a;
  const even = (scaleOf(a) & 1) === 0 ? 136 : 137;
  const n = a.sig << BigInt(even);
  const root = integerRoot(n);
  return round80(0, root * root === n ? root : root | 1n, (scaleOf(a) - even) / 2, op, op.precision);
}

/** Greatest integer whose square is not above n (Newton's method from above). */
export function integerRoot(n: bigint): bigint {
  let x = 1n << BigInt((bitLength(n) + 1) >> 1);
  for (;;) {
    const better = (x + n / x) >> 1n;
    if (better >= x) return x;
    x = better;
  }
}
