// The thread of a physical CPU, as Domain-0 sees it. Requests go over a port that the CPU looks at when a word of shared memory
// has changed: it does not come to its event loop while its domains run, and sleeps on that word when they do not.

import { join } from 'node:path';
import { MessageChannel, Worker, type MessagePort } from 'node:worker_threads';
import type { CpuReport, CpuRequest } from '#toolstack/lifecycle/cpu-mail.ts';
import type { CpuThread, StartCpu } from '#toolstack/lifecycle/cpu-link.ts';
import type { CompilerAccess, CompilerThread } from '../region-compiler.ts';
import { ROOT } from '../root.ts';

/** What the worker starts with. */
export interface CpuWorkerData {
  readonly id: number;
  readonly port: MessagePort;
  /** by CPU, a word that changes when there is something to look at */
  readonly bells: Int32Array;
  readonly compiler: CompilerAccess;
}

/**
 * Young generations are small because there are many threads: what is not garbage at once lives as long as a domain. V8 counts
 * the domains' memory, all of it whether touched or not, to the old generation's, and collects garbage all the time near that
 * one's limit: so there is none.
 */
const LIMITS = { maxYoungGenerationSizeMb: 16, maxOldGenerationSizeMb: 1 << 20 } as const;

/** The most physical CPUs. */
const MAX_CPUS = 1024;

export function startCpuThread(compilers: CompilerThread): StartCpu {
  const bells = new Int32Array(new SharedArrayBuffer(MAX_CPUS * 4));
  return (...parameters) => new WorkerCpu(compilers, bells, ...parameters);
}
/** Wakes a CPU. */
export function ring(bells: Int32Array, id: number): void {
  Atomics.add(bells, id, 1);
  Atomics.notify(bells, id);
}

export class WorkerCpu implements CpuThread {
  readonly worker: Worker;
  private readonly port: MessagePort;
  private readonly id: number;
  private readonly bells: Int32Array;
  private readonly died: (reason: string) => void;
  private isOver = false;

  constructor(compilers: CompilerThread, bells: Int32Array, id: number, report: (report: CpuReport) => void, died: (reason: string) => void) {
    const { port1, port2 } = new MessageChannel();
    const compiler = compilers.access();
    this.id = id;
    this.bells = bells;
    this.port = port1;
    this.died = died;
    this.worker = new Worker(join(ROOT, 'bin/cpu-worker.mjs'), {
      name: `cpu${id}`, resourceLimits: LIMITS, workerData: { id, port: port2, bells, compiler } satisfies CpuWorkerData, transferList: [port2, compiler.port],
    });
    this.worker.on('error', (error: Error) => this.over(error.stack ?? error.message));
    this.worker.on('exit', (code) => this.over(`its thread ended with ${code}`));
    this.port.on('message', (message: CpuReport) => { if (!this.isOver) report(message); });
  }

  post(request: CpuRequest): void {
    this.port.postMessage(request);
    ring(this.bells, this.id);
  }
  end(): void {
    this.isOver = true;
    this.port.close();
    void this.worker.terminate();
  }
  private over(reason: string): void {
    if (this.isOver) return;
    this.isOver = true;
    this.port.close();
    this.died(reason);
  }
}
