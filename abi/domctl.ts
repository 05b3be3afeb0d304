// domctl, what a toolstack asks about domains: commands of public/domctl.h, Xen 4.17. What each takes is the toolstack's, and
// not transcribed: no guest may ask.

import { struct } from '#base/struct.ts';
import { cLayout, type CLayout } from './c-layout.ts';

export const XEN_DOMCTL_INTERFACE_VERSION = 0x15;
/** Without those that the header calls obsolete in a comment, and soft_reset_cont, which is Xen's own. */
export const XEN_DOMCTL = {
  createdomain: 1, destroydomain: 2, pausedomain: 3, unpausedomain: 4, getdomaininfo: 5, setvcpuaffinity: 9, shadow_op: 10,
  max_mem: 11, setvcpucontext: 12, getvcpucontext: 13, getvcpuinfo: 14, max_vcpus: 15, scheduler_op: 16, setdomainhandle: 17,
  setdebugging: 18, irq_permission: 19, iomem_permission: 20, ioport_permission: 21, hypercall_init: 22, settimeoffset: 24,
  getvcpuaffinity: 25, real_mode_area: 26, resumedomain: 27, sendtrigger: 28, subscribe: 29, gethvmcontext: 33, sethvmcontext: 34,
  set_address_size: 35, get_address_size: 36, assign_device: 37, bind_pt_irq: 38, memory_mapping: 39, ioport_mapping: 40,
  set_ext_vcpucontext: 42, get_ext_vcpucontext: 43, set_opt_feature: 44, test_assign_device: 45, set_target: 46,
  deassign_device: 47, unbind_pt_irq: 48, get_device_group: 50, debug_op: 54, gethvmcontext_partial: 55, vm_event_op: 56,
  mem_sharing_op: 57, gettscinfo: 59, settscinfo: 60, getpageframeinfo3: 61, setvcpuextstate: 62, getvcpuextstate: 63,
  set_access_required: 64, audit_p2m: 65, set_virq_handler: 66, set_broken_page_p2m: 67, setnodeaffinity: 68, getnodeaffinity: 69,
  cacheflush: 71, get_vcpu_msrs: 72, set_vcpu_msrs: 73, setvnumainfo: 74, psr_cmt_op: 75, monitor_op: 77, psr_alloc: 78,
  soft_reset: 79, vuart_op: 81, get_cpu_policy: 82, set_cpu_policy: 83, vmtrace_op: 84, get_paging_mempool_size: 85,
  set_paging_mempool_size: 86, gdbsx_guestmemio: 1000, gdbsx_pausevcpu: 1001, gdbsx_unpausevcpu: 1002, gdbsx_domstatus: 1003,
} as const;

export const xen_domctl = struct('xen_domctl', 144, { cmd: 'u32', interface_version: 'u32', domain: 'u16', _pad: ['u16', 3], u: ['u64', 16] });

export const C_LAYOUTS: readonly CLayout[] = [cLayout('domctl.h', 'struct xen_domctl', xen_domctl)];
