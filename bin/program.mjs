// The program as a few files instead of three hundred, which load in a third of the time (0.09 s instead of 0.3; 2026-11, Node 26.10).
// esbuild puts them together when the sources have changed, beside Node's compile cache. Where it is not installed, or the folder
// cannot be written to, the sources are loaded as they are, as they are when XENITH_SOURCES is set.

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { CACHE, ROOT } from './node.mjs';

const LAYERS = ['base', 'abi', 'machine', 'hypervisor', 'devices', 'toolstack', 'hosts'];
const ENTRIES = { main: 'hosts/node/cli/main.ts', 'compile-worker': 'hosts/node/compile-worker.ts', 'cpu-worker': 'hosts/node/daemon/cpu-worker.ts' };
const PREFIX = 'program-';
/** Those of earlier sources may still run. */
const MOST = 4;

/** Imports an entry of the program. Workers take the program of who has started them. */
export async function load(entry) {
  const folder = process.env.XENITH_PROGRAM ??= process.env.XENITH_SOURCES ? '' : await assembled();
  return import(pathToFileURL(folder === '' ? join(ROOT, ENTRIES[entry]) : join(folder, `${entry}.mjs`)).href);
}

/** The folder that the files are in; empty: there is none. */
async function assembled() {
  const folder = join(CACHE, PREFIX + key());
  if (existsSync(folder)) return folder;
  const unfinished = `${folder}.${process.pid}`;
  try {
    const { buildSync } = await import('esbuild');
    buildSync({
      absWorkingDir: ROOT, entryPoints: ENTRIES, outdir: unfinished, outExtension: { '.js': '.mjs' }, bundle: true, splitting: true, format: 'esm', platform: 'node', target: 'node24', logLevel: 'silent',
      define: { 'import.meta.dirname': JSON.stringify(join(ROOT, 'hosts/node')) }, // hosts/node/root.ts, the only file that asks
    });
    makeRoom();
    renameSync(unfinished, folder);
    return folder;
  } catch {
    rmSync(unfinished, { recursive: true, force: true });
    return existsSync(folder) ? folder : ''; // another process may have been faster
  }
}

/** Stands for the sources and their contents, as make(1) tells whether they changed. */
function key() {
  const hash = createHash('sha256').update(ROOT);
  const add = (path) => {
    const { size, mtimeMs } = statSync(join(ROOT, path));
    hash.update(`${path} ${size} ${mtimeMs}\n`);
  };
  add('package-lock.json');
  for (const layer of LAYERS) for (const file of readdirSync(join(ROOT, layer), { recursive: true }).sort()) if (/(?<!\.test)\.(ts|json)$/.test(file)) add(join(layer, file));
  return hash.digest('hex').slice(0, 32);
}

function makeRoom() {
  const old = readdirSync(CACHE).filter((name) => name.startsWith(PREFIX)).map((name) => join(CACHE, name)).map((path) => ({ path, made: statSync(path).mtimeMs }));
  for (const { path } of old.sort((a, b) => b.made - a.made).slice(MOST)) rmSync(path, { recursive: true, force: true });
}
