// The same work in many places: a shell that counts, and says so each time it has counted so far. In domains of their own,
// or as processes of one domain.

import { median } from '../suite/results.ts';
import type { Console, Daemon } from '../../tests/daemon/daemon-process.ts';
import { wait } from '#hosts/node/testing/wait.ts';

/** Steps of the shell's loop for each line that it writes: some 10 ms of work. */
const STEPS = 300;
export const LOOP = `while :; do i=0; while [ $i -lt ${STEPS} ]; do i=$((i+1)); done; echo @; done`;
/** MiB for a domain of one such shell, and for each process of a domain that has many. */
const MEMORY = 32, MEMORY_MORE = 1;
/** Seconds of a measurement. */
export const WINDOW = 6;
/** The part by which two in a row may differ when code is as well compiled as it will be, and how many there are at the most. */
const STEADY = 0.02, MOST_WINDOWS = 30;
/** Seconds of one CPU that a domain takes until its code is compiled. */
const WARM_UP = 1;
/** Windows of each that are measured in turn, and seconds before one. */
const TURNS = 3, SETTLE = 2;

export interface Busy {
  /** lines written so far */
  count(): number;
  /** Stops working, and goes on. */
  pause(): Promise<void>;
  unpause(): Promise<void>;
  end(): Promise<void>;
}

/** A domain with a shell that answers. @param words of `xenith create` */
export async function boot(daemon: Daemon, name: string, ...words: string[]): Promise<Console> {
  await daemon.ok('create', `name="${name}"`, `memory=${MEMORY}`, ...words);
  const console = daemon.console(name);
  console.say('stty -echo; echo re""ady\n');
  await console.hear(/ready/);
  return console;
}

/** @param words of `xenith create` */
export async function busyDomains(daemon: Daemon, count: number, ...words: string[]): Promise<Busy> {
  const consoles: Console[] = [];
  const names = Array.from({ length: count }, (_, i) => `busy${i}`);
  for (const name of names) consoles.push(await boot(daemon, name, ...words));
  return start(daemon, names, consoles, LOOP);
}
/** @param words of `xenith create` */
export async function busyProcesses(daemon: Daemon, count: number, ...words: string[]): Promise<Busy> {
  const name = `many${count}`, console = await boot(daemon, name, ...words, `memory=${MEMORY + count * MEMORY_MORE}`);
  return start(daemon, [name], [console], `p() { ${LOOP}; }; n=0; while [ $n -lt ${count} ]; do p & n=$((n+1)); done; wait`);
}
function start(daemon: Daemon, names: readonly string[], consoles: readonly Console[], program: string): Busy {
  let lines = 0;
  for (const console of consoles) {
    console.onBytes = (bytes) => { for (const byte of bytes) if (byte === 0x40) lines++; };
    console.say(`${program}\n`);
  }
  const tell = async (command: 'pause' | 'unpause'): Promise<void> => { for (const domain of names) await daemon.ask({ command, domain }); };
  return {
    count: () => lines,
    pause: () => tell('pause'),
    unpause: () => tell('unpause'),
    async end() {
      for (const console of consoles) console.close();
      for (const name of names) await daemon.ok('destroy', name);
    },
  };
}

/** Lines a second. */
async function window(busy: Busy, seconds: () => number): Promise<number> {
  const [count, begin] = [busy.count(), seconds()];
  await wait(WINDOW * 1000);
  return (busy.count() - count) / (seconds() - begin);
}
/**
 * Waits until as much is done in one window as in that before it.
 * @param seconds the clock
 * @param domains on one CPU, which all have to warm up
 * @returns lines a second in the first window
 */
export async function warm(busy: Busy, seconds: () => number, domains = 1): Promise<number> {
  const first = await window(busy, seconds);
  let last = first;
  for (let i = 1; i < MOST_WINDOWS; i++) {
    const rate = await window(busy, seconds);
    if (i * WINDOW >= domains * WARM_UP && Math.abs(rate - last) < STEADY * rate) break;
    last = rate;
  }
  return first;
}
/**
 * The rates of several in turn, each while the others are paused, so that a machine that gets slower or faster does so for all: medians
 * of TURNS windows. All are paused before and after.
 */
export async function rateInTurn(all: readonly Busy[], seconds: () => number): Promise<number[]> {
  const rates = all.map((): number[] => []);
  for (let turn = 0; turn < TURNS; turn++) {
    for (const [i, busy] of all.entries()) {
      await busy.unpause();
      await wait(SETTLE * 1000);
      rates[i]?.push(await window(busy, seconds));
      await busy.pause();
    }
  }
  return rates.map(median);
}
