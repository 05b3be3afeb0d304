// LZO1X in lzop's container ("lzop -9", what Linux packs kernels with). The instruction stream is after Linux's
// Documentation/staging/lzo.rst (version 0: lzop does not write LZO-RLE); the container after lzop's file format:
// a header, then blocks of at most 256 KiB with their lengths and checksums, ended by a zero length.

const FLAG = { adler32Output: 0x1, adler32Input: 0x2, extraField: 0x40, crc32Output: 0x100, crc32Input: 0x200, filter: 0x800 } as const;
const VERSION_WITH_LEVEL = 0x940;

export function unlzop(input: Uint8Array, size: number): Uint8Array {
  const output = new Uint8Array(size);
  const view = new DataView(input.buffer, input.byteOffset, input.length);
  const { end, flags } = header(view);
  const outputChecks = 4 * (Number((flags & FLAG.adler32Output) !== 0) + Number((flags & FLAG.crc32Output) !== 0));
  const inputChecks = 4 * (Number((flags & FLAG.adler32Input) !== 0) + Number((flags & FLAG.crc32Input) !== 0));
  let from = end, to = 0;
  for (;;) {
    const plain = view.getUint32(from);
    if (plain === 0) return output.subarray(0, to);
    const packed = view.getUint32(from + 4);
    const checks = from + 8;
    from = checks + outputChecks + (packed < plain ? inputChecks : 0);
    if (packed > plain || from + packed > input.length || to + plain > size) throw new Error('bad lzop block');
    if (packed === plain) output.set(input.subarray(from, from + packed), to);
    else if (lzo1x(input, from, from + packed, output, to, to + plain) !== to + plain) throw new Error('lzop block of another length');
    if (flags & FLAG.adler32Output && adler32(output, to, to + plain) !== view.getUint32(checks)) throw new Error('lzop block checksum differs');
    from += packed;
    to += plain;
  }
}

function header(view: DataView): { end: number; flags: number } {
  const version = view.getUint16(9);
  let p = version >= VERSION_WITH_LEVEL ? 17 : 16;
  const flags = view.getUint32(p);
  if (flags & FLAG.extraField) throw new Error('lzop header with an extra field');
  p += flags & FLAG.filter ? 8 : 4;
  p += version >= VERSION_WITH_LEVEL ? 12 : 8; // mode, times
  return { end: p + 1 + view.getUint8(p) + 4, flags };
}

/** Decodes one block to [to, limit). Returns the end of what it wrote. */
function lzo1x(input: Uint8Array, from: number, end: number, output: Uint8Array, to: number, limit: number): number {
  const start = to;
  const next = (): number => { if (from >= end) throw new Error('LZO data ends early'); return input[from++] as number; };
  const longer = (base: number): number => { let n = base, b: number; while ((b = next()) === 0) n += 255; return n + b; };
  const literals = (n: number): void => {
    if (from + n > end || to + n > limit) throw new Error('LZO literals out of bounds');
    output.set(input.subarray(from, from + n), to);
    from += n;
    to += n;
  };
  const copy = (distance: number, n: number): void => {
    if (to - distance < start || to + n > limit) throw new Error('LZO match out of bounds');
    for (let i = 0; i < n; i++, to++) output[to] = output[to - distance] as number;
  };

  /** literals copied by the last instruction: 0 to 3, or 4 for more */
  let state = 0;
  const first = input[from] ?? 0;
  if (first > 17) { from++; literals(first - 17); state = Math.min(first - 17, 4); }
  for (;;) {
    const op = next();
    let low = op & 3;
    if (op >= 64) {
      copy((next() << 3) + (op >> 2 & 7) + 1, op >= 128 ? 5 + (op >> 5 & 3) : 3 + (op >> 5 & 1));
    } else if (op >= 16) {
      const near = op >= 32;
      const mask = near ? 31 : 7;
      const length = 2 + (op & mask || longer(mask));
      const word = next() | next() << 8;
      low = word & 3;
      const distance = near ? (word >> 2) + 1 : 0x4000 + ((op & 8) << 11) + (word >> 2);
      if (!near && distance === 0x4000) return to;
      copy(distance, length);
    } else if (state === 0) {
      literals(3 + (op || longer(15)));
      state = 4;
      continue;
    } else if (state === 4) {
      copy((next() << 2) + (op >> 2) + 2049, 3);
    } else {
      copy((next() << 2) + (op >> 2) + 1, 2);
    }
    literals(low);
    state = low;
  }
}

function adler32(bytes: Uint8Array, from: number, to: number): number {
  let a = 1, b = 0;
  while (from < to) {
    for (const end = Math.min(to, from + 5552); from < end; from++) b += a += bytes[from] as number;
    a %= 65521;
    b %= 65521;
  }
  return (b << 16 | a) >>> 0;
}
