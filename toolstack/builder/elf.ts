// ELF64 files (System V gABI, chapters 4 and 5), as far as a kernel image needs: loadable segments, notes and sections
// by name. Every offset that is handed out has been checked against the end of the file.

import { EHDR_SIZE, ELFCLASS64, ELFDATA2LSB, EM_X86_64, PHDR_SIZE, SHDR_SIZE, SHT_NOTE } from '#abi/elf.ts';
import { BuilderError } from './builder-error.ts';

const EI_CLASS = 4, EI_DATA = 5, ELFCLASS32 = 1;
const EM_386 = 3;
const PT_LOAD = 1, PT_NOTE = 4;
const SHT_NOBITS = 8;
/** e_phnum and e_shnum above this are an extension that no kernel uses */
const MAX_HEADERS = 0xff00;

export interface ElfSegment {
  /** file offset and size in bytes; the rest up to memSize is zero */
  readonly offset: number;
  readonly fileSize: number;
  readonly physical: bigint;
  readonly memSize: bigint;
}

export interface ElfNote {
  readonly owner: string;
  readonly type: number;
  readonly descriptor: Uint8Array;
}

export interface Elf {
  readonly bytes: Uint8Array;
  readonly entry: bigint;
  /** PT_LOAD segments that occupy memory, in the file's order */
  readonly segments: readonly ElfSegment[];
  /** of all PT_NOTE segments */
  readonly segmentNotes: readonly ElfNote[];
  /** of all SHT_NOTE sections: images that were linked without a PT_NOTE segment (Mini-OS) have them there only */
  sectionNotes(): ElfNote[];
  /** contents of the first section of this name */
  section(name: string): Uint8Array | undefined;
}

interface Section { readonly name: string; readonly type: number; readonly bytes: Uint8Array }

export function isElf(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/**
 * Parses the headers of an ELF64 executable for x86-64.
 * @throws BuilderError
 */
export function parseElf(bytes: Uint8Array): Elf {
  if (!isElf(bytes)) throw new BuilderError('not-a-kernel', 'the kernel is neither an ELF file nor a bzImage');
  if (bytes.length < EHDR_SIZE) throw new BuilderError('truncated', 'the ELF file ends within its header');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const machine = view.getUint16(18, true);
  if (bytes[EI_CLASS] === ELFCLASS32 && machine === EM_386) throw new BuilderError('kernel-32-bit', 'the kernel is for 32-bit x86; only 64-bit PV kernels are supported');
  if (bytes[EI_CLASS] !== ELFCLASS64 || bytes[EI_DATA] !== ELFDATA2LSB || machine !== EM_X86_64) throw new BuilderError('not-a-kernel', 'the ELF file is not for x86-64');
  const headers = programHeaders(view);
  const segments = headers.filter((h) => h.type === PT_LOAD && h.memSize > 0n);
  for (const s of segments) if (BigInt(s.fileSize) > s.memSize) throw new BuilderError('corrupt', 'an ELF segment is larger in the file than in memory');
  if (segments.length === 0) throw new BuilderError('not-a-kernel', 'the ELF file has nothing to load');
  return {
    bytes,
    entry: view.getBigUint64(24, true),
    segments,
    segmentNotes: headers.filter((h) => h.type === PT_NOTE).flatMap((h) => parseNotes(bytes.subarray(h.offset, h.offset + h.fileSize))),
    sectionNotes: () => sections(view).filter((s) => s.type === SHT_NOTE).flatMap((s) => parseNotes(s.bytes)),
    section: (name) => sections(view).find((s) => s.name === name)?.bytes,
  };
}

/** Checks a table of `count` records; returns the offset of each. */
function table(view: DataView, what: string, offset: bigint, count: number, size: number, expected: number): number[] {
  if (count === 0) return [];
  if (size !== expected || count >= MAX_HEADERS) throw new BuilderError('corrupt', `the ELF file's ${what} have an impossible size`);
  const from = within(view, what, offset, BigInt(count * size));
  return Array.from({ length: count }, (_, i) => from + i * size);
}

/** Checks that a range lies in the file; returns its offset. */
function within(view: DataView, what: string, offset: bigint, size: bigint): number {
  if (offset + size > BigInt(view.byteLength)) throw new BuilderError('truncated', `the ELF file is truncated: its ${what} lie beyond the end`);
  return Number(offset);
}

function programHeaders(view: DataView): (ElfSegment & { type: number })[] {
  const at = table(view, 'program headers', view.getBigUint64(32, true), view.getUint16(56, true), view.getUint16(54, true), PHDR_SIZE);
  return at.filter((p) => [PT_LOAD, PT_NOTE].includes(view.getUint32(p, true))).map((p) => {
    const fileSize = view.getBigUint64(p + 32, true);
    const offset = within(view, 'segments', view.getBigUint64(p + 8, true), fileSize);
    return { type: view.getUint32(p, true), offset, fileSize: Number(fileSize), physical: view.getBigUint64(p + 24, true), memSize: view.getBigUint64(p + 40, true) };
  });
}

/** Sections are needed for odd images only, so a broken section table is the same as none. */
function sections(view: DataView): Section[] {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const contents = (at: number): Uint8Array => {
    if (view.getUint32(at + 4, true) === SHT_NOBITS) return bytes.subarray(0, 0);
    const size = view.getBigUint64(at + 32, true);
    const offset = within(view, 'sections', view.getBigUint64(at + 24, true), size);
    return bytes.subarray(offset, offset + Number(size));
  };
  try {
    const at = table(view, 'section headers', view.getBigUint64(40, true), view.getUint16(60, true), view.getUint16(58, true), SHDR_SIZE);
    const nameTable = at[view.getUint16(62, true)];
    const names = nameTable === undefined ? bytes.subarray(0, 0) : contents(nameTable);
    return at.map((s) => ({ name: text(names.subarray(view.getUint32(s, true))), type: view.getUint32(s + 4, true), bytes: contents(s) }));
  } catch (e) {
    if (e instanceof BuilderError) return [];
    throw e;
  }
}

/** Notes of one segment or section: name size, descriptor size, type, name, descriptor, each padded to 4 bytes. */
function parseNotes(bytes: Uint8Array): ElfNote[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const notes: ElfNote[] = [];
  for (let at = 0; at + 12 <= bytes.length;) {
    const nameSize = view.getUint32(at, true), size = view.getUint32(at + 4, true);
    const descriptor = at + 12 + Math.ceil(nameSize / 4) * 4;
    if (descriptor + size > bytes.length) break;
    notes.push({ owner: text(bytes.subarray(at + 12, at + 12 + nameSize)), type: view.getUint32(at + 8, true), descriptor: bytes.subarray(descriptor, descriptor + size) });
    at = descriptor + Math.ceil(size / 4) * 4;
  }
  return notes;
}

/** Bytes up to the first zero byte, as Latin-1; at most 1 KiB of them. */
export function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return String.fromCharCode(...bytes.subarray(0, Math.min(end < 0 ? bytes.length : end, 1024)));
}
