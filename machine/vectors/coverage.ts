// How much of the instruction table has vectors: rows with at least one case that ran to its end, of the rows that can
// be checked. Rows that cannot be are counted by reason.

import type { Vector } from './check.ts';
import { rowKey } from './encoding.ts';
import { EXCLUDED_ROWS, TESTED_ROWS } from './rows.ts';

export interface Coverage {
  readonly rows: number;
  readonly covered: number;
  /** keys of rows without vectors */
  readonly missing: readonly string[];
  /** reason → number of rows */
  readonly excluded: ReadonlyMap<string, number>;
}

/** A case that stopped behind its last instruction, or by the exception that the instruction is there to raise. */
const completed = (v: Vector): boolean => v.outcome.vector === 1 || v.outcome.vector === 3;
const ALWAYS_FAULTS = /^(UD\d?|BOUND|INTO)$/;

/**
 * @param rowKeys the keys that the vectors' row numbers refer to
 */
export function coverageOf(vectors: Iterable<Vector>, rowKeys: readonly string[]): Coverage {
  const seen = new Set<string>();
  for (const v of vectors) {
    const key = rowKeys[v.case.row];
    if (key !== undefined && (completed(v) || ALWAYS_FAULTS.test(key.split(' ')[0] as string))) seen.add(key);
  }
  const missing = TESTED_ROWS.map(rowKey).filter((key) => !seen.has(key));
  const excluded = new Map<string, number>();
  for (const { reason } of EXCLUDED_ROWS) excluded.set(reason, (excluded.get(reason) ?? 0) + 1);
  return { rows: TESTED_ROWS.length, covered: TESTED_ROWS.length - missing.length, missing, excluded };
}
