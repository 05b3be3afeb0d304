// What `xl info` tells of a machine, in its words and its order. The host's lines are those of the computer that the daemon runs
// on; processors, capabilities and versions are what guests find.

import { freemem, hostname, machine, release, totalmem, version } from 'node:os';
import { HYPERVISOR_VIRT_START } from '#abi/xen.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import { cpuid, leaf } from '#hypervisor/cpuid.ts';
import { TSC_HZ } from '#hypervisor/time.ts';
import { XEN_CAPABILITIES, XEN_CHANGESET, XEN_EXTRAVERSION, XEN_MAJOR, XEN_MINOR, XEN_VERSION } from '#hypervisor/version.ts';
import type { HostInfo } from './protocol.ts';

const MIB = 2 ** 20;
/** Words of Xen's feature set as hw_caps shows them (public/arch-x86/cpufeatureset.h): leaf, subleaf, register. */
const HW_CAPS: readonly (readonly [eax: number, ecx: number, register: 'eax' | 'ebx' | 'ecx' | 'edx'])[] = [
  [1, 0, 'edx'], [1, 0, 'ecx'], [0x8000_0001, 0, 'edx'], [0x8000_0001, 0, 'ecx'], [0xd, 1, 'eax'], [7, 0, 'ebx'], [7, 0, 'ecx'], [0x8000_0007, 0, 'edx'],
];

/** @param cpus physical CPUs that domains run on */
export function hostInfo(cpus: number): HostInfo {
  return {
    host: hostname(), release: release(), version: version(), machine: machine(),
    nr_cpus: cpus, max_cpu_id: cpus - 1, nr_nodes: 1, cores_per_socket: cpus, threads_per_core: 1, cpu_mhz: (TSC_HZ / 1e6).toFixed(3), hw_caps: hwCaps(), virt_caps: 'pv',
    total_memory: Math.floor(totalmem() / MIB), free_memory: Math.floor(freemem() / MIB), sharing_freed_memory: 0, sharing_used_memory: 0, outstanding_claims: 0, free_cpus: 0,
    xen_major: XEN_MAJOR, xen_minor: XEN_MINOR, xen_extra: XEN_EXTRAVERSION, xen_version: XEN_VERSION, xen_caps: XEN_CAPABILITIES,
    xen_scheduler: 'credit2', xen_pagesize: PAGE_SIZE, platform_params: `virt_start=0x${HYPERVISOR_VIRT_START.toString(16)}`,
    xen_changeset: XEN_CHANGESET, xen_commandline: '', cc_compiler: 'TypeScript', cc_compile_by: 'xenith', cc_compile_domain: '', cc_compile_date: '', build_id: '',
    xend_config_format: 4,
  };
}
function hwCaps(): string {
  return HW_CAPS.map(([eax, ecx, register]) => {
    cpuid(eax, ecx);
    return leaf[register].toString(16).padStart(8, '0');
  }).join(':');
}
