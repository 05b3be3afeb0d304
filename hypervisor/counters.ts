// What is counted of a domain and of its vCPUs, in the capsule: whoever has the capsule can read it while the domain runs
// (statistics.ts). Counters are doubles, exact up to 2^53, and written by the thread that runs the domain.
//
// What the machine counts, and the hypercalls that are made in generated code (trap-paths.ts), is taken over when a vCPU is
// scheduled out and when a turn ends.

import type { Capsule } from '#base/capsule.ts';
import type { Domain } from './domain.ts';
import { DOMAIN_STATE, VCPU_STATE } from './layout.ts';
import type { Vcpu } from './vcpu.ts';

/** Hypercalls have numbers below this. */
export const HYPERCALLS = 64;
/** Indices of a vCPU's counters. */
export const COUNTER = {
  hypercalls: 0, // by number; those made in generated code are not among them
  calls: HYPERCALLS, // hypercalls, all of them
  upcalls: HYPERCALLS + 1, // events delivered
  sends: HYPERCALLS + 2, // events sent
  pageFaults: HYPERCALLS + 3, // given to the guest
  exceptions: HYPERCALLS + 4, // others
  tlbMisses: HYPERCALLS + 5,
  callsSeen: HYPERCALLS + 6, // vcpu_state.hypercall_count, which wraps, as it was when `calls` was made of it
} as const;
export const COUNTERS: number = HYPERCALLS + 7;

const AT = DOMAIN_STATE.counters >>> 3;
export const MACHINE_COUNTERS = 3;
/** What the machine has counted (MachineStatistics), as indices of doubles in the capsule. */
export const MACHINE = { blocks: AT, promoted: AT + 1, resets: AT + 2 } as const;

/** The counters of the vCPU whose context lies at `base`. */
export function countersOf(capsule: Capsule, base: number): Float64Array<SharedArrayBuffer> { return new Float64Array(capsule.buffer, base + VCPU_STATE.counters, COUNTERS); }

export function count(v: Vcpu, counter: number): void { v.counters[counter] = (v.counters[counter] as number) + 1; }

/** Takes over what was counted elsewhere while a vCPU ran, which it does no longer. */
export function settleCounters(v: Vcpu): void {
  const { counters, hypercallCount, domain: { machine } } = v;
  counters[COUNTER.calls] = (counters[COUNTER.calls] as number) + ((hypercallCount - (counters[COUNTER.callsSeen] as number)) >>> 0);
  counters[COUNTER.callsSeen] = hypercallCount;
  const before = missesSettled.get(v.domain) ?? 0;
  const { tlbMisses } = machine;
  missesSettled.set(v.domain, tlbMisses);
  counters[COUNTER.tlbMisses] = (counters[COUNTER.tlbMisses] as number) + tlbMisses - before;
}
/** The machine's count that is shared out among the vCPUs already: it begins anew with the machine. */
const missesSettled = new WeakMap<Domain, number>();

/** Takes over what the machine has counted since the last time, at the end of a turn: a domain may have several, one after the other or at once. */
export function publishCounters(domain: Domain): void {
  const { capsule: { f64 }, machine } = domain;
  const now = machine.statistics();
  const before = published.get(domain) ?? NOTHING;
  for (const name of ['blocks', 'promoted', 'resets'] as const) f64[MACHINE[name]] = (f64[MACHINE[name]] as number) + now[name] - before[name];
  published.set(domain, now);
}
const NOTHING = { blocks: 0, promoted: 0, resets: 0 };
const published = new WeakMap<Domain, typeof NOTHING>();
