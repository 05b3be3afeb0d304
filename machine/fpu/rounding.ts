// Rounding an exact value to a floating-point format, with overflow, underflow and precision exceptions and their
// masked and unmasked responses (Intel SDM vol. 1, 4.8.4 and 8.5.4 to 8.5.6).
//
// The exact value is (-1)^sign × m × 2^e with m > 0. A value known only to lie between two neighbours is given with
// its lowest bit set ("sticky"), at least two bits below the format's last place.
//
// Tininess is decided after rounding: underflow is when the value, rounded as if exponents had no limit, is below
// the least normal number. Masked, it is reported only if the denormal result is inexact.

import { assert } from '#base/assert.ts';
import { type Float80, BIAS, EXP_SPECIAL, bitLength, infinity, zero } from './float80.ts';
import type { Operation } from './operation.ts';
import { FSW, ROUNDING } from './words.ts';

/** Unmasked overflow and underflow give the result with its exponent brought into range by this. */
const BIAS_ADJUST = 24576;

/** Result of `roundBits`. */
export interface Rounded { value: bigint; inexact: boolean; up: boolean }

/** Divides a magnitude by 2^shift and rounds to an integer in the direction `rounding` for that sign. */
export function roundBits(m: bigint, shift: number, sign: number, rounding: number): Rounded {
  if (shift <= 0) return { value: m << BigInt(-shift), inexact: false, up: false };
  const kept = m >> BigInt(shift);
  const lost = m - (kept << BigInt(shift));
  if (lost === 0n) return { value: kept, inexact: false, up: false };
  const up = roundsUp(kept, lost, 1n << BigInt(shift - 1), sign, rounding);
  return { value: up ? kept + 1n : kept, inexact: true, up };
}

function roundsUp(kept: bigint, lost: bigint, half: bigint, sign: number, rounding: number): boolean {
  if (rounding === ROUNDING.nearest) return lost > half || (lost === half && (kept & 1n) === 1n);
  if (rounding === ROUNDING.zero) return false;
  return rounding === (sign ? ROUNDING.down : ROUNDING.up);
}

/** A binary format: significand bits, and the exponents of its greatest and least normal numbers. */
export interface Format { bits: number; maxExponent: number; minExponent: number }
export const EXTENDED = { maxExponent: EXP_SPECIAL - 1 - BIAS, minExponent: 1 - BIAS } as const;

/** A value rounded as if exponents had no limit: sig × 2^(exponent - (bits - 1)), sig with its highest bit set. */
interface Normal { sig: bigint; exponent: number; inexact: boolean; up: boolean }

function roundNormal(sign: number, m: bigint, e: number, bits: number, rounding: number): Normal {
  assert(m > 0n, 'a magnitude to round');
  const length = bitLength(m);
  const { value, inexact, up } = roundBits(m, length - bits, sign, rounding);
  const carry = value >> BigInt(bits) !== 0n;
  return { sig: carry ? value >> 1n : value, exponent: e + length - 1 + (carry ? 1 : 0), inexact, up };
}

/** A rounded value: sig × 2^(exponent - (bits - 1)), with fewer bits where it is denormal; 'infinite' on overflow. */
export type Outcome = { sig: bigint; exponent: number } | 'infinite';

/**
 * Rounds to a format, raising exceptions and giving the masked response to them. An exact denormal result raises
 * underflow too when that is unmasked. Answering unmasked exceptions is left to the caller.
 */
export function roundToFormat(sign: number, m: bigint, e: number, format: Format, op: Operation): Outcome {
  return fit(roundNormal(sign, m, e, format.bits, op.rounding), sign, m, e, format, op);
}

function fit(normal: Normal, sign: number, m: bigint, e: number, format: Format, op: Operation): Outcome {
  if (normal.exponent > format.maxExponent) return overflow(sign, format, op);
  if (normal.exponent < format.minExponent) return underflow(sign, m, e, format, op);
  notePrecision(normal, op);
  return normal;
}

function notePrecision(result: { inexact: boolean; up: boolean }, op: Operation): void {
  if (!result.inexact) return;
  op.raise(FSW.pe);
  op.c1 = result.up;
}

function overflow(sign: number, format: Format, op: Operation): Outcome {
  op.raise(FSW.oe | FSW.pe);
  op.c1 = op.rounding === ROUNDING.nearest || op.rounding === (sign ? ROUNDING.down : ROUNDING.up);
  return op.c1 ? 'infinite' : { sig: (1n << BigInt(format.bits)) - 1n, exponent: format.maxExponent };
}

function underflow(sign: number, m: bigint, e: number, format: Format, op: Operation): Outcome {
  const rounded = roundBits(m, format.minExponent - (format.bits - 1) - e, sign, op.rounding);
  notePrecision(rounded, op);
  if (rounded.inexact || !op.masked(FSW.ue)) op.raise(FSW.ue);
  return { sig: rounded.value, exponent: format.minExponent };
}

/**
 * Rounds to the 80-bit format.
 * @param bits significand bits: 64, or fewer by precision control
 */
export function round80(sign: number, m: bigint, e: number, op: Operation, bits = 64): Float80 {
  const normal = roundNormal(sign, m, e, bits, op.rounding);
  if (normal.exponent > EXTENDED.maxExponent && !op.masked(FSW.oe)) return adjusted(normal, sign, bits, FSW.oe, op);
  if (normal.exponent < EXTENDED.minExponent && !op.masked(FSW.ue)) return adjusted(normal, sign, bits, FSW.ue, op);
  const outcome = fit(normal, sign, m, e, { bits, ...EXTENDED }, op);
  if (outcome === 'infinite') return infinity(sign);
  const sig = outcome.sig << BigInt(64 - bits);
  return { sign, exp: sig >> 63n === 0n ? 0 : outcome.exponent + BIAS, sig };
}

/**
 * The response to an unmasked overflow or underflow: the rounded result, its exponent brought into range. Where that
 * does not reach (FSCALE), infinity or zero whatever the rounding.
 */
function adjusted(normal: Normal, sign: number, bits: number, flag: number, op: Operation): Float80 {
  op.raise(flag);
  notePrecision(normal, op);
  const exp = normal.exponent + BIAS + (flag === FSW.oe ? -BIAS_ADJUST : BIAS_ADJUST);
  if (exp >= EXP_SPECIAL || exp <= 0) {
    op.raise(FSW.pe);
    op.c1 = exp > 0;
    return exp <= 0 ? zero(sign) : infinity(sign);
  }
  return { sign, exp, sig: normal.sig << BigInt(64 - bits) };
}
