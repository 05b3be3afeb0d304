// What each run of the program makes anew though it comes out the same: kept beside Node's compile cache (bin/node.mjs) from one run to
// the next. A file that is damaged, of other sources, or cannot be written costs time only.

import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ROOT } from './root.ts';

export const KEPT: string = join(ROOT, 'node_modules/.cache/xenith/kept');
/** Layers that have a part in making them. */
const SOURCES = ['base', 'machine'];
/** bytes before the kept ones in a file */
const DIGEST = 32;

/** Stands for the contents of folders of the program, as make(1) tells whether they changed. */
export function sourcesKey(folders: readonly string[]): string {
  const hash = createHash('sha256');
  for (const folder of folders) {
    for (const file of readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).sort()) {
      const { size, mtimeMs } = statSync(join(ROOT, folder, file));
      hash.update(`${folder}/${file} ${size} ${mtimeMs}\n`);
    }
  }
  return hash.digest('hex');
}
let sources: string | undefined;

/** Of what was made by these sources. */
const digest = (bytes: Uint8Array): Buffer => createHash('sha256').update(sources ??= sourcesKey(SOURCES)).update(bytes).digest();

/** @param path of the file, for tests */
export function keptBytes(name: string, make: () => Uint8Array, path = join(KEPT, name)): Uint8Array {
  try {
    const file = readFileSync(path), bytes = file.subarray(DIGEST);
    if (digest(bytes).equals(file.subarray(0, DIGEST))) return bytes;
  } catch {
    // it was not kept yet
  }
  const bytes = make();
  try {
    mkdirSync(dirname(path), { recursive: true });
    const unfinished = `${path}.${process.pid}`;
    writeFileSync(unfinished, Buffer.concat([digest(bytes), bytes]));
    renameSync(unfinished, path);
  } catch {
    // the program may lie where its user must not write
  }
  return bytes;
}
