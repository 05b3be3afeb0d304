// Makes fresh vectors: random cases for rows of the instruction table, and what this machine's processor does with them.

import type { Vector } from '#machine/vectors/check.ts';
import type { TestedRow } from '#machine/vectors/encoding.ts';
import { generateCase } from '#machine/vectors/generator.ts';
import { Random } from '#machine/vectors/random.ts';
import { TIMED_OUT } from '#machine/vectors/case.ts';
import { buildRunner, runNative } from './native-runner.ts';

const BATCH = 20_000;

/**
 * Vectors in batches, rows by turns. Cases that do not stop by themselves are left out.
 * @param rows what the row numbers of the cases refer to
 * @param chosen numbers of the rows to make cases for
 */
export function* freshVectors(rows: readonly TestedRow[], chosen: readonly number[], cases: number, seed: number): Generator<Vector[]> {
  const program = buildRunner();
  const random = new Random(seed);
  for (let made = 0; made < cases;) {
    const size = Math.min(BATCH, cases - made);
    const batch = Array.from({ length: size }, (_, i) => {
      const index = chosen[(made + i) % chosen.length] as number;
      return generateCase(random, rows[index] as TestedRow, index);
    });
    const outcomes = runNative(program, batch);
    yield batch.map((c, i) => ({ case: c, outcome: outcomes[i] as Vector['outcome'] })).filter((v) => v.outcome.vector !== TIMED_OUT);
    made += size;
  }
}
