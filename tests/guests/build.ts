// The small test guests: how they are built with gcc, and the prebuilt ones for machines without it.
//
//   node tests/guests/build.ts      builds all into prebuilt/, after a change of the sources
//
// prebuilt/manifest.json says of which sources (SHA-256) and with which tools they were built, so that a test can tell
// when they are out of date, with gcc or without.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';

const SOURCES = join(import.meta.dirname, 'src');
const PREBUILT = join(import.meta.dirname, 'prebuilt');
const FLAGS = [
  '-O2', '-std=gnu11', '-Wall', '-Wextra', '-Werror', '-ffreestanding', '-fno-pic', '-no-pie', '-static', '-nostdlib', '-s',
  '-fno-stack-protector', '-fno-asynchronous-unwind-tables', '-fcf-protection=none', '-mno-red-zone', '-mno-sse', '-mcmodel=kernel',
];
const LINK = '-Wl,-T,guest.lds,-n,--build-id=none,--no-warn-rwx-segments';
/** Files that every guest is made of; each other C file is a guest. */
const SHARED = ['start.S', 'lib.c'];
/** Built a second time with a hypercall page, as NAME-page. */
const WITH_PAGE: ReadonlySet<string> = new Set(['hypercalls']);

export interface Manifest {
  readonly tools: string;
  /** SHA-256 by file name */
  readonly sources: Readonly<Record<string, string>>;
  /** SHA-256 of the ELF files by name */
  readonly images: Readonly<Record<string, string>>;
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Compiler and linker; undefined without them. */
export function tools(): string | undefined {
  const version = (tool: string): string => execFileSync(tool, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split('\n', 1)[0] ?? '';
  try {
    return `${version('gcc')}; ${version('ld')}`;
  } catch {
    return undefined;
  }
}

/** SHA-256 of every source file, by name. */
export function sourceHashes(): Record<string, string> {
  const files = readdirSync(SOURCES).filter((f) => /\.([chS]|lds)$/.test(f)).sort();
  return Object.fromEntries(files.map((f) => [f, sha256(readFileSync(join(SOURCES, f)))]));
}

export const manifest = (): Manifest => JSON.parse(readFileSync(join(PREBUILT, 'manifest.json'), 'utf8')) as Manifest;

/** A prebuilt guest, gzipped: the domain builder takes it so. */
export const prebuilt = (name: string): Uint8Array => new Uint8Array(readFileSync(join(PREBUILT, `${name}.elf.gz`)));
export const unzipped = (name: string): Uint8Array => new Uint8Array(gunzipSync(prebuilt(name)));

/** Builds every guest. @returns the ELF files by name */
export function buildGuests(): Map<string, Uint8Array> {
  const directory = mkdtempSync(join(tmpdir(), 'xenith-guests-'));
  try {
    return new Map(guestNames().map((name) => [name, build(name, directory)]));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function guestNames(): string[] {
  const plain = readdirSync(SOURCES).filter((f) => f.endsWith('.c') && !SHARED.includes(f)).map((f) => f.slice(0, -2)).sort();
  return plain.flatMap((name) => (WITH_PAGE.has(name) ? [name, `${name}-page`] : [name]));
}

function build(name: string, directory: string): Uint8Array {
  const output = join(directory, name);
  const page = name.endsWith('-page');
  const source = `${page ? name.slice(0, -'-page'.length) : name}.c`;
  execFileSync('gcc', [...FLAGS, ...(page ? ['-DHYPERCALL_PAGE'] : []), LINK, '-o', output, ...SHARED, source], { cwd: SOURCES, stdio: ['ignore', 'inherit', 'inherit'] });
  return new Uint8Array(readFileSync(output));
}

if (import.meta.main) {
  const images = buildGuests();
  for (const [name, elf] of images) writeFileSync(join(PREBUILT, `${name}.elf.gz`), gzipSync(elf, { level: 9 }));
  const made: Manifest = { tools: tools() ?? '', sources: sourceHashes(), images: Object.fromEntries([...images].map(([name, elf]) => [name, sha256(elf)])) };
  writeFileSync(join(PREBUILT, 'manifest.json'), `${JSON.stringify(made, undefined, 2)}\n`);
}
