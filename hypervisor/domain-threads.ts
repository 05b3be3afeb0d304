// The threads that run the vCPUs of one domain, each with its own machine and its own objects over the same capsule: vCPU n is
// run by thread n modulo their number, and by no other.
//
// All of the domain's state is under one lock: a thread holds it whenever it is in the hypervisor for the domain, and not
// while it executes guest code. What a thread's objects remember of the state, and others may have changed meanwhile, is
// forgotten when the lock comes from another thread. Who waits for the lock is outside of its machine, so that who holds it
// can wait for other machines (machine/engine/siblings.ts).
//
// A domain whose capsule has room for one machine has one thread, and no lock.

import { assert } from '#base/assert.ts';
import { dropLock, takeLock } from '#base/waiting-lock.ts';
import { machinesOf, MAX_MACHINES } from '#machine/engine/siblings.ts';
import { domain_sched } from './domain-sched.ts';
import type { Domain } from './domain.ts';
import { DOMAIN_STATE } from './layout.ts';
import type { Vcpu } from './vcpu.ts';

const at = (field: 'lock' | 'lockedBy' | 'threads'): number => (DOMAIN_STATE.sched + domain_sched.offset[field]) >>> 2;
const LOCK = at('lock'), LOCKED_BY = at('lockedBy'), THREADS = at('threads');
const CPUS = DOMAIN_STATE.sched + domain_sched.offset.cpus;
/** ms: whoever holds the lock so long has failed. */
const TOO_LONG = 30_000;
/** Looks at a lock that is held, before the thread sleeps: most are held for a microsecond or two. */
const LOOKS = 1000;

export class DomainThreads {
  /** which of them this is */
  readonly me: number;
  /** there may be others: the lock counts */
  readonly areShared: boolean;
  /** wakes a physical CPU that may be asleep */
  wakeCpu: (cpu: number) => void = () => {};
  /** called when another thread has had the lock */
  onTaken: () => void = () => {};
  private readonly domain: Domain;
  private readonly i32: Int32Array<SharedArrayBuffer>;
  private depth = 0;
  private mine: readonly Vcpu[] = [];
  private shared = 0;

  constructor(domain: Domain, me: number) {
    this.domain = domain;
    this.me = me;
    this.i32 = domain.capsule.i32;
    this.areShared = machinesOf(domain.capsule) > 1;
    assert(me < machinesOf(domain.capsule), 'the capsule has room for the machine of each thread');
  }

  get count(): number { return Atomics.load(this.i32, THREADS) || 1; }
  /** The vCPUs that this thread runs. */
  get vcpus(): readonly Vcpu[] {
    const { count } = this;
    if (count !== this.shared) {
      this.shared = count;
      this.mine = this.domain.vcpus.filter((v) => v.id % count === this.me);
    }
    return this.mine;
  }
  isMine(v: Vcpu): boolean { return v.id % this.count === this.me; }
  /** Says on which physical CPU each thread is. No other thread may run meanwhile. */
  spread(cpus: readonly number[]): void {
    assert(cpus.length >= 1 && cpus.length <= MAX_MACHINES, 'there is a machine for each');
    cpus.forEach((cpu, thread) => { this.domain.capsule.u8[CPUS + thread] = cpu; });
    Atomics.store(this.i32, THREADS, cpus.length);
  }
  /** Something is to be done about a vCPU on another thread. */
  interrupt(v: Vcpu): void { this.interruptThread(v.id % this.count); }
  /** Every other thread is to look at the domain. */
  interruptAll(): void { for (let thread = 0; thread < this.count; thread++) if (thread !== this.me) this.interruptThread(thread); }
  private interruptThread(thread: number): void {
    this.domain.machine.interrupt(thread);
    this.wakeCpu(this.domain.capsule.u8[CPUS + thread] as number);
  }

  /** Does something with the lock. */
  locked<T>(body: () => T): T {
    this.lock();
    try {
      return body();
    } finally {
      this.unlock();
    }
  }
  /** Does something without it: to be called with the lock taken once. */
  unlocked<T>(body: () => T): T {
    assert(!this.areShared || this.depth === 1, 'the lock is held, and by nobody who would miss it');
    this.unlock();
    try {
      return body();
    } finally {
      this.lock();
    }
  }
  lock(): void {
    if (!this.areShared || this.depth++ > 0) return;
    const { i32 } = this;
    takeLock(i32, LOCK, LOOKS, TOO_LONG);
    if (i32[LOCKED_BY] === this.me + 1) return;
    i32[LOCKED_BY] = this.me + 1;
    this.onTaken();
  }
  unlock(): void {
    if (!this.areShared || --this.depth > 0) return;
    dropLock(this.i32, LOCK);
  }
}

/** The physical CPU of a vCPU, from the capsule; undefined for a domain that is on one. */
export function cpuOfVcpu({ i32, u8 }: Domain['capsule'], vcpu: number): number | undefined {
  const count = Atomics.load(i32, THREADS);
  return count <= 1 ? undefined : u8[CPUS + vcpu % count];
}
