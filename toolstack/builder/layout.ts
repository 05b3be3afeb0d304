// Where everything of a new PV domain lies in its guest-physical memory, in Xen's order (public/xen.h, "start of day";
// tools/libs/guest does the same):
//
//   from VIRT_BASE on, mapped:  room below the kernel, kernel, [initrd], [p2m list], start info, xenstore page,
//                               console page, page tables, boot stack, at least 512 KiB of room up to 4 MiB alignment
//   behind that, not mapped:    initrd of a kernel with MOD_START_PFN
//   mapped at INIT_P2M:         p2m list, then the page tables of that mapping
//
// The layout is computed before anything is written and without regard to how much memory there is, so that a refusal
// can say how much would do.

import { PAGE_SIZE } from '#base/capsule.ts';
import { BuilderError } from './builder-error.ts';
import type { KernelImage } from './kernel-image.ts';
import { PageTables } from './page-tables.ts';

/** A run of pages, by number. */
export interface Range { readonly pfn: number; readonly pages: number }

export interface DomainLayout {
  readonly kernel: Range;
  readonly initrd: Range;
  readonly p2m: Range;
  /** pfns of single pages */
  readonly startInfo: number;
  readonly store: number;
  readonly console: number;
  readonly bootStack: number;
  readonly tables: PageTables;
  /** the tables that map the kernel: what start_info calls bootstrap page-table frames */
  readonly tableFrames: Range;
  /** pages behind the p2m list that hold the tables of its own mapping */
  readonly p2mTables: number;
  /** pages that the domain must have */
  readonly pagesNeeded: number;
}

const ROOM = 512 * 1024 / PAGE_SIZE;
const ALIGNMENT = 4 * 1024 * 1024;
const CANONICAL = 2n ** 47n;
const XEN_START = 0xffff_8000_0000_0000n, XEN_END = 0xffff_8800_0000_0000n;

const pagesOf = (bytes: number): number => Math.ceil(bytes / PAGE_SIZE);

/**
 * @param initrdSize in bytes
 * @param memoryPages pages that the domain has: they decide the size of the p2m list
 */
export function layOut(image: KernelImage, initrdSize: number, memoryPages: number): DomainLayout {
  let next = 0;
  const take = (pages: number): Range => { const range = { pfn: next, pages }; next += pages; return range; };
  next = Math.floor(image.start / PAGE_SIZE);
  const kernel = take(pagesOf(image.end) - next);

  const initrdPages = pagesOf(initrdSize);
  let initrd = take(image.modStartPfn ? 0 : initrdPages);
  const p2mPages = pagesOf(memoryPages * 8);
  let p2m = take(image.p2mBase === undefined ? p2mPages : 0);
  const startInfo = take(1).pfn, store = take(1).pfn, console_ = take(1).pfn;

  const tables = new PageTables();
  const base = window48(image.virtBase, 0, 'VIRT_BASE');
  const mappedBytes = mappingEnd(tables, base, next) - base;
  window48(image.virtBase, mappedBytes, 'the mapping of the kernel');
  const tableFrames = take(tables.add({ from: base, to: base + mappedBytes - 1, pfn: 0 }, next));
  const bootStack = take(1).pfn;
  next = mappedBytes / PAGE_SIZE;

  if (image.modStartPfn) initrd = take(initrdPages);
  let p2mTables = 0;
  if (image.p2mBase !== undefined) {
    p2m = take(p2mPages);
    const at = window48(image.p2mBase, p2mPages * PAGE_SIZE, 'INIT_P2M');
    if (at + p2mPages * PAGE_SIZE > base) throw new BuilderError('corrupt', 'the kernel contradicts itself: INIT_P2M leaves no room for the p2m list below VIRT_BASE');
    p2mTables = take(tables.add({ from: at, to: at + p2mPages * PAGE_SIZE - 1, pfn: p2m.pfn }, next)).pages;
  }
  return { kernel, initrd, p2m, startInfo, store, console: console_, bootStack, tables, tableFrames, p2mTables, pagesNeeded: next };
}

/** Smallest end of the kernel's mapping that leaves room for its own tables, the boot stack and the reserve. */
function mappingEnd(tables: PageTables, base: number, nextPfn: number): number {
  let pages = 1 + ROOM;
  for (;;) {
    const end = Math.floor((base + (nextPfn + pages) * PAGE_SIZE) / ALIGNMENT) * ALIGNMENT + ALIGNMENT;
    pages = tables.countMissing(base, end - 1) + 1 + ROOM;
    if (base + (nextPfn + pages) * PAGE_SIZE <= end) return end;
  }
}

/**
 * The low 48 bits of `va`.
 * @throws BuilderError when [va, va + bytes) is not canonical or touches Xen's part of the address space
 */
function window48(va: bigint, bytes: number, what: string): number {
  const end = va + BigInt(bytes);
  const low = va < CANONICAL && end <= CANONICAL;
  const high = va >= XEN_END && end <= 2n ** 64n;
  if (!low && !high) {
    const why = va >= XEN_START && va < XEN_END ? 'in Xen\'s part of the address space' : 'not at canonical addresses';
    throw new BuilderError('corrupt', `the kernel contradicts itself: ${what} (0x${va.toString(16)}) is ${why}`);
  }
  return Number(BigInt.asUintN(48, va));
}
