// Conversions between the 80-bit format and what lies in memory: single and double, integers, packed decimal
// (Intel SDM vol. 1, 4.2, 4.7 and 8.2; the "indefinite" of each format is table 4-4).

import { type Float80, BIAS, EXP_SPECIAL, INTEGER_BIT, bitLength, kindOf, scaleOf, zero } from './float80.ts';
import type { Operation } from './operation.ts';
import { type Format, roundBits, roundToFormat } from './rounding.ts';
import { FSW } from './words.ts';

/** An interchange format: stored significand bits, exponent bits. */
interface Layout { fraction: number; special: number; format: Format }
const layout = (fraction: number, bias: number): Layout =>
  ({ fraction, special: 2 * bias + 1, format: { bits: fraction + 1, maxExponent: bias, minExponent: 1 - bias } });
const SINGLE = layout(23, 127);
const DOUBLE = layout(52, 1023);

/** Widens a single; exact. A denormal one is noted in `op`, a signalling NaN stays one. */
export const fromSingle = (bits: bigint, op: Operation): Float80 => widen(bits, SINGLE, op);
/** Widens a double; exact. A denormal one is noted in `op`, a signalling NaN stays one. */
export const fromDouble = (bits: bigint, op: Operation): Float80 => widen(bits, DOUBLE, op);

function widen(bits: bigint, { fraction, special, format }: Layout, op: Operation): Float80 {
  const sig = BigInt.asUintN(fraction, bits) << BigInt(63 - fraction);
  const head = Number(bits >> BigInt(fraction));
  const exp = head & special;
  const sign = head > special ? 1 : 0;
  if (exp === special) return { sign, exp: EXP_SPECIAL, sig: INTEGER_BIT | sig };
  if (exp !== 0) return { sign, exp: exp - format.maxExponent + BIAS, sig: INTEGER_BIT | sig };
  if (sig === 0n) return zero(sign);
  op.denormalSource = true;
  const shift = 64 - bitLength(sig);
  return { sign, exp: format.minExponent + BIAS - shift, sig: sig << BigInt(shift) };
}

/** What a load of a single or double puts on the stack: NaNs become quiet. */
export function loaded(v: Float80, op: Operation): Float80 {
  return op.nan1(v, kindOf(v)) ?? v;
}

/** Rounds to a single; the bits. */
export const toSingle = (v: Float80, op: Operation): bigint => narrow(v, SINGLE, op);
/** Rounds to a double; the bits. */
export const toDouble = (v: Float80, op: Operation): bigint => narrow(v, DOUBLE, op);

/** An unmasked overflow or underflow stores nothing, and precision is not reported with it. */
function narrow(v: Float80, { fraction, special, format }: Layout, op: Operation): bigint {
  const pack = (sign: number, exp: number, sig: bigint): bigint =>
    BigInt(sign) << BigInt(format.bits + Math.log2(special + 1) - 1) | BigInt(exp) << BigInt(fraction) | BigInt.asUintN(fraction, sig);
  const kind = kindOf(v);
  const nan = op.nan1(v, kind);
  if (nan) return pack(nan.sign, special, nan.sig >> BigInt(63 - fraction));
  if (kind === 'infinity') return pack(v.sign, special, 0n);
  if (kind === 'zero') return pack(v.sign, 0, 0n);
  const before = op.raised;
  const outcome = roundToFormat(v.sign, v.sig, scaleOf(v), format, op);
  if (op.storeStopped) {
    op.raised = before | op.raised & (FSW.oe | FSW.ue);
    op.c1 = false;
  }
  if (outcome === 'infinite') return pack(v.sign, special, 0n);
  const normal = outcome.sig >> BigInt(fraction) !== 0n;
  return pack(v.sign, normal ? outcome.exponent + format.maxExponent : 0, outcome.sig);
}

/** An integer of at most 64 bits; exact. */
export function fromInteger(n: bigint): Float80 {
  if (n === 0n) return zero(0);
  const magnitude = n < 0n ? -n : n;
  const length = bitLength(magnitude);
  return { sign: n < 0n ? 1 : 0, exp: BIAS + length - 1, sig: magnitude << BigInt(64 - length) };
}

/** Rounds a finite value to an integer; signed. Reports precision. */
export function roundToInteger(v: Float80, rounding: number, op: Operation): bigint {
  const scale = scaleOf(v);
  if (scale > 64) return (v.sign ? -v.sig : v.sig) << BigInt(scale);
  const rounded = roundBits(v.sig, -scale, v.sign, rounding);
  if (rounded.inexact) op.raise(FSW.pe);
  op.c1 = rounded.up;
  return v.sign ? -rounded.value : rounded.value;
}

/**
 * Converts to an integer of 16, 32 or 64 bits.
 * @returns the signed integer; on an invalid operation the "integer indefinite", the most negative one
 */
export function toInteger(v: Float80, bits: number, rounding: number, op: Operation): bigint {
  const kind = kindOf(v);
  const limit = 1n << BigInt(bits - 1);
  if (kind === 'normal' && scaleOf(v) <= 1) {
    const before = op.raised;
    const n = roundToInteger(v, rounding, op);
    if (n >= -limit && n < limit) return n;
    op.raised = before;
    op.c1 = false;
  } else if (kind === 'zero') return 0n;
  else if (kind === 'denormal') return roundToInteger(v, rounding, op);
  op.raise(FSW.ie);
  return -limit;
}

const DECIMAL_LIMIT = 10n ** 18n;
/** Packed decimal indefinite. */
export const DECIMAL_INDEFINITE = 0xffff_c000_0000_0000_0000n;

/** Packed decimal, 18 digits and a sign; digits above 9 count as their value, as the processor has it. */
export function fromDecimal(bits: bigint): Float80 {
  let n = 0n;
  for (let i = 17; i >= 0; i--) n = n * 10n + (bits >> BigInt(4 * i) & 15n);
  const sign = Number(bits >> 79n & 1n);
  return n === 0n ? zero(sign) : { ...fromInteger(n), sign };
}

/** Rounds to packed decimal; the 80 bits. */
export function toDecimal(v: Float80, op: Operation): bigint {
  const kind = kindOf(v);
  const sign = BigInt(v.sign) << 79n;
  if (kind === 'zero') return sign;
  if ((kind === 'normal' && scaleOf(v) <= 1) || kind === 'denormal') {
    const before = op.raised;
    const n = roundToInteger(v, op.rounding, op);
    const magnitude = n < 0n ? -n : n;
    if (magnitude < DECIMAL_LIMIT) return sign | BigInt(`0x${magnitude}`);
    op.raised = before;
    op.c1 = false;
  }
  op.raise(FSW.ie);
  return DECIMAL_INDEFINITE;
}

