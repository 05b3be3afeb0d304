// Lists of host CPUs: `cpus` and `cpus_soft` of xl.cfg(5). `0-3,^1` is applied from left to right; the result is ranges.

import { quote } from './config-error.ts';
import { SpecError } from './settings-reader.ts';

/** Host CPUs, both ends within; `all` is 0 to MAX_CPUS - 1. */
export interface CpuRange {
  readonly first: number;
  readonly last: number;
}

/** What Xen can be built for on x86 (NR_CPUS). */
export const MAX_CPUS = 4096;

/**
 * @returns ascending ranges that do not touch, at least one
 * @throws SpecError
 */
export function parseCpuList(text: string): readonly CpuRange[] {
  const chosen = new Uint8Array(MAX_CPUS);
  for (const item of text.split(',')) if (item !== '') apply(item, chosen);
  const ranges = rangesOf(chosen);
  if (ranges.length === 0) throw new SpecError(`${quote(text)} names no CPU: write "all", or CPUs like "0-3,^1"`);
  return ranges;
}

function apply(item: string, chosen: Uint8Array): void {
  if (item === 'all') {
    chosen.fill(1);
    return;
  }
  if (item === '^all') throw new SpecError('^all would leave no CPU: leave it out');
  if (/^\^?nodes?:/.test(item)) throw new SpecError(`${quote(item)}: the host has no NUMA nodes here; name CPUs`);
  const [, not = '', a = '', b = a] = /^(\^?) *(\d+)(?:- *(\d+))?$/.exec(item) ?? [];
  const first = Number(a), last = Number(b);
  if (a === '' || last < first) throw new SpecError(`${quote(item)} is not a CPU or a range of CPUs like 0-3`);
  if (last >= MAX_CPUS) throw new SpecError(`${quote(item)}: CPUs have numbers below ${MAX_CPUS}`);
  chosen.fill(not === '' ? 1 : 0, first, last + 1);
}

function rangesOf(chosen: Uint8Array): CpuRange[] {
  const ranges: CpuRange[] = [];
  for (let first = chosen.indexOf(1); first >= 0; first = chosen.indexOf(1, first)) {
    const end = chosen.indexOf(0, first);
    const last = (end < 0 ? MAX_CPUS : end) - 1;
    ranges.push({ first, last });
    first = last + 1;
  }
  return ranges;
}
