// Bytes that many domains are made from, a kernel's or an initrd's. Where the host can do it (Host.common), domains have the pages in
// common: one that is made maps them, and has its own of those that it writes to. Half of Linux is never written to.

import { type Capsule, PAGE_SIZE } from '#base/capsule.ts';
import type { CommonMemories, CommonMemory } from '#base/host.ts';

export interface CommonBytes {
  readonly bytes: Uint8Array;
  /** whose buffer `bytes` is a view of, if there is one */
  readonly common?: CommonMemory | undefined;
}

/** Less is copied: a domain is not to have many mappings. */
const SMALL = 16 * PAGE_SIZE;

/** @param at where they will go: only an offset in a page matters */
export function commonBytes(bytes: Uint8Array, at: number, commons: CommonMemories | undefined): CommonBytes {
  const begin = at % PAGE_SIZE;
  const common = bytes.length < SMALL ? undefined : commons?.create(begin + bytes.length);
  const copy = common ? new Uint8Array(common.memory.buffer, begin, bytes.length) : new Uint8Array(new SharedArrayBuffer(bytes.length));
  copy.set(bytes);
  return { bytes: copy, common };
}

/** Puts bytes [from, to) of a new domain's image into its memory: byte 0 goes to an offset of the capsule. */
export function placeBytes(capsule: Capsule, offset: number, { bytes, common }: CommonBytes, from: number, to: number, commons: CommonMemories | undefined): void {
  const first = Math.ceil((offset + from) / PAGE_SIZE) * PAGE_SIZE - offset, end = Math.floor((offset + to) / PAGE_SIZE) * PAGE_SIZE - offset;
  const isMapped = common !== undefined && end - first >= SMALL && commons?.put(common, bytes.byteOffset + first, capsule.memory, offset + first, end - first) === true;
  const copied = isMapped ? [[from, first], [end, to]] as const : [[from, to]] as const;
  for (const [a, b] of copied) capsule.u8.set(bytes.subarray(a, b), offset + a);
}
