// The hypervisor's part of a new domain's state: to be made once, on a fresh capsule.

import { initDomainSched } from './domain-sched.ts';
import type { Domain } from './domain.ts';
import { initGrantTable } from './grant-entry.ts';
import { initTime, type TimeOptions } from './time.ts';
import { initVcpuSched, schedOf } from './vcpu-sched.ts';
import { type Vcpu, VPF } from './vcpu.ts';

/** Event ports, grants, scheduling and time of a new domain. All vCPUs are down and have events masked. */
export function initDomainState(domain: Domain, time: TimeOptions): void {
  initDomainSched(domain);
  for (const v of domain.vcpus) {
    initVcpuSched(v);
    v.upcallMask = 1;
  }
  domain.events.init();
  initGrantTable(domain);
  initTime(domain, time);
}

/** Brings vCPU 0 up, once the builder has set its registers and page tables. The guest starts the others itself. */
export function startBootVcpu(domain: Domain): void {
  const v = domain.vcpus[0] as Vcpu;
  schedOf(v).initialised = 1;
  v.unpause(VPF.down);
}
