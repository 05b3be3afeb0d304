// The report of the crash that ended a domain, in its capsule: the thread that makes it may not be the one that tells of the end.

import type { Capsule } from '#base/capsule.ts';
import { DOMAIN_STATE, DOMAIN_STATE_SIZE } from './layout.ts';

const ROOM = DOMAIN_STATE_SIZE.crashText - 4;

/** Undefined when there is none. */
export function crashTextOf({ u8, u32 }: Capsule): string | undefined {
  const length = u32[DOMAIN_STATE.crashText >>> 2] as number;
  return length === 0 ? undefined : String.fromCharCode(...u8.subarray(DOMAIN_STATE.crashText + 4, DOMAIN_STATE.crashText + 4 + length));
}
/** What does not fit is left out at its end. It is ASCII: what is not becomes something else. */
export function setCrashText({ u8, u32 }: Capsule, text: string): void {
  const bytes = Uint8Array.from(text.slice(0, ROOM), (c) => c.charCodeAt(0) & 0x7f);
  u8.set(bytes, DOMAIN_STATE.crashText + 4);
  u32[DOMAIN_STATE.crashText >>> 2] = bytes.length;
}
