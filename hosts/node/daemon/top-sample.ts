// What `xenith top` shows: the machine and its domains at one moment. Everything of a domain is read from its capsule
// (hypervisor/statistics.ts); it is not stopped for it.

import { freemem, totalmem } from 'node:os';
import { hypercallName } from '#hypervisor/hypercall-names.ts';
import { readStatistics } from '#hypervisor/statistics.ts';
import { TSC_HZ } from '#hypervisor/time.ts';
import { TouchedMemory } from '#hypervisor/touched-memory.ts';
import { XEN_VERSION } from '#hypervisor/version.ts';
import type { Domains } from '#toolstack/lifecycle/domains.ts';
import type { ManagedDomain } from '#toolstack/lifecycle/managed-domain.ts';
import { domainZero, infoOf } from './domain-info.ts';
import type { TopDomain, TopSample } from './protocol.ts';

const KIB = 1024;
/** Frames that one sample looks at to see what memory is in use, of all domains together: some 20 ms. */
const MOST_FRAMES = 1 << 16;

const looks = new WeakMap<ManagedDomain, TouchedMemory>();

/** @param touched look at what memory is in use */
export function topSample(domains: Domains, touched: boolean): TopSample {
  const now = domains.now();
  const all = domains.list();
  const share = touched ? Math.ceil(MOST_FRAMES / Math.max(1, all.length)) : 0;
  return {
    time: now / 1e9, version: XEN_VERSION, cpus: domains.cpuCount, mhz: TSC_HZ / 1e6,
    memory: Math.floor(totalmem() / KIB), free: Math.floor(freemem() / KIB), domains: [zero(domains), ...all.map((d) => ofDomain(d, now, share))],
  };
}

/** @param frames how many to look at */
function ofDomain(d: ManagedDomain, now: number, frames: number): TopDomain {
  const { vcpus, machine, memory, maxMemory } = readStatistics(d.capsule, d.spec.maxvcpus, d.systemTime(now));
  const { domid, name, state, time } = infoOf(d, now);
  return {
    domid, name, state, time, memory: memory / KIB, maxMemory: maxMemory / KIB, touched: frames > 0 ? touchedBy(d, frames) : undefined, machine,
    vcpus: vcpus.map((v) => ({ ...v, byHypercall: Object.fromEntries(v.byHypercall.flatMap((n, hypercall) => (n > 0 ? [[hypercallName(hypercall), n] as const] : []))) })),
  };
}
/** KiB. */
function touchedBy(d: ManagedDomain, frames: number): number {
  let used = looks.get(d);
  if (!used) looks.set(d, used = new TouchedMemory(d.capsule));
  return used.look(frames).bytes / KIB;
}
/** Domain-0 has no vCPUs that anything is counted of. */
function zero(domains: Domains): TopDomain {
  const { domid, name, state, time } = domainZero(domains);
  const resident = Math.floor(process.memoryUsage.rss() / KIB);
  return { domid, name, state, time, memory: resident, maxMemory: undefined, touched: resident, vcpus: [], machine: undefined };
}
