// Against the real thing, Debian's: libxlutil for the language, `xl -N create` for what a configuration says. Its
// differences are listed here, each with the reason. Without gcc, libxen-dev or xen-utils-4.17 the tests are skipped.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { ConfigError } from './config-error.ts';
import { parseConfig, withWords, type ConfigFile } from './config-file.ts';
import type { CpuRange } from './cpu-list.ts';
import { parseDisk } from './disk-spec.ts';
import { domainConfig } from './domain-config.ts';
import { SpecError } from './settings-reader.ts';
import { ACCEPTED, plain, REFUSED, type Plain } from './testing/grammar-cases.ts';
import { generator, randomConfig, randomDisk, randomRate } from './testing/random-config.ts';
import { XL_CASES } from './testing/xl-cases.ts';
import { parseRate } from './vif-rate.ts';

const XL = '/usr/lib/xen-4.17/bin/xl';
const directory = mkdtempSync(join(tmpdir(), 'xlcfg-'));
after(() => rmSync(directory, { recursive: true }));

/** Compiles a program of testing/; undefined where it cannot be. */
function compiled(source: string, ...options: string[]): string | undefined {
  if (!existsSync('/usr/include/libxlutil.h')) return undefined;
  const output = join(directory, source.replace('.c', ''));
  const { status } = spawnSync('gcc', ['-O1', '-w', '-o', output, join(import.meta.dirname, 'testing', source), ...options], { stdio: 'ignore' });
  return status === 0 ? output : undefined;
}

const dump = compiled('libxlutil.c', '-lxlutil', '-lxenlight');
const preload = existsSync(XL) ? compiled('xl-without-xen.c', '-shared', '-fPIC') : undefined;

const latin1 = (text: string): string => Buffer.from(text).toString('latin1');
const bytes = (value: Plain): Plain => (typeof value === 'string' ? latin1(value) : value.map(bytes));

/** What we make of a text: the keys, and their values as libxlutil's bytes; or the error. */
function ours(text: string): { keys: string[]; values: Plain[] } | ConfigError {
  try {
    const settings = [...parseConfig(text, 'f').settings.values()];
    return { keys: settings.map(({ key }) => key), values: settings.map(({ value }) => bytes(plain(value))) };
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
}

/** What libxlutil makes of it, with a newline behind it, as xl puts one before words. A NUL in a string ends it with a failed assertion. */
function theirs(cases: readonly { text: string; keys: readonly string[] }[]): (readonly Plain[] | 'refused')[] {
  const input = Buffer.concat(cases.flatMap(({ text, keys }) => {
    const data = Buffer.from(`${text}\n`);
    return [Buffer.from(`${[data.length, ...keys].join(' ')}\n`), data];
  }));
  const output = execFileSync(dump as string, ['config'], { input, maxBuffer: 2 ** 28, encoding: 'utf8' });
  return output.trimEnd().split('\n').map((line) => (line === 'refused' ? line : JSON.parse(line) as Plain[]));
}

describe('libxlutil', { skip: dump === undefined && 'no gcc, or no libxlutil.h (Debian: libxen-dev)' }, () => {
  test('takes what we take, and makes the same of it', () => {
    const cases = ACCEPTED.map(([text, settings]) => ({ text, keys: Object.keys(settings) }));
    assert.deepEqual(theirs(cases), ACCEPTED.map(([, settings]) => Object.values(settings).map(bytes)));
  });
  test('refuses what we refuse, but for octal escapes, which it drops', () => {
    const cases = REFUSED.filter(([text]) => !text.includes('\\08')).map(([text]) => ({ text, keys: [] }));
    assert.deepEqual(theirs(cases).map((result, i) => [cases[i]?.text, result]), cases.map(({ text }) => [text, 'refused']));
    assert.deepEqual(theirs([{ text: String.raw`a='\012z'`, keys: ['a'] }]), [['z']]);
  });
  test('agrees on random configurations', () => {
    const random = generator(4171);
    const texts = Array.from({ length: 20_000 }, () => randomConfig(random)).filter((text) => !text.includes('\0'));
    const mine = texts.map(ours);
    const other = theirs(texts.map((text, i) => ({ text, keys: keysOf(mine[i]) })));
    let accepted = 0;
    for (const [i, result] of mine.entries()) {
      if (result instanceof ConfigError) {
        if (!/numeric escapes/.test(result.message)) assert.equal(other[i], 'refused', JSON.stringify(texts[i]));
        continue;
      }
      accepted++;
      assert.deepEqual(other[i], result.values, JSON.stringify(texts[i]));
    }
    assert.ok(accepted > 5000, `only ${accepted} of ${texts.length} were good`);
  });
  /** Holds that what we take means the same to libxlutil; it may take more. */
  const agrees = (mode: string, specs: readonly string[], parse: (spec: string) => unknown): void => {
    const output = execFileSync(dump as string, [mode], { input: specs.map((spec) => `${spec}\n`).join(''), maxBuffer: 2 ** 28, encoding: 'utf8' }).trimEnd().split('\n');
    let accepted = 0;
    for (const [i, spec] of specs.entries()) {
      try {
        const mine = parse(spec);
        accepted++;
        assert.deepEqual(output[i] === 'refused' ? output[i] : JSON.parse(output[i] as string), mine, JSON.stringify(spec));
      } catch (error) {
        if (!(error instanceof SpecError)) throw error;
      }
    }
    assert.ok(accepted > 100, `only ${accepted} were good`);
  };
  test('agrees on random disks', () => {
    const random = generator(77);
    agrees('disk', Array.from({ length: 20_000 }, () => randomDisk(random)), (spec) => {
      const { target, format, vdev, readwrite, cdrom, discard = null } = parseDisk(spec);
      return { target, format, vdev, readwrite, cdrom, discard };
    });
  });
  test('agrees on random rates', () => {
    const random = generator(78);
    agrees('rate', Array.from({ length: 20_000 }, () => randomRate(random)), parseRate);
  });
});

const keysOf = (result: ReturnType<typeof ours> | undefined): readonly string[] => (result === undefined || result instanceof ConfigError ? [] : result.keys);

interface XlConfig {
  readonly c_info: { readonly type: string; readonly name: string; readonly uuid: string };
  readonly b_info: {
    readonly max_vcpus?: number; readonly avail_vcpus?: readonly number[]; readonly vcpu_hard_affinity?: readonly (readonly number[])[];
    readonly vcpu_soft_affinity?: readonly (readonly number[])[]; readonly target_memkb?: number; readonly max_memkb?: number;
    readonly sched_params: { readonly weight?: number; readonly cap?: number }; readonly disable_migrate?: string; readonly kernel: string; readonly ramdisk?: string; readonly cmdline?: string;
  };
  readonly disks?: readonly { readonly pdev_path?: string; readonly vdev: string; readonly format: string; readonly readwrite?: number; readonly is_cdrom?: number; readonly discard_enable?: string }[];
  readonly nics?: readonly { readonly devid: number; readonly mac?: string; readonly bridge?: string; readonly ip?: string; readonly mtu?: number; readonly trusted?: string; readonly rate_bytes_per_interval?: number; readonly rate_interval_usecs?: number }[];
  readonly [action: `on_${string}`]: string | undefined;
}

const HOST_CPUS = 64;
const numbers = (lists: readonly (readonly CpuRange[])[] | undefined): number[][] | undefined => lists?.map((ranges) => (
  ranges.flatMap(({ first, last }) => Array.from({ length: Math.min(last, HOST_CPUS - 1) - first + 1 }, (_, i) => first + i))));
const ACTION_NAMES: Readonly<Record<string, string>> = { 'rename-restart': 'restart_rename' };

/** Our configuration in xl's terms. What xl leaves out (its defaults) is filled in in `fromXl`. */
function fromUs(file: ConfigFile): unknown {
  const { config: c } = domainConfig(file);
  const action = (name: string): string => ACTION_NAMES[name] ?? name.replace('-', '_');
  return {
    name: c.name, uuid: c.uuid, kernel: c.kernel, ramdisk: c.ramdisk, cmdline: c.commandLine, memory: c.memory, maxmem: c.maxmem, vcpus: c.vcpus, maxvcpus: c.maxvcpus,
    cpus: numbers(c.cpus), cpus_soft: numbers(c.cpus_soft), weight: c.cpu_weight, cap: c.cap, nomigrate: c.nomigrate,
    actions: [c.on_poweroff, c.on_reboot, c.on_watchdog, c.on_crash, c.on_soft_reset].map(action),
    disks: c.disks.map(({ target, format, vdev, readwrite, cdrom, discard }) => ({ target, format, vdev, readwrite, cdrom, discard })),
    vifs: c.vifs.map(({ mac, devid, bridge, ip, mtu, rate, trusted }) => ({ mac, devid, bridge, ip, mtu, rate, trusted })),
  };
}

function fromXl(c: XlConfig, givenUuid: boolean): unknown {
  const { c_info, b_info } = c;
  const maxvcpus = b_info.max_vcpus ?? 1, memory = b_info.target_memkb ?? 32 * 1024;
  return {
    name: c_info.name, uuid: givenUuid ? c_info.uuid : undefined, kernel: b_info.kernel, ramdisk: b_info.ramdisk, cmdline: b_info.cmdline ?? '',
    memory: memory / 1024, maxmem: (b_info.max_memkb ?? memory) / 1024, vcpus: b_info.avail_vcpus?.length ?? 1, maxvcpus,
    cpus: b_info.vcpu_hard_affinity, cpus_soft: b_info.vcpu_soft_affinity, weight: b_info.sched_params.weight ?? 256, cap: b_info.sched_params.cap ?? 0,
    nomigrate: b_info.disable_migrate === 'True',
    actions: ['on_poweroff', 'on_reboot', 'on_watchdog', 'on_crash', 'on_soft_reset'].map((key) => c[key as 'on_crash'] ?? 'destroy'),
    disks: (c.disks ?? []).map((d) => ({
      target: d.pdev_path ?? '', format: d.format, vdev: d.vdev, readwrite: d.readwrite === 1, cdrom: d.is_cdrom === 1, discard: d.discard_enable === undefined ? undefined : d.discard_enable === 'True',
    })),
    vifs: (c.nics ?? []).map((n) => ({
      mac: n.mac, devid: n.devid, bridge: n.bridge, ip: n.ip, mtu: n.mtu, trusted: n.trusted !== 'False',
      rate: n.rate_interval_usecs === undefined ? undefined : { bytesPerInterval: n.rate_bytes_per_interval ?? 0, interval: n.rate_interval_usecs },
    })),
  };
}

/** The dry run's JSON. */
function xl(text: string, words: readonly string[]): XlConfig {
  const path = join(directory, 'guest.cfg');
  writeFileSync(path, text);
  const { stdout, stderr } = spawnSync(XL, ['-N', 'create', path, ...words], { env: { ...process.env, LD_PRELOAD: preload }, encoding: 'utf8' });
  const json = stdout.indexOf('{');
  assert.ok(json >= 0, `xl refuses it: ${stderr}`);
  return JSON.parse(stdout.slice(json)) as XlConfig;
}

describe('xl -N create', { skip: preload === undefined && `no ${XL} (Debian: xen-utils-4.17), gcc or libxen-dev` }, () => {
  for (const { name, text, words } of XL_CASES) {
    test(name, () => {
      const config = withWords(parseConfig(text, 'guest.cfg'), words);
      assert.deepEqual(fromUs(config), fromXl(xl(text, words), config.settings.has('uuid')));
    });
  }
});
