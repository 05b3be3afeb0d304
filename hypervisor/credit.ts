// Who gets a physical CPU next, as Xen's credit2 decides it (docs/misc/sched_credit2, xl sched-credit2): everyone begins
// with the same credit and burns it while running, the faster the lower the weight. The one with the most credit is next, so
// who has slept goes before who has run. When the best one has none left, all start anew.
//
// A cap is the most that somebody may have of one CPU, in per cent, over periods of CAP_PERIOD_NS.

/** Credit at the beginning, and the most that anyone saves up: ns of running at weight DEFAULT_WEIGHT. */
const CREDIT_INIT = 10e6;
export const DEFAULT_WEIGHT = 256, MIN_WEIGHT = 1, MAX_WEIGHT = 65535;
const CAP_PERIOD_NS = 100e6;

/** What is kept of one that shares the CPU. */
export class Share {
  weight: number = DEFAULT_WEIGHT;
  /** per cent of a CPU; 0: no cap */
  cap = 0;
  credit: number = CREDIT_INIT;
  /** ns that it has run, all in all */
  ran = 0;
  private periodEnd = 0;
  private ranInPeriod = 0;

  /** Time when it may run again, 0 for now. */
  parkedUntil(now: number): number {
    if (this.cap === 0 || now >= this.periodEnd) return 0;
    return this.ranInPeriod >= this.cap / 100 * CAP_PERIOD_NS ? this.periodEnd : 0;
  }
  /** How long it may run at once, of at most `ns`. */
  allowance(now: number, ns: number): number {
    if (this.cap === 0) return ns;
    if (now >= this.periodEnd) {
      // what it ran too long counts in the period that follows
      this.ranInPeriod = this.periodEnd === 0 || now >= this.periodEnd + CAP_PERIOD_NS ? 0 : Math.max(0, this.ranInPeriod - this.cap / 100 * CAP_PERIOD_NS);
      this.periodEnd = now + CAP_PERIOD_NS;
    }
    return Math.min(ns, Math.max(0, this.cap / 100 * CAP_PERIOD_NS - this.ranInPeriod));
  }
  /** It has run for so long. */
  charge(ns: number): void {
    this.ran += ns;
    this.ranInPeriod += ns;
    this.credit -= ns * DEFAULT_WEIGHT / this.weight;
  }
}

/** The one of `ready` that is next; of several with as much credit the first. Undefined when there is none. */
export function chooseNext<T extends { readonly share: Share }>(ready: readonly T[]): T | undefined {
  let best: T | undefined;
  for (const one of ready) if (!best || one.share.credit > best.share.credit) best = one;
  if (best && best.share.credit <= 0) for (const { share } of ready) share.credit = Math.min(CREDIT_INIT, share.credit + CREDIT_INIT);
  return best;
}
