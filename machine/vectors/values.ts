// Values that are likely to show a mistake: boundaries of each size, special floating-point numbers, sparse bits.

import type { Random } from './random.ts';

const BOUNDARIES: readonly bigint[] = [
  0n, 1n, 2n, 3n, 0xfn, 0x10n, 0x7fn, 0x80n, 0x81n, 0xffn, 0x100n, 0x7fffn, 0x8000n, 0xffffn, 0x1_0000n, 0x7fff_ffffn, 0x8000_0000n,
  0x8000_0001n, 0xffff_ffffn, 0x1_0000_0000n, 0x7fff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n, 0xffff_ffff_ffff_ffffn, 0xffff_ffff_ffff_fffen,
  0xffff_ffff_8000_0000n, 0xffff_ffff_ffff_ff80n, 0xffff_ffff_ffff_8000n, 0x5555_5555_5555_5555n, 0x0123_4567_89ab_cdefn, 0x9999_9999_9999_9999n,
];

/** A 64-bit integer: a boundary, a small number of either sign, a single bit, or anything. */
export function integer(r: Random): bigint {
  switch (r.below(6)) {
    case 0: case 1: return r.pick(BOUNDARIES);
    case 2: return BigInt.asUintN(64, BigInt(r.between(-130, 130)));
    case 3: return BigInt.asUintN(64, (1n << BigInt(r.below(64))) - BigInt(r.between(-1, 1)));
    case 4: return r.u64() & r.u64() & r.u64();
    default: return r.u64();
  }
}

/** An immediate of a size in bytes, sign-extended to a number. */
export function immediate(r: Random, size: number): bigint {
  const bits = size * 8;
  if (r.oneIn(3)) return BigInt.asIntN(bits, r.pick([0n, 1n, -1n, (1n << BigInt(bits - 1)) - 1n, -(1n << BigInt(bits - 1)), 2n, 0x80n, 7n, 8n, 31n, 32n, 63n, 64n]));
  return BigInt.asIntN(bits, r.oneIn(2) ? integer(r) : r.u64());
}

/** Bits of a single-precision number: specials, ordinary ones of like size, anything. */
export function float32(r: Random): number {
  const sign = r.oneIn(2) ? 0x8000_0000 : 0;
  const fraction = r.oneIn(3) ? 0 : r.oneIn(4) ? 0x7f_ffff : r.u32() & 0x7f_ffff;
  switch (r.below(12)) {
    case 0: return sign;
    case 1: return (sign | r.pick([1, 0x7f_ffff, fraction])) >>> 0; // denormal or zero
    case 2: return (sign | 0x7f80_0000) >>> 0;
    case 3: return (sign | 0x7fc0_0000 | fraction) >>> 0; // quiet NaN
    case 4: return (sign | 0x7f80_0000 | (fraction & 0x3f_ffff) | 1) >>> 0; // signalling NaN
    case 5: return (sign | r.pick([1, 2, 0xfd, 0xfe]) << 23 | fraction) >>> 0; // near the ends of the range
    case 6: return (sign | (0x7f + r.below(40)) << 23 | fraction & 0x7f_0000) >>> 0; // integers and halves
    case 7: return (sign | (0x7f + r.pick([15, 16, 30, 31, 32, 62, 63, 64])) << 23 | fraction) >>> 0; // near integer limits
    case 8: return r.u32();
    default: return (sign | (0x7f + r.between(-4, 4)) << 23 | fraction) >>> 0;
  }
}

/** Bits of a double-precision number, likewise. */
export function float64(r: Random): bigint {
  const sign = r.oneIn(2) ? 1n << 63n : 0n;
  const all = (1n << 52n) - 1n;
  const fraction = r.oneIn(3) ? 0n : r.oneIn(4) ? all : r.u64() & all;
  const of = (exponent: number): bigint => sign | BigInt(exponent) << 52n | fraction;
  switch (r.below(13)) {
    case 0: return sign;
    case 1: return sign | r.pick([1n, all, fraction]);
    case 2: return sign | 0x7ff0_0000_0000_0000n;
    case 3: return of(0x7ff) | 1n << 51n;
    case 4: return (of(0x7ff) & ~(1n << 51n)) | 1n;
    case 5: return of(r.pick([1, 2, 0x7fd, 0x7fe]));
    case 6: return of(0x3ff + r.below(70)) & ~0xffff_ffffn;
    case 7: return of(0x3ff + r.pick([15, 16, 30, 31, 32, 52, 53, 62, 63, 64]));
    case 8: return of(0x3ff + r.pick([-126, -127, -149, -150, 127, 128, -151])); // the limits of single precision
    case 9: return r.u64();
    default: return of(0x3ff + r.between(-4, 4));
  }
}

/** An x87 register: ordinary numbers, specials, and the encodings that only the 8087 knew. Sign and exponent come last. */
export function float80(r: Random): Uint8Array {
  const sign = r.oneIn(2) ? 0x8000 : 0;
  const top = 1n << 63n;
  const fraction = r.oneIn(3) ? 0n : r.oneIn(4) ? top - 1n : r.u64() & (top - 1n);
  const encode = (mantissa: bigint, exponent: number): Uint8Array => {
    const out = new Uint8Array(10);
    const view = new DataView(out.buffer);
    view.setBigUint64(0, mantissa, true);
    view.setUint16(8, sign | exponent, true);
    return out;
  };
  switch (r.below(16)) {
    case 0: return encode(0n, 0);
    case 1: return encode(r.pick([1n, top - 1n, fraction]), 0); // denormal
    case 2: return encode(top | fraction, 0); // pseudo-denormal
    case 3: return encode(top, 0x7fff); // infinity
    case 4: return encode(top | 1n << 62n | fraction, 0x7fff); // quiet NaN
    case 5: return encode((top | fraction) & ~(1n << 62n) | 1n, 0x7fff); // signalling NaN
    case 6: return encode(fraction, r.pick([0x7fff, 0x3fff, 1, 0x4005])); // unnormal, pseudo-NaN, pseudo-infinity
    case 7: return encode(top | fraction, r.pick([1, 2, 0x7ffd, 0x7ffe]));
    case 8: return encode(top | fraction, 0x3fff + r.pick([-1022, -1023, -1074, -1075, 1023, 1024, -126, -127, -149, -150, 127, 128])); // limits of the smaller formats
    case 9: return encode(top | fraction, 0x3fff + r.pick([15, 31, 62, 63, 64, -1, 14, 30])); // limits of integers
    case 10: return encode((top | fraction) & ~((1n << BigInt(r.below(63))) - 1n), 0x3fff + r.below(66)); // integers and ties
    case 11: return encode(top | r.u64() & ~0x7ffn, 0x3fff + r.between(-2, 2)); // fits double precision
    case 12: return encode(top | r.u64(), r.u32() & 0x7fff);
    default: return encode(top | fraction, 0x3fff + r.between(-8, 8));
  }
}

/** Bytes of a vector register or operand: `kind` says how its elements are meant. */
export function vector(r: Random, kind: 'ps' | 'pd' | 'integer', size = 16): Uint8Array {
  const out = new Uint8Array(size);
  const view = new DataView(out.buffer);
  const element = kind === 'integer' ? r.pick(['byte', 'quad', 'quad', 'any'] as const) : kind;
  for (let at = 0; at + 8 <= size; at += 8) {
    if (element === 'ps') {
      view.setUint32(at, float32(r), true);
      view.setUint32(at + 4, float32(r), true);
    } else if (element === 'pd') view.setBigUint64(at, float64(r), true);
    else if (element === 'quad') view.setBigUint64(at, integer(r), true);
    else for (let i = 0; i < 8; i++) out[at + i] = element === 'any' ? r.u32() : r.pick([0, 1, 0x7f, 0x80, 0x81, 0xff, 0xfe, r.u32() & 0xff]);
  }
  return out;
}
