// Elementary functions on fixed-point numbers: a bigint n stands for n / 2^p. Each is good to a few units of 2^-p for
// arguments in the range that it names; callers choose p so that 130 bits or more of the result are good, which
// leaves a wrong rounding to 64 bits a chance of about 2^-60.

import { assert } from '#base/assert.ts';
import { integerRoot } from './arithmetic.ts';
import { bitLength } from './float80.ts';

/** Bits below the result's last place that intermediate sums keep. */
const GUARD = 16;

/** Keeps a constant at the greatest precision asked for so far. */
function constant(compute: (p: number) => bigint): (p: number) => bigint {
  let bits = 0, value = 0n;
  return (p) => {
    if (p > bits) {
      bits = p + 64;
      value = compute(bits + GUARD) >> BigInt(GUARD);
    }
    return value >> BigInt(bits - p);
  };
}

/** Σ z^(2k+1) / (2k+1), alternating in sign for atan; |z| < 1/2. */
function oddSeries(z: bigint, p: number, alternating: boolean): bigint {
  const square = z * z >> BigInt(p);
  let power = z, sum = z;
  for (let n = 3n, minus = alternating; power !== 0n && power !== -1n; n += 2n) {
    power = power * square >> BigInt(p);
    sum += minus ? -power / n : power / n;
    if (alternating) minus = !minus;
  }
  return sum;
}

const atanInverse = (n: bigint, p: number): bigint => oddSeries((1n << BigInt(p)) / n, p, true);
/** π, by Machin's formula. */
export const pi = constant((p) => 4n * (4n * atanInverse(5n, p) - atanInverse(239n, p)));
/** ln 2 = 2 artanh(1/3) */
export const ln2 = constant((p) => 2n * oddSeries((1n << BigInt(p)) / 3n, p, false));

/** e^t - 1, |t| <= 1. */
export function expMinus1(t: bigint, p: number): bigint {
  let term = t, sum = t;
  for (let n = 2n; term !== 0n && term !== -1n; n++) {
    term = (term * t >> BigInt(p)) / n;
    sum += term;
  }
  return sum;
}

/** log2 v, v > 0; exact for powers of two. */
export function log2(v: bigint, p: number): bigint {
  assert(v > 0n, 'a positive number has a logarithm');
  const one = 1n << BigInt(p);
  let k = bitLength(v) - 1 - p;
  let m = k >= 0 ? v >> BigInt(k) : v << BigInt(-k);
  if (m * m >> BigInt(2 * p) >= 2n) {
    m = (m + 1n) >> 1n;
    k++;
  }
  // from the argument itself where no bits were shifted out: numbers near 1 keep their relative precision
  const f = (k === 0 ? v : m) - one;
  const z = (f << BigInt(p)) / (2n * one + f);
  return (BigInt(k) << BigInt(p)) + (2n * oddSeries(z, p, false) << BigInt(p)) / ln2(p);
}

/** arctan q, 0 <= q <= 1. Halves the angle three times: atan q = 2 atan(q / (1 + √(1 + q²))). */
export function atan(q: bigint, p: number): bigint {
  const one = 1n << BigInt(p);
  let z = q;
  for (let n = 0; n < 3; n++) z = (z << BigInt(p)) / (one + integerRoot((one << BigInt(p)) + z * z));
  return oddSeries(z, p, true) << 3n;
}

/** Sine and cosine, |r| <= 1. */
export function sinCos(r: bigint, p: number): { sin: bigint; cos: bigint } {
  const square = r * r >> BigInt(p);
  const series = (first: bigint, n: bigint): bigint => {
    let term = first, sum = first;
    for (; term !== 0n && term !== -1n; n += 2n) {
      term = -(term * square >> BigInt(p)) / (n * (n + 1n));
      sum += term;
    }
    return sum;
  };
  return { sin: series(r, 2n), cos: series(1n << BigInt(p), 1n) };
}
