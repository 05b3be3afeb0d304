// Scheduling state of a whole domain: whose turn it was, the latched shutdown code, the watchdogs.

import { struct } from '#base/struct.ts';
import { MAX_MACHINES } from '#machine/engine/siblings.ts';
import type { Domain } from './domain.ts';
import { DOMAIN_STATE } from './layout.ts';

export const NR_DOMAIN_WATCHDOG_TIMERS = 2;

export const domain_sched = struct('domain_sched', 48, {
  lastVcpu: 'u32', // ran last
  shutdownCode: 'u32', // 1 + the reason that SCHEDOP_shutdown_code latched; 0: none
  watchdogsInUse: 'u32', // one bit for each
  threads: 'u32', // that run its vCPUs (domain-threads.ts); 0: one
  watchdog0: 'f64', watchdog1: 'f64', // system time at which they expire
  lock: 'i32', // base/waiting-lock.ts
  lockedBy: 'u32', // 1 + the thread that held it last
  cpus: ['u8', MAX_MACHINES], // physical CPU of each thread
});
export type DomainSched = ReturnType<typeof domain_sched.on>;

const views = new WeakMap<Domain, DomainSched>();

export function domainSchedOf(domain: Domain): DomainSched {
  let view = views.get(domain);
  if (!view) views.set(domain, view = domain_sched.on(domain.capsule.buffer).at(DOMAIN_STATE.sched));
  return view;
}

export function initDomainSched(domain: Domain): void {
  domain.capsule.u8.fill(0, DOMAIN_STATE.sched, DOMAIN_STATE.sched + domain_sched.size);
  domainSchedOf(domain).lastVcpu = domain.vcpus.length - 1; // vCPU 0 is first
}

/** Shuts the domain down for a reason (SHUTDOWN); one that was latched before goes first. */
export function domainShutdown(domain: Domain, reason: number): void {
  const latched = domainSchedOf(domain).shutdownCode;
  domain.shutdown(latched !== 0 ? latched - 1 : reason);
}
