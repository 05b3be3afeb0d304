// A physical CPU: the thread that runs the domains placed on it, each in its turn as hypervisor/credit.ts says, and sleeps when
// none of them can run. Between slices it reads its mail (cpu-services.ts). There is no polling: a sleep ends with the next
// timer of a domain or when mail comes.
//
// A domain is in one of three places: in the queue of those that can run; among the sleepers, by the time when it has to be
// looked at; or nowhere, when only mail can wake it. What happens to one domain costs nothing for the others.

import { SHUTDOWN } from '#abi/xen.ts';
import { stackOf } from '#base/error-text.ts';
import { Heap } from '#base/heap.ts';
import type { CommonFrames } from '#hypervisor/common-frames.ts';
import type { Domain } from '#hypervisor/domain.ts';
import { DOMAIN_0, sysctl } from '#hypervisor/management.ts';
import { RunQueue } from '#hypervisor/run-queue.ts';
import { type RunResult, runDomain } from '#hypervisor/sched.ts';
import type { TraceRing } from '#hypervisor/trace-ring.ts';
import type { Mailbox } from './cpu-mail.ts';
import { type DomainEnd, endOf } from './domain-end.ts';
import type { PlacedDomain } from './placed-domain.ts';

/** How long a domain runs before mail is read, and another that has woken may have the CPU: ns. */
const SLICE_NS = 1e6;
/** How long it runs before another that waits has its turn: long enough for what it finds in the processor's caches to pay. */
const TURN_NS = 10e6;
/** How often Domain-0 is told that domains wait for each other, and how often the host has its turn while the CPU is busy. */
const CROWDED_NS = 250e6, HOST_TURN_NS = 20e6;

export class PhysicalCpu {
  readonly id: number;
  private readonly mail: Mailbox;
  private readonly now: () => number;
  private readonly common: CommonFrames | undefined;
  private readonly ready = new RunQueue<PlacedDomain>();
  private readonly sleepers = new Heap<PlacedDomain>((a, b) => a.wakeAt < b.wakeAt);
  private readonly byId = new Map<number, PlacedDomain>();
  private current: PlacedDomain | undefined;
  private turnEnd = 0;
  /** another one may go before the current one now */
  private preempted = false;
  /** events for Domain-0 that were not sent yet: domid and port, in turn */
  private events: number[] = [];
  /** the same for domains on other CPUs: domid, port and sender, in turn */
  private peerEvents: number[] = [];
  private toldCrowded = 0;
  private hostTurn = 0;
  /** what the domains are traced into */
  private ring: TraceRing | undefined;

  /**
   * @param now monotonic time in ns, the same for all CPUs
   * @param common what its domains have in common, where the host can do that
   */
  constructor(id: number, mail: Mailbox, now: () => number, common?: CommonFrames | undefined) {
    this.id = id;
    this.mail = mail;
    this.now = now;
    this.common = common;
  }

  get(domid: number): PlacedDomain | undefined { return this.byId.get(domid); }
  /** Gives a domain a place. It runs as soon as its turn comes, if it is not paused. */
  place(placed: PlacedDomain): void {
    const { trace, threads } = placed.domain;
    threads.wakeCpu = (cpu) => { if (cpu !== this.id) this.mail.wake(cpu); };
    trace.pcpu = this.id;
    sysctl(DOMAIN_0).tbuf_op(placed.domain, this.ring);
    this.byId.set(placed.domid, placed);
    this.ready.join(placed);
    this.awaken(placed);
  }
  /** Takes a domain's place away: it does not run any more. */
  remove(placed: PlacedDomain): void {
    this.byId.delete(placed.domid);
    this.rest(placed, Infinity);
    this.flush(); // its events go before whatever is said of it next
  }
  /** A domain may have become ready, or paused. */
  reconsider(placed: PlacedDomain): void {
    if (placed.isPaused) this.rest(placed, Infinity);
    else if (placed.isRunnable || placed.domain.isShutDown) this.awaken(placed);
  }
  /** It goes on after a pause, and finds what timers it has missed. */
  awaken(placed: PlacedDomain): void {
    if (placed.isPaused || this.ready.has(placed)) return;
    const now = this.now();
    const parked = placed.share.parkedUntil(now);
    if (parked > 0) return this.rest(placed, parked);
    this.sleepers.remove(placed);
    placed.wantsSince = now;
    this.ready.wake(placed);
    if (this.current && this.ready.goesBefore(placed, this.current)) this.preempted = true;
  }
  /** A domain has been shut down: it is forgotten here, and Domain-0 is told, by one of its CPUs. */
  end(placed: PlacedDomain): void {
    this.remove(placed);
    placed.compiler?.close();
    if (placed.isHelper) return;
    this.mail.send({ kind: 'ended', domid: placed.domid, end: endOfGuarded(placed.domain) });
  }
  /** Does something to a domain that may wake it. An exception of ours ends the domain: it is not the fault of who did so. */
  disturb(placed: PlacedDomain, body: () => void): void {
    try {
      placed.domain.threads.locked(body);
      this.reconsider(placed);
    } catch (error) {
      fail(placed.domain, error);
      this.end(placed);
    }
  }
  /** Keeps what the domains do in a ring, also of those that are yet to come, or no longer. */
  trace(ring: TraceRing | undefined): void {
    this.ring = ring;
    for (const { domain } of this.byId.values()) sysctl(DOMAIN_0).tbuf_op(domain, ring);
  }
  /** What a debug key tells of this CPU and its domains, in lines. */
  debugKey(key: string): string[] {
    const lines: string[] = [];
    const all = [...this.byId.values()].filter((placed) => !placed.isHelper).sort((a, b) => a.domid - b.domid);
    const domains = all.map((placed) => ({ domain: placed.domain, share: placed.share, isReady: this.ready.has(placed) }));
    for (const { domain } of all) domain.threads.lock();
    try {
      sysctl(DOMAIN_0).debug_keys(key, { pcpu: this.id, domains, now: this.now() }, (line) => lines.push(line));
    } finally {
      for (const { domain } of all) domain.threads.unlock();
    }
    for (const placed of all) this.reconsider(placed); // q sends interrupts
    return lines;
  }
  /** A guest's event for Domain-0: sent at the end of the slice. */
  tell(domid: number, port: number): void {
    const { events } = this;
    for (let i = 0; i < events.length; i += 2) if (events[i] === domid && events[i + 1] === port) return;
    events.push(domid, port);
  }

  /** A guest's event for a domain that is not here: sent likewise. */
  tellPeer(domid: number, port: number, from: number): void {
    const { peerEvents: events } = this;
    for (let i = 0; i < events.length; i += 3) if (events[i] === domid && events[i + 1] === port && events[i + 2] === from) return;
    events.push(domid, port, from);
  }
  /** A destroyed domain is gone for good. */
  tellGone(domid: number): void { this.mail.send({ kind: 'gone', domid }); }

  /** Never ends. @param serve reads the mail */
  async run(serve: () => void): Promise<never> {
    for (;;) {
      if (this.mail.hasMail) {
        serve();
        this.attend();
      }
      let now = this.now();
      if (now >= this.hostTurn) {
        await this.mail.turn();
        now = this.now();
        this.hostTurn = now + HOST_TURN_NS;
      }
      this.wakeSleepers(now);
      const next = this.choose(now);
      if (next) this.slice(next, now);
      this.flush();
      if (!next) await this.mail.sleep(this.untilNext(now));
      else if (now >= this.toldCrowded + CROWDED_NS) this.tellCrowded(now);
    }
  }

  /** Another CPU may have done something to a domain that runs on both. */
  private attend(): void {
    for (const placed of this.byId.values()) if (placed.domain.threads.count > 1 && !this.ready.has(placed)) this.reconsider(placed);
  }
  /** Out of the queue, until a time. */
  private rest(placed: PlacedDomain, until: number): void {
    if (this.ready.has(placed)) {
      this.noteWish(placed, this.now());
      this.ready.remove(placed);
    }
    if (this.current === placed) this.current = undefined;
    placed.wakeAt = until;
    if (until === Infinity) this.sleepers.remove(placed);
    else this.sleepers.put(placed);
  }
  private wakeSleepers(now: number): void {
    for (let first; (first = this.sleepers.first) && first.wakeAt <= now;) this.awaken(first);
  }
  private choose(now: number): PlacedDomain | undefined {
    if (this.current && !this.preempted && now < this.turnEnd) return this.current;
    this.current = this.ready.next();
    this.preempted = false;
    this.turnEnd = now + TURN_NS;
    return this.current;
  }
  private slice(placed: PlacedDomain, begin: number): void {
    const { share } = placed;
    const allowance = share.allowance(begin, SLICE_NS);
    const result = allowance > 0 ? runGuarded(placed.domain, allowance) : undefined;
    const end = this.now();
    if (result && !this.ready.charge(placed, end - begin)) this.preempted = true;
    if (result?.reason === 'shutdown') return this.end(placed);
    if (result?.reason === 'blocked') return this.disturb(placed, () => this.block(placed, end));
    const parked = share.parkedUntil(end);
    if (parked > 0) return this.rest(placed, parked);
    this.noteWish(placed, end);
    this.ready.put(placed);
  }
  private block(placed: PlacedDomain, now: number): void {
    const other = placed.idleWatch.look(placed.domain, placed.share, now, this.common);
    this.rest(placed, placed.nextLook);
    const waiting = other && this.byId.get(other.domid);
    if (!waiting || waiting.domain !== other) return;
    waiting.idleWatch.again(waiting.share, now);
    this.awaken(waiting);
  }
  private noteWish(placed: PlacedDomain, now: number): void {
    placed.share.want(now - placed.wantsSince);
    placed.wantsSince = now;
  }
  private tellCrowded(now: number): void {
    this.toldCrowded = now;
    if (this.ready.size < 2) return;
    for (const placed of this.ready) this.noteWish(placed, now);
    this.mail.send({ kind: 'crowded' });
  }
  private flush(): void {
    if (this.events.length > 0) {
      this.mail.send({ kind: 'events', events: this.events });
      this.events = [];
    }
    if (this.peerEvents.length > 0) {
      this.mail.send({ kind: 'peerEvents', events: this.peerEvents });
      this.peerEvents = [];
    }
  }
  private untilNext(now: number): number { return Math.max(0, (this.sleepers.first?.wakeAt ?? Infinity) - now); }
}

/** An exception of ours ends the domain that it happened with, and no other. */
function runGuarded(domain: Domain, ns: number): Pick<RunResult, 'reason'> {
  try {
    return runDomain(domain, ns);
  } catch (error) {
    fail(domain, error);
    return { reason: 'shutdown' };
  }
}
function fail(domain: Domain, error: unknown): void {
  domain.crashText = ownFault(domain, error);
  domain.shutdown(SHUTDOWN.crash);
}
function endOfGuarded(domain: Domain): DomainEnd {
  try {
    return endOf(domain);
  } catch (error) {
    return { kind: 'crash', report: ownFault(domain, error) };
  }
}
function ownFault(domain: Domain, error: unknown): string { return `Domain ${domain.domid} crashed: error in the hypervisor: ${stackOf(error)}`; }
