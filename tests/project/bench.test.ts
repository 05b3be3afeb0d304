// What the benchmark makes of what its programs print. The benchmark itself is no test.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chart } from '../../bench/suite/chart.ts';
import { type Measurement, MeasurementReader } from '../../bench/suite/measurement.ts';
import { complaintsOf, type EngineName, geometricMean, median, type Result, speedup, summarise } from '../../bench/suite/results.ts';
import { table } from '../../bench/suite/table.ts';

/** What one run printed, with a clock that is right. */
function measurement(...rows: readonly string[]): Measurement {
  const reader = new MeasurementReader(undefined);
  reader.take(['CLOCK 0', ...rows, 'CLOCK 1', ''].join('\r\n'));
  return { ...reader.result(), clockRate: 1 };
}

const ROWS = [{ name: 'fork', group: 'kernel' }];

test('lines are read whatever pieces they come in, and among others', () => {
  const reader = new MeasurementReader(() => 5);
  for (const piece of ['[ 1.0] noise\r\nREA', 'DY\r\nCLOCK 1.0\nBEGIN fork 0\nROW fork 0 0.25', '0000 0.1 abc\r\n', 'FAILED x: y\nCLOCK 2.0\n']) reader.take(piece);
  const { boot, rows, complaints } = reader.result();
  assert.equal(boot?.cpu, 5);
  assert.deepEqual(rows.get('fork'), [{ seconds: 0.25, cpu: 0, checksum: 'abc' }]);
  assert.deepEqual(complaints, ['x: y']);
});

test('programs that did not end are no measurement', () => {
  const reader = new MeasurementReader(undefined);
  reader.take('CLOCK 1.0\nROW fork 0 1 1 a\n');
  assert.throws(() => reader.result(), /did not come to their end/);
});

test('medians over runs, the fastest later pass, and ratios', () => {
  const run = (first: number, second: number): Measurement => measurement(`ROW fork 0 ${first} 1 a`, `ROW fork 1 ${second} 1 a`);
  const [result] = summarise(ROWS, new Map([['xenith', [run(9, 2), run(4, 8), run(5, 3)]], ['qemu', [run(10, 6)]]]), 'seconds');
  assert.ok(result);
  assert.deepEqual(result.times.xenith, { first: 5, again: 3 });
  assert.equal(speedup(result, 'xenith', 'qemu', 'again'), 2);
  assert.equal(speedup(result, 'xenith', 'native', 'again'), undefined);
  assert.equal(median([4, 1, 3]), 3);
  assert.ok(Math.abs(geometricMean([1, 4]) - 2) < 1e-12);
  assert.match(table([result]), /fork .* 6\.0000 +3\.0000 +2\.00 +2\.00 +-\n/);
  assert.match(chart([result], 'a < b'), /a &lt; b[^]*class="faster"/);
});

test('v86 has columns and dots if it was measured', () => {
  const one = (seconds: number): Measurement[] => [measurement(`ROW fork 0 ${seconds} 1 a`)];
  const summary = (...engines: readonly [EngineName, Measurement[]][]): Result[] => summarise(ROWS, new Map(engines), 'seconds');
  const without = summary(['qemu', one(2)], ['xenith', one(2)]), results = summary(['qemu', one(2)], ['v86', one(12)], ['xenith', one(2)]);
  assert.match(table(results), /fork .* 2\.0000 +12\.0000 +2\.0000 +1\.00 +1\.00 +6\.00 +6\.00 +-\n/);
  assert.doesNotMatch(table(without), /v86/);
  assert.match(chart(results, ''), /<circle class="v86"/);
  assert.doesNotMatch(chart(without, ''), /<circle class="v86"/);
});

test('a guest\'s clock is corrected by the machine\'s, processor time is not', () => {
  const fast = { ...measurement('ROW fork 0 2 1 a'), clockRate: 1.25 };
  assert.equal(summarise(ROWS, new Map([['qemu', [fast]]]), 'seconds')[0]?.times.qemu?.first, 1.6);
  assert.equal(summarise(ROWS, new Map([['qemu', [fast]]]), 'cpu')[0]?.times.qemu?.first, 1);
});

test('what makes figures doubtful is said', () => {
  const runs = new Map([['native', [measurement('ROW fork 0 1 1 a')]], ['xenith', [{ ...measurement('ROW fork 0 1 1 b', 'FAILED x'), clockRate: 1.2 }]]] as const);
  assert.deepEqual(complaintsOf(runs), [
    'xenith: the clock of the programs ran 1.200 times as fast as this machine\'s', 'xenith: x', 'fork: results differ: a (native), b (xenith)',
  ]);
});

test('results of a 32-bit build are compared with each other only', () => {
  const runs = new Map([['native', [measurement('ROW fork 0 1 1 a')]], ['v86', [measurement('ROW fork 0 1 1 b', 'ROW fork 1 1 1 c')]]] as const);
  assert.deepEqual(complaintsOf(runs), ['fork in 32 bits: results differ: b (v86), c (v86)']);
});
