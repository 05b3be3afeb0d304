// The sections and note descriptors of a domain's core file: Xen's docs/misc/dump-core-format.txt. The types of the notes are in
// abi/elfnote.ts. The structures are the tools' (xc_core.h), not in Xen's public headers.

import { XEN_CAPABILITIES_INFO_LEN, XEN_CHANGESET_INFO_LEN, XEN_EXTRAVERSION_LEN, xen_compile_info, xen_platform_parameters } from '#abi/version.ts';
import { struct } from '#base/struct.ts';

export const XEN_DUMPCORE_SEC = {
  NOTE: '.note.Xen', PRSTATUS: '.xen_prstatus', SHARED_INFO: '.xen_shared_info', P2M: '.xen_p2m', PAGES: '.xen_pages',
} as const;
/** xch_magic of a paravirtualised domain */
export const XC_CORE_MAGIC = 0xf00f_ebedn;
/** major version 0, minor 1 */
export const XEN_DUMPCORE_FORMAT_VERSION = 1n;

export const xen_dumpcore_elfnote_header_desc = struct('xen_dumpcore_elfnote_header_desc', 32, { xch_magic: 'u64', xch_nr_vcpus: 'u64', xch_nr_pages: 'u64', xch_page_size: 'u64' });
export const xen_dumpcore_elfnote_xen_version_desc = struct('xen_dumpcore_elfnote_xen_version_desc', 1280, {
  major_version: 'u64', minor_version: 'u64', extra_version: ['u8', XEN_EXTRAVERSION_LEN], compile_info: xen_compile_info,
  capabilities: ['u8', XEN_CAPABILITIES_INFO_LEN], changeset: ['u8', XEN_CHANGESET_INFO_LEN], platform_parameters: xen_platform_parameters, pagesize: 'u64',
});
export const xen_dumpcore_elfnote_format_version_desc = struct('xen_dumpcore_elfnote_format_version_desc', 8, { version: 'u64' });
export const xen_dumpcore_p2m = struct('xen_dumpcore_p2m', 16, { pfn: 'u64', gmfn: 'u64' });
