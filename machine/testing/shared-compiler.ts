// Compiles regions through a cache, at once. For tests of what machines share.

import type { WasmModule } from '#base/webassembly.ts';
import { RegionCache } from '../engine/region-cache.ts';
import type { CompiledRegions, RegionCompiler, RegionJob } from '../engine/region-job.ts';

export const cacheOf = (most: number): RegionCache => new RegionCache((words) => words.join(), most);

export class SharedCompiler implements RegionCompiler {
  readonly alive = true;
  readonly jobs: RegionJob[] = [];
  /** what this machine has got, each once */
  readonly modules = new Set<WasmModule>();
  private readonly cache: RegionCache;
  private readonly done: CompiledRegions[] = [];

  constructor(cache: RegionCache) { this.cache = cache; }

  compile(job: RegionJob): void {
    const done = this.cache.compile(job);
    this.jobs.push(job);
    this.done.push(done);
    for (const { module } of done.modules) this.modules.add(module);
  }
  take(): CompiledRegions | undefined { return this.done.shift(); }
  close(): void { this.done.length = 0; }
}
