import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { decompress } from '#toolstack/builder/decompress/decompressors.ts';
import { NODE_DECOMPRESSORS } from './decompressors.ts';

const plain = new Uint8Array(50_000).map((_, i) => i * i >>> 5);
for (const [name, packed] of [['gzip', gzipSync(plain)], ['zstd', zstdCompressSync(plain)]] as const) {
  test(name, () => {
    assert.ok(Buffer.from(decompress(name, packed, plain.length, NODE_DECOMPRESSORS)).equals(plain));
    for (const size of [0, 10, plain.length - 1, plain.length + 1]) assert.throws(() => decompress(name, packed, size, NODE_DECOMPRESSORS), { code: 'corrupt' });
    assert.throws(() => decompress(name, packed.subarray(0, 900), plain.length, NODE_DECOMPRESSORS), { code: 'corrupt' });
  });
}
