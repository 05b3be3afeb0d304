// The worker of region-compiler.ts.

import { workerData } from 'node:worker_threads';
import { compileJob, type RegionJob } from '#machine/engine/region-job.ts';
import type { CompileWorkerData } from './region-compiler.ts';

const { port, answered } = workerData as CompileWorkerData;
port.on('message', (job: RegionJob) => {
  port.postMessage(compileJob(job));
  Atomics.add(answered, 0, 1);
});
