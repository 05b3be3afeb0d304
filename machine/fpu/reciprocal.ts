// RCPPS and RSQRTPS. The manual only bounds the error; Intel's processors since the Pentium III agree on these values:
// the operand's significand is cut to its first 11 bits (10 and the exponent's parity for the root), and the result
// is that of the middle of the interval, rounded to 12 bits. MXCSR has no effect and no flag is raised; denormals are
// zeros on the way in and out. Found by running all significands on such a processor.

import { infinityBits, SINGLE, unpack, zeroBits } from './soft-format.ts';

/** Bits of a single for 2^(exponent - 126) × k / 2^13, 2^12 ≤ k < 2^13; zero when that is tiny. */
function pack(sign: number, exponent: number, k: number): bigint {
  if (exponent <= 0) return zeroBits(sign, SINGLE);
  return zeroBits(sign, SINGLE) | BigInt(exponent) << 23n | BigInt((k - 4096) << 11);
}

/** Approximates 1 ÷ a. */
export function reciprocal(bits: bigint): bigint {
  const a = unpack(bits, SINGLE, true);
  if (a.kind === 'quiet' || a.kind === 'signalling') return bits | SINGLE.quietBit;
  if (a.kind === 'infinity') return zeroBits(a.sign, SINGLE);
  if (a.kind === 'zero') return infinityBits(a.sign, SINGLE);
  const interval = Number(bits >> 12n) & 0x7ff;
  const exponent = Number(bits >> 23n) & 0xff;
  return pack(a.sign, 253 - exponent, Math.floor(8192 / (1 + (2 * interval + 1) / 4096) + 0.5));
}

/** Approximates 1 ÷ √a. */
export function reciprocalRoot(bits: bigint): bigint {
  const a = unpack(bits, SINGLE, true);
  if (a.kind === 'quiet' || a.kind === 'signalling') return bits | SINGLE.quietBit;
  if (a.kind === 'zero') return infinityBits(a.sign, SINGLE);
  if (a.sign) return SINGLE.indefinite;
  if (a.kind === 'infinity') return 0n;
  const middle = 1 + (2 * (Number(bits >> 13n) & 0x3ff) + 1) / 2048;
  const exponent = Number(bits >> 23n) & 0xff;
  // an odd exponent field is an even power of two
  if (exponent & 1) return pack(0, 126 - (exponent - 127) / 2, Math.floor(8192 / Math.sqrt(middle) + 0.5));
  return pack(0, 127 - (exponent - 126) / 2, Math.floor(4096 / Math.sqrt(middle / 2) + 0.5));
}
