// What a configuration file says about a domain: the keys of xl.cfg(5) that make sense for PV domains here, checked and
// with xl's defaults. A value that cannot be used is an error that names its place, where xl would often go on without.

import { MAX_VCPUS } from '#base/capsule.ts';
import { UUID } from '#base/uuid.ts';
import { DEFAULT_WEIGHT, MAX_WEIGHT, MIN_WEIGHT } from '#hypervisor/credit.ts';
import { ConfigError, printable, quote } from './config-error.ts';
import type { ConfigFile, Setting } from './config-file.ts';
import { parseCpuList, type CpuRange } from './cpu-list.ts';
import { parseDisk, type DiskConfig } from './disk-spec.ts';
import { refusalOf, refuse } from './refused-keys.ts';
import { forSetting, problem, SettingsReader } from './settings-reader.ts';
import { parseVif, type VifConfig } from './vif-spec.ts';

export type ShutdownAction = typeof ACTIONS[number];

export interface DomainConfigFile {
  readonly name: string;
  /** lower case with dashes; undefined: one is to be made up */
  readonly uuid: string | undefined;
  /** path of the kernel's image, as written; undefined: the default guest's, which xl has not */
  readonly kernel: string | undefined;
  readonly ramdisk: string | undefined;
  /** for the kernel: cmdline, or root and extra */
  readonly commandLine: string;
  /** MiB, whole */
  readonly memory: number;
  /** MiB, not below `memory` */
  readonly maxmem: number;
  /** online at first */
  readonly vcpus: number;
  /** not below `vcpus` */
  readonly maxvcpus: number;
  /** host CPUs that vCPU n may use, n below the array's length; the other vCPUs, and all if undefined, may use any */
  readonly cpus: readonly (readonly CpuRange[])[] | undefined;
  /** likewise, those that it prefers */
  readonly cpus_soft: readonly (readonly CpuRange[])[] | undefined;
  /** 1 to 65535; a domain with twice the weight gets twice the time */
  readonly cpu_weight: number;
  /** percent of one CPU; 0 means no cap */
  readonly cap: number;
  /** it must not be saved or migrated */
  readonly nomigrate: boolean;
  readonly on_poweroff: ShutdownAction;
  readonly on_reboot: ShutdownAction;
  readonly on_watchdog: ShutdownAction;
  readonly on_crash: ShutdownAction;
  readonly on_soft_reset: ShutdownAction;
  readonly disks: readonly DiskConfig[];
  readonly vifs: readonly VifConfig[];
}

const ACTIONS = ['destroy', 'restart', 'rename-restart', 'preserve', 'coredump-destroy', 'coredump-restart', 'soft-reset'] as const;
const KEYS = new Set([
  'name', 'uuid', 'type', 'builder', 'kernel', 'ramdisk', 'cmdline', 'root', 'extra', 'memory', 'maxmem', 'vcpus', 'maxvcpus', 'cpus', 'cpus_soft',
  'cpu_weight', 'cap', 'nomigrate', 'on_poweroff', 'on_reboot', 'on_watchdog', 'on_crash', 'on_soft_reset', 'disk', 'vif',
]);

/** libxl's */
const DEFAULT_MEMORY = 32;
/** MiB: a domain lies in one memory of 4 GiB, beside what the hypervisor keeps of it */
const MEMORY = { min: 1, max: 4095 };
const WEIGHT = { min: MIN_WEIGHT, max: MAX_WEIGHT };
const CAP = { min: 0, max: 65_535 };
/** any number but 0 is true */
const BOOLEAN = { min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER };
const VCPUS = { min: 1, max: MAX_VCPUS };
const LONGEST_NAME = 255;

/**
 * Checks a configuration.
 * @returns what it says, and what the user should be told: a line each, with its place
 * @throws ConfigError for refused keys, values that cannot be used and keys that are missing
 */
export function domainConfig(config: ConfigFile): { config: DomainConfigFile; warnings: string[] } {
  const reader = new SettingsReader(config);
  const warnings: string[] = [];
  const warn: Warn = ({ file, line }, text) => { warnings.push(printable(`${file}:${line}: warning: ${text}`)); };
  checkType(reader, warn);
  checkKeys(config, warn);
  const memory = reader.integer('memory', MEMORY) ?? DEFAULT_MEMORY;
  if (!reader.setting('memory')) warnings.push(printable(`${config.name}: warning: memory is not given; the domain gets ${DEFAULT_MEMORY} MiB, as with xl`));
  const vcpus = readVcpus(reader);
  const action = (key: string, otherwise: ShutdownAction): ShutdownAction => reader.word(key, ACTIONS) ?? otherwise;
  return {
    config: {
      name: readName(config, reader), uuid: readUuid(reader), kernel: reader.string('kernel') || undefined, ramdisk: reader.string('ramdisk') || undefined,
      commandLine: readCommandLine(reader, warn), memory, maxmem: readMaxmem(reader, memory), ...vcpus,
      cpus: readCpus('cpus', reader, vcpus.maxvcpus, warn), cpus_soft: readCpus('cpus_soft', reader, vcpus.maxvcpus, warn),
      cpu_weight: reader.integer('cpu_weight', WEIGHT) ?? DEFAULT_WEIGHT, cap: reader.integer('cap', CAP) ?? 0,
      nomigrate: (reader.integer('nomigrate', BOOLEAN) ?? 0) !== 0,
      on_poweroff: action('on_poweroff', 'destroy'), on_reboot: action('on_reboot', 'restart'), on_watchdog: action('on_watchdog', 'destroy'),
      on_crash: action('on_crash', 'destroy'), on_soft_reset: action('on_soft_reset', 'soft-reset'),
      disks: readDisks(reader), vifs: readVifs(reader, warn),
    },
    warnings,
  };
}

type Warn = (setting: Setting, text: string) => void;

/** First of all: that a guest is HVM says more than which of its keys comes first. */
function checkType(reader: SettingsReader, warn: Warn): void {
  const type = reader.setting('type'), builder = reader.setting('builder');
  if (type && reader.word('type', ['pv', 'pvh', 'hvm']) !== 'pv') throw problem(type, 'PVH and HVM guests need hardware virtualisation; this runs PV guests: type = "pv"');
  if (!builder) return;
  if (reader.word('builder', ['generic', 'hvm']) !== 'generic') throw problem(builder, 'HVM guests need hardware virtualisation; this runs PV guests: type = "pv"');
  warn(builder, 'builder is deprecated: write type = "pv"');
}

/** xl ignores unknown keys, and says nothing. */
function checkKeys({ settings }: ConfigFile, warn: Warn): void {
  for (const setting of settings.values()) {
    refuse(setting);
    if (!KEYS.has(setting.key) && refusalOf(setting.key) === undefined) warn(setting, `${quote(setting.key)} is not a key of xl.cfg(5), and is ignored`);
  }
}

function missing({ name }: ConfigFile, reason: string): ConfigError { return new ConfigError({ file: name, line: 1 }, reason); }

function readName(config: ConfigFile, reader: SettingsReader): string {
  const setting = reader.setting('name'), name = reader.string('name');
  if (setting === undefined || name === undefined) throw missing(config, 'the domain has no name: write name = "…"');
  if (name === '' || name.length > LONGEST_NAME || /\p{Cc}/u.test(name)) throw problem(setting, `a name has 1 to ${LONGEST_NAME} characters, none of them control characters`);
  return name;
}

function readUuid(reader: SettingsReader): string | undefined {
  const setting = reader.setting('uuid'), uuid = reader.string('uuid');
  if (setting === undefined || uuid === undefined) return undefined;
  if (!UUID.test(uuid.toLowerCase())) throw problem(setting, 'a UUID is 32 hexadecimal digits like 12345678-1234-1234-1234-123456789abc');
  return uuid.toLowerCase();
}

function readCommandLine(reader: SettingsReader, warn: Warn): string {
  const cmdline = reader.string('cmdline'), root = reader.string('root'), extra = reader.string('extra');
  if (cmdline === undefined) return [root === undefined ? undefined : `root=${root}`, extra].filter((part) => part !== undefined).join(' ');
  for (const setting of [reader.setting('root'), reader.setting('extra')]) if (setting) warn(setting, `${setting.key} is ignored in favour of cmdline`);
  return cmdline;
}

function readMaxmem(reader: SettingsReader, memory: number): number {
  const setting = reader.setting('maxmem');
  const maxmem = reader.integer('maxmem', MEMORY) ?? memory;
  if (setting && maxmem < memory) throw problem(setting, `${maxmem} is less than memory, which is ${memory}: give at least as much`);
  return maxmem;
}

function readVcpus(reader: SettingsReader): { vcpus: number; maxvcpus: number } {
  const setting = reader.setting('maxvcpus');
  const maximum = reader.integer('maxvcpus', VCPUS), given = reader.integer('vcpus', VCPUS);
  const vcpus = given ?? 1;
  if (setting && maximum !== undefined && maximum < vcpus) throw problem(setting, `${maximum} is less than vcpus, which is ${vcpus}: give at least as many`);
  return { vcpus, maxvcpus: maximum ?? vcpus };
}

/** A string is for all vCPUs, a list has an entry for each; xl ignores entries without a vCPU. */
function readCpus(key: string, reader: SettingsReader, maxvcpus: number, warn: Warn): readonly (readonly CpuRange[])[] | undefined {
  const setting = reader.setting(key);
  if (setting === undefined) return undefined;
  if (setting.value.kind === 'text') {
    const { text } = setting.value;
    const list = forSetting(setting, () => parseCpuList(text));
    return Array.from({ length: maxvcpus }, () => list);
  }
  const entries = reader.entries(key) ?? [];
  if (entries.length > maxvcpus) warn(setting, `${key} has ${entries.length} entries for ${maxvcpus} vCPUs; the others are ignored`);
  return entries.slice(0, maxvcpus).map((entry) => forSetting(entry.setting, () => parseCpuList(entry.text)));
}

function readDisks(reader: SettingsReader): readonly DiskConfig[] {
  const seen = new Map<number, string>();
  return (reader.entries('disk') ?? []).map(({ text, setting }) => {
    const disk = forSetting(setting, () => parseDisk(text));
    const other = seen.get(disk.number);
    if (other !== undefined) throw problem(setting, `two disks have the vdev ${disk.vdev}${other === disk.vdev ? '' : ` (${other} is the same)`}: give each its own`);
    seen.set(disk.number, disk.vdev);
    return disk;
  });
}

function readVifs(reader: SettingsReader, warn: Warn): readonly VifConfig[] {
  const seen = new Set<number>();
  return (reader.entries('vif') ?? []).map(({ text, setting }, index) => {
    const { vif, ignored } = forSetting(setting, () => parseVif(text, index));
    if (seen.has(vif.devid)) throw problem(setting, `two interfaces have the devid ${vif.devid}: give each its own`);
    seen.add(vif.devid);
    for (const key of ignored) warn(setting, `${key} of a vif has no meaning here, and is ignored`);
    return vif;
  });
}
