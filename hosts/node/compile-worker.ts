// The worker of region-compiler.ts.

import { parentPort } from 'node:worker_threads';
import { compileJob } from '#machine/engine/region-job.ts';
import { collectGarbage, collectIfWorthwhile } from './collect-garbage.ts';
import type { CompileChannel, CompileMessage, CompileOpening } from './region-compiler.ts';

function open(opening: CompileOpening): void {
  if (opening === 'collect') collectGarbage();
  else if ('thread' in opening) opening.thread.on('message', open);
  else serve(opening);
}
function serve({ port, answered }: CompileChannel): void {
  let memory: SharedArrayBuffer;
  port.on('message', (message: CompileMessage) => {
    if ('byteLength' in message) {
      memory = message;
      return;
    }
    port.postMessage(compileJob({ ...message, memory }));
    Atomics.add(answered, 0, 1);
    collectIfWorthwhile();
  });
}
parentPort?.on('message', open);
