// Images of domains (toolstack/lifecycle/domain-image.ts), kept from one run of the program to the next, a file each: the length of what
// follows, in 4 bytes, the head as JSON, and the pages from a whole page on. They are the owner's to read and to write.

import { closeSync, fstatSync, futimesSync, mkdirSync, openSync, readdirSync, readSync, statSync, unlinkSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { DomainImage, ImageHead, PageReader } from '#toolstack/lifecycle/domain-image.ts';
import { KEPT } from './kept-bytes.ts';

/** Those that were used last; others go when one more comes. */
const MOST = 4;
const PAGE = 4096;
const PREFIX = 'image-';

interface Head {
  readonly image: ImageHead;
  /** of the pages */
  readonly bytes: number;
  /** of the image's head and its pages */
  readonly crc: number;
}

/**
 * Reads an image that was kept.
 * @param body is given the head and what reads the pages, which throws when they are not what they were
 * @returns undefined when there is none, or it is damaged
 */
export function withImage<T>(name: string, body: (head: ImageHead, read: PageReader) => T, folder = KEPT): T | undefined {
  let file: number;
  try {
    file = openSync(join(folder, PREFIX + name), 'r');
  } catch {
    return undefined;
  }
  try {
    const { head, start } = readHead(file);
    noteUse(file);
    let left = head.bytes, crc = crcOf(head.image);
    const read: PageReader = (into, from) => {
      for (let done = 0; done < into.length;) {
        const n = readSync(file, into, done, into.length - done, start + from + done);
        if (n === 0) throw new DamagedImage();
        done += n;
      }
      crc = crc32(into, crc);
      left -= into.length;
      if (left === 0 && crc !== head.crc) throw new DamagedImage();
    };
    return body(head.image, read);
  } catch (error) {
    if (error instanceof DamagedImage) return undefined;
    throw error;
  } finally {
    closeSync(file);
  }
}

class DamagedImage extends Error {}

const crcOf = (head: ImageHead): number => crc32(JSON.stringify(head));

function noteUse(file: number): void {
  const now = new Date();
  try {
    futimesSync(file, now, now);
  } catch {
    // it may be where nothing can be written
  }
}

function readHead(file: number): { head: Head; start: number } {
  const length = Buffer.alloc(4);
  readSync(file, length, 0, 4, 0);
  const { size } = fstatSync(file), bytes = length.readUInt32LE();
  if (bytes > size) throw new DamagedImage();
  const text = Buffer.alloc(bytes);
  readSync(file, text, 0, bytes, 4);
  try {
    const head = JSON.parse(text.toString()) as Head, start = pageAfter(4 + bytes);
    if (start + head.bytes !== size) throw new DamagedImage();
    return { head, start };
  } catch {
    throw new DamagedImage();
  }
}

const pageAfter = (n: number): number => Math.ceil(n / PAGE) * PAGE;

/** Keeps an image, in place of the one that was used least if there are many. What cannot be written is not kept. */
export async function keepImage(name: string, { head, pages }: DomainImage, folder = KEPT): Promise<void> {
  const text = Buffer.from(JSON.stringify({ image: head, bytes: pages.length, crc: crc32(pages, crcOf(head)) } satisfies Head));
  const first = Buffer.alloc(pageAfter(4 + text.length));
  first.writeUInt32LE(text.length);
  text.copy(first, 4);
  const path = join(folder, PREFIX + name), unfinished = `${path}.${process.pid}`;
  try {
    mkdirSync(folder, { recursive: true });
    makeRoom(folder);
    const file = await open(unfinished, 'w', 0o600);
    try {
      for (const bytes of [first, pages]) await file.writeFile(bytes);
    } finally {
      await file.close();
    }
    await rename(unfinished, path);
  } catch {
    // the program may lie where its user must not write, or the disk be full
    forget(unfinished);
  }
}

function makeRoom(folder: string): void {
  const old = readdirSync(folder).filter((name) => name.startsWith(PREFIX)).map((name) => join(folder, name)).map((path) => ({ path, used: statSync(path).mtimeMs }));
  for (const { path } of old.sort((a, b) => b.used - a.used).slice(MOST - 1)) forget(path);
}

function forget(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // another run has done so
  }
}
