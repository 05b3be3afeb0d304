// Compiles guest code on a worker thread, one for all domains of a process, which share what it compiles. Each machine has a channel
// of its own to it.
// Answers are fetched, not delivered: the thread that runs a guest seldom comes to its event loop.

import { MessageChannel, receiveMessageOnPort, Worker, type MessagePort } from 'node:worker_threads';
import type { CompiledRegions, RegionCompiler, RegionJob } from '#machine/engine/region-job.ts';

/** A machine's end of a channel, as the worker gets it. */
export interface CompileChannel {
  readonly port: MessagePort;
  /** counts the answers */
  readonly answered: Int32Array;
}
/** What the worker gets: the channel of a machine, or a port on which another thread will send some. */
export type CompileOpening = CompileChannel | { readonly thread: MessagePort };

/** The way of one thread to the worker, as it can be sent to that thread. */
export interface CompilerAccess {
  readonly port: MessagePort;
  /** 0 once the worker has ended */
  readonly alive: Int32Array;
}

/** Nearly all that is made is garbage at once. */
const LIMITS = { maxYoungGenerationSizeMb: 8 } as const;

export class CompilerThread {
  private readonly worker: Worker;
  private readonly alive = new Int32Array(new SharedArrayBuffer(4)).fill(1);

  /** @param failed is told why the worker ended, if it does */
  constructor(failed: (reason: string) => void) {
    this.worker = new Worker(new URL('../../bin/compile-worker.mjs', import.meta.url), { resourceLimits: LIMITS });
    this.worker.unref();
    this.worker.on('error', (error: Error) => {
      Atomics.store(this.alive, 0, 0);
      failed(error.message);
    });
  }

  /** A way to the worker for another thread, which makes a CompilerClient of it. The port has to be transferred. */
  access(): CompilerAccess {
    const { port1, port2 } = new MessageChannel();
    this.worker.postMessage({ thread: port2 } satisfies CompileOpening, [port2]);
    return { port: port1, alive: this.alive };
  }
}

export class CompilerClient {
  private readonly access: CompilerAccess;

  constructor(access: CompilerAccess) { this.access = access; }

  /** A compiler for one machine. To be closed when the machine is gone. */
  open(): RegionCompiler {
    const { port1, port2 } = new MessageChannel();
    const answered = new Int32Array(new SharedArrayBuffer(4));
    this.access.port.postMessage({ port: port2, answered } satisfies CompileOpening, [port2]);
    return new MachineCompiler(this.access.alive, port1, answered);
  }
}

class MachineCompiler implements RegionCompiler {
  private readonly threadAlive: Int32Array;
  private readonly port: MessagePort;
  private readonly answered: Int32Array;
  private taken = 0;

  constructor(threadAlive: Int32Array, port: MessagePort, answered: Int32Array) {
    this.threadAlive = threadAlive;
    this.port = port;
    this.answered = answered;
  }
  get alive(): boolean { return this.threadAlive[0] !== 0; }

  compile(job: RegionJob): void { this.port.postMessage(job, job.regions.map((words) => words.buffer as ArrayBuffer)); }
  take(): CompiledRegions | undefined {
    if (this.answered[0] === this.taken) return undefined;
    const received = receiveMessageOnPort(this.port) as { message: CompiledRegions } | undefined;
    if (received) this.taken++;
    return received?.message;
  }
  close(): void { this.port.close(); }
}
