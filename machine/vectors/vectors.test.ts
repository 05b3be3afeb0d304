// Every recorded vector on every engine.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readRecorded } from '../../tests/cpu/recorded.ts';
import { showMismatch } from '../../tests/cpu/show-mismatch.ts';
import { checkVectors } from './check.ts';
import { coverageOf } from './coverage.ts';
import { rowKey } from './encoding.ts';
import { engines, enginesWithForeignData, enginesWithSiblings } from './engines.ts';
import { TESTED_ROWS } from './rows.ts';

const recorded = readRecorded();
const SHOWN = 5;

for (const engine of [...engines(), ...enginesWithForeignData(), ...enginesWithSiblings()]) {
  // the engine that compiles every block takes ten times as long: a third of the cases
  const vectors = engine.name.startsWith('interpreter') ? recorded.vectors : recorded.vectors.filter((_, i) => i % 3 === 0);
  test(`${engine.name} does what the processor did, in ${vectors.length} recorded cases`, () => {
    const bad = [...checkVectors(engine, vectors, TESTED_ROWS).values()].filter((report) => report.mismatches > 0);
    const list = bad.map((report) => `${report.mismatches} of ${report.cases}: ${report.key}`);
    const examples = bad.slice(0, SHOWN).map((report) => (report.examples[0] ? showMismatch(report.examples[0]) : ''));
    assert.equal(bad.length, 0, [`${bad.length} rows differ (npm run fuzz:cpu shows more)`, ...list, ...examples].join('\n'));
  });
}

test('every row of the instruction table that can be checked has recorded vectors', () => {
  const coverage = coverageOf(recorded.vectors, TESTED_ROWS.map(rowKey));
  assert.deepEqual(coverage.missing, []);
  assert.equal(recorded.orphans, 0, 'vectors of rows that the table no longer has: record anew with tests/cpu/record-vectors.ts');
});
