// Compiles guest code on a worker thread. Its answers are fetched, not delivered: the thread that runs a guest seldom
// comes to its event loop.

import { MessageChannel, receiveMessageOnPort, Worker, type MessagePort } from 'node:worker_threads';
import type { CompiledRegions, RegionCompiler, RegionJob } from '#machine/engine/region-job.ts';

export interface CompileWorkerData {
  readonly port: MessagePort;
  /** counts the answers */
  readonly answered: Int32Array;
}

/** The memory of the domain whose jobs follow, or a job: memory is costly to send. */
export type CompileMessage = SharedArrayBuffer | Omit<RegionJob, 'memory'>;

export class NodeRegionCompiler implements RegionCompiler {
  alive = true;
  private readonly port: MessagePort;
  private readonly answered = new Int32Array(new SharedArrayBuffer(4));
  private taken = 0;
  private memory: SharedArrayBuffer | undefined;

  /** @param failed is told why the worker ended, if it does */
  constructor(failed: (reason: string) => void) {
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    const workerData: CompileWorkerData = { port: port2, answered: this.answered };
    const worker = new Worker(new URL('../../bin/compile-worker.mjs', import.meta.url), { workerData, transferList: [port2], resourceLimits: { maxYoungGenerationSizeMb: 8 } });
    worker.unref();
    worker.on('error', (error: Error) => {
      this.alive = false;
      failed(error.message);
    });
  }

  compile({ id, memory, words }: RegionJob): void {
    if (memory !== this.memory) this.port.postMessage(this.memory = memory);
    this.port.postMessage({ id, words }, [words.buffer as ArrayBuffer]);
  }
  take(): CompiledRegions | undefined {
    if (this.answered[0] === this.taken) return undefined;
    const received = receiveMessageOnPort(this.port) as { message: CompiledRegions } | undefined;
    if (received) this.taken++;
    return received?.message;
  }
}
