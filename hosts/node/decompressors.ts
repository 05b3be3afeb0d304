// Node's own gzip and zstd: three times as fast and more as those in JavaScript (2026-11, Node 26.10, a 53 MB kernel).

import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { DECOMPRESSORS, type Decompressors } from '#toolstack/builder/decompress/decompressors.ts';

export const NODE_DECOMPRESSORS: Decompressors = {
  ...DECOMPRESSORS,
  gzip: (input, size) => gunzipSync(input, { maxOutputLength: size + 1 }),
  zstd: (input, size) => zstdDecompressSync(input, { maxOutputLength: size + 1 }),
};
