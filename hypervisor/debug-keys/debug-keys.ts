// Debug keys, as xl debug-keys and Xen's console take them: each writes something about the machine and its domains to the
// hypervisor's log. They read; only q touches guests, by a virtual interrupt that is made for that.

import type { Share } from '../credit.ts';
import type { Domain } from '../domain.ts';
import { dumpClocks } from './clock-info.ts';
import { dumpDomains } from './domain-info.ts';
import { dumpEvents } from './event-info.ts';
import { dumpGrants } from './grant-info.ts';
import { dumpRunQueue } from './run-queue.ts';

/** What the keys tell of: a physical CPU and the domains on it. */
export interface DebugTarget {
  readonly pcpu: number;
  readonly domains: readonly { readonly domain: Domain; readonly share: Share; readonly isReady: boolean }[];
  /** host time, ns */
  readonly now: number;
}
export type Log = (line: string) => void;

/** `run`: what it writes for each physical CPU; one without is the machine's */
interface Key { readonly about: string; readonly run?: (target: DebugTarget, log: Log) => void }

const HELP = 'h';
const KEYS: Readonly<Record<string, Key>> = {
  e: { about: 'dump event channels', run: dumpEvents },
  g: { about: 'dump grants in use', run: dumpGrants },
  [HELP]: { about: 'show this message' },
  q: { about: 'dump domains and vCPUs, and ask guests for their debug information', run: dumpDomains },
  r: { about: 'dump the run queue', run: dumpRunQueue },
  t: { about: 'dump clocks and timers', run: dumpClocks },
};

/** The first of some keys that does nothing; undefined when each does something. */
export function unknownKey(keys: string): string | undefined { return [...keys].find((key) => !Object.hasOwn(KEYS, key)); }

/** What is written once for a key that there is, before the physical CPUs write theirs. */
export function keyHead(letter: string): string[] {
  const head = `'${letter}' pressed -> ${KEYS[letter]?.about}`;
  return letter === HELP ? [head, ...Object.entries(KEYS).map(([key, { about }]) => ` key '${key}' (ascii '${key.charCodeAt(0).toString(16)}') => ${about}`)] : [head];
}
/** What a physical CPU writes when a key is pressed; nothing for one that there is not. */
export function pressKey(letter: string, target: DebugTarget, log: Log): void {
  if (Object.hasOwn(KEYS, letter)) KEYS[letter]?.run?.(target, log);
}
