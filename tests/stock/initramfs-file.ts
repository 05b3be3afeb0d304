// Where the initramfs of stock guests lies while the tests of a file run.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { busyboxInitramfs, missingGuests } from './guests.ts';

/** Writes it; it goes when the tests have ended. @param init as busyboxInitramfs has it @returns its path @throws Error when the stock guests are missing */
export function initramfsFile(init?: string): string {
  const missing = missingGuests();
  if (missing !== undefined) throw new Error(missing);
  const folder = mkdtempSync(join(tmpdir(), 'xenith-stock-'));
  after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'initramfs.cpio');
  writeFileSync(path, busyboxInitramfs(init));
  return path;
}
