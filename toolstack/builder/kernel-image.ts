// A kernel ready to be loaded: the ELF file out of whatever it came in, its notes, and the addresses that follow from
// them. Loading the same kernel into many domains needs one KernelImage.
//
//   virtual address = physical address of the ELF file - PADDR_OFFSET + VIRT_BASE
//   pfn             = (virtual address - VIRT_BASE) / 4096
//
// The initial page tables map VIRT_BASE to pfn 0, so nothing may lie below it.

import * as xen from '#abi/xen.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import { BuilderError } from './builder-error.ts';
import { extractPayload, isBzImage, unpack } from './bzimage.ts';
import type { CommonBytes } from './common-bytes.ts';
import { compressionOf, DECOMPRESSORS, type Decompressors } from './decompress/decompressors.ts';
import { type Elf, isElf, parseElf } from './elf.ts';
import { readXenNotes, type XenNotes } from './elf-notes.ts';

/** A segment as it is copied: all numbers are in bytes. */
export interface LoadSegment extends CommonBytes {
  /** guest-physical address */
  readonly at: number;
  readonly memSize: number;
  /** from and to in `bytes`, for each stretch of pages that are not all zero */
  readonly runs: readonly (readonly [number, number])[];
}

export interface KernelImage {
  readonly notes: XenNotes;
  readonly segments: readonly LoadSegment[];
  readonly virtBase: bigint;
  readonly entry: bigint;
  /** guest-physical range of all segments, in bytes */
  readonly start: number;
  readonly end: number;
  /** virtual address where the kernel wants the p2m list; undefined: with the kernel's own mapping */
  readonly p2mBase: bigint | undefined;
  /** guest-physical address of the hypercall page */
  readonly hypercallPage: number | undefined;
  /** the initrd need not be mapped */
  readonly modStartPfn: boolean;
}

/** A domain's memory ends below this (capsule.ts); addresses beyond it in an image are nonsense. */
const MAX_MEMORY = 1n << 32n;
const ADDRESS_MASK = (1n << 64n) - 1n;
/** Features that a kernel may demand and does not get. */
const MISSING = (1 << xen.XENFEAT_auto_translated_physmap) | (1 << xen.XENFEAT_supervisor_mode_kernel) | (1 << xen.XENFEAT_dom0);

/**
 * Reads a kernel: an ELF file, a gzipped one, or a bzImage.
 * @throws BuilderError with a code that says why it cannot be a PV domain's kernel
 */
export function loadKernel(file: Uint8Array, decompressors: Decompressors = DECOMPRESSORS): KernelImage {
  return readImage(parseElf(elfFile(file, decompressors)));
}

function elfFile(file: Uint8Array, decompressors: Decompressors): Uint8Array {
  if (isElf(file)) return file;
  if (isBzImage(file)) return extractPayload(file, decompressors);
  if (compressionOf(file) === 'gzip') return unpack(file, decompressors);
  throw new BuilderError('not-a-kernel', file.length === 0 ? 'the kernel file is empty' : 'the kernel is neither an ELF file nor a bzImage');
}

function readImage(elf: Elf): KernelImage {
  const notes = readXenNotes(elf);
  if (!notes) throw new BuilderError('not-a-pv-kernel', 'the kernel has no Xen notes: it was built without Xen PV support (Linux: CONFIG_XEN_PV)');
  checkNotes(notes);
  const virtBase = notes.virtBase ?? 0n;
  const paddrOffset = notes.paddrOffset ?? (notes.legacy ? virtBase : 0n);
  const segments = elf.segments.map((s): LoadSegment => {
    const bytes = elf.bytes.subarray(s.offset, s.offset + s.fileSize);
    const at = offsetFrom(s.physical, paddrOffset, 'a segment');
    return { bytes, at, memSize: s.memSize < MAX_MEMORY ? Number(s.memSize) : fail('a segment is larger than any domain'), runs: runsOf(bytes, at) };
  });
  const start = Math.min(...segments.map((s) => s.at));
  const end = Math.max(...segments.map((s) => s.at + s.memSize));
  if (end > Number(MAX_MEMORY)) fail('a segment ends beyond what a domain can have');
  const entry = notes.entry ?? elf.entry;
  const entryAt = offsetFrom(entry, virtBase, 'the entry point');
  if (entryAt < start || entryAt >= end) fail('the entry point lies outside the segments');
  if (virtBase & 0xfffn) fail('VIRT_BASE is not page-aligned');
  return {
    notes, segments, virtBase, entry, start, end,
    p2mBase: p2mBase(notes, virtBase),
    hypercallPage: hypercallPage(notes, virtBase, start, end),
    modStartPfn: notes.modStartPfn,
  };
}

/** What Xen demands of the notes' contents before it takes an image for a PV guest. */
function checkNotes(notes: XenNotes): void {
  const refuse = (why: string): never => { throw new BuilderError('not-a-pv-kernel', `the kernel is not for Xen PV: ${why}`); };
  if (!notes.loader.startsWith('generic') && !notes.guestOs.startsWith('linux')) refuse('its notes name neither the generic loader nor Linux');
  if (!notes.xenVersion.startsWith('xen-3.0')) refuse('its notes do not name the interface xen-3.0');
  if (notes.entry === undefined && notes.phys32Entry !== undefined) refuse('it has an entry point for PVH only');
  if (notes.requiredFeatures & MISSING) throw new BuilderError('unsupported-feature', 'the kernel requires a feature that a PV domain does not have (auto_translated_physmap, supervisor_mode_kernel or dom0)');
}

/** A fifth of Linux is pages of zeros: a domain that has not touched them has not got them. */
function runsOf(bytes: Uint8Array, at: number): [number, number][] {
  const runs: [number, number][] = [];
  for (let from = 0, to; from < bytes.length; from = to) {
    to = Math.min(bytes.length, from + PAGE_SIZE - (at + from) % PAGE_SIZE);
    if (isZero(bytes, from, to)) continue;
    const last = runs.at(-1);
    if (last?.[1] === from) last[1] = to;
    else runs.push([from, to]);
  }
  return runs;
}
function isZero(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] !== 0) return false;
  return true;
}

function fail(what: string): never {
  throw new BuilderError('corrupt', `the kernel contradicts itself: ${what}`);
}

/** Distance of an address from a base, as a number below 2^32. */
function offsetFrom(address: bigint, base: bigint, what: string): number {
  const distance = (address - base) & ADDRESS_MASK;
  if (distance >= MAX_MEMORY) fail(`${what} (0x${address.toString(16)}) lies beyond what a domain can have`);
  return Number(distance);
}

/** Xen takes the note only if it names an aligned place below the kernel's mapping. */
function p2mBase(notes: XenNotes, virtBase: bigint): bigint | undefined {
  const at = notes.initP2m;
  return at === undefined || at >= virtBase || at & 0xfffn ? undefined : at;
}

function hypercallPage(notes: XenNotes, virtBase: bigint, start: number, end: number): number | undefined {
  if (notes.hypercallPage === undefined) return undefined;
  const at = offsetFrom(notes.hypercallPage, virtBase, 'the hypercall page');
  if (at % 4096 !== 0 || at < start - (start % 4096) || at >= end) fail('the hypercall page lies outside the segments');
  return at;
}
