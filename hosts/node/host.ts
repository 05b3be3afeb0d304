// What the pure layers need, from Node.

import { randomFillSync } from 'node:crypto';
import { performance } from 'node:perf_hooks'; // the global one is looked up at each use: a sixth of the time of RDTSC
import type { Host, LogLevel } from '#base/host.ts';
import { keptBytes } from './kept-bytes.ts';
import { commonMemories, discard } from './memory-map.ts';

/**
 * Time of the machine at which this thread's `performance.now()` was 0, in ns. Each thread counts from its own start; domains
 * move between threads and their time does not jump.
 */
const origin = ((): number => {
  let best = 0, least = Infinity;
  for (let i = 0; i < 5; i++) { // the tightest of a few readings
    const before = process.hrtime.bigint();
    const now = performance.now() * 1e6;
    const took = Number(process.hrtime.bigint() - before);
    if (took >= least) continue;
    least = took;
    best = Number(before) + took / 2 - now;
  }
  return best;
})();

export function nodeHost(log: (level: LogLevel, message: string) => void): Host {
  return {
    now: () => origin + performance.now() * 1e6,
    wallClock: () => (performance.timeOrigin + performance.now()) * 1e6,
    random: (into) => { randomFillSync(into); },
    log,
    discard,
    get common() { return commonMemories(); }, // most runs have no use for it
    kept: keptBytes,
  };
}
