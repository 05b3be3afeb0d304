// What v86 needs to take part, and whether it is there: nothing of it comes with Xenith.

import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { BUILDS } from './build.ts';

/** Where Debian's package seabios puts it; v86's package has none. */
export const BIOS = '/usr/share/seabios/bios.bin';

/** What is missing for v86, and how to get it. */
export function missingForV86(): string[] {
  const { busybox, kernels, flags } = BUILDS[32];
  const needs: readonly [boolean, string][] = [
    [v86Version() !== undefined, 'the npm package v86 (npm install --no-save v86)'],
    [existsSync(BIOS), `${BIOS} (package seabios)`],
    [globSync(kernels).length > 0 && busybox.some((path) => existsSync(path)), 'a 32-bit kernel and busybox (bench/suite/fetch-i386.sh)'],
    [links([...flags, '-static']), 'a gcc that links 32-bit programs (package gcc-multilib)'],
  ];
  return needs.flatMap(([isThere, what]) => (isThere ? [] : [what]));
}

/** The version of the installed package, without its commit. */
export function v86Version(): string | undefined {
  try {
    const about = JSON.parse(readFileSync(new URL(import.meta.resolve('v86/package.json')), 'utf8')) as { version: string };
    return about.version.replace(/\+.*/, '');
  } catch {
    return undefined;
  }
}

function links(flags: readonly string[]): boolean {
  const input = '#include <sys/syscall.h>\nint main(void) { return SYS_read; }\n';
  return spawnSync('gcc', [...flags, '-x', 'c', '-', '-o', '/dev/null'], { input }).status === 0;
}
