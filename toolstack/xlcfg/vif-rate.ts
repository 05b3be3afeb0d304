// The limit of what an interface sends, RATE/s[@INTERVAL]: xl-network-configuration(5). It becomes the credit that
// netback knows: so many bytes in each interval. Units are decimal, and b is bits.

import { quote } from './config-error.ts';
import { parseInteger } from './integer.ts';
import { SpecError } from './settings-reader.ts';

export interface VifRate {
  readonly bytesPerInterval: number;
  /** microseconds */
  readonly interval: number;
}

const DEFAULT_INTERVAL = 50_000n;
const SCALE: Readonly<Record<string, bigint>> = { G: 1_000_000_000n, M: 1_000_000n, K: 1000n, '': 1n };
/** a bare number is in seconds, as in xl */
const MICROSECONDS: Readonly<Record<string, bigint>> = { '': 1_000_000n, s: 1_000_000n, ms: 1000n, us: 1n, m: 1000n, u: 1n };
const MAX_U32 = 0xffff_ffff;

/** @throws SpecError */
export function parseRate(text: string): VifRate {
  const [, digits = '', scale = '', unit = '', intervalDigits, intervalUnit = ''] = /^(\d+)([GMK]?)([Bb])\/s(?:@(\d+)([mu]?s?))?$/.exec(text) ?? [];
  if (digits === '') throw new SpecError(`rate ${quote(text)} is not like 10Mb/s or 1MB/s@20ms`);
  const bytesPerSecond = u32(text, digits) * (SCALE[scale] as bigint) / (unit === 'b' ? 8n : 1n);
  const interval = intervalDigits === undefined ? DEFAULT_INTERVAL : u32(text, intervalDigits) * (MICROSECONDS[intervalUnit] as bigint);
  if (interval > MAX_U32) throw new SpecError(`rate ${quote(text)}: the interval is too long`);
  const credit = bytesPerSecond * interval;
  if (credit >= 2n ** 64n) throw new SpecError(`rate ${quote(text)} is too much`);
  return { bytesPerInterval: Number(credit / 1_000_000n), interval: Number(interval) };
}

function u32(text: string, digits: string): bigint {
  const value = parseInteger(digits);
  if (value === undefined || value === 0 || value > MAX_U32) throw new SpecError(`rate ${quote(text)}: ${quote(digits)} is not a number from 1 to ${MAX_U32}`);
  return BigInt(value);
}
