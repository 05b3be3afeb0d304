// What ends a run from outside of the guest: signals, time, Ctrl-], a closed output. The first one counts.

import { constants } from 'node:os';

export interface Stop {
  readonly status: number;
  /** for the person; undefined when there is nothing to say */
  readonly message?: string;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** How long a reader that stands still may hold up the end of a run that was stopped, in ms. */
const PATIENCE = 300;
const LONGEST_TIMER = 2 ** 31 - 1;

export class Stops {
  /** why the run is to end, once it is */
  reason: Stop | undefined;
  /** resolves at the first stop */
  readonly stopped: Promise<void>;
  onStop: () => void = () => {};
  private readonly timeoutSeconds: number;
  private readonly resolve: () => void;

  /** @param timeoutSeconds counted from the start of the process; Infinity for none */
  constructor(timeoutSeconds: number) {
    this.timeoutSeconds = timeoutSeconds;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.stopped = promise;
    this.resolve = resolve;
  }

  stop(reason: Stop): void {
    if (this.reason) return;
    this.reason = reason;
    this.resolve();
    this.onStop();
  }

  /** Begins to listen to signals and to count the time. */
  watch(): void {
    for (const signal of SIGNALS) process.on(signal, () => this.stop({ status: 128 + constants.signals[signal] }));
    if (this.timeoutSeconds === Infinity) return;
    const left = this.timeoutSeconds * 1000 - performance.now();
    const expired = { status: 124, message: `xenith: time-out after ${this.timeoutSeconds} s; the domain is destroyed` };
    setTimeout(() => this.stop(expired), Math.min(Math.max(left, 1), LONGEST_TIMER));
  }

  /** Resolves when the run was stopped and has waited long enough. */
  async patience(): Promise<void> {
    await this.stopped;
    await new Promise((done) => { setTimeout(done, PATIENCE); });
  }
}
