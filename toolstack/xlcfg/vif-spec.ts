// A network interface: xl-network-configuration(5), key=value and flags separated by commas. An empty specification is
// an interface with all defaults.

import { quote } from './config-error.ts';
import { parseInteger } from './integer.ts';
import { SpecError } from './settings-reader.ts';
import { parseRate, type VifRate } from './vif-rate.ts';

export interface VifConfig {
  /** six bytes as 00:16:3e:… in lower case; undefined: one is to be made up */
  readonly mac: string | undefined;
  /** number of the interface, from 0, no two alike */
  readonly devid: number;
  readonly bridge: string | undefined;
  /** addresses that the guest may use, as written */
  readonly ip: string | undefined;
  /** bytes */
  readonly mtu: number | undefined;
  readonly rate: VifRate | undefined;
  /** what the front end is told to think of the back end */
  readonly trusted: boolean;
}

type Draft = { -readonly [K in keyof VifConfig]: VifConfig[K] | undefined } & { ignored: string[] };

/** What Ethernet's and IPv4's rules leave. */
const MTU = { min: 68, max: 65_535 };
const MAX_DEVID = 0xffff;

const PARAMETERS = new Map<string, (vif: Draft, value: string) => void>([
  ['mac', (vif, value) => { vif.mac = parseMac(value); }],
  ['bridge', (vif, value) => { vif.bridge = value; }],
  ['ip', (vif, value) => { vif.ip = value; }],
  ['rate', (vif, value) => { vif.rate = parseRate(value); }],
  ['mtu', (vif, value) => { vif.mtu = integer('mtu', value, MTU.min, MTU.max); }],
  ['devid', (vif, value) => { vif.devid = integer('devid', value, 0, MAX_DEVID); }],
  ['type', (_, value) => { if (value !== 'vif') throw new SpecError(`type ${quote(value)}: PV guests have no emulated network cards; write type=vif`); }],
  ['backend', (_, value) => { if (value !== '0' && value !== 'Domain-0') throw new SpecError('there are no driver domains; leave backend= out'); }],
]);
/** They are about interfaces and scripts of a Linux host, or emulated cards; xl itself ignores the last three for PV. */
const WITHOUT_MEANING = new Set(['script', 'vifname', 'gatewaydev', 'netdev', 'model', 'accel', 'forwarddev']);

/**
 * @param index in the list of interfaces
 * @returns the interface, and the parameters that have no meaning here
 * @throws SpecError
 */
export function parseVif(spec: string, index: number): { vif: VifConfig; ignored: readonly string[] } {
  const draft: Draft = { mac: undefined, devid: undefined, bridge: undefined, ip: undefined, mtu: undefined, rate: undefined, trusted: undefined, ignored: [] };
  for (const word of spec.split(',')) parameter(draft, word.trim());
  const { ignored, devid = index, trusted = true, ...rest } = draft;
  return { vif: { ...rest, devid, trusted }, ignored };
}

function parameter(vif: Draft, word: string): void {
  if (word === '') return;
  if (word === 'trusted' || word === 'untrusted') {
    vif.trusted = word === 'trusted';
    return;
  }
  const [, key = '', value = ''] = /^([a-z0-9_]+)=(.*)$/s.exec(word) ?? [];
  const set = PARAMETERS.get(key);
  if (set) set(vif, value);
  else if (WITHOUT_MEANING.has(key) || key.startsWith('colo_')) vif.ignored.push(key);
  else throw new SpecError(`${quote(word)}: unknown parameter; known are ${[...PARAMETERS.keys()].join(', ')}`);
}

/** xl takes any six numbers with anything between them; here they must look like an address. */
function parseMac(text: string): string {
  if (!/^[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}$/i.test(text)) throw new SpecError(`mac ${quote(text)} is not six hexadecimal bytes like 00:16:3e:01:02:03`);
  const mac = text.toLowerCase().split(':').map((byte) => byte.padStart(2, '0')).join(':');
  if (parseInt(mac, 16) & 1) throw new SpecError(`mac ${quote(text)} is a multicast address; the first byte must be even`);
  return mac;
}

function integer(key: string, text: string, min: number, max: number): number {
  const value = parseInteger(text);
  if (value === undefined || value < min || value > max) throw new SpecError(`${key} ${quote(text)} is not a number from ${min} to ${max}`);
  return value;
}
