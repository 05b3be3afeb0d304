// Compiles regions as another thread would: later. For tests of what may happen meanwhile.

import { compileJob, type CompiledRegions, type RegionCompiler, type RegionJob } from '../engine/region-job.ts';

export class LateCompiler implements RegionCompiler {
  readonly alive = true;
  private readonly jobs: RegionJob[] = [];
  private readonly wait: () => number;
  private left = 0;
  /** modules made */
  made = 0;

  /** @param wait how often `take` is called in vain for the next job */
  constructor(wait: () => number) { this.wait = wait; }

  compile(job: RegionJob): void {
    if (this.jobs.length === 0) this.left = this.wait();
    this.jobs.push(job);
  }
  close(): void { this.jobs.length = 0; }
  take(): CompiledRegions | undefined {
    if (this.jobs.length === 0 || this.left-- > 0) return undefined;
    this.left = this.wait();
    this.made++;
    return compileJob(this.jobs.shift() as RegionJob);
  }
}
