// Memory and vCPUs of a domain that runs: xl mem-set, mem-max and vcpu-set. The toolstack writes to xenstore what it wants; the
// guest's balloon driver and its hotplug of vCPUs do it, if it has them. Messages are libxl's.

import { SPARE_FRAMES } from '#hypervisor/mm/domain-mm.ts';
import { domainPath } from '../xenstore/path.ts';
import { writeAvailability } from '../xenstore/domain-tree.ts';
import { LocalClient } from '../xenstore/local-client.ts';
import { DomainError, type Domains } from './domains.ts';
import type { ManagedDomain } from './managed-domain.ts';

/** More than any domain has, so that frames stay 32-bit numbers: 8 TiB. */
const MOST_KIB = 2 ** 33;

/** Says how much memory a domain is to have, in KiB; it may not take more from then on. @throws DomainError */
export async function setMemoryTarget(domains: Domains, domain: ManagedDomain, kib: number): Promise<void> {
  const { domid, spec } = domain;
  const staticMax = spec.maxmem * 1024;
  if (kib > staticMax) throw new DomainError(`cannot set domid ${domid} dynamic max memory to ${kib}k: memory_dynamic_max must be less than or equal to memory_static_max, which is ${staticMax}k (maxmem)`);
  const memory = Math.floor(kib / 4) / 256;
  domains.keeper.change(spec.uuid, { memory });
  await limitMemory(domains, domain, kib);
  domain.spec = { ...domain.spec, memory };
  new LocalClient(domains.store).atomically((client) => {
    client.write(`${domainPath(domid)}/memory/target`, String(kib));
    client.write(`/vm/${spec.uuid}/memory`, String(Math.floor(kib / 1024)));
  });
}

/** Says how much memory a domain may take, in KiB, not how much it is to have. Beyond its maxmem there is none. @throws DomainError */
export async function setMaxMemory(domains: Domains, domain: ManagedDomain, kib: number): Promise<void> {
  const { domid } = domain;
  const target = Number(new LocalClient(domains.store).read(`${domainPath(domid)}/memory/target`));
  if (kib > MOST_KIB) throw new DomainError(`cannot set domid ${domid} static max memory to ${kib}k: that is more than any domain can have`);
  if (kib < target) throw new DomainError(`cannot set domid ${domid} static max memory to ${kib}k: memory_static_max must be greater than or equal to memory_dynamic_max, which is ${target}k (mem-set)`);
  await limitMemory(domains, domain, kib);
}

async function limitMemory(domains: Domains, domain: ManagedDomain, kib: number): Promise<void> {
  await domains.ask(domain, (link) => link.ask('maxMemory', domain.domid, Math.floor(kib / 4) + SPARE_FRAMES));
}

/** Says how many of its vCPUs a domain is to use. @param ignoreHost allow more than there are physical CPUs @throws DomainError */
export function setVcpus(domains: Domains, domain: ManagedDomain, vcpus: number, ignoreHost: boolean): void {
  const { domid, spec } = domain;
  const { cpuCount } = domains;
  if (vcpus > cpuCount && !ignoreHost) throw new DomainError(`You are overcommmitting! You have ${cpuCount} physical CPUs and want ${vcpus} vCPUs! Aborting, use --ignore-host to continue`);
  if (vcpus > spec.maxvcpus) throw new DomainError(`Requested ${vcpus} VCPUs, however maxcpus is ${spec.maxvcpus}!`);
  if (!Number.isInteger(vcpus) || vcpus < 1) throw new DomainError(`${vcpus}: a domain uses one vCPU at least`);
  domains.keeper.change(spec.uuid, { vcpus });
  new LocalClient(domains.store).atomically((client) => writeAvailability(client, domid, spec.maxvcpus, vcpus));
  domain.spec = { ...domain.spec, vcpus };
}
