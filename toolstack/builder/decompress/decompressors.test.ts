import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { crc32 as nodeCrc32, gzipSync, zstdCompressSync } from 'node:zlib';
import { BuilderError } from '../builder-error.ts';
import { COMPRESSED } from '../testing/compressed.ts';
import { sampleData } from '../testing/sample-data.ts';
import { crc32 } from './crc32.ts';
import { type Compression, compressionOf, DECOMPRESSORS, decompress } from './decompressors.ts';

const plain = sampleData();
const packed: Record<Compression, Uint8Array> = {
  gzip: new Uint8Array(gzipSync(plain)),
  zstd: withChecksum(),
  xz: base64(COMPRESSED.xz), lzma: base64(COMPRESSED.lzma), lz4: base64(COMPRESSED.lz4), bzip2: base64(COMPRESSED.bzip2), lzo: base64(COMPRESSED.lzo),
};

function base64(text: string): Uint8Array { return new Uint8Array(Buffer.from(text, 'base64')); }
function withChecksum(): Uint8Array { return new Uint8Array(zstdCompressSync(plain, { params: { 201: 1 } })); } // ZSTD_c_checksumFlag

/** Runs a decompressor on bad input: it gives the right length or refuses with our error. */
function survives(c: Compression, input: Uint8Array, size: number): Uint8Array | undefined {
  try { return decompress(c, input, size, DECOMPRESSORS); } catch (e) {
    if (e instanceof BuilderError && e.code === 'corrupt') return undefined;
    throw e;
  }
}

test('CRC-32', () => { for (const n of [0, 1, 7, 8, 9, 1000]) assert.equal(crc32(plain.subarray(3, 3 + n)), nodeCrc32(plain.subarray(3, 3 + n))); });

for (const c of Object.keys(packed) as Compression[]) {
  describe(c, () => {
    const input = packed[c];
    test('is told by its first bytes', () => assert.equal(compressionOf(input), c));
    test('decompresses', () => assert.ok(Buffer.from(decompress(c, input, plain.length, DECOMPRESSORS)).equals(plain)));
    test('decompresses the same with bytes behind it', { skip: ['gzip', 'zstd'].includes(c) && 'its checksum is taken from the end' }, () => {
      const longer = new Uint8Array(input.length + 9);
      longer.set(input);
      assert.ok(Buffer.from(decompress(c, longer, plain.length, DECOMPRESSORS)).equals(plain));
    });
    test('refuses another length', () => {
      for (const size of [plain.length - 1, plain.length + 1, 0, 100_000]) {
        // LZMA of unknown length ends where it is told to, and LZ4 need not begin
        if (c === 'lzma' && size < plain.length || c === 'lz4' && size === 0) continue;
        assert.ok(!survives(c, input, size), `${size}`);
      }
    });
    test('refuses a truncated input', () => {
      for (let n = 0; n < input.length - 12; n += 37) {
        const out = survives(c, input.slice(0, n), plain.length);
        assert.ok(!out || n > input.length - 60 && Buffer.from(out).equals(plain), `${n} bytes`); // xz: all but the index at its end
      }
    });
    test('survives corruption', () => {
      let seed = 99, unnoticed = 0;
      const random = (n: number): number => { seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0; return Math.floor(seed / 2 ** 32 * n); };
      for (let i = 0; i < 400; i++) {
        const bad = input.slice();
        for (let k = random(3); k >= 0; k--) bad[random(bad.length)] = random(256);
        const out = survives(c, bad, plain.length);
        if (out && !Buffer.from(out).equals(plain)) unnoticed++;
      }
      if (!['lz4', 'lzma'].includes(c)) assert.equal(unnoticed, 0); // these two have no checksum
    });
  });
}
