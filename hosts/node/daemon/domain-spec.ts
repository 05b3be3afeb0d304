// From a request to what a domain is made from.

import { readFileSync, statSync } from 'node:fs';
import { loadKernel, type KernelImage } from '#toolstack/builder/kernel-image.ts';
import type { Affinity } from '#toolstack/lifecycle/affinity.ts';
import { guestCommandLine } from '#toolstack/lifecycle/default-guest.ts';
import { DomainError } from '#toolstack/lifecycle/domains.ts';
import type { DomainSpec } from '#toolstack/lifecycle/managed-domain.ts';
import { parseCpuList } from '#toolstack/xlcfg/cpu-list.ts';
import { SpecError } from '#toolstack/xlcfg/settings-reader.ts';
import { NODE_DECOMPRESSORS } from '../decompressors.ts';
import { guestFile, reasonOf } from '../input-file.ts';
import type { CreateRequest } from './protocol.ts';

/** @throws DomainError */
export function specOf(request: CreateRequest): DomainSpec {
  const { kernel, ramdisk, cmdline, name, uuid = crypto.randomUUID(), cpus = [] } = request;
  const images = (): ReturnType<DomainSpec['images']> => {
    if (kernel === undefined) {
      return { kernel: kernelAt(guestFile('vmlinuz-xenith')), initrd: readFileSync(guestFile('initramfs.cpio.gz')), commandLine: guestCommandLine({ command: false, pipe: false, quiet: false, hostname: name, append: cmdline }) };
    }
    return { kernel: kernelAt(kernel), initrd: ramdisk === undefined ? undefined : readInput('ramdisk', ramdisk), commandLine: cmdline };
  };
  return { ...request, uuid, affinity: cpus.map(affinityOf), images };
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

/** Kernels that were unpacked last: most domains run the same one. */
const unpacked = new Map<string, KernelImage>();
const KEPT = 2;
function kernelAt(path: string): KernelImage {
  const about = statSync(path, { throwIfNoEntry: false });
  const key = `${path} ${about?.mtimeMs} ${about?.size}`;
  const image = unpacked.get(key) ?? loadKernel(readInput('kernel', path), NODE_DECOMPRESSORS);
  unpacked.delete(key);
  unpacked.set(key, image);
  for (const oldest of unpacked.keys()) if (unpacked.size > KEPT) unpacked.delete(oldest);
  return image;
}

function readInput(key: string, path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new DomainError(`${key} ${path}: ${reasonOf(error)}`);
  }
}
