// Nobody's transactions starve: a domain whose writes came between another client's transaction too often waits for a
// while, in which the other can commit (as in oxenstored, whose word is conflict credit). Domains that
// only write what no one else has in a transaction never wait. Without a clock, as in deterministic runs, no one does.

import { QUOTA } from './quota.ts';

/** Time, as a host gives it. */
export interface Pace {
  /** ms of a clock that never goes back */
  now(): number;
  later(ms: number, then: () => void): void;
}

interface Credit { left: number; at: number }

const PER_MS = QUOTA.conflictsPerSecond / 1000;

export class Conflicts {
  private readonly pace: Pace | undefined;
  /** what domains that caused conflicts may still cause, at a time */
  private readonly credits = new Map<number, Credit>();
  private readonly waiting = new Set<number>();

  constructor(pace: Pace | undefined) { this.pace = pace; }

  /** The domain came between somebody's transaction. */
  caused(domid: number): void {
    if (!this.pace || domid === 0) return;
    const left = this.left(domid) - 1;
    this.credits.set(domid, { left, at: this.pace.now() });
  }

  /** Must the domain wait? `then` is called when the wait is over. */
  mustWait(domid: number, then: () => void): boolean {
    if (!this.pace || !this.credits.has(domid)) return false;
    const left = this.left(domid);
    if (left >= QUOTA.conflictBurst) this.credits.delete(domid);
    if (left > 0) return false;
    if (this.waiting.has(domid)) return true;
    this.waiting.add(domid);
    this.pace.later(Math.ceil(-left / PER_MS) + 1, () => {
      this.waiting.delete(domid);
      then();
    });
    return true;
  }

  release(domid: number): void { this.credits.delete(domid); }

  private left(domid: number): number {
    const credit = this.credits.get(domid);
    if (!credit || !this.pace) return QUOTA.conflictBurst;
    return Math.min(QUOTA.conflictBurst, credit.left + (this.pace.now() - credit.at) * PER_MS);
  }
}
