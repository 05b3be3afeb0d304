// Compiles guest code on a worker thread. Its answers are fetched, not delivered: the thread that runs a guest seldom
// comes to its event loop.

import { MessageChannel, receiveMessageOnPort, Worker, type MessagePort } from 'node:worker_threads';
import type { CompiledRegions, RegionCompiler, RegionJob } from '#machine/engine/region-job.ts';

export interface CompileWorkerData {
  readonly port: MessagePort;
  /** counts the answers */
  readonly answered: Int32Array;
}

export class NodeRegionCompiler implements RegionCompiler {
  alive = true;
  private readonly port: MessagePort;
  private readonly answered = new Int32Array(new SharedArrayBuffer(4));
  private taken = 0;

  /** @param failed is told why the worker ended, if it does */
  constructor(failed: (reason: string) => void) {
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    const workerData: CompileWorkerData = { port: port2, answered: this.answered };
    const worker = new Worker(new URL('./compile-worker.ts', import.meta.url), { workerData, transferList: [port2], resourceLimits: { maxYoungGenerationSizeMb: 8 } });
    worker.unref();
    worker.on('error', (error: Error) => {
      this.alive = false;
      failed(error.message);
    });
  }

  compile(job: RegionJob): void { this.port.postMessage(job); }
  take(): CompiledRegions | undefined {
    if (this.answered[0] === this.taken) return undefined;
    const received = receiveMessageOnPort(this.port) as { message: CompiledRegions } | undefined;
    if (received) this.taken++;
    return received?.message;
  }
}
