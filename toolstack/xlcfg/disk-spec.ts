// A disk: xl-disk-configuration(5), read as Xen 4.17's libxlutil reads it (libxlu_disk_l.l). Parameters are separated
// by commas; those without = that are no flag are target, format, vdev and access in this order. `target=` takes all
// the rest. Before the target there may be prefixes that xend knew.

import { quote } from './config-error.ts';
import { SpecError } from './settings-reader.ts';
import { virtualDeviceNumber } from './virtual-device.ts';

export type DiskFormat = 'raw' | 'qcow' | 'qcow2' | 'vhd' | 'qed' | 'empty';

export interface DiskConfig {
  /** path of the image or block device as written; '' for a CD drive without a disc */
  readonly target: string;
  readonly format: DiskFormat;
  /** the name that was given, like xvda */
  readonly vdev: string;
  /** the number that the guest knows it by: xen-vbd-interface(7) */
  readonly number: number;
  readonly readwrite: boolean;
  readonly cdrom: boolean;
  /** whether discard requests are offered; undefined: as the back end thinks best */
  readonly discard: boolean | undefined;
  /** what the front end is told to think of the back end */
  readonly trusted: boolean;
}

interface Draft {
  target?: string;
  format?: DiskFormat;
  vdev?: string;
  readwrite: boolean;
  cdrom: boolean;
  discard?: boolean;
  trusted: boolean;
  /** an old prefix came first: the format is no positional parameter then */
  prefixed: boolean;
  /** the fourth positional parameter was there */
  accessGiven: boolean;
}

const FORMATS = new Map<string, DiskFormat>([['', 'raw'], ['raw', 'raw'], ['qcow', 'qcow'], ['qcow2', 'qcow2'], ['vhd', 'vhd'], ['qed', 'qed'], ['empty', 'empty']]);
const WRITABLE = new Map([['r', false], ['ro', false], ['w', true], ['rw', true], ['', true]]);
const DEVICE_TYPES = new Map([['cdrom', true], ['disk', false]]);
const BACKEND_TYPES = new Map([['phy', true], ['qdisk', true], ['tap', true]]);
/** all but the names of formats say nothing any more */
const PREFIXES = new Set(['raw', 'qcow', 'qcow2', 'vhd', 'tap', 'tap2', 'tapdisk', 'aio', 'ioemu', 'file', 'phy']);
const SCRIPT_PREFIXES = new Set(['iscsi', 'nbd', 'enbd', 'drbd']);

const NO_SCRIPTS = 'no scripts are run for devices; give an image file or a block device as the target';
const NO_COLO = 'COLO replication is not available';

const FLAGS = new Map<string, (disk: Draft) => void>([
  ['cdrom', (disk) => { disk.cdrom = true; }],
  ['discard', (disk) => { disk.discard = true; }],
  ['no-discard', (disk) => { disk.discard = false; }],
  ['trusted', (disk) => { disk.trusted = true; }],
  ['untrusted', (disk) => { disk.trusted = false; }],
  ['direct-io-safe', () => {}], // works around a bug of Linux as Domain-0
  ['colo', () => refuse(NO_COLO)],
  ['no-colo', () => {}],
]);

const PARAMETERS = new Map<string, (disk: Draft, value: string) => void>([
  ['target', setTarget],
  ['format', setFormat],
  ['vdev', setVdev],
  ['access', setAccess],
  ['devtype', (disk, value) => { disk.cdrom = known('devtype', value, DEVICE_TYPES); }],
  ['backendtype', (_, value) => { known('backendtype', value, BACKEND_TYPES); }], // ours serves them all
  ['specification', (_, value) => { if (value !== 'xen') refuse('PV guests have Xen block devices only: specification=xen'); }],
  ['backend', (_, value) => { if (value !== '0' && value !== 'Domain-0') refuse('there are no driver domains; leave backend= out'); }],
  ['script', () => refuse(NO_SCRIPTS)],
  ...['colo-host', 'colo-port', 'colo-export', 'active-disk', 'hidden-disk'].map((key): [string, () => never] => [key, () => refuse(NO_COLO)]),
]);

function refuse(reason: string): never { throw new SpecError(reason); }

/** @throws SpecError */
export function parseDisk(spec: string): DiskConfig {
  const disk: Draft = { readwrite: true, cdrom: false, trusted: true, prefixed: false, accessGiven: false };
  let at = 0;
  for (;;) {
    at = skip(/[ \t\n]*/y, spec, at);
    if (at >= spec.length) return finish(disk, spec);
    const afterPrefix = skip(/[a-z][a-z0-9]*:/y, spec, at);
    if (afterPrefix > at && isPrefix(disk, spec.slice(at, afterPrefix - 1), spec[afterPrefix] ?? '')) {
      at = afterPrefix;
      continue;
    }
    const end = endOfParameter(spec, at);
    parameter(disk, spec.slice(at, end));
    at = end + 1;
  }
}

/** The comma behind the parameter, or the end. Of a target all commas are part, but not one at the very end. */
function endOfParameter(spec: string, at: number): number {
  if (spec.startsWith('target=', at)) return spec.endsWith(',') ? spec.length - 1 : spec.length;
  const comma = spec.indexOf(',', at);
  return comma < 0 ? spec.length : comma;
}

/** Where a sticky pattern ends that begins at `at`; `at` when it does not match. */
function skip(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}

/** Takes account of what xend had before targets: `tap:aio:`, `phy:` … Other words with something behind a colon are none. */
function isPrefix(disk: Draft, word: string, next: string): boolean {
  if (SCRIPT_PREFIXES.has(word)) refuse(`${word}: ${NO_SCRIPTS}`);
  if (!PREFIXES.has(word)) {
    if (/[a-z0-9]/.test(next)) return false;
    refuse(`${quote(`${word}:`)}: unknown prefix; a target with a colon in it is given last, as target=…`);
  }
  if (FORMATS.has(word)) setFormat(disk, word);
  disk.prefixed = true;
  return true;
}

function parameter(disk: Draft, text: string): void {
  const flag = FLAGS.get(text);
  if (flag) return flag(disk);
  const equals = text.indexOf('=');
  if (equals < 0) return positional(disk, text);
  const set = PARAMETERS.get(text.slice(0, equals));
  if (!set) throw new SpecError(`${quote(text)}: unknown parameter; a target with = in it is given last, as target=…`);
  set(disk, text.slice(equals + 1));
}

function positional(disk: Draft, text: string): void {
  if (disk.target === undefined) disk.target = text;
  else if (!disk.prefixed && disk.format === undefined) {
    if (disk.target === '' && text.includes(':')) {
      vdevWithType(disk, text);
      disk.format = 'empty';
    } else setFormat(disk, text);
  } else if (disk.vdev === undefined) vdevWithType(disk, text);
  else if (!disk.accessGiven) {
    disk.accessGiven = true;
    setAccess(disk, text);
  } else throw new SpecError(`${quote(text)}: one positional parameter too many; they are target, format, vdev, access`);
}

/** A vdev, or the old form hdc:cdrom. */
function vdevWithType(disk: Draft, text: string): void {
  const colon = text.lastIndexOf(':');
  setVdev(disk, colon < 0 ? text : text.slice(0, colon));
  if (colon >= 0) disk.cdrom = known('type', text.slice(colon + 1), DEVICE_TYPES);
}

function setTarget(disk: Draft, value: string): void {
  if (disk.target) throw new SpecError(`target is given twice: ${quote(disk.target)} and ${quote(value)}`);
  disk.target = value;
}

function setFormat(disk: Draft, value: string): void {
  const format = known('format', value, FORMATS);
  if (disk.format !== undefined && disk.format !== format) throw new SpecError(`format is given twice: ${disk.format} and ${format}`);
  disk.format = format;
}

function setVdev(disk: Draft, value: string): void {
  if (disk.vdev) throw new SpecError(`vdev is given twice: ${quote(disk.vdev)} and ${quote(value)}`);
  disk.vdev = value;
}

function setAccess(disk: Draft, value: string): void { disk.readwrite = known('access', value, WRITABLE); }

function known<T>(what: string, value: string, values: ReadonlyMap<string, T>): T {
  const meaning = values.get(value);
  if (meaning === undefined) throw new SpecError(`${what} ${quote(value)} is not one of ${[...values.keys()].filter((key) => key !== '').join(', ')}`);
  return meaning;
}

function finish({ target, format = 'raw', vdev, readwrite, cdrom, discard, trusted }: Draft, spec: string): DiskConfig {
  if (!vdev) throw new SpecError(`${quote(spec)} has no vdev: write "PATH,raw,xvda,rw"`);
  if (!target && !cdrom) throw new SpecError(`${quote(spec)} has no target: write "PATH,raw,xvda,rw"`);
  if (target && format === 'empty') throw new SpecError(`${quote(spec)} has a target and the format empty: leave one of them out`);
  return { target: target ?? '', format: target ? format : 'empty', vdev, number: virtualDeviceNumber(vdev), readwrite: readwrite && !cdrom, cdrom, discard, trusted };
}
