// A physical CPU: the thread that runs the domains placed on it, each in its turn as credit.ts says, and sleeps when none of
// them can run. There is no polling: a sleep ends with the next timer of a domain or when somebody calls `wake`.

import { Share, chooseNext } from '#hypervisor/credit.ts';
import type { Domain } from '#hypervisor/domain.ts';
import { runDomain } from '#hypervisor/sched.ts';
import { clockOf } from '#hypervisor/time.ts';
import type { Pacer } from './domain-loop.ts';

/** How long a domain runs at once: what a domain that wakes may have to wait for. */
const TURN_NS = 5e6;

/** A domain that has a place on a CPU. */
export class Placed {
  readonly domain: Domain;
  readonly share: Share = new Share();
  /** system time of its next timer; Infinity when none is set */
  nextTimer = Infinity;

  constructor(domain: Domain) { this.domain = domain; }

  /** True when it has something to do now. */
  get isReady(): boolean {
    return this.domain.isShutDown || this.domain.vcpus.some((v) => v.runnable) || clockOf(this.domain).now() >= this.nextTimer;
  }
}

export class PhysicalCpu {
  /** called when a domain has shut itself down; it has no place any more */
  onEnd: (placed: Placed) => void = () => {};
  private readonly pacer: Pacer;
  private readonly now: () => number;
  private readonly placed = new Set<Placed>();
  private stopped = false;

  /** @param now monotonic time in ns */
  constructor(pacer: Pacer, now: () => number) {
    this.pacer = pacer;
    this.now = now;
  }

  /** Gives a domain a place. It runs as soon as its turn comes. */
  place(domain: Domain): Placed {
    const placed = new Placed(domain);
    this.placed.add(placed);
    this.wake();
    return placed;
  }
  /** Takes a domain's place away: it does not run any more. */
  remove(placed: Placed): void { this.placed.delete(placed); }
  /** To be called when a domain may have become ready. */
  wake(): void { this.pacer.wake(); }
  /** Ends `run` after the current turn. */
  stop(): void {
    this.stopped = true;
    this.wake();
  }

  async run(): Promise<void> {
    while (!this.stopped) {
      const now = this.now();
      const next = chooseNext([...this.placed].filter((p) => p.isReady && p.share.parkedUntil(now) === 0));
      if (next) this.turn(next, now);
      await (next ? this.pacer.turn() : this.pacer.sleep(this.untilNext(now)));
    }
  }

  private turn(next: Placed, now: number): void {
    const { reason, nextTimer } = runDomain(next.domain, next.share.allowance(now, TURN_NS));
    next.share.charge(this.now() - now);
    next.nextTimer = nextTimer;
    if (reason !== 'shutdown') return;
    this.remove(next);
    this.onEnd(next);
  }
  /** ns until the first of the sleeping domains has to be looked at. */
  private untilNext(now: number): number {
    let least = Infinity;
    for (const p of this.placed) {
      const parked = p.share.parkedUntil(now);
      least = Math.min(least, parked > 0 && p.isReady ? parked - now : p.nextTimer - clockOf(p.domain).now());
    }
    return Math.max(0, least);
  }
}
