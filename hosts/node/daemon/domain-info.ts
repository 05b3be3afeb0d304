// What the daemon tells of a domain.

import { freemem } from 'node:os';
import { DEFAULT_WEIGHT } from '#hypervisor/credit.ts';
import { VPF } from '#hypervisor/vcpu.ts';
import { affinityText } from '#toolstack/lifecycle/affinity.ts';
import type { Domains } from '#toolstack/lifecycle/domains.ts';
import type { ManagedDomain } from '#toolstack/lifecycle/managed-domain.ts';
import type { DomainInfo, LongInfo, VcpuInfo } from './protocol.ts';

const MIB = 2 ** 20;

/** @param now host time, ns */
export function infoOf(d: ManagedDomain, now: number): DomainInfo {
  const { name, uuid, memory: target, maxmem, maxvcpus } = d.spec;
  const { pages, online: vcpus } = d.glance;
  const { weight, cap } = d.spec;
  return { domid: d.domid, name, uuid, memory: Math.floor(pages / 256), target, maxmem, vcpus, maxvcpus, weight, cap, cpu: d.cpu, state: d.state, time: d.glance.ran / 1e9, uptime: (now - d.since) / 1e9, shutdownReason: d.shutdownReason };
}
/** @param now host time, ns */
export function longInfoOf(d: ManagedDomain, now: number): LongInfo {
  const { kernel, ramdisk, cmdline, onPoweroff, onReboot, onCrash } = d.spec;
  return { ...infoOf(d, now), vcpus: d.spec.vcpus, ...(kernel === undefined ? {} : { kernel }), ...(ramdisk === undefined ? {} : { ramdisk }), cmdline, onPoweroff, onReboot, onCrash };
}
/** Domain-0 is the daemon and what is left of the machine. */
export function domainZero(domains: Domains): DomainInfo {
  const { user, system } = process.cpuUsage();
  const memory = Math.floor(freemem() / MIB);
  return {
    domid: 0, name: 'Domain-0', uuid: '00000000-0000-0000-0000-000000000000', memory, target: memory, maxmem: memory, vcpus: domains.cpuCount, maxvcpus: domains.cpuCount, weight: DEFAULT_WEIGHT, cap: 0, cpu: 0, state: 'r-----',
    time: (user + system) / 1e6, uptime: performance.now() / 1000,
  };
}
/** The vCPUs of a domain. */
export function vcpusOf(d: ManagedDomain, domains: Domains): VcpuInfo[] {
  return Array.from({ length: d.spec.maxvcpus }, (_, vcpu) => {
    const flags = d.glance.pauseFlags(vcpu);
    const isOnline = (flags & VPF.down) === 0;
    return {
      domid: d.domid, name: d.spec.name, vcpu, cpu: isOnline ? d.glance.cpuOf(vcpu) ?? d.cpu : undefined, running: d.ended === undefined && d.glance.isRunning(vcpu), blocked: (flags & VPF.blocked) !== 0,
      time: d.glance.timeRunning(vcpu) / 1e9, affinity: affinityText(d.spec.affinity[vcpu], domains.cpuCount),
    };
  });
}
