// Guest addresses as pairs of unsigned 32-bit halves: the arithmetic that the hot paths need.

import { HYPERVISOR_VIRT_END } from '#abi/xen.ts';

/** A 64-bit value as the tools print it, e.g. ffffffff81000000. */
export function hex64(value: bigint): string { return BigInt.asUintN(64, value).toString(16).padStart(16, '0'); }

/** Both halves, for functions that return an address. Read it before the next call. */
export const result = { lo: 0, hi: 0 };

/** lo:hi - n into `result`, modulo 2^64. n below 2^32. */
export function subtract(lo: number, hi: number, n: number): void {
  const low = lo - n;
  result.lo = low >>> 0;
  result.hi = low < 0 ? (hi - 1) >>> 0 : hi;
}
/** lo:hi + n into `result`, modulo 2^64. n below 2^32. */
export function add(lo: number, hi: number, n: number): void {
  const low = lo + n;
  result.lo = low >>> 0;
  result.hi = low > 0xffff_ffff ? (hi + 1) >>> 0 : hi;
}

/** True when bits 63:47 are all equal: 48-bit linear addresses. Takes the high half. */
export function canonical(hi: number): boolean {
  const top = hi >>> 15;
  return top === 0 || top === 0x1_ffff;
}
/** The same for a bigint. */
export function isCanonical(address: bigint): boolean { return BigInt.asIntN(48, address) === BigInt.asIntN(64, address); }
/** True for addresses a breakpoint may have: the lower half, or above Xen's window. */
export function addressOk(address: bigint): boolean {
  const a = BigInt.asUintN(64, address);
  return a < 1n << 47n || a >= HYPERVISOR_VIRT_END;
}
