// Grant tables: public/grant_table.h.

import { struct } from '#base/struct.ts';
import { cLayout, type CLayout } from './c-layout.ts';

export const GNTTABOP = {
  map_grant_ref: 0, unmap_grant_ref: 1, setup_table: 2, dump_table: 3, transfer: 4, copy: 5, query_size: 6, unmap_and_replace: 7,
  set_version: 8, get_status_frames: 9, get_version: 10, swap_grant_ref: 11, cache_flush: 12,
} as const;

export const GNTST = {
  okay: 0, general_error: -1, bad_domain: -2, bad_gntref: -3, bad_handle: -4, bad_virt_addr: -5, bad_dev_addr: -6, no_device_space: -7,
  permission_denied: -8, bad_page: -9, bad_copy_arg: -10, address_too_big: -11, eagain: -12, no_space: -13,
} as const;

/** Type (low two bits) and flags of an entry. Xen writes reading and writing (in version 2: to the status word), the guest the others. */
export const GTF_invalid = 0, GTF_permit_access = 1, GTF_accept_transfer = 2, GTF_transitive = 3, GTF_type_mask = 3;
export const GTF_readonly = 1 << 2, GTF_reading = 1 << 3, GTF_writing = 1 << 4, GTF_PWT = 1 << 5, GTF_PCD = 1 << 6, GTF_PAT = 1 << 7, GTF_sub_page = 1 << 8;
/** Flags of GTF_accept_transfer, which Xen sets. */
export const GTF_transfer_committed = 1 << 2, GTF_transfer_completed = 1 << 3;

export const GNTMAP_device_map = 1 << 0, GNTMAP_host_map = 1 << 1, GNTMAP_readonly = 1 << 2, GNTMAP_application_map = 1 << 3,
  GNTMAP_contains_pte = 1 << 4, GNTMAP_guest_avail0 = 16;
export const GNTCOPY_source_gref = 1 << 0, GNTCOPY_dest_gref = 1 << 1;
export const GNTTAB_CACHE_CLEAN = 1 << 0, GNTTAB_CACHE_INVAL = 1 << 1, GNTTAB_CACHE_SOURCE_GREF = 0x8000_0000;

/** Entries that the toolstack fills before the guest starts. */
export const GNTTAB_RESERVED_CONSOLE = 0, GNTTAB_RESERVED_XENSTORE = 1, GNTTAB_NR_RESERVED_ENTRIES = 8;

export const grant_entry_v1 = struct('grant_entry_v1', 8, { flags: 'u16', domid: 'u16', frame: 'u32' });
/** The three forms of a version 2 entry; flags and domid come first as in version 1. */
export const grant_full_page = struct('grant_full_page', 16, { flags: 'u16', domid: 'u16', pad0: 'u32', frame: 'u64' });
export const grant_sub_page = struct('grant_sub_page', 16, { flags: 'u16', domid: 'u16', page_off: 'u16', length: 'u16', frame: 'u64' });
export const grant_transitive = struct('grant_transitive', 16, { flags: 'u16', domid: 'u16', trans_domid: 'u16', pad0: 'u16', gref: 'u32', pad1: 'u32' });
/** A status word of version 2: GTF_reading and GTF_writing. */
export const GRANT_STATUS_SIZE = 2;

// status fields are int16_t: written as u16, GNTST & 0xffff
export const gnttab_map_grant_ref = struct('gnttab_map_grant_ref', 32, {
  host_addr: 'u64', flags: 'u32', ref: 'u32', dom: 'u16', status: 'u16', handle: 'u32', dev_bus_addr: 'u64',
});
export const gnttab_unmap_grant_ref = struct('gnttab_unmap_grant_ref', 24, { host_addr: 'u64', dev_bus_addr: 'u64', handle: 'u32', status: 'u16' });
export const gnttab_setup_table = struct('gnttab_setup_table', 24, { dom: 'u16', nr_frames: 'u32', status: 'u16', frame_list: 'u64' });
export const gnttab_transfer = struct('gnttab_transfer', 24, { mfn: 'u64', domid: 'u16', ref: 'u32', status: 'u16' });
/** *_u holds a grant reference or a frame number, as the flags say. */
export const gnttab_copy = struct('gnttab_copy', 40, {
  source_u: 'u64', source_domid: 'u16', source_offset: 'u16', source_pad: 'u32', dest_u: 'u64', dest_domid: 'u16', dest_offset: 'u16',
  dest_pad: 'u32', len: 'u16', flags: 'u16', status: 'u16',
});
export const gnttab_query_size = struct('gnttab_query_size', 16, { dom: 'u16', nr_frames: 'u32', max_nr_frames: 'u32', status: 'u16' });
export const gnttab_unmap_and_replace = struct('gnttab_unmap_and_replace', 24, { host_addr: 'u64', new_addr: 'u64', handle: 'u32', status: 'u16' });
export const gnttab_set_version = struct('gnttab_set_version', 4, { version: 'u32' });
export const gnttab_get_status_frames = struct('gnttab_get_status_frames', 16, { nr_frames: 'u32', dom: 'u16', status: 'u16', frame_list: 'u64' });
export const gnttab_get_version = struct('gnttab_get_version', 8, { dom: 'u16', pad: 'u16', version: 'u32' });
export const gnttab_swap_grant_ref = struct('gnttab_swap_grant_ref', 12, { ref_a: 'u32', ref_b: 'u32', status: 'u16' });
export const gnttab_cache_flush = struct('gnttab_cache_flush', 16, { a: 'u64', offset: 'u16', length: 'u16', op: 'u32' });

export const C_LAYOUTS: readonly CLayout[] = [
  cLayout('grant_table.h', 'struct grant_entry_v1', grant_entry_v1),
  cLayout('grant_table.h', 'union grant_entry_v2', grant_full_page, { flags: 'full_page.hdr.flags', domid: 'full_page.hdr.domid', pad0: 'full_page.pad0', frame: 'full_page.frame' }),
  cLayout('grant_table.h', 'union grant_entry_v2', grant_sub_page, {
    flags: 'sub_page.hdr.flags', domid: 'sub_page.hdr.domid', page_off: 'sub_page.page_off', length: 'sub_page.length', frame: 'sub_page.frame',
  }),
  cLayout('grant_table.h', 'union grant_entry_v2', grant_transitive, {
    flags: 'transitive.hdr.flags', domid: 'transitive.hdr.domid', trans_domid: 'transitive.trans_domid', pad0: 'transitive.pad0', gref: 'transitive.gref',
  }, ['pad1']),
  cLayout('grant_table.h', 'struct gnttab_map_grant_ref', gnttab_map_grant_ref),
  cLayout('grant_table.h', 'struct gnttab_unmap_grant_ref', gnttab_unmap_grant_ref),
  cLayout('grant_table.h', 'struct gnttab_setup_table', gnttab_setup_table),
  cLayout('grant_table.h', 'struct gnttab_transfer', gnttab_transfer),
  cLayout('grant_table.h', 'struct gnttab_copy', gnttab_copy, {
    source_u: 'source.u', source_domid: 'source.domid', source_offset: 'source.offset', dest_u: 'dest.u', dest_domid: 'dest.domid', dest_offset: 'dest.offset',
  }, ['source_pad', 'dest_pad']),
  cLayout('grant_table.h', 'struct gnttab_query_size', gnttab_query_size),
  cLayout('grant_table.h', 'struct gnttab_unmap_and_replace', gnttab_unmap_and_replace),
  cLayout('grant_table.h', 'struct gnttab_set_version', gnttab_set_version),
  cLayout('grant_table.h', 'struct gnttab_get_status_frames', gnttab_get_status_frames),
  cLayout('grant_table.h', 'struct gnttab_get_version', gnttab_get_version),
  cLayout('grant_table.h', 'struct gnttab_swap_grant_ref', gnttab_swap_grant_ref),
  cLayout('grant_table.h', 'struct gnttab_cache_flush', gnttab_cache_flush),
];
