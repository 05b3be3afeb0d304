// Domain-0's end of the mail with a physical CPU (cpu-mail.ts): requests out, answers back to who waits for them, and what the
// CPU tells by itself.

import { BuilderError } from '../builder/builder-error.ts';
import type { CpuFailure, CpuReport, CpuRequest, CpuServices, ServiceName } from './cpu-mail.ts';

/** The thread of a physical CPU, as a host makes it. */
export interface CpuThread {
  post(request: CpuRequest): void;
  /** ends it at once */
  end(): void;
}
/** Starts the thread of CPU `id`; `died` is told once when it ends without having been told to. */
export type StartCpu = (id: number, report: (report: CpuReport) => void, died: (reason: string) => void) => CpuThread;

/** Starts a thread after so many ms. What is posted until then waits for it. */
export function startLater(start: StartCpu, later: (ms: number, then: () => void) => void, ms: number): StartCpu {
  return (...parameters) => {
    const waiting: CpuRequest[] = [];
    let thread: CpuThread | undefined;
    let isOver = false;
    later(ms, () => {
      if (isOver) return;
      thread = start(...parameters);
      for (const request of waiting) thread.post(request);
    });
    return {
      post(request) {
        if (thread) thread.post(request);
        else waiting.push(request);
      },
      end() {
        isOver = true;
        thread?.end();
      },
    };
  };
}

/** The CPU has died, and all that was asked of it is lost. */
export class CpuDied extends Error {}

interface Waiting { readonly resolve: (value: never) => void; readonly reject: (error: Error) => void }

export class CpuLink {
  readonly id: number;
  private readonly thread: CpuThread;
  private readonly waiting = new Map<number, Waiting>();
  private asked = 0;
  private dead: CpuDied | undefined;

  /**
   * @param start starts the thread
   * @param told is given what is no answer
   * @param died is told why the thread has ended, after all who waited were
   */
  constructor(id: number, start: StartCpu, told: (report: CpuReport, cpu: CpuLink) => void, died: (cpu: CpuLink, reason: string) => void) {
    this.id = id;
    this.thread = start(id, (report) => {
      if (report.kind === 'answer') this.settle(report.id)?.resolve(report.value as never);
      else if (report.kind === 'failure') this.settle(report.id)?.reject(errorOf(report.failure));
      else told(report, this);
    }, (reason) => {
      this.dead = new CpuDied(`physical CPU ${id} died: ${reason}`);
      for (const { reject } of this.waiting.values()) reject(this.dead);
      this.waiting.clear();
      died(this, reason);
    });
  }

  /** @throws what the service throws; CpuDied */
  ask<K extends ServiceName>(service: K, ...args: Parameters<CpuServices[K]>): Promise<ReturnType<CpuServices[K]>> {
    if (this.dead) return Promise.reject(this.dead);
    const id = ++this.asked;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.thread.post({ id, service, args } as CpuRequest);
    });
  }
  /** The same without an answer: if the domain is gone, nothing happens. */
  tell<K extends ServiceName>(service: K, ...args: Parameters<CpuServices[K]>): void {
    if (!this.dead) this.thread.post({ id: 0, service, args } as CpuRequest);
  }
  end(): void { this.thread.end(); }

  private settle(id: number): Waiting | undefined {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    return waiting;
  }
}

function errorOf({ message, stack, code }: CpuFailure): Error {
  if (code !== undefined) return new BuilderError(code, message);
  const error = new Error(message);
  error.stack = stack ?? message;
  return error;
}
