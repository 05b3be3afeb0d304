// Runs recorded or fresh vectors on an engine and gathers what differs, by row of the instruction table.

import type { Case, Outcome } from './case.ts';
import { compare, type Difference } from './compare.ts';
import { rowKey, type TestedRow } from './encoding.ts';

/** A processor that test cases run on: the native runner, or one of our engines. */
export interface CpuUnderTest {
  readonly name: string;
  run(c: Case): Outcome;
}

/** A case and what the real processor did with it. */
export interface Vector {
  readonly case: Case;
  readonly outcome: Outcome;
}

export interface Mismatch {
  readonly vector: Vector;
  readonly got: Outcome;
  readonly differences: readonly Difference[];
}

export interface RowReport {
  readonly key: string;
  cases: number;
  mismatches: number;
  /** kind of mismatch (kindOf) → how many */
  readonly kinds: Map<string, number>;
  /** one of each kind, a few at most */
  readonly examples: Mismatch[];
}

const EXAMPLES = 4;

/** What a mismatch looks like, without its values: mismatches of a kind mostly have one cause. */
export function kindOf(m: Mismatch): string {
  const { vector, got, differences } = m;
  const fields = [...new Set(differences.map((d) => d.what.replace(/^(r\d+|r[a-ds][xip])$/, 'register').replace(/\d+$/, '')))].join(', ');
  const ends = vector.outcome.vector === got.vector ? `vector ${got.vector}` : `vector ${vector.outcome.vector} expected, ${got.vector} came`;
  return `${vector.case.compat ? '32-bit' : '64-bit'}, ${ends}${vector.outcome.vector === got.vector ? `: ${fields}` : ''}`;
}

/**
 * Runs vectors on an engine.
 * @param rows the list that the cases' row numbers refer to
 * @param reports where to add to, by row number
 */
export function checkVectors(engine: CpuUnderTest, vectors: readonly Vector[], rows: readonly TestedRow[], reports = new Map<number, RowReport>()): Map<number, RowReport> {
  for (const vector of vectors) {
    const row = rows[vector.case.row];
    if (!row) throw new Error(`no row ${vector.case.row}`);
    let report = reports.get(vector.case.row);
    if (!report) reports.set(vector.case.row, report = { key: rowKey(row), cases: 0, mismatches: 0, kinds: new Map(), examples: [] });
    report.cases++;
    const got = engine.run(vector.case);
    const differences = compare(vector.case, row, vector.outcome, got);
    if (differences.length === 0) continue;
    report.mismatches++;
    const mismatch = { vector, got, differences };
    const kind = kindOf(mismatch);
    const known = report.kinds.get(kind) ?? 0;
    report.kinds.set(kind, known + 1);
    if (known === 0 && report.examples.length < EXAMPLES) report.examples.push(mismatch);
  }
  return reports;
}
