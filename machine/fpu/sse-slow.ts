// The exact form of every SSE floating-point operation, for the cases that the inline form in isa/ does not cover:
// NaNs, denormals, rounding modes, exceptions, a PE flag that is not set yet.
//
// Flags of all lanes are collected first. An unmasked exception found before computing (IE, DE, ZE, in any lane) is
// reported alone; otherwise those found after it (OE, UE, PE) are reported too. With any of them unmasked the result
// is dropped, the sticky flags stay set, and #XM is raised (Intel SDM vol. 1, 11.5.2 and 11.5.3).

import { assert } from '#base/assert.ts';
import type { Capsule } from '#base/capsule.ts';
import { CPU, FLAG, FX } from '../cpu-state.ts';
import { quickFloat } from './quick-float.ts';
import { reciprocal, reciprocalRoot } from './reciprocal.ts';
import {
  add, compare, convert, divide, fromInteger, maximum, minimum, multiply, MXCSR, roundToIntegral, SoftOperation, squareRoot, subtract, toInteger, type SoftBinary,
} from './soft-float.ts';
import { DOUBLE, SINGLE, type Layout } from './soft-format.ts';
import { SSE, SSE_IMMEDIATE_SHIFT, SSE_SCRATCH } from './sse-operation.ts';
import { FSW, ROUNDING } from './words.ts';

/** #XM, SIMD floating-point exception */
export const VECTOR_XM = 19;

const SHAPES: readonly { lanes: number; f: Layout }[] = [
  { lanes: 4, f: SINGLE }, { lanes: 2, f: DOUBLE }, { lanes: 1, f: SINGLE }, { lanes: 1, f: DOUBLE }, { lanes: 2, f: SINGLE },
];
type Element = 'float' | 'other' | 'int32' | 'int64';
/** One lane: `b` is the second operand's lane, `i` the lane's number. */
type Lane = (a: bigint, b: bigint, f: Layout, op: SoftOperation, immediate: number, i: number) => bigint;
interface Task { readonly from: Element; readonly to: Element; readonly lane: Lane }

const arithmetic = (lane: Lane): Task => ({ from: 'float', to: 'float', lane });
const binary = (run: SoftBinary): Task => arithmetic((a, b, f, op) => run(a, b, f, op));
const toInt = (bits: 32 | 64, truncate: boolean): Task => ({
  from: 'float', to: bits === 32 ? 'int32' : 'int64',
  lane: (a, _b, f, op) => toInteger(a, f, bits, truncate ? ROUNDING.zero : op.rounding, op),
});
const fromInt = (bits: 32 | 64): Task => ({
  from: bits === 32 ? 'int32' : 'int64', to: 'float', lane: (a, _b, f, op) => fromInteger(BigInt.asIntN(bits, a), f, op),
});

/** Predicates of CMPPS 0 to 3: what holds for an order, and whether a quiet NaN is invalid; 4 to 7 are their opposites. */
const PREDICATES: readonly { holds: (order: number | undefined) => boolean; signals: boolean }[] = [
  { holds: (o) => o === 0, signals: false },
  { holds: (o) => o === -1, signals: true },
  { holds: (o) => o === -1 || o === 0, signals: true },
  { holds: (o) => o === undefined, signals: false },
];
const compareLane: Lane = (a, b, f, op, immediate) => {
  const predicate = PREDICATES[immediate & 3];
  assert(predicate !== undefined, 'a predicate of two bits');
  const holds = predicate.holds(compare(a, b, predicate.signals, f, op));
  return holds !== ((immediate & 4) !== 0) ? BigInt.asUintN(f.width, -1n) : 0n;
};
/** RFLAGS of COMISS and UCOMISS. */
const orderLane = (signals: boolean): Task => ({
  from: 'float', to: 'int32',
  lane: (a, b, f, op) => {
    const order = compare(a, b, signals, f, op);
    return BigInt(order === undefined ? FLAG.zf | FLAG.pf | FLAG.cf : order < 0 ? FLAG.cf : order === 0 ? FLAG.zf : 0);
  },
});
/** Immediate of ROUNDPS: bit 2 takes MXCSR's rounding mode instead of bits 1:0, bit 3 keeps inexact results quiet. */
const roundLane: Lane = (a, _b, f, op, immediate) =>
  roundToIntegral(a, f, (immediate & 4) !== 0 ? op.rounding : immediate & 3, (immediate & 8) === 0, op);

const TASKS: Readonly<Record<number, Task>> = {
  [SSE.add]: binary(add), [SSE.subtract]: binary(subtract), [SSE.multiply]: binary(multiply), [SSE.divide]: binary(divide),
  [SSE.addSubtract]: arithmetic((a, b, f, op, _immediate, i) => (i & 1 ? add : subtract)(a, b, f, op)),
  [SSE.minimum]: binary(minimum), [SSE.maximum]: binary(maximum),
  [SSE.squareRoot]: arithmetic((a, _b, f, op) => squareRoot(a, f, op)),
  [SSE.compare]: arithmetic(compareLane), [SSE.round]: arithmetic(roundLane),
  [SSE.reciprocal]: arithmetic((a) => reciprocal(a)), [SSE.reciprocalRoot]: arithmetic((a) => reciprocalRoot(a)),
  [SSE.orderSignalling]: orderLane(true), [SSE.orderQuiet]: orderLane(false),
  [SSE.convert]: { from: 'float', to: 'other', lane: (a, _b, f, op) => convert(a, f, f === SINGLE ? DOUBLE : SINGLE, op) },
  [SSE.toInt32]: toInt(32, false), [SSE.truncateToInt32]: toInt(32, true), [SSE.toInt64]: toInt(64, false), [SSE.truncateToInt64]: toInt(64, true),
  [SSE.fromInt32]: fromInt(32), [SSE.fromInt64]: fromInt(64),
};

const widthOf = (element: Element, f: Layout): 32 | 64 =>
  element === 'int32' ? 32 : element === 'int64' ? 64 : element === 'float' ? f.width : f === SINGLE ? 64 : 32;

const op = new SoftOperation();

/**
 * Executes one operation on the operands in SSE_SCRATCH, writes the result there (lanes that it does not have are
 * zero), and collects flags in MXCSR.
 * @param base capsule offset of the vCPU's context
 * @param argument sse-operation.ts
 * @returns 0, or VECTOR_XM when an exception is unmasked: the result is not valid then
 */
export function sse(capsule: Capsule, base: number, argument: number): number {
  const task = TASKS[argument & 0xff], shape = SHAPES[argument >>> 8 & 0xf];
  assert(task !== undefined && shape !== undefined, 'a known operation and shape');
  const { dv } = capsule, mxcsr = dv.getUint32(base + CPU.fxState + FX.mxcsr, true);
  dv.setFloat64(base + SSE_SCRATCH.result, 0, true);
  dv.setFloat64(base + SSE_SCRATCH.result + 8, 0, true);
  if (quickFloat(dv, base, argument & 0xff, argument >>> 8 & 0xf, mxcsr)) return 0;
  const immediate = argument >>> SSE_IMMEDIATE_SHIFT & 0xff;
  const from = widthOf(task.from, shape.f), to = widthOf(task.to, shape.f);
  const read = (at: number, i: number): bigint => (from === 32 ? BigInt(dv.getUint32(base + at + 4 * i, true)) : dv.getBigUint64(base + at + 8 * i, true));
  let raised = 0;
  for (let i = 0; i < shape.lanes; i++) {
    const value = task.lane(read(SSE_SCRATCH.a, i), read(SSE_SCRATCH.b, i), shape.f, op.control(mxcsr), immediate, i);
    raised |= op.raised;
    if (to === 32) dv.setUint32(base + SSE_SCRATCH.result + 4 * i, Number(value), true);
    else dv.setBigUint64(base + SSE_SCRATCH.result + 8 * i, value, true);
  }
  return report(dv, base, mxcsr, raised);
}

function report(dv: DataView, base: number, mxcsr: number, raised: number): number {
  const unmasked = ~(mxcsr >>> MXCSR.masksShift);
  if ((raised & unmasked & (FSW.ie | FSW.de | FSW.ze)) !== 0) raised &= FSW.ie | FSW.de | FSW.ze;
  dv.setUint32(base + CPU.fxState + FX.mxcsr, mxcsr | raised, true);
  return (raised & unmasked) !== 0 ? VECTOR_XM : 0;
}
