// The initrd on its way into memory. A gzipped one is unzipped here, as Xen's builder does: the guest's CPU is the
// slowest place for it. What is not one plain gzip member stays as it is; Linux unpacks it itself.

import { BuilderError } from './builder-error.ts';
import { compressionOf, decompress, type Decompressors } from './decompress/decompressors.ts';

/**
 * @param limit bytes that an unzipped initrd may have at the most
 * @returns undefined when the initrd is to be used as it is
 */
export function gunzipInitrd(initrd: Uint8Array, limit: number, decompressors: Decompressors): Uint8Array | undefined {
  if (compressionOf(initrd) !== 'gzip' || initrd.length < 18) return undefined;
  const size = new DataView(initrd.buffer, initrd.byteOffset + initrd.length - 4, 4).getUint32(0, true);
  if (size > limit) return undefined;
  try {
    return decompress('gzip', initrd, size, decompressors);
  } catch (e) {
    if (e instanceof BuilderError) return undefined;
    throw e;
  }
}
