// A domain's core file: registers, shared info, memory and what lies where in it, as sections of an ELF file, in the order that
// Xen's tools write them. Followed: Xen's docs/misc/dump-core-format.txt; System V gABI, chapter 4.
//
// Which pages there are is decided first, by the frame table and the machine-to-physical table: frames that the domain owns
// and that the guest gives a pfn. The guest may have given two frames the same pfn, or one a pfn beyond its memory: that is
// told as it is.
//
// Nothing is copied: memory is handed out as views of the capsule, for the receiver to write before it asks for more. A domain
// that runs meanwhile changes under its dump.

import { EHDR_SIZE, ELFCLASS64, ELFDATA2LSB, EM_X86_64, PHDR_SIZE, SHDR_SIZE, SHT_NOTE } from '#abi/elf.ts';
import { shared_info, vcpu_guest_context } from '#abi/xen.ts';
import { type Capsule, PAGE_SIZE } from '#base/capsule.ts';
import { XEN_FRAME } from '#hypervisor/layout.ts';
import { FrameTable, OWNER } from '#hypervisor/mm/frame-table.ts';
import { readM2p } from '#hypervisor/mm/m2p.ts';
import { XEN_DUMPCORE_SEC, xen_dumpcore_p2m } from './core-format.ts';
import { coreNotes } from './core-notes.ts';

/** Most bytes of memory that are handed out at once. */
export const CHUNK = 64 << 10;

const EV_CURRENT = 1, ET_CORE = 4;
const SHT_PROGBITS = 1, SHT_STRTAB = 3;
const NAMES = '.shstrtab';

interface Section {
  readonly name: string;
  readonly type: number;
  readonly size: number;
  readonly align: number;
  /** size of an entry; 0 for none of a fixed size */
  readonly entry: number;
  contents(): Iterable<Uint8Array>;
}

/** Xen's frames and pfns of a domain's pages, by frame. */
interface Pages { readonly mfns: Uint32Array; readonly pfns: Float64Array }

/**
 * Yields the file, piece by piece. The list of pages is as it was when the first piece was asked for.
 * @param contexts of the vCPUs: vcpu-context.ts
 */
export function* coreFile(capsule: Capsule, contexts: readonly Uint8Array[]): Generator<Uint8Array, void, undefined> {
  const pages = pagesOf(capsule);
  const shared = capsule.frame(XEN_FRAME.sharedInfo);
  const one = (bytes: Uint8Array): Pick<Section, 'size' | 'contents'> => ({ size: bytes.length, contents: () => [bytes] });
  const program = { type: SHT_PROGBITS };
  const sections: Section[] = [
    { name: XEN_DUMPCORE_SEC.NOTE, type: SHT_NOTE, align: 0, entry: 0, ...one(coreNotes(contexts.length, pages.mfns.length)) },
    { name: XEN_DUMPCORE_SEC.PRSTATUS, ...program, align: vcpu_guest_context.align, entry: vcpu_guest_context.size, size: contexts.length * vcpu_guest_context.size, contents: () => contexts },
    { name: XEN_DUMPCORE_SEC.SHARED_INFO, ...program, align: shared_info.align, entry: PAGE_SIZE, ...one(capsule.u8.subarray(shared, shared + PAGE_SIZE)) },
    { name: XEN_DUMPCORE_SEC.PAGES, ...program, align: PAGE_SIZE, entry: PAGE_SIZE, size: pages.mfns.length * PAGE_SIZE, contents: () => memory(capsule, pages) },
    { name: XEN_DUMPCORE_SEC.P2M, ...program, align: xen_dumpcore_p2m.align, entry: xen_dumpcore_p2m.size, size: pages.mfns.length * xen_dumpcore_p2m.size, contents: () => p2m(pages) },
  ];
  const names = ['', NAMES, ...sections.map(({ name }) => name)].map((name) => `${name}\0`);
  const strings = Uint8Array.from(names.join(''), (c) => c.charCodeAt(0));
  const nameAt = (i: number): number => names.slice(0, i).join('').length;

  const heads = new Uint8Array(EHDR_SIZE + (sections.length + 2) * SHDR_SIZE);
  writeHeader(heads, sections.length + 2);
  let end = heads.length;
  const padding: number[] = [];
  sections.forEach((section, i) => {
    const begin = Math.ceil(end / Math.max(section.align, 1)) * Math.max(section.align, 1);
    padding.push(begin - end);
    writeSectionHeader(heads, i + 2, { ...section, nameAt: nameAt(i + 2), begin });
    end = begin + section.size;
  });
  writeSectionHeader(heads, 1, { type: SHT_STRTAB, size: strings.length, align: 0, entry: 0, nameAt: nameAt(1), begin: end });

  yield heads;
  for (const [i, section] of sections.entries()) {
    if (padding[i] as number > 0) yield new Uint8Array(padding[i] as number);
    yield* section.contents();
  }
  yield strings;
}

function pagesOf(capsule: Capsule): Pages {
  const frames = new FrameTable(capsule);
  const mfns = new Uint32Array(capsule.guestFrames);
  const pfns = new Float64Array(capsule.guestFrames);
  let n = 0;
  for (let mfn = capsule.xenFrames; mfn < capsule.totalFrames; mfn++) {
    const pfn = frames.owner(mfn) === OWNER.domain ? readM2p(capsule, mfn) : -1;
    if (pfn < 0) continue;
    mfns[n] = mfn;
    pfns[n++] = pfn;
  }
  return { mfns: mfns.subarray(0, n), pfns: pfns.subarray(0, n) };
}

/** The pages, as many at once as lie together. */
function* memory(capsule: Capsule, { mfns }: Pages): Generator<Uint8Array, void, undefined> {
  const most = CHUNK / PAGE_SIZE;
  for (let i = 0, n = 1; i < mfns.length; i += n, n = 1) {
    while (n < most && mfns[i + n] === (mfns[i] as number) + n) n++;
    const begin = capsule.frame(mfns[i] as number);
    yield capsule.u8.subarray(begin, begin + n * PAGE_SIZE);
  }
}

function* p2m({ mfns, pfns }: Pages): Generator<Uint8Array, void, undefined> {
  const most = CHUNK / xen_dumpcore_p2m.size;
  for (let i = 0; i < mfns.length; i += most) {
    const n = Math.min(most, mfns.length - i);
    const words = new BigUint64Array(n * 2);
    for (let j = 0; j < n; j++) {
      words[j * 2] = BigInt(pfns[i + j] as number);
      words[j * 2 + 1] = BigInt(mfns[i + j] as number);
    }
    yield new Uint8Array(words.buffer);
  }
}

function writeHeader(into: Uint8Array, sections: number): void {
  const view = new DataView(into.buffer);
  into.set([0x7f, 0x45, 0x4c, 0x46, ELFCLASS64, ELFDATA2LSB, EV_CURRENT]);
  view.setUint16(16, ET_CORE, true);
  view.setUint16(18, EM_X86_64, true);
  view.setUint32(20, EV_CURRENT, true);
  view.setBigUint64(40, BigInt(EHDR_SIZE), true); // section headers follow at once
  [EHDR_SIZE, PHDR_SIZE, 0, SHDR_SIZE, sections, 1].forEach((value, i) => view.setUint16(52 + i * 2, value, true));
}
/** @param index in the section header table; sh_name, sh_type, sh_offset, sh_size, sh_addralign, sh_entsize are set */
function writeSectionHeader(into: Uint8Array, index: number, s: { readonly nameAt: number; readonly type: number; readonly begin: number; readonly size: number; readonly align: number; readonly entry: number }): void {
  const view = new DataView(into.buffer, EHDR_SIZE + index * SHDR_SIZE, SHDR_SIZE);
  view.setUint32(0, s.nameAt, true);
  view.setUint32(4, s.type, true);
  for (const [at, value] of [[24, s.begin], [32, s.size], [48, s.align], [56, s.entry]] as const) view.setBigUint64(at, BigInt(value), true);
}
