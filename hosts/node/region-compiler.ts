// Compiles guest code on a worker thread, one for all domains of a process. Each machine has a channel of its own to it.
// Answers are fetched, not delivered: the thread that runs a guest seldom comes to its event loop.

import { MessageChannel, receiveMessageOnPort, Worker, type MessagePort } from 'node:worker_threads';
import type { CompiledRegions, RegionCompiler, RegionJob } from '#machine/engine/region-job.ts';

/** A machine's end of a channel, as the worker gets it. */
export interface CompileChannel {
  readonly port: MessagePort;
  /** counts the answers */
  readonly answered: Int32Array;
}
/** On a channel: the memory that the machine's jobs are about, first, or a job. */
export type CompileMessage = SharedArrayBuffer | Omit<RegionJob, 'memory'>;

export class CompilerThread {
  private readonly worker: Worker;
  alive = true;

  /** @param failed is told why the worker ended, if it does */
  constructor(failed: (reason: string) => void) {
    this.worker = new Worker(new URL('../../bin/compile-worker.mjs', import.meta.url), { resourceLimits: { maxYoungGenerationSizeMb: 8 } });
    this.worker.unref();
    this.worker.on('error', (error: Error) => {
      this.alive = false;
      failed(error.message);
    });
  }

  /** A compiler for one machine. To be closed when the machine is gone. */
  open(): MachineCompiler {
    const { port1, port2 } = new MessageChannel();
    const answered = new Int32Array(new SharedArrayBuffer(4));
    this.worker.postMessage({ port: port2, answered } satisfies CompileChannel, [port2]);
    return new MachineCompiler(this, port1, answered);
  }
}

export class MachineCompiler implements RegionCompiler {
  private readonly thread: CompilerThread;
  private readonly port: MessagePort;
  private readonly answered: Int32Array;
  private taken = 0;
  private hasMemory = false;

  constructor(thread: CompilerThread, port: MessagePort, answered: Int32Array) {
    this.thread = thread;
    this.port = port;
    this.answered = answered;
  }
  get alive(): boolean { return this.thread.alive; }

  compile({ id, memory, words }: RegionJob): void {
    if (!this.hasMemory) this.port.postMessage(memory);
    this.hasMemory = true;
    this.port.postMessage({ id, words }, [words.buffer as ArrayBuffer]);
  }
  take(): CompiledRegions | undefined {
    if (this.answered[0] === this.taken) return undefined;
    const received = receiveMessageOnPort(this.port) as { message: CompiledRegions } | undefined;
    if (received) this.taken++;
    return received?.message;
  }
  close(): void { this.port.close(); }
}
