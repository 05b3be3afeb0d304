// Turns and sleeps on Node's event loop. Its timers are good to a millisecond and late by up to one more: a guest that
// sleeps for 50 µs would sleep for thirty times as long. So the last stretch of a sleep holds the thread on a futex,
// which costs no processor time and is exact to some 60 µs; input waits for that long at the most.

import type { Pacer } from '#toolstack/lifecycle/domain-loop.ts';

/** what is slept on the futex, in ms */
const LAST_STRETCH = 1.5;
const LONGEST_TIMER = 2 ** 31 - 1;

export class NodePacer implements Pacer {
  private readonly futex = new Int32Array(new SharedArrayBuffer(4));
  private woken = false;
  private endSleep: (() => void) | undefined;

  turn(): Promise<void> { return new Promise((done) => { setImmediate(done); }); }

  async sleep(ns: number): Promise<void> {
    const end = performance.now() + ns / 1e6;
    await this.turn(); // what is due now comes first, however short the sleep
    for (let left; !this.woken && (left = end - performance.now()) > 0;) {
      if (left > LAST_STRETCH) await this.timer(left - LAST_STRETCH);
      else Atomics.wait(this.futex, 0, 0, left);
    }
    this.woken = false;
  }

  wake(): void {
    this.woken = true;
    this.endSleep?.();
  }

  private timer(ms: number): Promise<void> {
    return new Promise((done) => {
      const timer = setTimeout(done, Math.min(ms, LONGEST_TIMER));
      this.endSleep = () => {
        this.endSleep = undefined;
        clearTimeout(timer);
        done();
      };
    });
  }
}
