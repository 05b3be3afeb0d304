// Reads a core file back, for tests: by the document alone, with nothing of what writes it.

import { assert, unreachable } from '#base/assert.ts';

export interface Core {
  /** by name: where it begins, and its contents */
  readonly sections: ReadonlyMap<string, { readonly type: number; readonly offset: number; readonly entry: number; readonly bytes: Uint8Array }>;
  /** descriptors by type */
  readonly notes: ReadonlyMap<number, DataView>;
  readonly vcpus: readonly DataView[];
  /** of each page, in the file's order */
  readonly p2m: readonly { readonly pfn: number; readonly gmfn: number }[];
  page(index: number): Uint8Array;
}

export function parseCore(file: Uint8Array): Core {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  assert([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1].every((byte, i) => file[i] === byte), 'a 64-bit little-endian ELF file');
  assert(view.getUint16(16, true) === 4 && view.getUint16(18, true) === 62, 'ET_CORE, EM_X86_64');
  assert(view.getUint16(56, true) === 0, 'no program headers');
  const table = Number(view.getBigUint64(40, true));
  const count = view.getUint16(60, true);
  const header = (i: number): { name: number; type: number; offset: number; size: number; entry: number } => {
    const at = table + i * 64;
    const word = (o: number): number => Number(view.getBigUint64(at + o, true));
    return { name: view.getUint32(at, true), type: view.getUint32(at + 4, true), offset: word(24), size: word(32), entry: word(56) };
  };
  const strings = header(view.getUint16(62, true));
  const text = (at: number): string => {
    let end = at;
    while (file[end] !== 0) end++;
    return String.fromCharCode(...file.subarray(at, end));
  };
  const sections = new Map(Array.from({ length: count }, (_, i) => header(i)).map(({ name, type, offset, size, entry }) => {
    assert(offset + size <= file.length, 'a section lies within the file');
    return [text(strings.offset + name), { type, offset, entry, bytes: file.subarray(offset, offset + size) }];
  }));
  const bytes = (name: string): Uint8Array => sections.get(name)?.bytes ?? unreachable(`no section ${name}`);
  const notes = parseNotes(bytes('.note.Xen'));
  const head = notes.get(0x200_0001) ?? unreachable('no header note');
  const [, vcpus, pages, pageSize] = [0, 1, 2, 3].map((i) => Number(head.getBigUint64(i * 8, true))) as [number, number, number, number];
  const status = bytes('.xen_prstatus');
  assert(status.length % vcpus === 0, 'as many contexts as the header says');
  const size = status.length / vcpus;
  const list = bytes('.xen_p2m'), memory = bytes('.xen_pages');
  assert(list.length === pages * 16 && memory.length === pages * pageSize, 'as many pages as the header says');
  const pairs = new DataView(list.buffer, list.byteOffset, list.length);
  return {
    sections, notes,
    vcpus: Array.from({ length: vcpus }, (_, i) => new DataView(status.buffer, status.byteOffset + i * size, size)),
    p2m: Array.from({ length: pages }, (_, i) => ({ pfn: Number(pairs.getBigUint64(i * 16, true)), gmfn: Number(pairs.getBigUint64(i * 16 + 8, true)) })),
    page: (i) => memory.subarray(i * pageSize, (i + 1) * pageSize),
  };
}

function parseNotes(bytes: Uint8Array): Map<number, DataView> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const notes = new Map<number, DataView>();
  for (let at = 0; at < bytes.length;) {
    const [nameSize, size, type] = [0, 4, 8].map((o) => view.getUint32(at + o, true)) as [number, number, number];
    assert(nameSize === 4 && String.fromCharCode(...bytes.subarray(at + 12, at + 16)) === 'Xen\0', 'a note of Xen');
    notes.set(type, new DataView(bytes.buffer, bytes.byteOffset + at + 16, size));
    at += 16 + size;
  }
  return notes;
}
