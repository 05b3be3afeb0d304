// How a domain ended, told from the reason it was shut down with.

import { SHUTDOWN } from '#abi/xen.ts';
import { crashReport } from '#hypervisor/crash.ts';
import { domainSchedOf } from '#hypervisor/domain-sched.ts';
import type { Domain } from '#hypervisor/domain.ts';

export type DomainEnd =
  | { readonly kind: 'poweroff' | 'reboot' }
  /** `report`: several lines, why and where */
  | { readonly kind: 'crash'; readonly report: string };

/** What became of a domain that was shut down. */
export function endOf(domain: Domain): DomainEnd {
  switch (domain.shutdownReason) {
    case SHUTDOWN.poweroff: return { kind: 'poweroff' };
    case SHUTDOWN.reboot:
    case SHUTDOWN.soft_reset: return { kind: 'reboot' };
    case SHUTDOWN.watchdog: return crash(domain, 'its watchdog expired');
    case SHUTDOWN.suspend: return crash(domain, 'it suspended itself, and nobody had asked for that');
    default: return crash(domain, 'the guest kernel reported its own crash');
  }
}

function crash(domain: Domain, why: string): DomainEnd {
  const last = domain.vcpus[domainSchedOf(domain).lastVcpu];
  return { kind: 'crash', report: domain.crashText ?? crashReport(domain, why, last) };
}
