// Comparison and classification: FCOM, FUCOM, FTST and FXAM (Intel SDM vol. 1, 8.3.6; vol. 2 tables of each).

import { type Float80, type Kind, kindOf, scaleOf } from './float80.ts';
import type { Operation } from './operation.ts';
import { FSW } from './words.ts';

/** Condition codes of a comparison of ST(0) with a source. */
export const ORDER = { greater: 0, less: FSW.c0, equal: FSW.c3, unordered: FSW.c0 | FSW.c2 | FSW.c3 } as const;

/**
 * Compares two operands.
 * @param quiet as FUCOM: a quiet NaN is unordered without being an invalid operand
 * @returns ORDER
 */
export function compare(a: Float80, b: Float80, quiet: boolean, op: Operation): number {
  const ka = kindOf(a), kb = kindOf(b);
  if (op.nan2(a, ka, b, kb)) {
    if (!quiet) op.raise(FSW.ie);
    return ORDER.unordered;
  }
  op.denormal(ka, kb);
  const difference = signedOrder(a, b);
  return difference > 0 ? ORDER.greater : difference < 0 ? ORDER.less : ORDER.equal;
}

function signedOrder(a: Float80, b: Float80): number {
  if (a.sig === 0n && b.sig === 0n) return 0;
  if (a.sign !== b.sign) return a.sign ? -1 : 1;
  return a.sign ? magnitudeOrder(b, a) : magnitudeOrder(a, b);
}

/** Exponents decide but for zeros and denormals, whose scale is that of the least normal numbers. */
function magnitudeOrder(a: Float80, b: Float80): number {
  const byScale = scaleOf(a) - scaleOf(b);
  if (byScale !== 0) return byScale;
  return a.sig === b.sig ? 0 : a.sig > b.sig ? 1 : -1;
}

const CLASS: Record<Kind, number> = {
  unsupported: 0, quiet: FSW.c0, signalling: FSW.c0, normal: FSW.c2, infinity: FSW.c2 | FSW.c0,
  zero: FSW.c3, denormal: FSW.c3 | FSW.c2,
};
const EMPTY = FSW.c3 | FSW.c0;

/** FXAM: the class of a register in C3, C2, C0 and its sign in C1, whether it is empty or not. */
export function examine(v: Float80, empty: boolean): number {
  return (empty ? EMPTY : CLASS[kindOf(v)]) | (v.sign ? FSW.c1 : 0);
}

