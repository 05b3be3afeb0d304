// The domain builder: fills the memory of a new domain so that a PV kernel can start in it (public/xen.h, "start of
// day"), as xl does for a DomU. All checks come first; from the first write on nothing can fail.
//
// The builder's page tables obey Xen's rules for page types, but nobody has counted references yet: the caller has
// them adopted (hypervisor/mm) before the first vCPU runs, and connects the two event channels that it names here.

import { type Capsule, PAGE_SIZE } from '#base/capsule.ts';
import type { CommonMemories } from '#base/host.ts';
import { grant_entry_v1, GNTTAB_RESERVED_CONSOLE, GNTTAB_RESERVED_XENSTORE, GTF_permit_access } from '#abi/grant-table.ts';
import * as xen from '#abi/xen.ts';
import { XEN_FRAME } from '#hypervisor/layout.ts';
import { BuilderError } from './builder-error.ts';
import { type CommonBytes, placeBytes } from './common-bytes.ts';
import { gunzipInitrd } from './initrd.ts';
import { DECOMPRESSORS, type Decompressors } from './decompress/decompressors.ts';
import type { KernelImage } from './kernel-image.ts';
import { type DomainLayout, layOut } from './layout.ts';

export interface BuildRequest {
  /** a new capsule: its RAM is zero */
  readonly capsule: Capsule;
  /** frames that the domain begins with, the first ones; all of the capsule's unless said otherwise */
  readonly pages?: number;
  readonly image: KernelImage;
  readonly initrd?: Uint8Array;
  /** the same unzipped, by who builds many domains with it */
  readonly unzippedInitrd?: CommonBytes | undefined;
  readonly commandLine?: string;
  /** the guest's ports of its event channels to xenstore and to the console */
  readonly storePort: number;
  readonly consolePort: number;
  /** domain that serves both; 0 unless said otherwise */
  readonly backendDomid?: number;
  /** writes the hypercall stubs into a page of the capsule; called for kernels that have a page for them */
  readonly fillHypercallPage: (capsule: Capsule, offset: number) => void;
  readonly decompressors?: Decompressors;
  /** the host's: without them all is copied */
  readonly commons?: CommonMemories | undefined;
}

/** How the first vCPU starts, and what the toolstack must know of the domain. Addresses are the guest's. */
export interface DomainEntry {
  readonly rip: bigint;
  /** top of the boot stack: the kernel stack (stack_switch) too */
  readonly rsp: bigint;
  /** start info */
  readonly rsi: bigint;
  /** frame of the top page table */
  readonly l4Mfn: number;
  readonly storeMfn: number;
  readonly consoleMfn: number;
  readonly startInfoMfn: number;
}

/**
 * Builds the domain.
 * @throws BuilderError 'too-little-memory' or 'initrd-too-large' (with neededBytes), 'bad-command-line',
 *   'corrupt' for a layout that cannot be mapped
 */
export function buildDomain(request: BuildRequest): DomainEntry {
  const { capsule, image } = request;
  const commandLine = encodeCommandLine(request.commandLine ?? '');
  const { initrd, layout } = fit(request);
  loadSegments(request);
  placeBytes(capsule, ramOffset(capsule, layout.initrd.pfn), initrd, 0, initrd.bytes.length, request.commons);
  writeP2m(capsule, layout, pagesOf(request));
  layout.tables.write(capsule);
  writeStartInfo(request, layout, initrd.bytes.length, commandLine);
  grantRings(request, layout);
  if (image.hypercallPage !== undefined) request.fillHypercallPage(capsule, ramOffset(capsule, image.hypercallPage / PAGE_SIZE));
  const va = (pfn: number): bigint => virtual(image, pfn);
  return {
    rip: image.entry,
    rsp: va(layout.bootStack + 1),
    rsi: va(layout.startInfo),
    l4Mfn: capsule.xenFrames + layout.tables.top,
    storeMfn: capsule.xenFrames + layout.store,
    consoleMfn: capsule.xenFrames + layout.console,
    startInfoMfn: capsule.xenFrames + layout.startInfo,
  };
}

/** Guest memory in bytes that a domain needs at least to be built. Guests need more than that to run. */
export function memoryNeeded(image: KernelImage, initrdSize: number): number {
  let pages = 0;
  for (;;) { // more memory needs a longer p2m list: this settles after two or three rounds
    const needed = layOut(image, initrdSize, pages).pagesNeeded;
    if (needed <= pages) return pages * PAGE_SIZE;
    pages = needed;
  }
}

/** The initrd as it goes into memory (unzipped where that fits), and the layout with it. */
function fit(request: BuildRequest): { initrd: CommonBytes; layout: DomainLayout } {
  const { image } = request;
  const pages = pagesOf(request);
  const packed = request.initrd ?? new Uint8Array(0);
  const initrd = request.unzippedInitrd ?? { bytes: gunzipInitrd(packed, pages * PAGE_SIZE, request.decompressors ?? DECOMPRESSORS) ?? packed };
  for (const candidate of [initrd, { bytes: packed }]) {
    const layout = layOut(image, candidate.bytes.length, pages);
    if (layout.pagesNeeded <= pages) return { initrd: candidate, layout };
  }
  const have = `the domain has ${mebibytes(pages * PAGE_SIZE)}`;
  const alone = memoryNeeded(image, 0), needed = memoryNeeded(image, packed.length);
  if (alone > pages * PAGE_SIZE) throw new BuilderError('too-little-memory', `too little memory: the kernel needs at least ${mebibytes(needed)}, ${have}`, needed);
  throw new BuilderError('initrd-too-large', `the initrd of ${mebibytes(packed.length)} does not fit: with it the domain needs at least ${mebibytes(needed)}, ${have}`, needed);
}

const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`;

const pagesOf = ({ capsule, pages = capsule.guestFrames }: BuildRequest): number => pages;

/** Capsule offset of a page of guest RAM. */
function ramOffset(capsule: Capsule, pfn: number): number { return capsule.frames + (capsule.xenFrames + pfn) * PAGE_SIZE; }

function virtual(image: KernelImage, pfn: number): bigint { return BigInt.asUintN(64, image.virtBase + BigInt(pfn * PAGE_SIZE)); }

/** Memory of a new domain is all zeros: only what segments leave in the way of later ones is cleared. */
function loadSegments({ capsule, image, commons }: BuildRequest): void {
  const ram = ramOffset(capsule, 0);
  let end = 0; // of what earlier segments have written
  for (const segment of image.segments) {
    const { bytes, at, memSize, runs } = segment;
    if (at < end) capsule.u8.fill(0, ram + at, ram + Math.min(end, at + memSize));
    for (const [from, to] of runs) placeBytes(capsule, ram + at, segment, from, to, commons);
    end = Math.max(end, at + bytes.length);
  }
}

/** What is left of the list's last page says that there is no memory (INVALID_P2M_ENTRY). */
function writeP2m(capsule: Capsule, layout: DomainLayout, pages: number): void {
  const at = ramOffset(capsule, layout.p2m.pfn) >>> 2;
  for (let pfn = 0; pfn < pages; pfn++) {
    capsule.u32[at + pfn * 2] = capsule.xenFrames + pfn;
    capsule.u32[at + pfn * 2 + 1] = 0;
  }
  capsule.u32.fill(0xffff_ffff, at + pages * 2, at + layout.p2m.pages * (PAGE_SIZE / 4));
}

function encodeCommandLine(commandLine: string): Uint8Array {
  if (/[^\x20-\x7e\t]/.test(commandLine)) throw new BuilderError('bad-command-line', 'the kernel command line has characters other than printable ASCII');
  if (commandLine.length >= xen.MAX_GUEST_CMDLINE) throw new BuilderError('bad-command-line', `the kernel command line has ${commandLine.length} characters; ${xen.MAX_GUEST_CMDLINE - 1} is the most that Xen passes on`);
  return ascii(commandLine);
}

function ascii(text: string): Uint8Array { return Uint8Array.from(text, (c) => c.charCodeAt(0)); }

function writeStartInfo(request: BuildRequest, layout: DomainLayout, initrdSize: number, commandLine: Uint8Array): void {
  const { capsule, image } = request;
  const base = ramOffset(capsule, layout.startInfo);
  const info = xen.start_info.on(capsule.buffer).at(base);
  const unmapped = image.modStartPfn && initrdSize > 0;
  capsule.u8.set(ascii('xen-3.0-x86_64'), base + xen.start_info.offset.magic);
  info.nr_pages = BigInt(pagesOf(request));
  info.shared_info = BigInt(XEN_FRAME.sharedInfo * PAGE_SIZE);
  info.flags = xen.SIF_VIRT_P2M_4TOOLS | (unmapped ? xen.SIF_MOD_START_PFN : 0);
  info.store_mfn = BigInt(capsule.xenFrames + layout.store);
  info.store_evtchn = request.storePort;
  info.console_mfn = BigInt(capsule.xenFrames + layout.console);
  info.console_evtchn = request.consolePort;
  info.pt_base = virtual(image, layout.tableFrames.pfn);
  info.nr_pt_frames = BigInt(layout.tableFrames.pages);
  info.mfn_list = image.p2mBase ?? virtual(image, layout.p2m.pfn);
  if (initrdSize > 0) info.mod_start = unmapped ? BigInt(layout.initrd.pfn) : virtual(image, layout.initrd.pfn);
  info.mod_len = BigInt(initrdSize);
  capsule.u8.set(commandLine, base + xen.start_info.offset.cmd_line);
  if (image.p2mBase !== undefined) {
    info.first_p2m_pfn = BigInt(layout.p2m.pfn);
    info.nr_p2m_frames = BigInt(layout.p2m.pages + layout.p2mTables);
  }
}

/** The reserved grant entries, through which the back ends may map the two ring pages. */
function grantRings(request: BuildRequest, layout: DomainLayout): void {
  const { capsule } = request;
  const table = capsule.frame(XEN_FRAME.grantTable);
  const entry = grant_entry_v1.on(capsule.buffer);
  for (const [ref, pfn] of [[GNTTAB_RESERVED_CONSOLE, layout.console], [GNTTAB_RESERVED_XENSTORE, layout.store]] as const) {
    entry.at(table + ref * grant_entry_v1.size);
    entry.domid = request.backendDomid ?? 0;
    entry.frame = capsule.xenFrames + pfn;
    entry.flags = GTF_permit_access;
  }
}
