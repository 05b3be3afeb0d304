// Key t: each domain's clock, and when it wants to be woken.

import { clockOf, TSC_HZ } from '../time.ts';
import { nextTimer } from '../timer.ts';
import type { DebugTarget, Log } from './debug-keys.ts';

export function dumpClocks({ pcpu, domains, now }: DebugTarget, log: Log): void {
  log(`pCPU ${pcpu}: host clock ${Math.round(now)} ns; time stamp counters: ${TSC_HZ / 1000} kHz, constant`);
  for (const { domain } of domains) {
    const clock = clockOf(domain);
    const next = nextTimer(domain) - clock.now();
    log(`    domain ${domain.domid}: ${clock.deterministic ? 'counted instructions' : 'real time'}, system time ${clock.now()} ns, tsc ${clock.tsc()}, next timer ${Number.isFinite(next) ? `in ${Math.round(next)} ns` : 'none'}`);
  }
}
