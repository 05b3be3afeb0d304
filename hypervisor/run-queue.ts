// Those that can run on a CPU now, in the order of their credit (credit.ts). Renewing everyone's credit costs those who wait
// for their turn a step each, and those who sleep nothing: they catch up when they wake.

import { Heap } from '#base/heap.ts';
import type { Share } from './credit.ts';

/** One that shares the CPU. */
export interface Sharer {
  readonly share: Share;
  /** renewals of the queue that its share has seen; the queue's affair */
  renewals: number;
}

export class RunQueue<T extends Sharer> {
  private readonly ready = new Heap<T>((a, b) => a.share.credit > b.share.credit);
  private renewals = 0;

  has(one: T): boolean { return this.ready.has(one); }
  get size(): number { return this.ready.size; }
  [Symbol.iterator](): Iterator<T> { return this.ready[Symbol.iterator](); }

  /** One has come to this CPU: renewals before are none of its business. */
  join(one: T): void { one.renewals = this.renewals; }
  /** It can run. To be called again when its credit has changed. */
  put(one: T): void {
    if (one.renewals !== this.renewals) one.share.renew(this.renewals - one.renewals);
    one.renewals = this.renewals;
    this.ready.put(one);
  }
  /** It cannot run any more. */
  remove(one: T): void { this.ready.remove(one); }

  /** The one that is next; it stays in the queue. */
  next(): T | undefined {
    const { first } = this.ready;
    if (first && first.share.credit <= 0) {
      const times = first.share.renewalsDue;
      this.renewals += times;
      for (const one of this.ready) { // which keeps them in order
        one.share.renew(times);
        one.renewals = this.renewals;
      }
    }
    return first;
  }
}
