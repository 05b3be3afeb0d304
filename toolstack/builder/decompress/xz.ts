// The .xz container (xz-file-format.txt, version 1.2): one stream of blocks, each LZMA2 with an optional x86 branch
// filter before it; that is what Linux packs kernels with ("xz --check=crc32 --x86 --lzma2=…"). Headers are checked
// by their CRC-32, blocks by theirs where the stream has CRC-32 checks; CRC-64 and SHA-256 are passed over.

import { crc32 } from './crc32.ts';
import { LzmaDecoder } from './lzma.ts';
import { unfilterX86 } from './x86-filter.ts';

const CHECK_SIZE = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64] as const;
const CHECK_CRC32 = 1;
const FILTER_X86 = 4, FILTER_LZMA2 = 0x21;

export function unxz(input: Uint8Array, size: number): Uint8Array {
  const output = new Uint8Array(size);
  const view = new DataView(input.buffer, input.byteOffset, input.length);
  if (crc32(input.subarray(6, 8)) !== view.getUint32(8, true) || view.getUint8(6) !== 0 || view.getUint8(7) > 15) throw new Error('bad xz stream header');
  const check = view.getUint8(7);
  let from = 12, to = 0;
  while (view.getUint8(from) !== 0) {
    const header = blockHeader(input, view, from);
    const end = lzma2(input, header.end, output, to);
    const block = output.subarray(to, end.to);
    if (header.x86) unfilterX86(block, header.x86Start);
    from = end.from + (-(end.from - from) & 3);
    if (check === CHECK_CRC32 && crc32(block) !== view.getUint32(from, true)) throw new Error('xz block checksum differs');
    from += CHECK_SIZE[check] as number;
    to = end.to;
  }
  return output.subarray(0, to);
}

interface BlockHeader { end: number; x86: boolean; x86Start: number }

function blockHeader(input: Uint8Array, view: DataView, at: number): BlockHeader {
  const end = at + (view.getUint8(at) + 1) * 4;
  if (crc32(input.subarray(at, end - 4)) !== view.getUint32(end - 4, true)) throw new Error('bad xz block header');
  let p = at + 2;
  const number = (): number => {
    let value = 0, shift = 0, b: number;
    do { b = view.getUint8(p++); value += (b & 127) * 2 ** shift; shift += 7; } while (b & 128 && shift < 63);
    return value;
  };
  const flags = view.getUint8(at + 1);
  if (flags & 0x40) number(); // compressed size
  if (flags & 0x80) number(); // uncompressed size
  const filters = Array.from({ length: (flags & 3) + 1 }, () => {
    const id = number(), length = number(), properties = p;
    p += length;
    return { id, length, properties };
  });
  if (filters.pop()?.id !== FILTER_LZMA2) throw new Error('xz block without LZMA2');
  if (filters.some((f) => f.id !== FILTER_X86) || filters.length > 1) throw new Error('xz filter that is not for x86');
  const [x86] = filters;
  return { end, x86: x86 !== undefined, x86Start: x86?.length === 4 ? view.getUint32(x86.properties, true) : 0 };
}

/** LZMA2: chunks, each raw or LZMA with what it resets in the control byte's top three bits. */
function lzma2(input: Uint8Array, from: number, output: Uint8Array, to: number): { from: number; to: number } {
  const decoder = new LzmaDecoder(output);
  decoder.to = decoder.dictionary = to;
  const word = (at: number): number => ((input[at] ?? 0) << 8 | (input[at + 1] ?? 0)) + 1;
  let needProperties = true;
  for (;;) {
    if (from >= input.length) throw new Error('LZMA2 data ends early');
    const control = input[from++] as number;
    if (control === 0) return { from, to: decoder.to };
    if (control === 1 || control >= 0xe0) decoder.dictionary = decoder.to;
    if (control < 0x80) {
      if (control > 2) throw new Error('bad LZMA2 control byte');
      const length = word(from);
      from += 2;
      if (from + length > input.length) throw new Error('LZMA2 chunk ends early');
      output.set(input.subarray(from, from + length), decoder.to);
      decoder.to += length;
      from += length;
      continue;
    }
    const limit = decoder.to + ((control & 0x1f) << 16) + word(from);
    const end = from + word(from + 2);
    from += 4;
    if (control >= 0xc0) { decoder.setProperties(input[from++] ?? 255); needProperties = false; }
    else if (control >= 0xa0) decoder.resetState();
    if (needProperties || limit > output.length) throw new Error('bad LZMA2 chunk');
    decoder.start(input, from);
    if (!decoder.decode(limit) || !decoder.finished) throw new Error('bad end of LZMA2 chunk');
    from = decoder.from;
    if (from > end + 6) throw new Error('LZMA2 chunk longer than it says');
  }
}
