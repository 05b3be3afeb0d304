// What the guests run: the programs of bench/programs, compiled, and one initramfs with them, busybox and Python; a 32-bit
// build of the same (without Python) for v86, which is a 32-bit machine.
//
// The 64-bit folder is the current folder of the programs on the machine itself as well: bin/, python/ and an empty tmp/.

import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, globSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cpioArchive, type CpioEntry } from '../../tests/stock/cpio.ts';
import { pythonFiles } from './python-files.ts';

const PROGRAMS = join(import.meta.dirname, '..', 'programs');
const FLAGS = ['-O2', '-static', '-std=gnu11', '-Wall', '-Wextra', '-Werror'];

/** What a build needs beside the sources; the files are the first that exist of those named. */
export interface Build {
  readonly flags: readonly string[];
  readonly busybox: readonly string[];
  readonly kernels: readonly string[];
}

/** Kernels are patterns. Debian's package busybox-static puts busybox into /bin, the scripts that fetch it into .build. */
export const BUILDS: Readonly<Record<32 | 64, Build>> = {
  64: { flags: [], busybox: ['.build/stock/bin/busybox', '/bin/busybox'], kernels: ['.build/stock/boot/vmlinuz-*-cloud-amd64', '/boot/vmlinuz-*-cloud-amd64'] },
  // SSE2 for doubles, as in 64-bit programs: with the x87 that gcc would take matmul-f64 runs v86 0.5.462 six times as long (2026-11-26)
  32: { flags: ['-m32', '-msse2', '-mfpmath=sse'], busybox: ['.build/bench/i386/bin/busybox'], kernels: ['.build/bench/i386/boot/vmlinuz-*-686'] },
};

const FOLDER = 0o040755, PROGRAM = 0o100755, DATA = 0o100644, LINK = 0o120777, CHARACTER_DEVICE = 0o020600;

/** Something on the machine is missing that the benchmark cannot do without. */
export class MissingError extends Error {}

/** Compiles the programs and gathers the others in folder/bin, with the Python scripts beside them. */
export function buildPrograms(folder: string, { flags, busybox }: Build): void {
  rmSync(folder, { recursive: true, force: true });
  for (const name of ['bin', 'python', 'tmp']) mkdirSync(join(folder, name), { recursive: true });
  const sources = readdirSync(PROGRAMS).filter((file) => file.endsWith('.c') && file !== 'nothing.c');
  compile(flags, sources, join(folder, 'bin/rows'));
  compile(flags, ['nothing.c'], join(folder, 'bin/nothing'));
  copyFileSync(firstOf(busybox, 'busybox is missing: install the package busybox-static'), join(folder, 'bin/busybox'));
  for (const script of globSync('python/*.py', { cwd: PROGRAMS })) copyFileSync(join(PROGRAMS, script), join(folder, script));
}

function compile(flags: readonly string[], sources: readonly string[], output: string): void {
  try {
    execFileSync('gcc', [...FLAGS, ...flags, '-o', output, ...sources], { cwd: PROGRAMS, stdio: ['ignore', 'inherit', 'inherit'] });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new MissingError('gcc is missing: install the packages gcc and libc6-dev');
    throw error;
  }
}

/** The first of these files that exists. @throws MissingError */
export function firstOf(paths: readonly string[], complaint: string): string {
  const found = paths.find((path) => existsSync(path));
  if (found === undefined) throw new MissingError(complaint);
  return found;
}

/**
 * An initramfs (newc, not compressed) of the folder that buildPrograms made; its /init is the program that runs the rows.
 * @param python path of Python with its standard library on this machine; undefined leaves it out
 */
export function initramfs(folder: string, python: string | undefined): Uint8Array {
  const files = ['bin', 'python'].flatMap((name) => readdirSync(join(folder, name)).map((file) => `${name}/${file}`));
  const entries: CpioEntry[] = files.map((name) => ({ name, mode: PROGRAM, content: readFileSync(join(folder, name)) }));
  entries.push({ name: 'init', mode: LINK, content: Buffer.from('bin/rows') });
  entries.push({ name: 'dev/console', mode: CHARACTER_DEVICE, device: [5, 1] });
  if (python !== undefined) {
    for (const [name, path] of pythonFiles(python, join(folder, 'python'))) {
      entries.push({ name: name.slice(1), mode: name === python || /\.so/.test(name) ? PROGRAM : DATA, content: readFileSync(path) });
    }
    if (python !== '/usr/bin/python3') entries.push({ name: 'usr/bin/python3', mode: LINK, content: Buffer.from(python) });
  }
  return cpioArchive([...foldersOf(['proc/x', 'tmp/x', ...entries.map((e) => e.name)]), ...entries]);
}

function foldersOf(names: readonly string[]): CpioEntry[] {
  const folders = new Set<string>();
  for (const name of names) {
    const parts = name.split('/');
    for (let n = 1; n < parts.length; n++) folders.add(parts.slice(0, n).join('/'));
  }
  return [...folders].sort().map((name) => ({ name, mode: FOLDER }));
}
