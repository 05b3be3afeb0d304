// The 80-bit double extended format of the x87 (Intel SDM vol. 1, 4.2.2 and 8.2): one sign bit, a 15-bit exponent
// biased by 16383, and a 64-bit significand whose integer bit is explicit. A finite value is
// (-1)^sign × sig × 2^(max(exp, 1) - BIAS - 63).
//
// The explicit integer bit leaves patterns that no rounding produces. With exponent 0 and the bit set it is a
// pseudo-denormal, a legal operand that counts as denormal. With exponent 1..7FFEh and the bit clear (unnormal), or
// 7FFFh and the bit clear (pseudo-infinity, pseudo-NaN), it is unsupported: an invalid operand.

export interface Float80 {
  /** 0 or 1 */
  readonly sign: number;
  /** biased, 0..7FFFh */
  readonly exp: number;
  /** 64 bits, integer bit included */
  readonly sig: bigint;
}

export type Kind = 'zero' | 'denormal' | 'normal' | 'infinity' | 'quiet' | 'signalling' | 'unsupported';

export const BIAS = 0x3fff;
export const EXP_SPECIAL = 0x7fff;
export const INTEGER_BIT = 1n << 63n;
const QUIET_BIT = 1n << 62n;

/** What a masked invalid operation gives: the QNaN "real indefinite". */
export const INDEFINITE: Float80 = { sign: 1, exp: EXP_SPECIAL, sig: INTEGER_BIT | QUIET_BIT };
export const ONE: Float80 = { sign: 0, exp: BIAS, sig: INTEGER_BIT };
export const zero = (sign: number): Float80 => ({ sign, exp: 0, sig: 0n });
export const infinity = (sign: number): Float80 => ({ sign, exp: EXP_SPECIAL, sig: INTEGER_BIT });

export function kindOf(v: Float80): Kind {
  if (v.exp === 0) return v.sig === 0n ? 'zero' : 'denormal';
  if ((v.sig & INTEGER_BIT) === 0n) return 'unsupported';
  if (v.exp !== EXP_SPECIAL) return 'normal';
  if (v.sig === INTEGER_BIT) return 'infinity';
  return (v.sig & QUIET_BIT) !== 0n ? 'quiet' : 'signalling';
}

export const isNaN80 = (kind: Kind): boolean => kind === 'quiet' || kind === 'signalling';
export const isFinite80 = (kind: Kind): boolean => kind === 'zero' || kind === 'denormal' || kind === 'normal';

/** Exponent of the significand's lowest bit: a finite value is sig × 2^scaleOf. */
export const scaleOf = (v: Float80): number => Math.max(v.exp, 1) - BIAS - 63;

export const negate = (v: Float80): Float80 => ({ sign: v.sign ^ 1, exp: v.exp, sig: v.sig });
export const withSign = (v: Float80, sign: number): Float80 => ({ sign, exp: v.exp, sig: v.sig });
export const quieten = (v: Float80): Float80 => ({ sign: v.sign, exp: v.exp, sig: v.sig | QUIET_BIT });

export function load80(view: DataView, offset: number): Float80 {
  const top = view.getUint16(offset + 8, true);
  return { sign: top >>> 15, exp: top & 0x7fff, sig: view.getBigUint64(offset, true) };
}

export function store80(view: DataView, offset: number, v: Float80): void {
  view.setBigUint64(offset, v.sig, true);
  view.setUint16(offset + 8, v.sign << 15 | v.exp, true);
}

/** Number of bits up to the highest one; 0 for 0. `n` is not negative. */
export function bitLength(n: bigint): number {
  let bits = 0;
  while (n >> 1024n !== 0n) { n >>= 1024n; bits += 1024; }
  while (n >> 64n !== 0n) { n >>= 64n; bits += 64; }
  const high = Number(n >> 32n);
  return bits + (high !== 0 ? 64 - Math.clz32(high) : 32 - Math.clz32(Number(n & 0xffff_ffffn)));
}
