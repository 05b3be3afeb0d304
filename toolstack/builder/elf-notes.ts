// What a kernel says of itself to Xen: ELF notes of owner "Xen" (public/elfnote.h), or, in images from before them, the
// string of the section __xen_guest ("GUEST_OS=…,VIRT_BASE=0x…").

import { XEN_ELFNOTE } from '#abi/elfnote.ts';
import * as xen from '#abi/xen.ts';
import { BuilderError } from './builder-error.ts';
import { type Elf, type ElfNote, text } from './elf.ts';

export interface XenNotes {
  readonly legacy: boolean;
  readonly guestOs: string;
  readonly guestVersion: string;
  readonly xenVersion: string;
  readonly loader: string;
  readonly paeMode: string;
  readonly entry: bigint | undefined;
  readonly virtBase: bigint | undefined;
  readonly paddrOffset: bigint | undefined;
  /** virtual address of the page to be filled with hypercall stubs */
  readonly hypercallPage: bigint | undefined;
  readonly initP2m: bigint | undefined;
  readonly hvStartLow: bigint | undefined;
  readonly phys32Entry: bigint | undefined;
  readonly modStartPfn: boolean;
  readonly suspendCancel: boolean;
  /** bits of XENFEAT_* */
  readonly supportedFeatures: number;
  readonly requiredFeatures: number;
}

/** @returns undefined when the image carries neither notes nor the legacy string */
export function readXenNotes(elf: Elf): XenNotes | undefined {
  const isXen = (n: ElfNote): boolean => n.owner === 'Xen';
  let notes = elf.segmentNotes.filter(isXen);
  if (notes.length === 0) notes = elf.sectionNotes().filter(isXen);
  if (notes.length > 0) return fromNotes(notes);
  const guest = elf.section('__xen_guest');
  return guest && fromGuestString(text(guest));
}

function fromNotes(notes: readonly ElfNote[]): XenNotes {
  const last = (type: number): Uint8Array | undefined => notes.findLast((n) => n.type === type)?.descriptor;
  const string = (type: number): string => text(last(type) ?? new Uint8Array(0));
  const number = (type: number): bigint | undefined => {
    const bytes = last(type);
    const view = bytes && new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    return view?.byteLength === 8 ? view.getBigUint64(0, true) : view?.byteLength === 4 ? BigInt(view.getUint32(0, true)) : undefined;
  };
  const features = parseFeatures(string(XEN_ELFNOTE.FEATURES));
  return {
    legacy: false,
    guestOs: string(XEN_ELFNOTE.GUEST_OS),
    guestVersion: string(XEN_ELFNOTE.GUEST_VERSION),
    xenVersion: string(XEN_ELFNOTE.XEN_VERSION),
    loader: string(XEN_ELFNOTE.LOADER),
    paeMode: string(XEN_ELFNOTE.PAE_MODE),
    entry: number(XEN_ELFNOTE.ENTRY),
    virtBase: number(XEN_ELFNOTE.VIRT_BASE),
    paddrOffset: number(XEN_ELFNOTE.PADDR_OFFSET),
    hypercallPage: number(XEN_ELFNOTE.HYPERCALL_PAGE),
    initP2m: number(XEN_ELFNOTE.INIT_P2M),
    hvStartLow: number(XEN_ELFNOTE.HV_START_LOW),
    phys32Entry: number(XEN_ELFNOTE.PHYS32_ENTRY),
    modStartPfn: (number(XEN_ELFNOTE.MOD_START_PFN) ?? 0n) !== 0n,
    suspendCancel: (number(XEN_ELFNOTE.SUSPEND_CANCEL) ?? 0n) !== 0n,
    supportedFeatures: features.supported | Number(BigInt.asUintN(32, number(XEN_ELFNOTE.SUPPORTED_FEATURES) ?? 0n)),
    requiredFeatures: features.required,
  };
}

function fromGuestString(guest: string): XenNotes {
  const pairs = new Map(guest.split(',').map((pair): [string, string] => {
    const [key = '', ...value] = pair.split('=');
    return [key, value.join('=')];
  }));
  const string = (key: string): string => pairs.get(key) ?? '';
  const number = (key: string): bigint | undefined => {
    const value = pairs.get(key);
    return value !== undefined && /^(0x[0-9a-fA-F]{1,16}|[0-9]{1,19})$/.test(value) ? BigInt.asUintN(64, BigInt(value)) : undefined;
  };
  const virtBase = number('VIRT_BASE');
  const hypercallPfn = number('HYPERCALL_PAGE');
  const features = parseFeatures(string('FEATURES'));
  return {
    legacy: true,
    guestOs: string('GUEST_OS'),
    guestVersion: string('GUEST_VER'),
    xenVersion: string('XEN_VER'),
    loader: string('LOADER'),
    paeMode: string('PAE'),
    entry: number('VIRT_ENTRY'),
    virtBase,
    paddrOffset: number('ELF_PADDR_OFFSET'),
    hypercallPage: hypercallPfn === undefined ? undefined : BigInt.asUintN(64, (virtBase ?? 0n) + (hypercallPfn << 12n)),
    initP2m: undefined, hvStartLow: undefined, phys32Entry: undefined,
    modStartPfn: false, suspendCancel: false,
    supportedFeatures: features.supported,
    requiredFeatures: features.required,
  };
}

/** Features that a kernel may name: the ones that concern the builder (public/features.h, without the prefix). */
const FEATURE_BITS: Readonly<Record<string, number>> = {
  writable_page_tables: xen.XENFEAT_writable_page_tables,
  writable_descriptor_tables: xen.XENFEAT_writable_descriptor_tables,
  auto_translated_physmap: xen.XENFEAT_auto_translated_physmap,
  supervisor_mode_kernel: xen.XENFEAT_supervisor_mode_kernel,
  pae_pgdir_above_4gb: xen.XENFEAT_pae_pgdir_above_4gb,
  hvm_callback_vector: xen.XENFEAT_hvm_callback_vector,
  dom0: xen.XENFEAT_dom0,
};

/** "!a|b|c": names separated by bars, a mark before those without which the kernel does not run. */
function parseFeatures(features: string): { supported: number; required: number } {
  let supported = 0, required = 0;
  for (const item of features.split('|').filter((f) => f !== '')) {
    const must = item.startsWith('!');
    const bit = FEATURE_BITS[must ? item.slice(1) : item];
    if (bit === undefined) {
      if (must) throw new BuilderError('unsupported-feature', `the kernel requires the Xen feature "${item.slice(1)}", which is not known`);
      continue;
    }
    supported |= 1 << bit;
    if (must) required |= 1 << bit;
  }
  return { supported, required };
}
