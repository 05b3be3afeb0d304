// The compressions of a kernel payload, as functions. gzip and zstd come from npm (fflate, fzstd: small, alive, pure
// JavaScript). The others are ours: of the npm packages tried in November 2026 none decodes a kernel's xz payload
// (it goes through the x86 branch filter, which the WebAssembly builds leave out; the one complete package fetches a
// native module when first called), bzip2 packages need Node's Buffer, and LZ4's legacy stream and lzop's container
// have none. A host may put faster ones in place (node:zlib has gzip and zstd).

import { gunzipSync } from 'fflate';
import { decompress as unzstd } from 'fzstd';
import { messageOf } from '#base/error-text.ts';
import { BuilderError } from '../builder-error.ts';
import { bunzip2 } from './bzip2.ts';
import { crc32 } from './crc32.ts';
import { unlz4Legacy } from './lz4.ts';
import { unlzma } from './lzma.ts';
import { unlzop } from './lzo.ts';
import { unxz } from './xz.ts';
import { xxh64Low } from './xxh64.ts';

/** @param size bytes that must come out; fewer, more, or bad input: any exception */
export type Decompress = (input: Uint8Array, size: number) => Uint8Array;
export type Compression = 'gzip' | 'xz' | 'lzma' | 'lz4' | 'zstd' | 'bzip2' | 'lzo';
export type Decompressors = Readonly<Record<Compression, Decompress>>;

export const DECOMPRESSORS: Decompressors = {
  gzip: gunzip, xz: unxz, lzma: unlzma, lz4: unlz4Legacy, bzip2: bunzip2, lzo: unlzop,
  zstd,
};

/** First bytes of each format (Linux, lib/decompress.c, tells payloads apart by the same). */
const MAGIC: readonly (readonly [Compression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['lzma', [0x5d, 0x00, 0x00]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['lzo', [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a]],
  ['lz4', [0x02, 0x21, 0x4c, 0x18]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
];

/** The compression that the first bytes tell of; undefined when none that we know. */
export function compressionOf(bytes: Uint8Array): Compression | undefined {
  return MAGIC.find(([, magic]) => magic.every((b, i) => bytes[i] === b))?.[0];
}

/**
 * Decompresses and checks the length.
 * @throws BuilderError 'corrupt' for whatever the decompressor finds wrong
 */
export function decompress(compression: Compression, input: Uint8Array, size: number, with_: Decompressors): Uint8Array {
  let output: Uint8Array;
  try {
    output = with_[compression](input, size);
  } catch (e) {
    throw new BuilderError('corrupt', `${compression} data does not decompress: ${messageOf(e)}`);
  }
  if (output.length !== size) throw new BuilderError('corrupt', `${compression} data decompresses to ${output.length} bytes instead of ${size}`);
  return output;
}

function gunzip(input: Uint8Array, size: number): Uint8Array {
  const output = gunzipSync(input, { out: new Uint8Array(size + 1) }); // it drops silently what does not fit: one byte more shows it
  const trailer = new DataView(input.buffer, input.byteOffset + input.length - 8, 8);
  if (crc32(output) !== trailer.getUint32(0, true)) throw new Error('checksum differs');
  return output;
}

/** The library says nothing of the output's length: it is the frame's checksum that tells whether `size` was right. */
function zstd(input: Uint8Array, size: number): Uint8Array {
  const output = unzstd(input, new Uint8Array(size));
  const checksummed = ((input[4] as number) & 4) !== 0;
  const checksum = new DataView(input.buffer, input.byteOffset + input.length - 4, 4).getUint32(0, true);
  if (checksummed && xxh64Low(output) !== checksum) throw new Error('checksum differs');
  return output;
}
