// From a request to what a domain is made from.

import { readFileSync, statSync } from 'node:fs';
import { commonBytes } from '#toolstack/builder/common-bytes.ts';
import { gunzipInitrd } from '#toolstack/builder/initrd.ts';
import { loadKernel, type KernelImage } from '#toolstack/builder/kernel-image.ts';
import type { Affinity } from '#toolstack/lifecycle/affinity.ts';
import { guestCommandLine } from '#toolstack/lifecycle/default-guest.ts';
import { DomainError } from '#toolstack/lifecycle/domains.ts';
import type { DomainImages } from '#toolstack/lifecycle/make-domain.ts';
import type { DomainSpec } from '#toolstack/lifecycle/managed-domain.ts';
import { parseCpuList } from '#toolstack/xlcfg/cpu-list.ts';
import { SpecError } from '#toolstack/xlcfg/settings-reader.ts';
import { NODE_DECOMPRESSORS } from '../decompressors.ts';
import { guestFile, reasonOf } from '../input-file.ts';
import { commonMemories } from '../memory-map.ts';
import type { KeptRequest } from './domain-records.ts';

/** @throws DomainError */
export function specOf(request: KeptRequest): DomainSpec {
  const { kernel, ramdisk, cmdline, name, cpus = [], maxmem = request.memory, maxvcpus = request.vcpus } = request;
  const images = (): ReturnType<DomainSpec['images']> => {
    if (kernel === undefined) {
      const commandLine = guestCommandLine({ command: false, pipe: false, quiet: false, hostname: name, append: cmdline });
      return { kernel: kernelAt(guestFile('vmlinuz-xenith')), ...initrdAt(guestFile('initramfs.cpio.gz')), commandLine };
    }
    return { kernel: kernelAt(kernel), ...(ramdisk === undefined ? {} : initrdAt(ramdisk)), commandLine: cmdline };
  };
  return { ...request, maxmem, maxvcpus, affinity: cpus.map(affinityOf), images };
}
/** @param text as in xl.cfg @throws DomainError */
export function affinityOf(text: string): Affinity {
  try {
    return text === 'all' ? undefined : parseCpuList(text);
  } catch (error) {
    if (error instanceof SpecError) throw new DomainError(`cpus: ${error.message}`);
    throw error;
  }
}

/** Images that were read last: most domains are made from the same ones. Their bytes are in memory that all threads share. */
const read = new Map<string, unknown>();
const KEPT = 4;
function remembered<T>(kind: string, path: string, make: () => T): T {
  const about = statSync(path, { throwIfNoEntry: false });
  const key = `${kind} ${path} ${about?.mtimeMs} ${about?.size}`;
  const image = read.has(key) ? read.get(key) as T : make();
  read.delete(key);
  read.set(key, image);
  for (const oldest of read.keys()) if (read.size > KEPT) read.delete(oldest);
  return image;
}
const kernelAt = (path: string): KernelImage => remembered('kernel', path, () => {
  const image = loadKernel(readInput('kernel', path), NODE_DECOMPRESSORS);
  return { ...image, segments: image.segments.map((s) => ({ ...s, ...commonBytes(s.bytes, s.at, commonMemories()) })) };
});
const initrdAt = (path: string): Pick<DomainImages, 'initrd' | 'unzippedInitrd'> => remembered('ramdisk', path, () => {
  const packed = readInput('ramdisk', path);
  const unzipped = gunzipInitrd(packed, MOST_UNZIPPED, NODE_DECOMPRESSORS);
  return { initrd: commonBytes(packed, 0, undefined).bytes, unzippedInitrd: unzipped && commonBytes(unzipped, 0, commonMemories()) };
});
/** What is larger is unzipped by who needs it. */
const MOST_UNZIPPED = 256 << 20;

function readInput(key: string, path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new DomainError(`${key} ${path}: ${reasonOf(error)}`);
  }
}
