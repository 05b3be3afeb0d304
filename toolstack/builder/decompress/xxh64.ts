// XXH64 (xxHash specification 0.1.1), of which a Zstandard frame carries the low 32 bits. 64-bit numbers are pairs of
// 32-bit halves; a product's halves come back in module variables, so that nothing is allocated.

const PRIMES = [0x9e37_79b1_85eb_ca87n, 0xc2b2_ae3d_27d4_eb4fn, 0x1656_67b1_9e37_79f9n, 0x85eb_ca77_c2b2_ae63n, 0x27d4_eb2f_1656_67c5n] as const;
const M64 = (1n << 64n) - 1n;
const rotate = (x: bigint, n: bigint): bigint => (x << n | x >> (64n - n)) & M64;
const round = (acc: bigint, lane: bigint): bigint => (rotate((acc + lane * PRIMES[1]) & M64, 31n) * PRIMES[0]) & M64;

const P1_LO = 0x85eb_ca87 | 0, P1_HI = 0x9e37_79b1 | 0, P2_LO = 0x27d4_eb4f, P2_HI = 0xc2b2_ae3d | 0;
let lo = 0, hi = 0;

/** (lo, hi) = a × b modulo 2^64 */
function multiply(aLo: number, aHi: number, bLo: number, bHi: number): void {
  const a0 = aLo & 0xffff, a1 = aLo >>> 16, b0 = bLo & 0xffff, b1 = bLo >>> 16;
  const low = Math.imul(a0, b0);
  const mid = Math.imul(a1, b0) + (low >>> 16); // exact once taken as unsigned
  const mid2 = Math.imul(a0, b1) + (mid & 0xffff);
  lo = (mid2 << 16) | (low & 0xffff);
  hi = (Math.imul(a1, b1) + (mid >>> 16) + (mid2 >>> 16) + Math.imul(aLo, bHi) + Math.imul(aHi, bLo)) | 0;
}

/** Stripes of 32 bytes into four accumulators. */
function stripes(bytes: Uint8Array, end: number): bigint[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const start = [PRIMES[0] + PRIMES[1], PRIMES[1], 0n, -PRIMES[0]].map((v) => BigInt.asUintN(64, v));
  const accLo = Int32Array.from(start, (v) => Number(BigInt.asIntN(32, v)));
  const accHi = Int32Array.from(start, (v) => Number(BigInt.asIntN(32, v >> 32n)));
  for (let at = 0; at < end; at += 8) {
    const i = at >>> 3 & 3;
    multiply(view.getInt32(at, true), view.getInt32(at + 4, true), P2_LO, P2_HI);
    const sumLo = ((accLo[i] as number) + lo) | 0;
    const sumHi = ((accHi[i] as number) + hi + (sumLo >>> 0 < lo >>> 0 ? 1 : 0)) | 0;
    multiply(sumLo << 31 | sumHi >>> 1, sumHi << 31 | sumLo >>> 1, P1_LO, P1_HI);
    accLo[i] = lo;
    accHi[i] = hi;
  }
  return start.map((_, i) => BigInt(accHi[i] as number >>> 0) << 32n | BigInt(accLo[i] as number >>> 0));
}

/** The low 32 bits of XXH64 with seed 0, unsigned. */
export function xxh64Low(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = bytes.length & ~31;
  let hash: bigint = PRIMES[4];
  if (at > 0) {
    const acc = stripes(bytes, at);
    hash = acc.reduce((sum, a, i) => (sum + rotate(a, [1n, 7n, 12n, 18n][i] as bigint)) & M64, 0n);
    for (const a of acc) hash = ((hash ^ round(0n, a)) * PRIMES[0] + PRIMES[3]) & M64;
  }
  hash = (hash + BigInt(bytes.length)) & M64;
  for (; at + 8 <= bytes.length; at += 8) hash = (rotate(hash ^ round(0n, view.getBigUint64(at, true)), 27n) * PRIMES[0] + PRIMES[3]) & M64;
  if (at + 4 <= bytes.length) { hash = (rotate(hash ^ ((BigInt(view.getUint32(at, true)) * PRIMES[0]) & M64), 23n) * PRIMES[1] + PRIMES[2]) & M64; at += 4; }
  for (; at < bytes.length; at++) hash = (rotate(hash ^ ((BigInt(bytes[at] as number) * PRIMES[4]) & M64), 11n) * PRIMES[0]) & M64;
  hash = ((hash ^ hash >> 33n) * PRIMES[1]) & M64;
  hash = ((hash ^ hash >> 29n) * PRIMES[2]) & M64;
  return Number(BigInt.asUintN(32, hash ^ hash >> 32n));
}
