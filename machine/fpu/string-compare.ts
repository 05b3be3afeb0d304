// PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (Intel SDM vol. 2, 4.1: "Imm8 control byte operation"). Operand 1 is the
// set, the ranges or the string that is looked for; operand 2 is what is looked through, and each of its elements
// gives one bit of the result.

import type { Capsule } from '#base/capsule.ts';
import { CPU, FLAG, REG } from '../cpu-state.ts';
import { SSE_SCRATCH } from './sse-operation.ts';

/** Bits of the argument above the immediate byte. */
export const STRING_COMPARE = { explicit: 0x100, mask: 0x200, wide: 0x400 } as const;
/** Offset in the context of the flags that the routine gives. */
export const STRING_FLAGS: number = SSE_SCRATCH.result + 16;

/** elements of the operands at hand */
const A = new Int32Array(16), B = new Int32Array(16);

/** One bit for each of `count` elements of B, by the numbers of valid elements of both. */
type Aggregation = (a: number, b: number, count: number) => number;

const equalAny: Aggregation = (a, b) => {
  let bits = 0;
  for (let j = 0; j < b; j++) for (let i = 0; i < a; i++) if (A[i] === B[j]) bits |= 1 << j;
  return bits;
};
const inRanges: Aggregation = (a, b) => {
  let bits = 0;
  for (let j = 0; j < b; j++) {
    const v = B[j] as number;
    for (let i = 0; i + 1 < a; i += 2) if ((A[i] as number) <= v && v <= (A[i + 1] as number)) bits |= 1 << j;
  }
  return bits;
};
/** Beyond both ends counts as equal. */
const equalEach: Aggregation = (a, b, count) => {
  let bits = 0;
  for (let j = 0; j < count; j++) if (j < a && j < b ? A[j] === B[j] : j >= a && j >= b) bits |= 1 << j;
  return bits;
};
/** `A` as far as it goes occurs at j; what lies beyond the register is not looked at. */
const equalOrdered: Aggregation = (a, b, count) => {
  let bits = 0;
  for (let j = 0; j < count; j++) {
    const end = Math.min(a, count - j);
    let i = 0;
    while (i < end && j + i < b && A[i] === B[j + i]) i++;
    if (i === end) bits |= 1 << j;
  }
  return bits;
};
const AGGREGATIONS: readonly Aggregation[] = [equalAny, inRanges, equalEach, equalOrdered];

/**
 * Compares the operands in SSE_SCRATCH; leaves the index or the mask there as the result, and the six status flags at
 * STRING_FLAGS.
 * @param base capsule offset of the vCPU's context
 * @param argument immediate byte and STRING_COMPARE bits
 */
export function compareStrings(capsule: Capsule, base: number, argument: number): void {
  const { dv } = capsule, count = (argument & 1) !== 0 ? 8 : 16;
  const implicitA = readElements(dv, base + SSE_SCRATCH.a, argument, count, A);
  const implicitB = readElements(dv, base + SSE_SCRATCH.b, argument, count, B);
  const explicit = (argument & STRING_COMPARE.explicit) !== 0;
  const a = explicit ? explicitLength(dv.getBigInt64(base + CPU.regs + REG.rax * 8, true), argument, count) : implicitA;
  const b = explicit ? explicitLength(dv.getBigInt64(base + CPU.regs + REG.rdx * 8, true), argument, count) : implicitB;
  let bits = (AGGREGATIONS[argument >>> 2 & 3] as Aggregation)(a, b, count);
  // negated everywhere, or only where B has elements
  if (argument & 0x10) bits ^= (1 << (argument & 0x20 ? b : count)) - 1;
  if (argument & STRING_COMPARE.mask) writeMask(dv, base + SSE_SCRATCH.result, bits, argument, count);
  else dv.setUint32(base + SSE_SCRATCH.result, indexOf(bits, argument, count), true);
  const flags = (bits !== 0 ? FLAG.cf : 0) | (b < count ? FLAG.zf : 0) | (a < count ? FLAG.sf : 0) | (bits & 1 ? FLAG.of : 0);
  dv.setUint32(base + STRING_FLAGS, flags, true);
}

/** Reads an operand's elements. @returns the number of those before the first zero */
function readElements(dv: DataView, at: number, immediate: number, count: number, into: Int32Array): number {
  let length = count;
  for (let i = count - 1; i >= 0; i--) if ((into[i] = element(dv, at, i, immediate)) === 0) length = i;
  return length;
}
/** Bits 1:0 of the immediate: bytes or words, unsigned or signed. */
function element(dv: DataView, at: number, i: number, immediate: number): number {
  if (immediate & 1) return immediate & 2 ? dv.getInt16(at + 2 * i, true) : dv.getUint16(at + 2 * i, true);
  return immediate & 2 ? dv.getInt8(at + i) : dv.getUint8(at + i);
}
/** The magnitude of EAX or EDX (RAX, RDX with REX.W), at most all elements. */
function explicitLength(register: bigint, argument: number, count: number): number {
  const n = argument & STRING_COMPARE.wide ? register : BigInt.asIntN(32, register);
  const magnitude = n < 0n ? -n : n;
  return magnitude > BigInt(count) ? count : Number(magnitude);
}
/** The first or last set bit; the number of elements when there is none. */
function indexOf(bits: number, immediate: number, count: number): number {
  if (bits === 0) return count;
  return 31 - Math.clz32(immediate & 0x40 ? bits : bits & -bits);
}
/** The bits as they are, or each spread over its element. */
function writeMask(dv: DataView, at: number, bits: number, immediate: number, count: number): void {
  dv.setBigUint64(at, 0n, true);
  dv.setBigUint64(at + 8, 0n, true);
  if ((immediate & 0x40) === 0) dv.setUint16(at, bits, true);
  else for (let i = 0; i < 16; i++) dv.setUint8(at + i, bits >>> Math.floor(i * count / 16) & 1 ? 0xff : 0);
}
