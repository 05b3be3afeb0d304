// memory_op: commands and structures of public/memory.h.

import { struct } from '#base/struct.ts';
import { cLayout, type CLayout } from './c-layout.ts';

export const XENMEM = {
  increase_reservation: 0, decrease_reservation: 1, maximum_ram_page: 2, current_reservation: 3, maximum_reservation: 4,
  machphys_mfn_list: 5, populate_physmap: 6, add_to_physmap: 7, memory_map: 9, machine_memory_map: 10, exchange: 11,
  machphys_mapping: 12, set_memory_map: 13, maximum_gpfn: 14, remove_from_physmap: 15, set_pod_target: 16, get_pod_target: 17,
  get_sharing_freed_pages: 18, get_sharing_shared_pages: 19, paging_op: 20, access_op: 21, sharing_op: 22,
  add_to_physmap_batch: 23, claim_pages: 24, machphys_compat_mfn_list: 25, get_vnumainfo: 26, reserved_device_memory_map: 27,
  acquire_resource: 28,
} as const;
/** The command's low bits; what lies above is where a preempted call goes on. */
export const MEMOP_CMD_MASK = 0x3f;

/** Types of e820entry. */
export const E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3, E820_NVS = 4, E820_UNUSABLE = 5;

export const xen_memory_reservation = struct('xen_memory_reservation', 32, {
  extent_start: 'u64', nr_extents: 'u64', extent_order: 'u32', mem_flags: 'u32', domid: 'u16',
});
export const xen_memory_exchange = struct('xen_memory_exchange', 72, { in: xen_memory_reservation, out: xen_memory_reservation, nr_exchanged: 'u64' });
export const xen_memory_domain = struct('xen_memory_domain', 2, { domid: 'u16' });
export const xen_machphys_mfn_list = struct('xen_machphys_mfn_list', 24, { max_extents: 'u32', extent_start: 'u64', nr_extents: 'u32' });
export const xen_machphys_mapping = struct('xen_machphys_mapping', 24, { v_start: 'u64', v_end: 'u64', max_mfn: 'u64' });
export const xen_add_to_physmap = struct('xen_add_to_physmap', 24, { domid: 'u16', size: 'u16', space: 'u32', idx: 'u64', gpfn: 'u64' });
export const xen_remove_from_physmap = struct('xen_remove_from_physmap', 16, { domid: 'u16', gpfn: 'u64' });
export const xen_memory_map = struct('xen_memory_map', 16, { nr_entries: 'u32', buffer: 'u64' });
export const xen_foreign_memory_map = struct('xen_foreign_memory_map', 24, { domid: 'u16', map: xen_memory_map });
/** struct e820entry is packed: address u64 at 0, size u64 at 8, type u32 at 16. */
export const E820_ENTRY_SIZE = 20;

export const C_LAYOUTS: readonly CLayout[] = [
  cLayout('memory.h', 'struct xen_memory_reservation', xen_memory_reservation),
  cLayout('memory.h', 'struct xen_memory_exchange', xen_memory_exchange),
  cLayout('memory.h', 'struct xen_memory_domain', xen_memory_domain),
  cLayout('memory.h', 'struct xen_machphys_mfn_list', xen_machphys_mfn_list),
  cLayout('memory.h', 'struct xen_machphys_mapping', xen_machphys_mapping),
  cLayout('memory.h', 'struct xen_add_to_physmap', xen_add_to_physmap),
  cLayout('memory.h', 'struct xen_remove_from_physmap', xen_remove_from_physmap),
  cLayout('memory.h', 'struct xen_memory_map', xen_memory_map),
  cLayout('memory.h', 'struct xen_foreign_memory_map', xen_foreign_memory_map),
];
