// What each run of the program makes anew though it comes out the same: kept beside Node's compile cache (bin/node.mjs) from one run to
// the next. A file that is damaged, of other sources, or cannot be written costs time only.

import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../..');
const FOLDER = join(ROOT, 'node_modules/.cache/xenith/kept');
/** Layers that have a part in making them. */
const SOURCES = ['base', 'machine'];
/** bytes before the kept ones in a file */
const DIGEST = 32;

let sources: string | undefined;
/** Stands for the contents of the sources, as make(1) tells whether they changed. */
function sourcesKey(): string {
  if (sources !== undefined) return sources;
  const hash = createHash('sha256');
  for (const layer of SOURCES) {
    for (const file of readdirSync(join(ROOT, layer), { recursive: true, encoding: 'utf8' }).sort()) {
      const { size, mtimeMs } = statSync(join(ROOT, layer, file));
      hash.update(`${layer}/${file} ${size} ${mtimeMs}\n`);
    }
  }
  return sources = hash.digest('hex');
}

/** Of what was made by these sources. */
const digest = (bytes: Uint8Array): Buffer => createHash('sha256').update(sourcesKey()).update(bytes).digest();

/** @param path of the file, for tests */
export function keptBytes(name: string, make: () => Uint8Array, path = join(FOLDER, name)): Uint8Array {
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
