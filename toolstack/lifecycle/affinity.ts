// Which physical CPUs a domain may run on (`cpus` of xl.cfg(5), xl vcpu-pin). Each vCPU has a list of its own, as under Xen. A domain
// runs on a few CPUs, a thread on each, and a vCPU on the same thread always (hypervisor/domain-threads.ts): lists that no such
// arrangement fits are refused. While one is changed into another, all vCPUs are on the first one's CPU for a moment.

import type { CpuRange } from '../xlcfg/cpu-list.ts';

/** A vCPU's list; undefined: any CPU. */
export type Affinity = readonly CpuRange[] | undefined;

/** Of CPUs 0 to `count` - 1, those that every one of the vCPUs may be on; a list that is missing allows all. */
function allowedCpus(lists: readonly Affinity[], vcpus: number, count: number): ReadonlySet<number> {
  const allowed = new Set<number>();
  for (let cpu = 0; cpu < count; cpu++) if (lists.slice(0, vcpus).every((ranges) => includes(ranges, cpu))) allowed.add(cpu);
  return allowed;
}
function includes(ranges: Affinity, cpu: number): boolean { return ranges === undefined || ranges.some(({ first, last }) => first <= cpu && cpu <= last); }

/** The threads of a domain with so many vCPUs, and the CPUs that all vCPUs of each may be on. */
const listsOfThreads = (lists: readonly Affinity[], vcpus: number, threads: number, count: number): ReadonlySet<number>[] =>
  Array.from({ length: threads }, (_, thread) => allowedCpus(Array.from({ length: vcpus }, (_, vcpu) => (vcpu % threads === thread ? lists[vcpu] : undefined)), vcpus, count));

/**
 * The CPUs that a domain is to run on, by thread: as many as can be, and no two the same.
 * @param most threads
 * @param first CPU of the first thread
 * @returns none when there is no way
 */
export function cpusOfThreads(lists: readonly Affinity[], vcpus: number, count: number, most: number, first: number): readonly number[] {
  for (let threads = Math.min(vcpus, most); threads > 0; threads--) {
    const allowed = listsOfThreads(lists, vcpus, threads, count);
    const found = allowed[0]?.has(first) ? complete(allowed, [first]) : undefined;
    if (found) return found;
  }
  return [];
}
/** Gives each further thread a CPU, if that is possible. */
function complete(allowed: readonly ReadonlySet<number>[], cpus: readonly number[]): readonly number[] | undefined {
  const next = allowed[cpus.length];
  if (!next) return cpus;
  for (const cpu of next) {
    const found = cpus.includes(cpu) ? undefined : complete(allowed, [...cpus, cpu]);
    if (found) return found;
  }
  return undefined;
}
/** The CPUs that the first thread of a domain is to be on: those from which the domain gets as many threads as from any. */
export function homeCpus(lists: readonly Affinity[], vcpus: number, count: number, most: number): ReadonlySet<number> {
  const threads = Array.from({ length: count }, (_, cpu) => cpusOfThreads(lists, vcpus, count, most, cpu).length), best = Math.max(...threads);
  return new Set(best > 0 ? threads.flatMap((n, cpu) => (n === best ? [cpu] : [])) : []);
}

/** Says that there are none. */
export const noWay = (count: number): string =>
  `the vCPUs cannot be distributed so: there are CPUs 0 to ${count - 1}, each vCPU needs one of its own that is on its list, or all need one that is on every list`;

/** As parseCpuList reads it; any CPU is "all". */
export function affinityWords(ranges: Affinity): string {
  return ranges?.map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`)).join(',') ?? 'all';
}
/** As xl vcpu-list prints it, of CPUs 0 to `count` - 1. */
export function affinityText(ranges: Affinity, count: number): string { return allowedCpus([ranges], 1, count).size === count ? 'all' : affinityWords(ranges); }
