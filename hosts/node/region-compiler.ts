// Compiles guest code on a worker thread, one for all domains of a process, which share what it compiles. Each machine has a channel
// of its own to it.
// Answers are fetched, not delivered: the thread that runs a guest seldom comes to its event loop.

import { join } from 'node:path';
import { MessageChannel, receiveMessageOnPort, Worker, type MessagePort } from 'node:worker_threads';
import type { CompiledRegions, RegionCompiler, RegionJob } from '#machine/engine/region-job.ts';
import { ROOT } from './root.ts';

/** A machine's end of a channel, as the worker gets it. */
export interface CompileChannel {
  readonly port: MessagePort;
  /** counts the answers */
  readonly answered: Int32Array;
}
/** What the worker gets: the channel of a machine, or a port on which another thread will send some. */
export type CompileOpening = CompileChannel | { readonly thread: MessagePort };
export interface CompileOptions {
  /** its code is to lie in huge pages */
  readonly inHugePages: boolean;
}

/** The way of one thread to the worker, as it can be sent to that thread. */
export interface CompilerAccess {
  readonly port: MessagePort;
  /** 0 once the worker has ended */
  readonly alive: Int32Array;
}

/** Nearly all that is made is garbage at once. */
const LIMITS = { maxYoungGenerationSizeMb: 8 } as const;

export class CompilerThread {
  private readonly failed: (reason: string) => void;
  private readonly options: CompileOptions;
  private worker: Worker | undefined;
  private readonly alive = new Int32Array(new SharedArrayBuffer(4)).fill(1);

  /** @param failed is told why the worker ended, if it does */
  constructor(failed: (reason: string) => void, options: CompileOptions = { inHugePages: false }) {
    this.failed = failed;
    this.options = options;
  }

  private start(): Worker {
    const worker = new Worker(join(ROOT, 'bin/compile-worker.mjs'), { resourceLimits: LIMITS, workerData: this.options });
    worker.unref();
    worker.on('error', (error: Error) => {
      Atomics.store(this.alive, 0, 0);
      this.failed(error.message);
    });
    return worker;
  }
  private connect(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    this.worker ??= this.start();
    this.worker.postMessage({ thread: port2 } satisfies CompileOpening, [port2]);
    return port1;
  }

  /** A way to the worker for another thread, which makes a CompilerClient of it. The port has to be transferred. */
  access(): CompilerAccess { return { port: this.connect(), alive: this.alive }; }
  /** The same for this thread. A worker takes a fifth of a second of a processor to start: it does so when the port is first asked for. */
  accessLater(): CompilerAccess {
    const connect = (): MessagePort => this.connect();
    let port: MessagePort | undefined;
    return { get port(): MessagePort { return port ??= connect(); }, alive: this.alive };
  }
}

export class CompilerClient {
  private readonly access: CompilerAccess;

  constructor(access: CompilerAccess) { this.access = access; }

  /** A compiler for one machine. To be closed when the machine is gone. */
  open(): RegionCompiler { return new MachineCompiler(this.access); }
}

class MachineCompiler implements RegionCompiler {
  private readonly access: CompilerAccess;
  /** there once something was to be compiled */
  private channel: CompileChannel | undefined;
  private taken = 0;

  constructor(access: CompilerAccess) { this.access = access; }
  get alive(): boolean { return this.access.alive[0] !== 0; }

  private connect(): CompileChannel {
    const { port1, port2 } = new MessageChannel();
    const answered = new Int32Array(new SharedArrayBuffer(4));
    this.access.port.postMessage({ port: port2, answered } satisfies CompileOpening, [port2]);
    return { port: port1, answered };
  }
  compile(job: RegionJob): void {
    this.channel ??= this.connect();
    this.channel.port.postMessage(job, job.regions.map((words) => words.buffer as ArrayBuffer));
  }
  take(): CompiledRegions | undefined {
    if (this.channel === undefined || this.channel.answered[0] === this.taken) return undefined;
    const received = receiveMessageOnPort(this.channel.port) as { message: CompiledRegions } | undefined;
    if (received) this.taken++;
    return received?.message;
  }
  close(): void { this.channel?.port.close(); }
}
