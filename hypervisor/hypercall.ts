// The form of a hypercall handler, and the arguments that it reads. The table is in hypercall-table.ts.

import type { Vcpu } from './vcpu.ts';

/** The arguments of one hypercall: six 64-bit values, read once from registers or a multicall entry. */
export class HypercallArgs {
  private readonly u32 = new Uint32Array(12);
  private readonly u64 = new BigUint64Array(this.u32.buffer);
  set(i: number, lo: number, hi: number): void { this.u32[i * 2] = lo; this.u32[i * 2 + 1] = hi; }
  lo(i: number): number { return this.u32[i * 2] as number; }
  hi(i: number): number { return this.u32[i * 2 + 1] as number; }
  big(i: number): bigint { return this.u64[i] as bigint; }
  /** As an exact number; NaN above 2^53: every range check then refuses it. */
  num(i: number): number { const hi = this.hi(i); return hi < 0x20_0000 ? hi * 0x1_0000_0000 + this.lo(i) : NaN; }
  /** The low 32 bits as a signed number. */
  int(i: number): number { return (this.u32[i * 2] as number) | 0; }
}

/**
 * @returns the value for rax: zero or positive, or a negated errno; NO_RETURN when the handler set the registers; CONTINUE for the rest
 */
export type Hypercall = (v: Vcpu, a: HypercallArgs) => number;
/** The handler has set all registers itself (iret). */
export const NO_RETURN: number = Number.MIN_SAFE_INTEGER;
/**
 * The handler did a part of its work, so that one call does not hold the machine for long, and wrote the arguments of
 * the rest over its own: the call is to be made again with them (Xen's continuations). Whoever dispatches stores them
 * where they came from (registers, with rip back on the instruction, or the multicall entry) or calls again at once.
 */
export const CONTINUE: number = Number.MIN_SAFE_INTEGER + 1;
