// Node's own gzip and zstd, about three times as fast as those in JavaScript.

import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { DECOMPRESSORS, type Decompressors } from '#toolstack/builder/decompress/decompressors.ts';

export const NODE_DECOMPRESSORS: Decompressors = {
  ...DECOMPRESSORS,
  gzip: (input, size) => gunzipSync(input, { maxOutputLength: size + 1 }),
  zstd: (input, size) => zstdDecompressSync(input, { maxOutputLength: size + 1 }),
};
