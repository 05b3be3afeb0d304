// Single and double precision numbers as bit patterns (Intel SDM vol. 1, 4.2), taken apart and put together again for
// arithmetic on exact values.

import { bitLength } from './float80.ts';
import type { Format } from './rounding.ts';

/** An interchange format with what follows from its widths. Bit patterns are bigint of `width` bits. */
export interface Layout {
  readonly width: 32 | 64;
  /** stored bits of the significand */
  readonly fraction: number;
  /** all ones in the exponent: infinities and NaNs */
  readonly special: number;
  readonly format: Format;
  readonly signBit: bigint;
  readonly infinity: bigint;
  readonly quietBit: bigint;
  /** QNaN floating-point indefinite */
  readonly indefinite: bigint;
}
function layout(width: 32 | 64, fraction: number): Layout {
  const special = (1 << width - 1 - fraction) - 1, bias = special >> 1;
  const signBit = 1n << BigInt(width - 1), infinity = BigInt(special) << BigInt(fraction), quietBit = 1n << BigInt(fraction - 1);
  return {
    width, fraction, special, format: { bits: fraction + 1, maxExponent: bias, minExponent: 1 - bias },
    signBit, infinity, quietBit, indefinite: signBit | infinity | quietBit,
  };
}
export const SINGLE: Layout = layout(32, 23);
export const DOUBLE: Layout = layout(64, 52);

export type SoftKind = 'zero' | 'denormal' | 'normal' | 'infinity' | 'quiet' | 'signalling';

/** A bit pattern taken apart. A finite value is (-1)^sign × sig × 2^exp. */
export interface Soft {
  readonly bits: bigint;
  readonly kind: SoftKind;
  readonly sign: number;
  readonly sig: bigint;
  readonly exp: number;
}

/**
 * Takes a bit pattern apart.
 * @param daz denormals are zeros: a denormal comes back as the zero of its sign
 */
export function unpack(bits: bigint, f: Layout, daz: boolean): Soft {
  const sign = (bits & f.signBit) === 0n ? 0 : 1;
  const head = Number(bits >> BigInt(f.fraction)) & f.special;
  const fraction = BigInt.asUintN(f.fraction, bits);
  const lowest = f.format.minExponent - f.fraction;
  if (head === f.special) {
    const kind = fraction === 0n ? 'infinity' : (fraction & f.quietBit) !== 0n ? 'quiet' : 'signalling';
    return { bits, kind, sign, sig: fraction, exp: 0 };
  }
  if (head !== 0) return { bits, kind: 'normal', sign, sig: fraction | 1n << BigInt(f.fraction), exp: lowest + head - 1 };
  if (fraction === 0n) return { bits, kind: 'zero', sign, sig: 0n, exp: lowest };
  if (daz) return { bits: bits & f.signBit, kind: 'zero', sign, sig: 0n, exp: lowest };
  return { bits, kind: 'denormal', sign, sig: fraction, exp: lowest };
}

export const isNaNKind = (v: Soft): boolean => v.kind === 'quiet' || v.kind === 'signalling';
export const zeroBits = (sign: number, f: Layout): bigint => (sign ? f.signBit : 0n);
export const infinityBits = (sign: number, f: Layout): bigint => zeroBits(sign, f) | f.infinity;

/** The bit pattern of sig × 2^exponent-of-its-unit, which the format holds exactly; sig has at most its significand's bits. */
export function packExact(sign: number, sig: bigint, exp: number, f: Layout): bigint {
  if (sig === 0n) return zeroBits(sign, f);
  const shift = f.format.bits - bitLength(sig);
  const biased = exp - shift - (f.format.minExponent - f.fraction) + 1;
  const full = shift >= 0 ? sig << BigInt(shift) : sig >> BigInt(-shift);
  if (biased <= 0) return zeroBits(sign, f) | full >> BigInt(1 - biased);
  return zeroBits(sign, f) | BigInt(biased) << BigInt(f.fraction) | BigInt.asUintN(f.fraction, full);
}
