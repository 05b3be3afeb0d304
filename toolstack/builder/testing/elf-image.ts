// Small ELF files for tests: the headers and notes of a PV kernel around a few bytes of contents.

import { XEN_ELFNOTE } from '#abi/elfnote.ts';

export interface TestSegment { physical: bigint; bytes: Uint8Array; memSize?: bigint }
export interface TestElf {
  segments: TestSegment[];
  entry?: bigint;
  notes?: [number, bigint | string][];
  /** where the notes go: a PT_NOTE segment, or only a SHT_NOTE section */
  notesIn?: 'segment' | 'section';
  /** contents of a section __xen_guest */
  guestString?: string;
  machine?: number;
  elfClass?: number;
}

/** Notes of a minimal PV kernel, in the manner of Linux. */
export function linuxNotes(entry: bigint, virtBase: bigint, more: [number, bigint | string][] = []): [number, bigint | string][] {
  return [
    [XEN_ELFNOTE.GUEST_OS, 'linux'], [XEN_ELFNOTE.XEN_VERSION, 'xen-3.0'], [XEN_ELFNOTE.LOADER, 'generic'],
    [XEN_ELFNOTE.ENTRY, entry], [XEN_ELFNOTE.VIRT_BASE, virtBase], ...more,
  ];
}

const ascii = (s: string): Uint8Array => Uint8Array.from(s, (c) => c.charCodeAt(0));
const concat = (parts: Uint8Array[]): Uint8Array => {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  parts.reduce((at, p) => (out.set(p, at), at + p.length), 0);
  return out;
};
const padded = (bytes: Uint8Array): Uint8Array => concat([bytes, new Uint8Array(-bytes.length & 3)]);

function note(type: number, value: bigint | string): Uint8Array {
  const descriptor = typeof value === 'string' ? ascii(`${value}\0`) : new Uint8Array(new BigUint64Array([value]).buffer);
  const header = new Uint32Array([4, descriptor.length, type]);
  return concat([new Uint8Array(header.buffer), ascii('Xen\0'), padded(descriptor)]);
}

export function elfImage(elf: TestElf): Uint8Array {
  const notes = concat((elf.notes ?? []).map(([t, v]) => note(t, v)));
  const inSegment = notes.length > 0 && elf.notesIn !== 'section';
  const phnum = elf.segments.length + Number(inSegment);
  const names = ascii('\0.note\0__xen_guest\0.strtab\0');
  const guest = ascii(elf.guestString === undefined ? '' : `${elf.guestString}\0`);
  const blobs = [...elf.segments.map((s) => s.bytes), notes, guest, names];
  const offsets: number[] = [];
  let at = 64 + phnum * 56;
  for (const b of blobs) { offsets.push(at); at += Math.ceil(b.length / 8) * 8; }
  const sectionTable = at;
  const file = new Uint8Array(sectionTable + 4 * 64);
  const view = new DataView(file.buffer);
  blobs.forEach((b, i) => file.set(b, offsets[i]));
  file.set([0x7f, 0x45, 0x4c, 0x46, elf.elfClass ?? 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, elf.machine ?? 62, true);
  view.setBigUint64(24, elf.entry ?? 0n, true);
  view.setBigUint64(32, 64n, true);
  view.setBigUint64(40, BigInt(sectionTable), true);
  for (const [o, v] of [[52, 64], [54, 56], [56, phnum], [58, 64], [60, 4], [62, 3]] as const) view.setUint16(o, v, true);
  const header = (i: number, type: number, offset: number, size: number, physical: bigint, memSize: bigint): void => {
    const p = 64 + i * 56;
    view.setUint32(p, type, true);
    [BigInt(offset), physical, physical, BigInt(size), memSize].forEach((v, k) => view.setBigUint64(p + 8 + k * 8, v, true));
  };
  elf.segments.forEach((s, i) => header(i, 1, offsets[i] ?? 0, s.bytes.length, s.physical, s.memSize ?? BigInt(s.bytes.length)));
  const n = elf.segments.length;
  if (inSegment) header(n, 4, offsets[n] ?? 0, notes.length, 0n, 0n);
  const section = (i: number, name: number, type: number, blob: number): void => {
    const s = sectionTable + i * 64;
    view.setUint32(s, name, true);
    view.setUint32(s + 4, type, true);
    view.setBigUint64(s + 24, BigInt(offsets[blob] ?? 0), true);
    view.setBigUint64(s + 32, BigInt(blobs[blob]?.length ?? 0), true);
  };
  section(1, 1, elf.notesIn === 'section' ? 7 : 1, n);
  section(2, elf.guestString === undefined ? 0 : 7, 1, n + 1);
  section(3, 19, 3, n + 2);
  return file;
}
