// npm run bench:boot -- [--runs N] [--json]
// Boots the default guest, starts it from where an earlier run had kept it, and boots, where it has been fetched
// (tests/stock/fetch.sh), Debian's cloud kernel with a busybox initramfs, 256 MiB each, and prints for each: the time from the start of the process to the first line of user
// space, and from `xenith run --stats` the instructions until power-off, their speed, and the process's memory beyond the guest's.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { busyboxInitramfs, debianKernel, missingGuests } from '../tests/stock/guests.ts';
import { LEAN } from '../bin/node.mjs';

const XENITH = fileURLToPath(new URL('../bin/xenith.mjs', import.meta.url));

interface Guest { readonly name: string; readonly args: readonly string[]; readonly userSpace: RegExp; readonly powerOff: string }
interface Boot {
  /** from the start of the process to the first line of user space */
  readonly seconds: number;
  readonly instructions: number;
  readonly millionPerSecond: number;
  /** resident memory that is not the guest's, at the end */
  readonly overheadMiB: number;
}

const SHELL = { userSpace: /:~# $/, powerOff: 'poweroff -f\n' };
const STARTED: Guest = { name: 'default guest', args: [], ...SHELL };
const BOOTED: Guest = { name: 'default guest, booted', args: ['--boot'], ...SHELL };

function debian(folder: string): Guest {
  const initrd = join(folder, 'initramfs.cpio');
  writeFileSync(initrd, busyboxInitramfs());
  return { name: 'Debian cloud kernel', args: ['--kernel', debianKernel('cloud-amd64'), '--initrd', initrd], userSpace: /user space of/, powerOff: '/bin/busybox poweroff -f\n' };
}

function boot(guest: Guest): Promise<Boot> {
  const begin = performance.now();
  const child = spawn(process.execPath, [...LEAN, XENITH, 'run', '--memory', '256M', '--stats', '--timeout', '120', ...guest.args]);
  let out = '', err = '', seconds = NaN;
  child.stdout.on('data', (bytes: Buffer) => {
    out += bytes.toString('latin1');
    if (!Number.isNaN(seconds) || !guest.userSpace.test(out)) return;
    seconds = (performance.now() - begin) / 1000;
    child.stdin.write(guest.powerOff);
  });
  child.stderr.on('data', (bytes: Buffer) => { err += bytes; });
  const figure = (pattern: RegExp): number => Number(pattern.exec(err)?.[1]);
  return new Promise((done, failed) => {
    child.on('close', (status) => {
      if (status !== 0) return failed(new Error(`${guest.name} ended with ${status}:\n${out.slice(-2000)}${err}`));
      done({
        seconds, instructions: figure(/^instructions +(\d+)/m), millionPerSecond: figure(/\(([\d.]+) million/), overheadMiB: figure(/([\d.]+) MiB of it not/),
      });
    });
  });
}

function median(boots: readonly Boot[], key: keyof Boot): number {
  const sorted = boots.map((b) => b[key]).sort((a, b) => a - b);
  return sorted[sorted.length >> 1] as number;
}

function print(name: string, boots: readonly Boot[]): void {
  const keys = ['seconds', 'instructions', 'millionPerSecond', 'overheadMiB'] as const;
  const [seconds = 0, instructions = 0, speed = 0, overhead = 0] = keys.map((key) => median(boots, key));
  const all = boots.map((b) => b.seconds.toFixed(2)).join(', ');
  console.log(`${name}: ${seconds.toFixed(2)} s to user space (${all}), ${(instructions / 1e6).toFixed(0)} million instructions at ${speed.toFixed(0)} million/s, ${overhead.toFixed(0)} MiB beyond the guest's memory`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { runs: { type: 'string', default: '3' }, json: { type: 'boolean', default: false } } });
  const folder = mkdtempSync(join(tmpdir(), 'xenith-bench-'));
  const missing = missingGuests();
  const results: Record<string, Boot[]> = {};
  try {
    await boot(STARTED); // for it to be kept
    for (const guest of [STARTED, BOOTED, ...(missing === undefined ? [debian(folder)] : [])]) {
      const boots: Boot[] = (results[guest.name] = []);
      for (let i = 0; i < Number(values.runs); i++) boots.push(await boot(guest));
      if (!values.json) print(guest.name, boots);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  if (values.json) console.log(JSON.stringify({ processor: cpus()[0]?.model, node: process.versions.node, results }, undefined, 2));
  else if (missing !== undefined) console.log(`Debian's kernel is left out: ${missing}`);
}

await main();
