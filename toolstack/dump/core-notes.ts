// The .note.Xen section of a core file: that it is one, how large the domain is, which Xen wrote it.

import { XEN_ELFNOTE_DUMPCORE } from '#abi/elfnote.ts';
import { XEN_CAPABILITIES_INFO_LEN, XEN_CHANGESET_INFO_LEN, XEN_EXTRAVERSION_LEN, xen_platform_parameters } from '#abi/version.ts';
import { HYPERVISOR_VIRT_START } from '#abi/xen.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import { encodeCompileInfo, encodeText, XEN_CAPABILITIES, XEN_CHANGESET, XEN_EXTRAVERSION, XEN_MAJOR, XEN_MINOR } from '#hypervisor/version.ts';
import {
  XC_CORE_MAGIC, XEN_DUMPCORE_FORMAT_VERSION, xen_dumpcore_elfnote_format_version_desc, xen_dumpcore_elfnote_header_desc, xen_dumpcore_elfnote_xen_version_desc,
} from './core-format.ts';

const OWNER = 'Xen';
/** namesz, descsz, type, and the owner's name with its zero byte */
const HEAD = 16;

/** The section's contents. */
export function coreNotes(vcpus: number, pages: number): Uint8Array {
  const notes = [
    note(XEN_ELFNOTE_DUMPCORE.NONE, new Uint8Array(0)), note(XEN_ELFNOTE_DUMPCORE.HEADER, header(vcpus, pages)), note(XEN_ELFNOTE_DUMPCORE.XEN_VERSION, xenVersion()),
    note(XEN_ELFNOTE_DUMPCORE.FORMAT_VERSION, formatVersion()),
  ];
  const bytes = new Uint8Array(notes.reduce((n, { length }) => n + length, 0));
  notes.reduce((at, each) => (bytes.set(each, at), at + each.length), 0);
  return bytes;
}

/** @param descriptor a whole number of words: all of ours are */
function note(type: number, descriptor: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEAD + descriptor.length);
  const words = new DataView(bytes.buffer);
  [OWNER.length + 1, descriptor.length, type].forEach((word, i) => words.setUint32(i * 4, word, true));
  encodeText(OWNER, bytes, 12, OWNER.length + 1);
  bytes.set(descriptor, HEAD);
  return bytes;
}

function header(vcpus: number, pages: number): Uint8Array {
  const bytes = new Uint8Array(xen_dumpcore_elfnote_header_desc.size);
  const desc = xen_dumpcore_elfnote_header_desc.on(bytes.buffer).at(0);
  desc.xch_magic = XC_CORE_MAGIC;
  desc.xch_nr_vcpus = BigInt(vcpus);
  desc.xch_nr_pages = BigInt(pages);
  desc.xch_page_size = BigInt(PAGE_SIZE);
  return bytes;
}
/** As the hypercall xen_version answers. */
function xenVersion(): Uint8Array {
  const layout = xen_dumpcore_elfnote_xen_version_desc;
  const bytes = new Uint8Array(layout.size);
  const desc = layout.on(bytes.buffer).at(0);
  desc.major_version = BigInt(XEN_MAJOR);
  desc.minor_version = BigInt(XEN_MINOR);
  encodeText(XEN_EXTRAVERSION, bytes, layout.offset.extra_version, XEN_EXTRAVERSION_LEN);
  encodeCompileInfo(bytes, layout.offset.compile_info);
  encodeText(XEN_CAPABILITIES, bytes, layout.offset.capabilities, XEN_CAPABILITIES_INFO_LEN);
  encodeText(XEN_CHANGESET, bytes, layout.offset.changeset, XEN_CHANGESET_INFO_LEN);
  xen_platform_parameters.on(bytes.buffer).at(layout.offset.platform_parameters).virt_start = HYPERVISOR_VIRT_START;
  desc.pagesize = BigInt(PAGE_SIZE);
  return bytes;
}
function formatVersion(): Uint8Array {
  const bytes = new Uint8Array(xen_dumpcore_elfnote_format_version_desc.size);
  xen_dumpcore_elfnote_format_version_desc.on(bytes.buffer).at(0).version = XEN_DUMPCORE_FORMAT_VERSION;
  return bytes;
}
