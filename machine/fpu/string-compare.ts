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

interface Elements { readonly values: readonly number[]; readonly length: number }
/** One bit of the first result: element j of `b` against `a`. */
type Aggregation = (a: Elements, b: Elements, j: number) => boolean;

const equalAny: Aggregation = (a, b, j) => j < b.length && a.values.some((v, i) => i < a.length && v === b.values[j]);
const inRanges: Aggregation = (a, b, j) => {
  const v = b.values[j] as number;
  return j < b.length && a.values.some((low, i) => (i & 1) === 0 && i + 1 < a.length && low <= v && v <= (a.values[i + 1] as number));
};
/** Beyond both ends counts as equal. */
const equalEach: Aggregation = (a, b, j) => (j < a.length && j < b.length ? a.values[j] === b.values[j] : j >= a.length && j >= b.length);
/** `a` as far as it goes occurs at j; what lies beyond the register is not looked at. */
const equalOrdered: Aggregation = (a, b, j) =>
  a.values.every((v, i) => i >= a.length || j + i >= b.values.length || (j + i < b.length && v === b.values[j + i]));
const AGGREGATIONS: readonly Aggregation[] = [equalAny, inRanges, equalEach, equalOrdered];

/**
 * Compares the operands in SSE_SCRATCH; leaves the index or the mask there as the result, and the six status flags at
 * STRING_FLAGS.
 * @param base capsule offset of the vCPU's context
 * @param argument immediate byte and STRING_COMPARE bits
 */
export function compareStrings(capsule: Capsule, base: number, argument: number): void {
  const { dv } = capsule, words = (argument & 1) !== 0, count = words ? 8 : 16;
  const explicit = (argument & STRING_COMPARE.explicit) !== 0;
  const length = (register: number): number => explicitLength(dv.getBigInt64(base + CPU.regs + register * 8, true), argument, count);
  const read = (at: number, register: number): Elements => {
    const values = Array.from({ length: count }, (_, i) => element(dv, base + at, i, argument));
    const end = values.indexOf(0);
    return { values, length: explicit ? length(register) : end < 0 ? count : end };
  };
  const a = read(SSE_SCRATCH.a, REG.rax), b = read(SSE_SCRATCH.b, REG.rdx);
  const aggregate = AGGREGATIONS[argument >>> 2 & 3] as Aggregation;
  let bits = 0;
  for (let j = 0; j < count; j++) {
    const negate = (argument & 0x10) !== 0 && ((argument & 0x20) === 0 || j < b.length);
    if (aggregate(a, b, j) !== negate) bits |= 1 << j;
  }
  if (argument & STRING_COMPARE.mask) writeMask(dv, base + SSE_SCRATCH.result, bits, argument, count);
  else dv.setUint32(base + SSE_SCRATCH.result, indexOf(bits, argument, count), true);
  const flag = (on: boolean, bit: number): number => (on ? bit : 0);
  const flags = flag(bits !== 0, FLAG.cf) | flag(b.length < count, FLAG.zf) | flag(a.length < count, FLAG.sf) | flag((bits & 1) !== 0, FLAG.of);
  dv.setUint32(base + STRING_FLAGS, flags, true);
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
