// SSE floating-point arithmetic on bit patterns of single and double precision, exact in result and in exception
// flags (Intel SDM vol. 1, 4.8.3.5 NaNs, 4.9 exceptions, 11.5 SSE exceptions). Each operation takes operands, a
// Layout and a SoftOperation, which says how to round and collects the flags. What to do about an unmasked exception
// is left to the caller (sse-slow.ts).

import { integerRoot, stickyQuotient } from './arithmetic.ts';
import { bitLength } from './float80.ts';
import { Operation } from './operation.ts';
import { roundBits, roundToFormat } from './rounding.ts';
import { infinityBits, isNaNKind, packExact, unpack, zeroBits, type Layout, type Soft } from './soft-format.ts';
import { FSW, ROUNDING } from './words.ts';

/** MXCSR (Intel SDM vol. 1, 10.2.3). The exception flags are those of the x87 status word. */
export const MXCSR = { flags: 0x3f, daz: 0x40, masks: 0x1f80, masksShift: 7, roundingShift: 13, ftz: 0x8000, initial: 0x1f80 } as const;

export class SoftOperation extends Operation {
  /** denormal operands count as zeros */
  daz = false;
  /** a tiny result becomes zero (while underflow is masked) */
  ftz = false;

  /** Starts anew under a control word of SSE: no flags raised. */
  control(mxcsr: number): this {
    this.begin(mxcsr >>> MXCSR.masksShift & MXCSR.flags | (mxcsr >>> MXCSR.roundingShift & 3) << 10);
    this.daz = (mxcsr & MXCSR.daz) !== 0;
    this.ftz = (mxcsr & MXCSR.ftz) !== 0;
    return this;
  }
}

/** An operation on two numbers of a format. */
export type SoftBinary = (a: bigint, b: bigint, f: Layout, op: SoftOperation) => bigint;

/** The NaN that two operands give: the first one's if it has one. Signalling ones raise IE. */
function nan2(a: Soft, b: Soft, f: Layout, op: SoftOperation): bigint | undefined {
  if (!isNaNKind(a) && !isNaNKind(b)) return undefined;
  if (a.kind === 'signalling' || b.kind === 'signalling') op.raise(FSW.ie);
  return (isNaNKind(a) ? a : b).bits | f.quietBit;
}
function nan1(a: Soft, f: Layout, op: SoftOperation): bigint | undefined {
  if (a.kind === 'signalling') op.raise(FSW.ie);
  return isNaNKind(a) ? a.bits | f.quietBit : undefined;
}
function indefinite(f: Layout, op: SoftOperation): bigint {
  op.raise(FSW.ie);
  return f.indefinite;
}
function noteDenormal(op: SoftOperation, ...operands: Soft[]): void {
  if (operands.some((v) => v.kind === 'denormal')) op.raise(FSW.de);
}

/**
 * Rounds an exact value (its lowest bit set when it is only a lower bound), with FTZ. An unmasked overflow or
 * underflow reports precision as if exponents had no limit.
 */
function round(sign: number, m: bigint, e: number, f: Layout, op: SoftOperation): bigint {
  const outcome = roundToFormat(sign, m, e, f.format, op);
  if ((op.raised & (FSW.oe | FSW.ue) & ~op.fcw) !== 0) {
    const { inexact } = roundBits(m, bitLength(m) - f.format.bits, sign, op.rounding);
    op.raised = inexact ? op.raised | FSW.pe : op.raised & ~FSW.pe;
  }
  if (outcome === 'infinite') return infinityBits(sign, f);
  const denormal = outcome.sig >> BigInt(f.fraction) === 0n;
  if (op.ftz && op.masked(FSW.ue) && (denormal || (op.raised & FSW.ue) !== 0)) {
    op.raise(FSW.ue | FSW.pe);
    return zeroBits(sign, f);
  }
  return packExact(sign, outcome.sig, outcome.exponent - f.fraction, f);
}

export const add: SoftBinary = (a, b, f, op) => sum(unpack(a, f, op.daz), unpack(b, f, op.daz), 0, f, op);
export const subtract: SoftBinary = (a, b, f, op) => sum(unpack(a, f, op.daz), unpack(b, f, op.daz), 1, f, op);

/** a + b, or a - b when `negate` is 1. */
function sum(a: Soft, b: Soft, negate: number, f: Layout, op: SoftOperation): bigint {
  const nan = nan2(a, b, f, op);
  if (nan !== undefined) return nan;
  const signB = b.sign ^ negate;
  if (a.kind === 'infinity' && b.kind === 'infinity' && a.sign !== signB) return indefinite(f, op);
  noteDenormal(op, a, b);
  if (a.kind === 'infinity') return a.bits;
  if (b.kind === 'infinity') return infinityBits(signB, f);
  const e = Math.min(a.exp, b.exp);
  const signed = (v: Soft, sign: number): bigint => (sign ? -v.sig : v.sig) << BigInt(v.exp - e);
  const m = signed(a, a.sign) + signed(b, signB);
  if (m !== 0n) return round(m < 0n ? 1 : 0, m < 0n ? -m : m, e, f, op);
  const bothZero = a.sig === 0n && b.sig === 0n && a.sign === signB;
  return zeroBits(bothZero ? a.sign : op.rounding === ROUNDING.down ? 1 : 0, f);
}

export const multiply: SoftBinary = (x, y, f, op) => {
  const a = unpack(x, f, op.daz), b = unpack(y, f, op.daz), sign = a.sign ^ b.sign;
  const nan = nan2(a, b, f, op);
  if (nan !== undefined) return nan;
  const infinite = a.kind === 'infinity' || b.kind === 'infinity', zero = a.kind === 'zero' || b.kind === 'zero';
  if (infinite && zero) return indefinite(f, op);
  noteDenormal(op, a, b);
  if (infinite) return infinityBits(sign, f);
  return zero ? zeroBits(sign, f) : round(sign, a.sig * b.sig, a.exp + b.exp, f, op);
};

export const divide: SoftBinary = (x, y, f, op) => {
  const a = unpack(x, f, op.daz), b = unpack(y, f, op.daz), sign = a.sign ^ b.sign;
  const nan = nan2(a, b, f, op);
  if (nan !== undefined) return nan;
  if (a.kind === b.kind && (a.kind === 'infinity' || a.kind === 'zero')) return indefinite(f, op);
  if (b.kind === 'zero' && a.kind !== 'infinity') {
    op.raise(FSW.ze);
    return infinityBits(sign, f);
  }
  noteDenormal(op, a, b);
  if (a.kind === 'infinity') return infinityBits(sign, f);
  if (a.kind === 'zero' || b.kind === 'infinity') return zeroBits(sign, f);
  const shift = Math.max(0, f.format.bits + 3 + bitLength(b.sig) - bitLength(a.sig));
  return round(sign, stickyQuotient(a.sig << BigInt(shift), b.sig), a.exp - b.exp - shift, f, op);
};

/** √a */
export function squareRoot(x: bigint, f: Layout, op: SoftOperation): bigint {
  const a = unpack(x, f, op.daz);
  const nan = nan1(a, f, op);
  if (nan !== undefined) return nan;
  if (a.kind === 'zero') return a.bits;
  if (a.sign) return indefinite(f, op);
  noteDenormal(op, a);
  if (a.kind === 'infinity') return a.bits;
  const shift = 2 * (f.format.bits + 3) + (a.exp & 1);
  const n = a.sig << BigInt(shift), root = integerRoot(n);
  return round(0, root * root === n ? root : root | 1n, (a.exp - shift) / 2, f, op);
}

/** -1, 0, 1 of two numbers that are no NaNs. */
function order(a: Soft, b: Soft, f: Layout): number {
  const rank = (v: Soft): bigint => { const magnitude = v.bits & ~f.signBit; return v.sign ? -magnitude : magnitude; };
  const x = rank(a), y = rank(b);
  return x < y ? -1 : x > y ? 1 : 0;
}

/** MIN (`wanted` -1) and MAX (1): the second operand unless the first is strictly beyond it. */
const extreme = (wanted: -1 | 1): SoftBinary => (x, y, f, op) => {
  const a = unpack(x, f, op.daz), b = unpack(y, f, op.daz);
  if (isNaNKind(a) || isNaNKind(b)) {
    op.raise(FSW.ie);
    return b.bits;
  }
  noteDenormal(op, a, b);
  return order(a, b, f) === wanted ? a.bits : b.bits;
};
export const minimum: SoftBinary = extreme(-1);
export const maximum: SoftBinary = extreme(1);

/** -1, 0, 1, or undefined for unordered. `signals`: a quiet NaN is an invalid operand too. */
export function compare(x: bigint, y: bigint, signals: boolean, f: Layout, op: SoftOperation): number | undefined {
  const a = unpack(x, f, op.daz), b = unpack(y, f, op.daz);
  if (isNaNKind(a) || isNaNKind(b)) {
    if (signals || a.kind === 'signalling' || b.kind === 'signalling') op.raise(FSW.ie);
    return undefined;
  }
  noteDenormal(op, a, b);
  return order(a, b, f);
}

/** Single ↔ double. */
export function convert(x: bigint, from: Layout, to: Layout, op: SoftOperation): bigint {
  const a = unpack(x, from, op.daz);
  if (isNaNKind(a)) {
    if (a.kind === 'signalling') op.raise(FSW.ie);
    const shift = BigInt(to.fraction - from.fraction);
    return infinityBits(a.sign, to) | to.quietBit | (shift > 0n ? a.sig << shift : a.sig >> -shift);
  }
  if (a.kind === 'infinity') return infinityBits(a.sign, to);
  if (a.kind === 'zero') return zeroBits(a.sign, to);
  noteDenormal(op, a);
  return round(a.sign, a.sig, a.exp, to, op);
}

/**
 * Number → signed integer of `bits`, as a two's complement pattern.
 * @returns the "integer indefinite" (only the sign bit) when it does not fit
 */
export function toInteger(x: bigint, f: Layout, bits: number, rounding: number, op: SoftOperation): bigint {
  const a = unpack(x, f, op.daz), limit = 1n << BigInt(bits - 1);
  if (a.kind === 'infinity' || isNaNKind(a) || a.exp > bits) return invalidInteger(limit, op);
  const rounded = roundBits(a.sig, -a.exp, a.sign, rounding);
  const n = a.sign ? -rounded.value : rounded.value;
  if (n < -limit || n >= limit) return invalidInteger(limit, op);
  if (rounded.inexact) op.raise(FSW.pe);
  return BigInt.asUintN(bits, n);
}
function invalidInteger(limit: bigint, op: SoftOperation): bigint {
  op.raise(FSW.ie);
  return limit;
}

/** A signed integer → number. */
export function fromInteger(n: bigint, f: Layout, op: SoftOperation): bigint {
  return n === 0n ? 0n : round(n < 0n ? 1 : 0, n < 0n ? -n : n, 0, f, op);
}

/** Rounds to an integer in the same format. A denormal operand is not reported. */
export function roundToIntegral(x: bigint, f: Layout, rounding: number, reportInexact: boolean, op: SoftOperation): bigint {
  const a = unpack(x, f, op.daz);
  const nan = nan1(a, f, op);
  if (nan !== undefined) return nan;
  if (a.kind === 'infinity' || a.kind === 'zero' || a.exp >= 0) return a.bits;
  const rounded = roundBits(a.sig, -a.exp, a.sign, rounding);
  if (rounded.inexact && reportInexact) op.raise(FSW.pe);
  return packExact(a.sign, rounded.value, 0, f);
}
