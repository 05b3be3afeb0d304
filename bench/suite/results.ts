// Measurements of several runs, as medians and ratios.

import type { Engine } from './engines.ts';
import type { Measurement } from './measurement.ts';

export type EngineName = Engine['name'];

/** Time as it passes, or processor time: the better measure on a machine that is busy with other things. */
export type Clock = 'seconds' | 'cpu';

/** Seconds by one of the clocks; medians over the runs. */
export interface Times {
  /** the first pass, when nothing of the program has run yet */
  readonly first: number;
  /** the fastest later pass; the first if there is no other */
  readonly again: number;
}

export interface Result {
  readonly row: string;
  readonly group: string;
  readonly times: Readonly<Partial<Record<EngineName, Times>>>;
}

export interface RowName { readonly name: string; readonly group: string }

export const BOOT: RowName = { name: 'kernel-boot', group: 'boot' };
/**
 * Guests' clocks are corrected by this machine's: under QEMU without KVM Linux measures the rate of its TSC up to 5 % wrong
 * when the machine is busy. What is further off than this has another reason.
 */
const CLOCK_TOLERANCE = 0.1;
/** Seconds on the programs' clock below which its rate cannot be told: lines arrive some milliseconds late. */
const LONG_ENOUGH = 1;

/** The middle value; of an even number of values, the lower of the two. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted[(sorted.length - 1) >> 1];
  if (middle === undefined) throw new RangeError('the median of nothing');
  return middle;
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** The rows in their order, with a boot before them where there was one. */
export function summarise(rows: readonly RowName[], runs: ReadonlyMap<EngineName, readonly Measurement[]>, clock: Clock): Result[] {
  return [BOOT, ...rows].flatMap(({ name, group }) => {
    const times: Partial<Record<EngineName, Times>> = {};
    for (const [engine, measurements] of runs) {
      const found = measurements.flatMap((m) => (name === BOOT.name ? bootTimes(m, clock) : rowTimes(m, name, clock)));
      if (found.length > 0) times[engine] = { first: median(found.map((t) => t.first)), again: median(found.map((t) => t.again)) };
    }
    return Object.keys(times).length > 0 ? [{ row: name, group, times }] : [];
  });
}

function bootTimes({ boot }: Measurement, clock: Clock): Times[] { return boot ? [{ first: boot[clock], again: boot[clock] }] : []; }

function rowTimes({ rows, clockRate, clockSeconds }: Measurement, row: string, clock: Clock): Times[] {
  const rate = clock === 'seconds' && clockSeconds >= LONG_ENOUGH ? clockRate : 1;
  const [first, ...later] = (rows.get(row) ?? []).map((sample) => sample[clock] / rate);
  return first === undefined ? [] : [{ first, again: later.length > 0 ? Math.min(...later) : first }];
}

/** How many times faster `engine` is than `peer`; undefined unless both were measured. */
export function speedup(result: Result, engine: EngineName, peer: EngineName, pass: keyof Times): number | undefined {
  const ours = result.times[engine]?.[pass], theirs = result.times[peer]?.[pass];
  return ours === undefined || theirs === undefined ? undefined : theirs / ours;
}

/** What makes figures doubtful: clocks that are off, rows that failed, results that differ. */
export function complaintsOf(runs: ReadonlyMap<EngineName, readonly Measurement[]>): string[] {
  const complaints = new Set<string>();
  const checksums = new Map<string, Map<string, EngineName>>();
  for (const [engine, measurements] of runs) {
    // results of a 32-bit build are its own: how large pointers are shows in some
    const build = engine === 'v86' ? ' in 32 bits' : '';
    for (const { clockRate, clockSeconds, complaints: own, rows } of measurements) {
      if (clockSeconds >= LONG_ENOUGH && Math.abs(clockRate - 1) > CLOCK_TOLERANCE) complaints.add(`${engine}: the clock of the programs ran ${clockRate.toFixed(3)} times as fast as this machine's`);
      for (const complaint of own) complaints.add(`${engine}: ${complaint}`);
      for (const [row, samples] of rows) {
        const seen = checksums.get(row + build) ?? new Map<string, EngineName>();
        for (const { checksum } of samples) if (!seen.has(checksum)) seen.set(checksum, engine);
        checksums.set(row + build, seen);
      }
    }
  }
  for (const [row, seen] of checksums) {
    if (seen.size > 1) complaints.add(`${row}: results differ: ${[...seen].map(([checksum, engine]) => `${checksum} (${engine})`).join(', ')}`);
  }
  return [...complaints];
}
