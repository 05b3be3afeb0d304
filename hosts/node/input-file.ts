// Files that a user names, and those of the default guest.

import { join } from 'node:path';
import { ROOT } from './root.ts';

const REASONS: Readonly<Record<string, string>> = { ENOENT: 'no such file', EACCES: 'permission denied', EISDIR: 'is a directory' };

/** Why a file could not be read, in a few words. */
export function reasonOf(error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return REASONS[code] ?? message;
}
/** Path of a file of the default guest. */
export function guestFile(name: 'vmlinuz-xenith' | 'initramfs.cpio.gz'): string { return join(ROOT, 'guest/dist', name); }
