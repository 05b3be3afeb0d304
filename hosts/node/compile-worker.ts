// The worker of region-compiler.ts.

import { hash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { RegionCache } from '#machine/engine/region-cache.ts';
import type { RegionJob } from '#machine/engine/region-job.ts';
import { CodePages } from './code-pages.ts';
import type { CompileChannel, CompileOpening, CompileOptions } from './region-compiler.ts';

/** Bytes of modules that are kept for domains to come: a kernel and some programs are 10 MB. */
const MOST = 64 << 20;
const pages = (workerData as CompileOptions).inHugePages ? new CodePages() : undefined;
const cache = new RegionCache((words) => hash('sha256', words, 'base64'), MOST);

function open(opening: CompileOpening): void {
  if ('thread' in opening) opening.thread.on('message', open);
  else serve(opening);
}
function serve({ port, answered }: CompileChannel): void {
  port.on('message', (job: RegionJob) => {
    port.postMessage(cache.compile(job));
    Atomics.add(answered, 0, 1);
    pages?.grown();
  });
}
parentPort?.on('message', open);
