// Linux's bzImage (Documentation/x86/boot.rst): a boot sector with a header, the real-mode part, and a protected-mode
// part that carries the kernel's ELF file as its payload, compressed. A PV domain takes the payload only.

import { BuilderError } from './builder-error.ts';
import { compressionOf, decompress, type Decompressors } from './decompress/decompressors.ts';
import { isElf } from './elf.ts';

const SETUP_SECTS = 0x1f1, BOOT_FLAG = 0x1fe, HEADER = 0x202, VERSION = 0x206, PAYLOAD_OFFSET = 0x248, PAYLOAD_LENGTH = 0x24c;
const HDRS = 0x53726448; // "HdrS"
const VERSION_WITH_PAYLOAD = 0x208;
/** A larger kernel than this is a corrupt length field. */
const MAX_KERNEL = 512 << 20;

export function isBzImage(bytes: Uint8Array): boolean {
  if (bytes.length < 0x250) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return view.getUint16(BOOT_FLAG, true) === 0xaa55 && view.getUint32(HEADER, true) === HDRS;
}

/**
 * The ELF file in a bzImage.
 * @throws BuilderError
 */
export function extractPayload(bytes: Uint8Array, decompressors: Decompressors): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint16(VERSION, true) < VERSION_WITH_PAYLOAD) throw new BuilderError('not-a-kernel', 'the bzImage is older than boot protocol 2.08 (Linux 2.6.26) and has no payload');
  const start = ((view.getUint8(SETUP_SECTS) || 4) + 1) * 512 + view.getUint32(PAYLOAD_OFFSET, true);
  const length = view.getUint32(PAYLOAD_LENGTH, true);
  if (start + length > bytes.length) throw new BuilderError('truncated', `the bzImage is truncated: its payload ends at byte ${start + length} of ${bytes.length}`);
  return unpack(bytes.subarray(start, start + length), decompressors);
}

/** Decompresses a payload. Its last four bytes are the size: a gzip file ends so, to the others Linux appends it. */
export function unpack(payload: Uint8Array, decompressors: Decompressors): Uint8Array {
  if (isElf(payload)) return payload;
  const compression = compressionOf(payload);
  if (compression === undefined) {
    const magic = Array.from(payload.subarray(0, 6), (b) => b.toString(16).padStart(2, '0')).join(' ');
    throw new BuilderError('unsupported-compression', `the bzImage's payload is compressed in a way that is not known (it begins with ${magic})`);
  }
  if (payload.length < 22) throw new BuilderError('truncated', 'the compressed kernel is truncated');
  const size = new DataView(payload.buffer, payload.byteOffset + payload.length - 4, 4).getUint32(0, true);
  if (size > MAX_KERNEL) throw new BuilderError('corrupt', `the compressed kernel claims to be ${size} bytes long`);
  return decompress(compression, compression === 'gzip' ? payload : payload.subarray(0, -4), size, decompressors);
}
