// The same shell in virtual machines of QEMU without KVM, which need no hypervisor either: a process each, with Debian's cloud kernel
// (tests/stock/fetch.sh) and busybox.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { proportionalMiB } from '#hosts/node/testing/resident-memory.ts';
import { wait } from '#hosts/node/testing/wait.ts';
import { busyboxInitramfs, debianKernel, missingGuests } from '../../tests/stock/guests.ts';
import { QEMU, tcg } from '../suite/engines.ts';
import { type Busy, LOOP } from './busy.ts';

/** MiB: with fewer than 80 that kernel does not always begin; and what QEMU and a domain beside it take in all, about. */
const MEMORY = 96, RESIDENT = 230;
const BOOT_SECONDS = 600;

/** Why so many machines cannot be measured here; undefined when they can. */
export function missingQemu(count: number): string | undefined {
  if (spawnSync(QEMU, ['--version']).status !== 0) return `there is no ${QEMU} (package qemu-system-x86)`;
  const available = Number(/^MemAvailable:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]) / 1024;
  return available < count * RESIDENT ? `${count} machines need some ${count * RESIDENT} MiB, there are ${available.toFixed(0)}` : missingGuests();
}

export interface Machines extends Busy {
  /** MiB that they have of the machine's memory, what they share counted once */
  resident(): number;
}
/** @param atOnce how many boot at the same time */
export async function busyMachines(count: number, atOnce: number): Promise<Machines> {
  const folder = mkdtempSync(join(tmpdir(), 'xenith-bench-')), initrd = join(folder, 'initramfs.cpio');
  writeFileSync(initrd, busyboxInitramfs());
  const machines: ChildProcess[] = [];
  const kill = (): void => {
    for (const machine of machines) machine.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  };
  process.on('exit', kill);
  let lines = 0;
  const boot = async (): Promise<void> => {
    const machine = spawn(QEMU, [
      ...tcg(MEMORY), '-kernel', debianKernel('cloud-amd64'), '-initrd', initrd, '-append', 'console=ttyS0 quiet mitigations=off panic=-1',
    ], { stdio: ['pipe', 'pipe', 'ignore'] });
    machines.push(machine);
    let said = '', works = false;
    machine.stdout.on('data', (bytes: Buffer) => {
      if (works) for (const byte of bytes) lines += byte === 0x40 ? 1 : 0;
      else said += bytes.toString('latin1');
    });
    for (const limit = performance.now() + BOOT_SECONDS * 1000; !/user space of/.test(said); await wait(50)) {
      if (machine.exitCode !== null || performance.now() > limit) throw new Error(`QEMU does not boot:\n${said}`);
    }
    works = true;
  };
  try {
    for (let i = 0; i < count; i += atOnce) await Promise.all(Array.from({ length: Math.min(atOnce, count - i) }, boot));
  } catch (error) {
    kill();
    throw error;
  }
  const signal = async (name: 'SIGSTOP' | 'SIGCONT'): Promise<void> => { for (const machine of machines) machine.kill(name); };
  for (const { stdin } of machines) stdin?.write(`export PATH=/bin; busybox stty -echo; ${LOOP}\n`);
  return {
    count: () => lines,
    pause: () => signal('SIGSTOP'),
    unpause: () => signal('SIGCONT'),
    resident: () => machines.reduce((sum, { pid }) => sum + proportionalMiB(pid as number), 0),
    async end() {
      process.off('exit', kill);
      kill();
      await Promise.all(machines.map((machine) => machine.exitCode ?? machine.signalCode ?? new Promise((done) => { machine.on('close', done); })));
    },
  };
}
