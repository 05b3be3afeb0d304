// npm run fuzz:cpu -- --cases N --seed S [--rows REGEX] [--engine NAME]
// Makes fresh test cases over the instruction table, runs them on this machine's processor and on our engines, and
// prints what differs, by row. Exit status 1 when anything does.

import { parseArgs } from 'node:util';
import { checkVectors, type RowReport, type Vector } from '#machine/vectors/check.ts';
import { coverageOf } from '#machine/vectors/coverage.ts';
import { rowKey } from '#machine/vectors/encoding.ts';
import { engines } from '#machine/vectors/engines.ts';
import { TESTED_ROWS } from '#machine/vectors/rows.ts';
import { freshVectors } from './fresh-vectors.ts';
import { nativeAvailable, processorName } from './native-runner.ts';
import { showMismatch } from './show-mismatch.ts';

const { values } = parseArgs({
  options: { cases: { type: 'string', default: '100000' }, seed: { type: 'string', default: '1' }, rows: { type: 'string', default: '' }, engine: { type: 'string', default: '' } },
});

function main(): number {
  if (!nativeAvailable()) {
    console.error('fuzz:cpu needs x86-64 Linux and gcc: it asks the processor of this machine');
    return 2;
  }
  const keys = TESTED_ROWS.map(rowKey);
  const pattern = new RegExp(values.rows);
  const chosen = keys.flatMap((key, i) => (pattern.test(key) ? [i] : []));
  if (chosen.length === 0) {
    console.error(`no row matches ${values.rows}`);
    return 2;
  }
  console.log(`${processorName()}\n${values.cases} cases over ${chosen.length} rows, seed ${values.seed}`);
  const reports = engines().filter((e) => e.name.includes(values.engine)).map((engine) => ({ engine, rows: new Map<number, RowReport>(), ms: 0 }));
  const samples: Vector[] = [];
  for (const batch of freshVectors(TESTED_ROWS, chosen, Number(values.cases), Number(values.seed))) {
    for (const report of reports) {
      const start = performance.now();
      checkVectors(report.engine, batch, TESTED_ROWS, report.rows);
      report.ms += performance.now() - start;
    }
    if (samples.length < 200 * keys.length) samples.push(...batch);
  }
  printCoverage(samples, keys, chosen.length === keys.length);
  return reports.map(({ engine, rows, ms }) => printReport(engine.name, rows, ms)).some((bad) => bad > 0) ? 1 : 0;
}

function printCoverage(vectors: readonly Vector[], keys: readonly string[], all: boolean): void {
  const coverage = coverageOf(vectors, keys);
  const excluded = [...coverage.excluded].map(([reason, n]) => `${n} ${reason}`).join('; ');
  console.log(`coverage: ${coverage.covered} of ${coverage.rows} rows have vectors; left out: ${excluded}`);
  if (all && coverage.missing.length > 0) console.log(`  without: ${coverage.missing.join(' | ')}`);
}

function printReport(name: string, rows: ReadonlyMap<number, RowReport>, ms: number): number {
  const all = [...rows.values()];
  const cases = all.reduce((n, r) => n + r.cases, 0);
  const mismatches = all.reduce((n, r) => n + r.mismatches, 0);
  const bad = all.filter((r) => r.mismatches > 0).sort((a, b) => b.mismatches / b.cases - a.mismatches / a.cases);
  for (const report of bad) {
    console.log(`\n${report.key}: ${report.mismatches} of ${report.cases}`);
    for (const example of report.examples) console.log(showMismatch(example));
  }
  console.log(`\n${name}: ${mismatches} mismatches in ${cases} cases, ${bad.length} rows; ${Math.round(cases / ms)} thousand cases/s`);
  for (const report of bad) console.log(`  ${report.mismatches}/${report.cases} ${report.key}`);
  printKinds(bad);
  return mismatches;
}

function printKinds(bad: readonly RowReport[]): void {
  const kinds = new Map<string, { count: number; rows: string[] }>();
  for (const report of bad) {
    for (const [kind, count] of report.kinds) {
      const entry = kinds.get(kind) ?? { count: 0, rows: [] };
      entry.count += count;
      entry.rows.push(report.key.split(' ')[0] as string);
      kinds.set(kind, entry);
    }
  }
  if (kinds.size > 0) console.log('\nby kind:');
  for (const [kind, { count, rows }] of [...kinds].sort((a, b) => b[1].count - a[1].count)) {
    const names = [...new Set(rows)];
    console.log(`  ${count} ${kind} (${names.slice(0, 12).join(' ')}${names.length > 12 ? ` and ${names.length - 12} more` : ''})`);
  }
}

process.exitCode = main();
