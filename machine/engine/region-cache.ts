// What was compiled stays known: a region that was compiled for one machine is there for all. V8 shares a module's machine code among
// its instances on all threads, that of its optimising compiler too.
//
// A region is known by a digest of its words. Guests choose those, so the digest has to be one for which nobody finds two alike.

import { compileRegions, type CompiledModule, type CompiledRegions, type RegionJob, type RegionsModule } from './region-job.ts';

interface Known extends RegionsModule { readonly keys: readonly string[] }
/** A module as one job uses it. */
interface Use extends CompiledModule { readonly regions: (number | undefined)[] }

export class RegionCache {
  private readonly digest: (words: Int32Array) => string;
  private readonly most: number;
  private readonly places = new Map<string, { readonly known: Known; readonly at: number }>();
  /** the one used last at the end */
  private readonly modules = new Set<Known>();
  private size = 0;

  /** @param most bytes of the modules that are kept. V8 takes several times as much for their machine code */
  constructor(digest: (words: Int32Array) => string, most: number) {
    this.digest = digest;
    this.most = most;
  }

  /** As compileJob. */
  compile({ id, regions }: RegionJob): CompiledRegions {
    const keys = regions.map(this.digest);
    const unknown = new Map<string, Int32Array>();
    regions.forEach((words, i) => { if (!this.places.has(keys[i] as string)) unknown.set(keys[i] as string, words); });
    if (unknown.size > 0) this.make(unknown);
    const uses: Use[] = [];
    keys.forEach((key, region) => {
      const place = this.places.get(key);
      if (!place) return;
      const { known, at } = place;
      this.modules.delete(known);
      this.modules.add(known);
      let use = uses.find((u) => u.module === known.module && u.regions[at] === undefined);
      if (!use) uses.push(use = { module: known.module, functions: known.functions, size: known.size, regions: known.functions.map(() => undefined) });
      use.regions[at] = region;
    });
    this.trim();
    return { id, modules: uses };
  }
  private make(unknown: ReadonlyMap<string, Int32Array>): void {
    const { module, functions, size, regions } = compileRegions([...unknown.values()], () => {}); // what fails is tried again when it is asked for again
    const known = { module, functions, size, keys: [...unknown.keys()] };
    this.modules.add(known);
    this.size += size;
    known.keys.forEach((key, at) => { if (regions[at] !== undefined) this.places.set(key, { known, at }); });
  }
  private trim(): void {
    for (const oldest of this.modules) {
      if (this.size <= this.most) return;
      this.modules.delete(oldest);
      this.size -= oldest.size;
      for (const key of oldest.keys) if (this.places.get(key)?.known === oldest) this.places.delete(key);
    }
  }
}
