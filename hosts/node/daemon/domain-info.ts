// What the daemon tells of a domain.

import { availableParallelism, freemem } from 'node:os';
import { DEFAULT_WEIGHT } from '#hypervisor/credit.ts';
import type { ManagedDomain } from '#toolstack/lifecycle/domains.ts';
import type { DomainInfo } from './protocol.ts';

const MIB = 2 ** 20;

export function infoOf(d: ManagedDomain): DomainInfo {
  const { name, uuid, memory, vcpus } = d.spec;
  const { weight, cap, ran } = d.placed.share;
  return { domid: d.domid, name, uuid, memory, vcpus, weight, cap, state: d.state, time: ran / 1e9, uptime: (d.domain.host.now() - d.since) / 1e9 };
}
/** Domain-0 is the daemon and what is left of the machine. */
export function domainZero(): DomainInfo {
  const { user, system } = process.cpuUsage();
  return {
    domid: 0, name: 'Domain-0', uuid: '00000000-0000-0000-0000-000000000000', memory: Math.floor(freemem() / MIB), vcpus: availableParallelism(), weight: DEFAULT_WEIGHT, cap: 0, state: 'r-----',
    time: (user + system) / 1e6, uptime: performance.now() / 1000,
  };
}
