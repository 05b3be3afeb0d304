// The hypervisor's part of a new domain's state: to be called once, on a fresh capsule, before the builder fills it.

import { initDomainSched } from './domain-sched.ts';
import type { Domain } from './domain.ts';
import { initEventPorts } from './event-port.ts';
import { initGrantTable } from './grant-active.ts';
import { initTime, type TimeOptions } from './time.ts';
import { initVcpuSched } from './vcpu-sched.ts';

/** Event ports, grants, scheduling and time of a new domain. All vCPUs are down and have events masked. */
export function initDomainState(domain: Domain, time: TimeOptions): void {
  initDomainSched(domain);
  for (const v of domain.vcpus) {
    initVcpuSched(v);
    v.upcallMask = 1;
  }
  initEventPorts(domain);
  initGrantTable(domain);
  initTime(domain, time);
}
