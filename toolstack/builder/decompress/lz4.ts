// LZ4's legacy stream ("lz4 -l", what Linux packs kernels with): the magic, then blocks of up to 8 MiB, each a length
// and an independent LZ4 block (lz4_Frame_format.md, "Legacy frame"; lz4_Block_format.md).

const LEGACY_MAGIC = 0x184c2102;
const LEGACY_BLOCK = 8 << 20;

export function unlz4Legacy(input: Uint8Array, size: number): Uint8Array {
  const output = new Uint8Array(size);
  const view = new DataView(input.buffer, input.byteOffset, input.length);
  let from = 0, to = 0;
  while (to < size) {
    let length = view.getUint32(from, true);
    from += 4;
    if (length === LEGACY_MAGIC) continue;
    if (length > input.length - from) throw new Error('LZ4 block longer than the stream');
    to = block(input, from, from + length, output, to, Math.min(size, to + LEGACY_BLOCK));
    from += length;
  }
  return output;
}

/** Decodes the block [from, end) to `output` at `to`, never past `limit`. Returns the end of what it wrote. */
function block(input: Uint8Array, from: number, end: number, output: Uint8Array, to: number, limit: number): number {
  const start = to;
  for (;;) {
    if (from >= end) throw new Error('LZ4 block ends early');
    const token = input[from++] as number;
    let literals = token >>> 4;
    if (literals === 15) { let b; do { b = input[from++] ?? 0; literals += b; } while (b === 255); }
    if (from + literals > end || to + literals > limit) throw new Error('LZ4 literals out of bounds');
    if (literals > 64) output.set(input.subarray(from, from + literals), to);
    else for (let i = 0; i < literals; i++) output[to + i] = input[from + i] as number;
    from += literals;
    to += literals;
    if (from >= end) return to; // the last sequence has no match

    const offset = (input[from] as number) | (input[from + 1] ?? 0) << 8;
    from += 2;
    let length = (token & 15) + 4;
    if (length === 19) { let b; do { b = input[from++] ?? 0; length += b; } while (b === 255); }
    if (offset === 0 || to - offset < start || to + length > limit) throw new Error('LZ4 match out of bounds');
    if (length > 64 && offset >= length) output.copyWithin(to, to - offset, to - offset + length);
    else for (let i = 0; i < length; i++) output[to + i] = output[to - offset + i] as number;
    to += length;
  }
}
