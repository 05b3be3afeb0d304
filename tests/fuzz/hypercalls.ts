// npm run fuzz:hypercalls -- [--calls N] [--seed S] [--life CALLS] [--kernel FILE] [--verbose]
// Runs the hostile guest in one fresh domain after the other until it has made N hypercalls. Seed S starts the series:
// domain i has seed S + i, so that a single one can be run again with --seed. Exit status 1 when anything happened
// that must not: an exception of ours, a broken invariant, a write outside, a hang.

import { readFileSync, writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { prebuilt } from '../guests/build.ts';
import { live } from './hostile-domain.ts';

const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '100000' }, seed: { type: 'string', default: '1' }, life: { type: 'string', default: '4000' },
    kernel: { type: 'string' }, verbose: { type: 'boolean', default: false },
  },
});

/** Without progress for so long, the worker counts as hung, in ms. */
const HANG = 60_000;
const PROGRESS_EVERY = 5000;

/** Shared between the two threads: the seed that runs, and domains begun. */
const progress = new Int32Array(isMainThread ? new SharedArrayBuffer(8) : workerData as SharedArrayBuffer);
const SEED = 0, BEGUN = 1;

if (isMainThread) watch();
else process.exitCode = run();

/** Ends the process when the worker makes no progress: an endless loop of ours cannot be ended from within. */
function watch(): void {
  const worker = new Worker(new URL(import.meta.url), { workerData: progress.buffer, argv: process.argv.slice(2) });
  let last = 0;
  let since = performance.now();
  const timer = setInterval(() => {
    if (progress[BEGUN] !== last) {
      last = progress[BEGUN] as number;
      since = performance.now();
    } else if (performance.now() - since > HANG) {
      console.error(`seed ${progress[SEED]}: hung`);
      process.exit(1);
    }
  }, 1000);
  worker.on('exit', (code) => {
    clearInterval(timer);
    process.exitCode = code;
  });
}

/** The console of a worker waits until its thread has nothing to do, which is never. */
function say(line: string): void { writeSync(1, `${line}\n`); }

function run(): number {
  const kernel = values.kernel === undefined ? prebuilt('fuzz') : new Uint8Array(readFileSync(values.kernel));
  const wanted = Number(values.calls);
  const ends = new Map<string, number>();
  const started = performance.now();
  let calls = 0, domains = 0, bad = 0, longest = 0, told = started;
  for (let seed = Number(values.seed); calls < wanted && bad < 10; seed++) {
    progress[SEED] = seed;
    progress[BEGUN] = ++domains;
    const life = live(kernel, seed, Math.min(Number(values.life), wanted - calls));
    calls += life.hypercalls;
    longest = Math.max(longest, life.longestTurn);
    const end = life.end.replace(/\b[0-9a-f]{8,16}\b|0x[0-9a-f]+/g, '…');
    ends.set(end, (ends.get(end) ?? 0) + 1);
    if (values.verbose) say(`seed ${seed}: ${life.hypercalls} hypercalls, ${life.end}`);
    if (life.problems.length > 0) {
      bad++;
      say(`seed ${seed}, after ${life.hypercalls} hypercalls (${life.end}):\n  ${life.problems.slice(0, 8).join('\n  ')}`);
    }
    if (performance.now() - told > PROGRESS_EVERY) {
      told = performance.now();
      say(`${calls} hypercalls, ${domains} domains`);
    }
  }
  const seconds = (performance.now() - started) / 1000;
  say(`${calls} hypercalls in ${domains} domains, ${seconds.toFixed(1)} s; longest turn ${Math.round(longest)} ms; ${bad} domains with problems`);
  for (const [end, n] of [...ends].sort((a, b) => b[1] - a[1]).slice(0, 12)) say(`${String(n).padStart(8)}  ${end}`);
  return bad > 0 ? 1 : 0;
}
