// The worker of region-compiler.ts.

import { workerData } from 'node:worker_threads';
import { compileJob } from '#machine/engine/region-job.ts';
import type { CompileMessage, CompileWorkerData } from './region-compiler.ts';

const { port, answered } = workerData as CompileWorkerData;
let memory: SharedArrayBuffer;
port.on('message', (message: CompileMessage) => {
  if ('byteLength' in message) {
    memory = message;
    return;
  }
  port.postMessage(compileJob({ ...message, memory }));
  Atomics.add(answered, 0, 1);
});
