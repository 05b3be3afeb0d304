// sysctl, what a toolstack asks about the machine: commands of public/sysctl.h, Xen 4.17. What each takes is not transcribed: no
// guest may ask.

import { struct } from '#base/struct.ts';
import { cLayout, type CLayout } from './c-layout.ts';

export const XEN_SYSCTL_INTERFACE_VERSION = 0x15;
export const XEN_SYSCTL = {
  readconsole: 1, tbuf_op: 2, physinfo: 3, sched_id: 4, perfc_op: 5, getdomaininfolist: 6, debug_keys: 7, getcpuinfo: 8,
  availheap: 9, get_pmstat: 10, cpu_hotplug: 11, pm_op: 12, page_offline_op: 14, lockprof_op: 15, cputopoinfo: 16, numainfo: 17,
  cpupool_op: 18, scheduler_op: 19, coverage_op: 20, psr_cmt_op: 21, pcitopoinfo: 22, psr_alloc: 23, get_cpu_levelling_caps: 25,
  get_cpu_featureset: 26, livepatch_op: 27, get_cpu_policy: 29,
} as const;

export const xen_sysctl = struct('xen_sysctl', 136, { cmd: 'u32', interface_version: 'u32', u: ['u64', 16] });

export const C_LAYOUTS: readonly CLayout[] = [cLayout('sysctl.h', 'struct xen_sysctl', xen_sysctl)];
