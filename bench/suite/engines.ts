// What is compared: the machine itself, QEMU without KVM, Debian's Xen in QEMU, v86, and Xenith. Each runs the same programs;
// QEMU and Xenith boot the same kernel with the same initramfs; Xen's Domain-0 needs Debian's larger kernel; v86 has its own, of
// a 32-bit build: what differs between those compilers and kernels is in its figures as well. All have 256 MiB and one processor. No kernel works around flaws of real processors
// (mitigations=off), which QEMU's default model would make it do and Xenith's would not.

import { spawn, spawnSync } from 'node:child_process';
import { globSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { type Measurement, MeasurementReader } from './measurement.ts';
import type { RowName } from './results.ts';
import { BIOS, missingForV86, v86Version } from './v86.ts';

export interface Work {
  /** what buildPrograms made */
  readonly folder: string;
  readonly kernel: string;
  readonly initrd: string;
  readonly rows: readonly RowName[];
  readonly passes: number;
}

export interface Engine {
  readonly name: 'native' | 'qemu' | 'xen' | 'v86' | 'xenith';
  readonly version: string;
  /** of the programs that it runs */
  readonly bits: 32 | 64;
  measure(work: Work): Promise<Measurement>;
}

const XENITH = fileURLToPath(new URL('../../bin/xenith.mjs', import.meta.url));
const V86_GUEST = fileURLToPath(new URL('v86-guest.ts', import.meta.url));
const MEBIBYTES = 256, MEMORY = `${MEBIBYTES}M`;
const TIMEOUT_SECONDS = 600;

function environment({ passes, rows }: Work): Record<string, string> {
  return { BENCH_PASSES: String(passes), BENCH_ROWS: rows.map((row) => row.name).join(',') };
}

/** The kernel hands words that it does not know to process 1 as its environment. */
function commandLine(console: string, work: Work): string {
  const words = Object.entries(environment(work)).map(([name, value]) => `${name}=${value}`);
  return `console=${console} quiet mitigations=off panic=-1 ${words.join(' ')}`;
}

/** Processor time of a process and its threads (those that have ended count no more), in seconds: proc(5), schedstat. */
function cpuSeconds(pid: number): number {
  const folder = `/proc/${pid}/task`;
  const nanoseconds = (thread: string): number => {
    try {
      return Number(readFileSync(`${folder}/${thread}/schedstat`, 'latin1').split(' ')[0]);
    } catch {
      return 0; // it has just ended
    }
  };
  return readdirSync(folder).reduce((sum, thread) => sum + nanoseconds(thread), 0) / 1e9;
}

interface Options {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs an engine to its end and reads what the programs in it print. @throws Error with its last output when it fails */
function boot(program: string, args: readonly string[]): Promise<Measurement> { return read(program, args, {}, true); }

function read(program: string, args: readonly string[], options: Options, isEngine: boolean): Promise<Measurement> {
  const reader = new MeasurementReader(isEngine ? () => cpuSeconds(child.pid as number) : undefined);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: TIMEOUT_SECONDS * 1000, ...options });
  let tail = '';
  const keep = (bytes: Buffer): void => { tail = (tail + bytes.toString('latin1')).slice(-4000); };
  child.stdout.on('data', (bytes: Buffer) => {
    keep(bytes);
    reader.take(bytes.toString('latin1'));
  });
  child.stderr.on('data', keep);
  return new Promise((done, failed) => {
    child.on('error', failed);
    child.on('close', (status) => {
      try {
        if (status !== 0) throw new Error(`exit status ${status}`);
        done(reader.result());
      } catch (error) {
        failed(new Error(`${program} ${args.join(' ')}\n${tail}\n${(error as Error).message}`));
      }
    });
  });
}

const native: Engine = {
  name: 'native',
  version: `${process.platform} ${process.arch}`,
  bits: 64,
  measure(work) {
    const tmp = join(work.folder, 'tmp');
    rmSync(tmp, { recursive: true, force: true });
    mkdirSync(tmp);
    return read('bin/rows', [], { cwd: work.folder, env: environment(work) }, false);
  },
};

export const QEMU = 'qemu-system-x86_64';
export const tcg = (mebibytes: number): string[] => ['-accel', 'tcg', '-m', `${mebibytes}M`, '-smp', '1', '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio'];

function qemu(version: string): Engine {
  return {
    name: 'qemu',
    version,
    bits: 64,
    measure: (work) => boot(QEMU, [...tcg(MEBIBYTES), '-kernel', work.kernel, '-initrd', work.initrd, '-append', commandLine('ttyS0', work)]),
  };
}

/** Domain-0 of Debian's Xen, a PV guest as any other. */
function xen({ hypervisor, kernel }: XenFiles): Engine {
  return {
    name: 'xen',
    version: `${basename(hypervisor, '.gz')} in QEMU`,
    bits: 64,
    measure(work) {
      const unpacked = join(work.folder, 'xen');
      writeFileSync(unpacked, gunzipSync(readFileSync(hypervisor)));
      // a multiboot module is a file, a space and its arguments; commas stand between modules
      const domainZero = `${kernel} ${commandLine('hvc0', work)}`.replaceAll(',', ',,');
      return boot(QEMU, [...tcg(512), '-cpu', 'qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16', '-kernel', unpacked, '-initrd', `${domainZero},${work.initrd}`,
        '-append', `console=com1 com1=115200,8n1 dom0_mem=${MEMORY},max:${MEMORY} dom0_max_vcpus=1 loglvl=error spec-ctrl=no xpti=0`]);
    },
  };
}
interface XenFiles { readonly hypervisor: string; readonly kernel: string }
function findXen(): XenFiles | undefined {
  const find = (...patterns: string[]): string | undefined => globSync(patterns).find((path) => !path.includes('cloud'));
  const hypervisor = find('.build/bench/xen/boot/xen-*-amd64.gz', '/boot/xen-*-amd64.gz');
  const kernel = find('.build/stock/boot/vmlinuz-*-amd64', '/boot/vmlinuz-*-amd64');
  return hypervisor !== undefined && kernel !== undefined ? { hypervisor, kernel } : undefined;
}

function v86(version: string): Engine {
  return {
    name: 'v86',
    version,
    bits: 32,
    measure: (work) => boot(process.execPath, [...process.execArgv, V86_GUEST, BIOS, work.kernel, work.initrd, String(MEBIBYTES), commandLine('ttyS0', work)]),
  };
}

function xenith(): Engine {
  return {
    name: 'xenith',
    version: `Node ${process.versions.node}`,
    bits: 64,
    measure: (work) => boot(process.execPath, [
      ...process.execArgv, XENITH, 'run', '--memory', MEMORY, '--kernel', work.kernel, '--initrd', work.initrd, '--append', commandLine('hvc0', work),
    ]),
  };
}

/** The engines that are there of those that are wanted, and why the others are not. */
export function findEngines(wanted: ReadonlySet<string>): { readonly engines: readonly Engine[]; readonly missing: readonly string[] } {
  const engines: Engine[] = [], missing: string[] = [];
  const add = (name: Engine['name'], engine: Engine | string): void => {
    if (!wanted.has(name)) return;
    if (typeof engine === 'string') missing.push(engine);
    else engines.push(engine);
  };
  const { stdout } = spawnSync(QEMU, ['--version'], { encoding: 'utf8' });
  const version = /version ([\d.]+)/.exec(stdout ?? '')?.[1];
  const files = findXen(), lacking = missingForV86();
  add('native', native);
  add('qemu', version === undefined ? 'QEMU is left out: there is no qemu-system-x86_64 (package qemu-system-x86)' : qemu(`QEMU ${version} TCG`));
  add('xen', version !== undefined && files ? xen(files) : 'Xen in QEMU is left out for want of QEMU, Debian\'s Xen (bench/suite/fetch-xen.sh) or its kernel (tests/stock/fetch.sh)');
  add('v86', lacking.length > 0 ? `v86 is left out for want of ${lacking.join(', ')}` : v86(`v86 ${v86Version()}`));
  add('xenith', xenith());
  return { engines, missing };
}
