// What the fuzzers have in common: they live one life after the other, each from a seed of its own, until there were enough.
//
//   npm run fuzz:NAME -- [--seconds S | --steps N] [--seed S] [--life STEPS] [--verbose]
//
// The first life has the seed that is given, the next one that seed + 1, so that a single one can be lived again with --seed and
// --life. Exit status 1 when anything happened that must not: an exception of ours, a broken rule, a hang.

import { writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { isMainThread, Worker, workerData } from 'node:worker_threads';

/** What became of one life. */
export interface Life {
  /** how many steps it took, of those that it might */
  readonly steps: number;
  /** what must not have been, with the input that brought it about, as lines to read; empty when all is well */
  readonly problems: readonly string[];
  /** how often what came out: for the summary */
  readonly outcomes: ReadonlyMap<string, number>;
}

export interface Fuzzer {
  /** what a life's steps are called */
  readonly unit: string;
  /** how many a life has at most, if the command line does not say */
  readonly life: number;
  readonly live: (seed: number, steps: number) => Life;
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: 'Infinity' }, steps: { type: 'string' }, seed: { type: 'string', default: '1' }, life: { type: 'string' },
    verbose: { type: 'boolean', default: false },
  },
});
const seconds = Number(values.seconds);
const wanted = Number(values.steps ?? (seconds === Infinity ? 100_000 : Infinity));

/** A life that lasts so long counts as hung, in ms. */
const HANG = 60_000;
/** ms */
const PROGRESS_EVERY = 15_000;
/** So many lives with problems are enough. */
const ENOUGH = 10;

/** Shared between the two threads: the seed that is alive, and lives begun. */
const progress = new Int32Array(isMainThread ? new SharedArrayBuffer(8) : workerData as SharedArrayBuffer);
const SEED = 0, BEGUN = 1;

/** The whole of a fuzzer's program, which `url` names: it is started a second time, as the thread that is watched. */
export function fuzz(url: string, fuzzer: Fuzzer): void {
  if (isMainThread) watch(url);
  else process.exitCode = run(fuzzer);
}

/** Ends the process when the worker makes no progress: an endless loop of ours cannot be ended from within. */
function watch(url: string): void {
  const worker = new Worker(new URL(url), { workerData: progress.buffer, argv: process.argv.slice(2) });
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

function run({ unit, life, live }: Fuzzer): number {
  const outcomes = new Map<string, number>();
  const started = performance.now();
  const time = (): number => (performance.now() - started) / 1000;
  let steps = 0, lives = 0, bad = 0, told = started;
  for (let seed = Number(values.seed); steps < wanted && time() < seconds && bad < ENOUGH; seed++) {
    progress[SEED] = seed;
    progress[BEGUN] = ++lives;
    const one = live(seed, Math.min(Number(values.life ?? life), wanted - steps));
    steps += one.steps;
    for (const [outcome, times] of one.outcomes) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + times);
    if (values.verbose) say(`seed ${seed}: ${one.steps} ${unit}, ${[...one.outcomes.keys()].join(', ')}`);
    if (one.problems.length > 0) {
      bad++;
      say(`seed ${seed}, after ${one.steps} ${unit}:\n  ${one.problems.join('\n  ')}`);
    }
    if (performance.now() - told > PROGRESS_EVERY) {
      told = performance.now();
      say(`${steps} ${unit}, ${lives} lives`);
    }
  }
  say(`${steps} ${unit} in ${lives} lives from seed ${values.seed}, ${time().toFixed(1)} s; ${bad} lives with problems`);
  for (const [outcome, times] of [...outcomes].sort((a, b) => b[1] - a[1]).slice(0, 12)) say(`${String(times).padStart(8)}  ${outcome}`);
  return bad > 0 ? 1 : 0;
}
