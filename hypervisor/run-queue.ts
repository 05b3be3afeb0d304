// Those that can run on a CPU now, in the order of their credit (credit.ts). Renewing everyone's credit costs those who wait
// for their turn a step each, and those who sleep nothing: they catch up when they wake.
//
// Who wakes goes before all of them, for as long as an answer takes and credit lasts: whoever has waited since the last renewal has
// more credit than somebody who answers now and then. All of it is paid for, so nobody gets more than a share.

import { Heap } from '#base/heap.ts';
import type { Share } from './credit.ts';

/** One that shares the CPU. */
export interface Sharer {
  readonly share: Share;
  /** renewals of the queue that its share has seen; the queue's affair */
  renewals: number;
  /** ns of running for which it goes before the others, because it has woken; the queue's affair */
  boost: number;
}

/** How long an answer takes: ns. */
export const BOOST_NS = 2e6;

export class RunQueue<T extends Sharer> {
  private readonly ready = new Heap<T>((a, b) => this.goesBefore(a, b));
  private renewals = 0;

  has(one: T): boolean { return this.ready.has(one); }
  get size(): number { return this.ready.size; }
  [Symbol.iterator](): Iterator<T> { return this.ready[Symbol.iterator](); }

  /** One has come to this CPU: renewals before are none of its business. */
  join(one: T): void { one.renewals = this.renewals; }
  goesBefore(a: T, b: T): boolean { return a.boost > 0 === b.boost > 0 ? a.share.credit > b.share.credit : a.boost > 0; }
  /** It can run. */
  put(one: T): void {
    if (one.renewals !== this.renewals) one.share.renew(this.renewals - one.renewals);
    one.renewals = this.renewals;
    this.ready.put(one);
  }
  /** It can run again. */
  wake(one: T): void {
    this.put(one);
    if (one.share.credit <= 0) return;
    one.boost = BOOST_NS;
    this.ready.put(one);
  }
  /** It has run for so long, and has to be put where it belongs now, or be removed. @returns false when it has been first for long enough */
  charge(one: T, ns: number): boolean {
    one.share.charge(ns);
    const wasFirst = one.boost > 0;
    one.boost = one.share.credit > 0 ? Math.max(0, one.boost - ns) : 0;
    return !wasFirst || one.boost > 0;
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
