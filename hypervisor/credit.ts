// Who gets a physical CPU next, as Xen's credit2 decides it (docs/misc/sched_credit2, xl sched-credit2): everyone begins
// with the same credit and burns it while running, the faster the lower the weight. The one with the most credit is next, so
// who has slept goes before who has run. When the best one has none left, all start anew.
//
// A cap is the most that somebody may have of one CPU, in per cent, over periods of CAP_PERIOD_NS.
//
// The state lies in the domain's capsule: it moves with it, and Domain-0 reads it where it lies. Times are the host's.

import { struct } from '#base/struct.ts';
import type { Capsule } from '#base/capsule.ts';
import { DOMAIN_STATE } from './layout.ts';

/** Credit at the beginning, and the most that anyone saves up: ns of running at weight DEFAULT_WEIGHT. */
export const CREDIT_INIT = 10e6;
export const DEFAULT_WEIGHT = 256, MIN_WEIGHT = 1, MAX_WEIGHT = 65535;
const CAP_PERIOD_NS = 100e6;

const domain_credit = struct('domain_credit', 48, {
  weight: 'u32',
  cap: 'u32', // per cent of a CPU; 0: none
  credit: 'f64',
  ran: 'f64', // ns that it has run, all in all
  wanted: 'f64', // ns that it has run or could have run
  periodEnd: 'f64', // of the cap's period
  ranInPeriod: 'f64',
});
const STRIDE = 64;
type State = { -readonly [K in 'weight' | 'cap' | 'credit' | 'ran' | 'wanted' | 'periodEnd' | 'ranInPeriod']: number };

/** What is kept of one that shares the CPU. */
export class Share {
  private readonly state: State;

  /** @param state where it is kept; the default is nowhere in particular */
  constructor(state: State = { weight: DEFAULT_WEIGHT, cap: 0, credit: CREDIT_INIT, ran: 0, wanted: 0, periodEnd: 0, ranInPeriod: 0 }) { this.state = state; }

  /** A domain's on the CPU of one of its threads (domain-threads.ts), where it lies. */
  static of(capsule: Capsule, thread = 0): Share { return new Share(domain_credit.on(capsule.buffer).at(DOMAIN_STATE.credit + thread * STRIDE)); }
  /** A new domain's. */
  static begin(capsule: Capsule, thread = 0): Share {
    const share = Share.of(capsule, thread);
    share.set(DEFAULT_WEIGHT, 0);
    share.credit = CREDIT_INIT;
    return share;
  }

  get weight(): number { return this.state.weight; }
  /** per cent of a CPU; 0: no cap */
  get cap(): number { return this.state.cap; }
  set(weight: number, cap: number): void {
    this.state.weight = weight;
    this.state.cap = cap;
  }
  get credit(): number { return this.state.credit; }
  set credit(credit: number) { this.state.credit = credit; }
  /** ns that it has run, all in all */
  get ran(): number { return this.state.ran; }
  /** ns that it has run or could have run */
  get wanted(): number { return this.state.wanted; }

  /** Time when it may run again, 0 for now. */
  parkedUntil(now: number): number {
    const { cap, periodEnd, ranInPeriod } = this.state;
    if (cap === 0 || now >= periodEnd) return 0;
    return ranInPeriod >= cap / 100 * CAP_PERIOD_NS ? periodEnd : 0;
  }
  /** How long it may run at once, of at most `ns`. */
  allowance(now: number, ns: number): number {
    const { state } = this;
    if (state.cap === 0) return ns;
    const most = state.cap / 100 * CAP_PERIOD_NS;
    if (now >= state.periodEnd) {
      // what it ran too long counts in the period that follows, which begins where the last one ended if it has not slept
      const slept = state.periodEnd === 0 || now >= state.periodEnd + CAP_PERIOD_NS;
      state.ranInPeriod = slept ? 0 : Math.max(0, state.ranInPeriod - most);
      state.periodEnd = (slept ? now : state.periodEnd) + CAP_PERIOD_NS;
    }
    return Math.min(ns, Math.max(0, most - state.ranInPeriod));
  }
  /** It has run for so long. */
  charge(ns: number): void {
    const { state } = this;
    state.ran += ns;
    state.ranInPeriod += ns;
    state.credit -= ns * DEFAULT_WEIGHT / state.weight;
  }
  /** It could run, or ran, for so long. */
  want(ns: number): void { this.state.wanted += ns; }
  /** How often all must start anew for this one to have credit again: who ran for long, because the host had other things to do, is in deep debt. */
  get renewalsDue(): number { return Math.floor(Math.max(0, -this.state.credit) / CREDIT_INIT) + 1; }
  /** All have started anew, so many times. */
  renew(times: number): void { this.state.credit = Math.min(CREDIT_INIT, this.state.credit + times * CREDIT_INIT); }
}
