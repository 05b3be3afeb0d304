// What Xen tells of itself: public/version.h. The feature bits are XENFEAT_* in xen.ts.

import { struct } from '#base/struct.ts';
import { cLayout, type CLayout } from './c-layout.ts';

export const XENVER = {
  version: 0, extraversion: 1, compile_info: 2, capabilities: 3, changeset: 4, platform_parameters: 5, get_features: 6, pagesize: 7,
  guest_handle: 8, commandline: 9, build_id: 10,
} as const;

/** Lengths in bytes of the answers that are plain strings. */
export const XEN_EXTRAVERSION_LEN = 16, XEN_CAPABILITIES_INFO_LEN = 1024, XEN_CHANGESET_INFO_LEN = 64, XEN_COMMANDLINE_LEN = 1024;

export const xen_compile_info = struct('xen_compile_info', 144, { compiler: ['u8', 64], compile_by: ['u8', 16], compile_domain: ['u8', 32], compile_date: ['u8', 32] });
export const xen_platform_parameters = struct('xen_platform_parameters', 8, { virt_start: 'u64' });
export const xen_feature_info = struct('xen_feature_info', 8, { submap_idx: 'u32', submap: 'u32' });

export const C_LAYOUTS: readonly CLayout[] = [
  cLayout('version.h', 'struct xen_compile_info', xen_compile_info),
  cLayout('version.h', 'struct xen_platform_parameters', xen_platform_parameters),
  cLayout('version.h', 'struct xen_feature_info', xen_feature_info),
];
