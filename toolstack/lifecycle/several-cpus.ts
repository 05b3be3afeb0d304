// A domain whose vCPUs run on several CPUs at the same time: its own one (ManagedDomain.link), which tells of its end, and others
// that help. Which vCPU is on which is hypervisor/domain-threads.ts's affair.

import { machinesOf, MAX_MACHINES } from '#machine/engine/siblings.ts';
import { cpusOfThreads } from './affinity.ts';
import type { CpuLink } from './cpu-link.ts';
import type { ManagedDomain } from './managed-domain.ts';

/** On how many of so many CPUs at the same time a domain can run. */
export const machinesFor = (vcpus: number, cpus: number): number => Math.min(vcpus, cpus, MAX_MACHINES);

/** What is allowed to a domain, per cent of a CPU, is shared out among those that run it. */
export function capOfEach({ spec: { cap }, helpers }: ManagedDomain): number { return Math.ceil(cap / (helpers.length + 1)); }

/**
 * Lets other CPUs run vCPUs of a domain, as many as there is room for and as may. The domain is on its own CPU alone, and is not
 * being moved. It stays there when that cannot be.
 */
export async function spread(domain: ManagedDomain, links: readonly CpuLink[]): Promise<void> {
  const { domid, capsule, link, spec: { affinity, maxvcpus: vcpus, weight } } = domain;
  const cpus = cpusOfThreads(affinity, vcpus, links.length, machinesOf(capsule), link.id);
  const helpers = cpus.slice(1).map((id) => links[id] as CpuLink);
  if (helpers.length === 0 || domain.dying || domain.ended !== undefined) return;
  const answer = await link.ask('spread', domid, [link, ...helpers].map(({ id }) => id)).catch(() => undefined);
  if (!answer) return; // it has ended meanwhile
  domain.helpers = helpers;
  const cap = capOfEach(domain);
  const lent = await Promise.allSettled([link.ask('share', domid, weight, cap), ...helpers.map((helper, i) => helper.ask('lend', { domid, capsule: capsule.shape, vcpus, origin: answer.origin, thread: i + 1, weight, cap }))]);
  if (lent.some(({ status }) => status === 'rejected')) await gather(domain);
}

/** A domain is on its own CPU alone again, when this resolves. */
export async function gather(domain: ManagedDomain): Promise<void> {
  const { domid, helpers, link, spec: { weight, cap } } = domain;
  if (helpers.length === 0) return;
  await Promise.all(helpers.map((helper) => helper.ask('withdraw', domid).catch(() => null)));
  domain.helpers = [];
  await link.ask('spread', domid, [link.id]).catch(() => null); // it may have ended
  await link.ask('share', domid, weight, cap).catch(() => null);
}
