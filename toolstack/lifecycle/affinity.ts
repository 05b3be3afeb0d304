// Which physical CPUs a domain may run on (`cpus` of xl.cfg(5), xl vcpu-pin). Each vCPU has a list of its own, as under Xen; but
// any CPU that runs some of a domain may come to run all of it, so only one that is on every list will do.

import type { CpuRange } from '../xlcfg/cpu-list.ts';

/** A vCPU's list; undefined: any CPU. */
export type Affinity = readonly CpuRange[] | undefined;

/** Of CPUs 0 to `count` - 1, those that every one of the vCPUs may be on; a list that is missing allows all. */
export function allowedCpus(lists: readonly Affinity[], vcpus: number, count: number): ReadonlySet<number> {
  const allowed = new Set<number>();
  for (let cpu = 0; cpu < count; cpu++) if (lists.slice(0, vcpus).every((ranges) => includes(ranges, cpu))) allowed.add(cpu);
  return allowed;
}
function includes(ranges: Affinity, cpu: number): boolean { return ranges === undefined || ranges.some(({ first, last }) => first <= cpu && cpu <= last); }

/** As parseCpuList reads it; any CPU is "all". */
export function affinityWords(ranges: Affinity): string {
  return ranges?.map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`)).join(',') ?? 'all';
}
/** As xl vcpu-list prints it, of CPUs 0 to `count` - 1. */
export function affinityText(ranges: Affinity, count: number): string { return allowedCpus([ranges], 1, count).size === count ? 'all' : affinityWords(ranges); }
