// A row of the x87 instruction table: an encoding (D8 to DF and the ModRM byte), its name in the Intel manual, its
// memory operand, and what it does. The families each list theirs; table.ts puts them together.

import type { Execution } from './execution.ts';

export type Run = (x: Execution) => void;

/** How an instruction treats the state around it. */
export type Manner =
  /** waits for pending exceptions, is recorded in FIP, sets C1 */
  | 'numeric'
  /** waits; touches neither FIP nor the condition codes unless it does so itself */
  | 'control'
  /** likewise, and does not wait: the FN forms */
  | 'no-wait';

export interface Row {
  readonly name: string;
  readonly manner: Manner;
  readonly run: Run;
  readonly kind: 'none' | 'read' | 'write';
  /** bytes of the memory operand, without and with a 66h prefix */
  readonly size: readonly [number, number];
}

export const row = (name: string, run: Run, manner: Manner = 'numeric'): Row => ({ name, manner, run, kind: 'none', size: [0, 0] });

/** A form with a memory operand of `size` bytes; `size16` where a 66h prefix changes it. */
export const memoryRow = (name: string, kind: 'read' | 'write', size: number, run: Run, manner: Manner = 'numeric', size16 = size): Row =>
  ({ name, manner, run, kind, size: [size, size16] });

/** Eight rows of one register form, from `first`: the low three bits name ST(i). */
export const eight = (first: number, r: Row): [number, Row][] => Array.from({ length: 8 }, (_, i) => [first + i, r]);
