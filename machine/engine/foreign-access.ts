// Loads and stores of memory that is another machine's: copied between there and the bounce buffer. Numbers of 2, 4 and
// 8 bytes that are aligned move as one, as a processor moves them: somebody else may be looking.

import { type Capsule, PAGE_SIZE } from '#base/capsule.ts';
import type { ForeignMemory } from '../machine.ts';

/** Copies to a capsule offset. @param at frame number × 4096 + offset; `length` bytes are within one page */
export function loadForeign(foreign: ForeignMemory, at: number, to: Capsule, offset: number, length: number): void {
  const page = foreign.find(Math.floor(at / PAGE_SIZE));
  copyAsOne(page.capsule, page.offset + at % PAGE_SIZE, to, offset, length);
}

/** Copies from a capsule offset, and tells the machine whose memory it is. */
export function storeForeign(foreign: ForeignMemory, at: number, from: Capsule, offset: number, length: number): void {
  const page = foreign.find(Math.floor(at / PAGE_SIZE));
  copyAsOne(from, offset, page.capsule, page.offset + at % PAGE_SIZE, length);
  page.machine.frameWritten(page.mfn);
}

/** Copies bytes; an aligned number of 2, 4 or 8 of them in one piece. */
export function copyAsOne(from: Capsule, at: number, to: Capsule, offset: number, length: number): void {
  const misaligned = (at | offset) & (length - 1);
  if (length === 4 && misaligned === 0) Atomics.store(to.u32, offset >>> 2, Atomics.load(from.u32, at >>> 2));
  else if (length === 8 && misaligned === 0) Atomics.store(to.u64, Math.floor(offset / 8), Atomics.load(from.u64, Math.floor(at / 8)));
  else if (length === 2 && misaligned === 0) Atomics.store(to.u16, offset >>> 1, Atomics.load(from.u16, at >>> 1));
  else to.u8.set(from.u8.subarray(at, at + length), offset);
}
