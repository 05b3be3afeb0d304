// Numbers of HYPERVISOR_hvm_op: public/hvm/hvm_op.h.

import { struct } from '#base/struct.ts';
import { cLayout, type CLayout } from './c-layout.ts';

export const HVMOP = {
  set_param: 0, get_param: 1, flush_tlbs: 5, pagetable_dying: 9, get_time: 10, xentrace: 11, get_mem_type: 15,
  set_evtchn_upcall_vector: 23, guest_request_vm_event: 24, altp2m: 25,
} as const;

export const xen_hvm_param = struct('xen_hvm_param', 16, { domid: 'u16', pad: 'u16', index: 'u32', value: 'u64' });
export const xen_hvm_pagetable_dying = struct('xen_hvm_pagetable_dying', 16, { domid: 'u16', pad: ['u16', 3], gpa: 'u64' });
export const xen_hvm_get_time = struct('xen_hvm_get_time', 8, { now: 'u64' });
export const xen_hvm_get_mem_type = struct('xen_hvm_get_mem_type', 16, { domid: 'u16', mem_type: 'u16', pad: ['u16', 2], pfn: 'u64' });

export const C_LAYOUTS: readonly CLayout[] = [
  cLayout('hvm/hvm_op.h', 'struct xen_hvm_param', xen_hvm_param),
  cLayout('hvm/hvm_op.h', 'struct xen_hvm_pagetable_dying', xen_hvm_pagetable_dying),
  cLayout('hvm/hvm_op.h', 'struct xen_hvm_get_time', xen_hvm_get_time),
  cLayout('hvm/hvm_op.h', 'struct xen_hvm_get_mem_type', xen_hvm_get_mem_type),
];
