// How a description of an SSE instruction names what the exact routine (sse-slow.ts) shall do: one number, that goes
// through Env.slow('sse', …). Operands lie in CPU.scratch, see SSE_SCRATCH.

import { CPU } from '../cpu-state.ts';

/** Operations, bits 7:0 of the argument. */
export const SSE = {
  add: 0, subtract: 1, addSubtract: 2, multiply: 3, divide: 4, minimum: 5, maximum: 6, squareRoot: 7,
  /** immediate: predicate; result: a mask for each lane */
  compare: 8,
  /** immediate as in ROUNDPS */
  round: 9,
  reciprocal: 10, reciprocalRoot: 11,
  /** result: ZF, PF and CF as in RFLAGS */
  orderSignalling: 12, orderQuiet: 13,
  /** single ↔ double, the shape is the source's */
  convert: 14,
  toInt32: 15, truncateToInt32: 16, toInt64: 17, truncateToInt64: 18,
  /** the shape is the result's */
  fromInt32: 19, fromInt64: 20,
} as const;

/** Element format and number of lanes, bits 11:8 of the argument. `pi`: the low two of four singles. */
export const SHAPE = { ps: 0, pd: 1, ss: 2, sd: 3, pi: 4 } as const;
export type ShapeName = keyof typeof SHAPE;

/** The argument of Env.slow; an immediate is OR-ed in at SSE_IMMEDIATE_SHIFT. */
export const sseArgument = (operation: number, shape: ShapeName): number => operation | SHAPE[shape] << 8;
export const SSE_IMMEDIATE_SHIFT = 16;

/** Offsets in the context of the operands and the result, 16 bytes each. */
export const SSE_SCRATCH = { a: CPU.scratch, b: CPU.scratch + 16, result: CPU.scratch + 32 } as const;
