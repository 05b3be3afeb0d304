// Which physical CPU a domain runs on: the least loaded at first, another one later if that evens out the load. A domain's load is its weight
// times the part of the time in which it could run (or its cap, if that is less); a CPU's is the sum of its domains'.

/** A domain, as far as its place is concerned. */
export interface Load {
  readonly cpu: number;
  readonly load: number;
  /** CPUs that it may be on */
  readonly allowed: ReadonlySet<number>;
}

/** The difference between two CPUs must become smaller by this part of the greater load, or nothing is moved. */
const WORTHWHILE = 0.1;

/** Loads by CPU. */
function loadsOf(domains: Iterable<Load>, cpus: number): { readonly load: number; readonly count: number }[] {
  const sums = Array.from({ length: cpus }, () => ({ load: 0, count: 0 }));
  for (const { cpu, load } of domains) {
    const sum = sums[cpu];
    if (!sum) continue;
    sum.load += load;
    sum.count++;
  }
  return sums;
}

/** The least loaded of the allowed CPUs; of several, that with the fewest domains. Undefined when none is allowed. */
export function leastLoaded(domains: Iterable<Load>, cpus: number, allowed: ReadonlySet<number>): number | undefined {
  const sums = loadsOf(domains, cpus);
  let best: number | undefined;
  sums.forEach(({ load, count }, id) => {
    if (!allowed.has(id)) return;
    const least = best === undefined ? undefined : sums[best];
    if (!least || load < least.load || (load === least.load && count < least.count)) best = id;
  });
  return best;
}

/** The one move that evens out the load best, if one is worth while. */
export function bestMove<T extends Load>(domains: readonly T[], cpus: number): { readonly domain: T; readonly to: number } | undefined {
  const sums = loadsOf(domains, cpus);
  let best: { readonly domain: T; readonly to: number } | undefined;
  let gain = 0;
  for (const domain of domains) {
    const from = sums[domain.cpu]?.load ?? 0;
    if (domain.load === 0) continue;
    for (const to of domain.allowed) {
      const there = sums[to]?.load;
      if (to === domain.cpu || there === undefined) continue;
      const better = Math.abs(from - there) - Math.abs(from - there - 2 * domain.load);
      if (better > Math.max(gain, WORTHWHILE * from)) {
        gain = better;
        best = { domain, to };
      }
    }
  }
  return best;
}
