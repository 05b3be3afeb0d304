// From a request to what a domain is made from.

import { readFileSync } from 'node:fs';
import { guestCommandLine } from '#toolstack/lifecycle/default-guest.ts';
import { DomainError, type DomainSpec } from '#toolstack/lifecycle/domains.ts';
import type { CreateRequest } from './protocol.ts';

/** @throws DomainError */
export function specOf(request: CreateRequest): DomainSpec {
  const { name, memory, vcpus, weight, cap, onPoweroff, onReboot, onCrash, kernel, ramdisk, cmdline } = request;
  const images = (): ReturnType<DomainSpec['images']> => {
    if (kernel === undefined) {
      return { kernel: readFileSync(part('vmlinuz-xenith')), initrd: readFileSync(part('initramfs.cpio.gz')), commandLine: guestCommandLine({ command: false, pipe: false, quiet: false, hostname: name, append: cmdline }) };
    }
    return { kernel: readInput('kernel', kernel), initrd: ramdisk === undefined ? undefined : readInput('ramdisk', ramdisk), commandLine: cmdline };
  };
  return { name, uuid: request.uuid ?? crypto.randomUUID(), memory, vcpus, weight, cap, onPoweroff, onReboot, onCrash, images };
}
const part = (name: string): URL => new URL(`../../../guest/dist/${name}`, import.meta.url);

function readInput(key: string, path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new DomainError(`${key} ${path}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'no such file' : (error as Error).message}`);
  }
}
