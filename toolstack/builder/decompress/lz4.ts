// LZ4's legacy stream ("lz4 -l", what Linux packs kernels with): the magic, then blocks of up to 8 MiB, each a length
// and an independent LZ4 block (lz4_Frame_format.md, "Legacy frame"; lz4_Block_format.md).

import type { WasmMemory } from '#base/webassembly.ts';
import { lz4Decoder, SLACK } from './lz4-block.ts';

const LEGACY_MAGIC = 0x184c2102;
const LEGACY_BLOCK = 8 << 20;

/** @param prepare gets the memory that the output will be in, before anything is */
export function unlz4Legacy(input: Uint8Array, size: number, prepare?: (memory: WasmMemory) => void): Uint8Array {
  const output = input.length + SLACK; // the input, and what may be read behind it, come first
  const { bytes, block } = lz4Decoder(output + size + SLACK, prepare);
  bytes.set(input);
  const view = new DataView(bytes.buffer);
  let from = 0, to = output;
  const end = output + size;
  while (to < end) {
    const length = view.getUint32(from, true);
    from += 4;
    if (length === LEGACY_MAGIC) continue;
    if (length > input.length - from) throw new Error('LZ4 block longer than the stream');
    to = block(from, from + length, to, Math.min(end, to + LEGACY_BLOCK));
    if (to < 0) throw new Error('LZ4 block is damaged');
    from += length;
  }
  return bytes.subarray(output, end);
}
