// Key r: who waits for a physical CPU, the best first (credit.ts), and what each vCPU is doing.

import { RUNSTATE_NAMES } from '#abi/vcpu.ts';
import { schedOf } from '../vcpu-sched.ts';
import type { DebugTarget, Log } from './debug-keys.ts';

export function dumpRunQueue({ pcpu, domains, now }: DebugTarget, log: Log): void {
  log(`pCPU ${pcpu}: credit2, ${domains.length} domains, now ${Math.round(now)}`);
  for (const { domain, share, isReady } of domains.toSorted((a, b) => b.share.credit - a.share.credit)) {
    const parked = share.parkedUntil(now);
    log(`    domain ${domain.domid}: ${isReady ? 'ready' : 'waiting'} weight=${share.weight} cap=${share.cap} credit=${Math.round(share.credit)} ran=${Math.round(share.ran)}${parked > 0 ? ` parked for ${Math.round(parked - now)}` : ''}`);
    log(`        ${domain.vcpus.map((v) => `v${v.id} ${RUNSTATE_NAMES[schedOf(v).runstate]}`).join(', ')}`);
  }
}
