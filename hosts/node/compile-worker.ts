// The worker of region-compiler.ts.

import { parentPort } from 'node:worker_threads';
import { compileJob } from '#machine/engine/region-job.ts';
import type { CompileChannel, CompileMessage } from './region-compiler.ts';

parentPort?.on('message', ({ port, answered }: CompileChannel) => {
  let memory: SharedArrayBuffer;
  port.on('message', (message: CompileMessage) => {
    if ('byteLength' in message) {
      memory = message;
      return;
    }
    port.postMessage(compileJob({ ...message, memory }));
    Atomics.add(answered, 0, 1);
  });
});
