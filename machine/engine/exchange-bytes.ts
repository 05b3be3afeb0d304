// A locked instruction's write where generated code does not do it: in frames that are written with care, across boundaries, and
// in the memory of other machines.

import { type Capsule, VCPU_BASE } from '#base/capsule.ts';
import { withLock } from '#base/spin-lock.ts';
import { CPU } from '../cpu-state.ts';

/** Where some of the bytes lie: `at` of them are before. */
interface Piece { readonly capsule: Capsule; readonly offset: number; readonly at: number; readonly length: number }

/** The lock under which generated code changes 16 bytes. */
const LOCK = (VCPU_BASE + CPU.wideLock) >>> 2;

/**
 * Replaces bytes if they are what they were.
 * @param pieces where they lie: one place, or two
 * @param from where they are as they were, in `capsule`
 * @param to where the new ones are
 * @returns false when they are not, and nothing is changed
 */
export function exchangeBytes(capsule: Capsule, pieces: readonly Piece[], from: number, to: number): boolean {
  const [piece] = pieces as [Piece];
  const { length } = piece;
  if (pieces.length === 1 && length <= 8 && piece.offset % length === 0) return exchangeNumber(capsule, piece, from, to);
  return withLock(piece.capsule.u32, LOCK, () => {
    for (const p of pieces) for (let i = 0; i < p.length; i++) if (p.capsule.u8[p.offset + i] !== capsule.u8[from + p.at + i]) return false;
    for (const p of pieces) p.capsule.u8.set(capsule.u8.subarray(to + p.at, to + p.at + p.length), p.offset);
    return true;
  });
}

/** As a processor does it, whoever else is at it. */
function exchangeNumber(capsule: Capsule, { capsule: there, offset, length }: Piece, from: number, to: number): boolean {
  if (length === 8) {
    const was = capsule.u64[from / 8] as bigint;
    return Atomics.compareExchange(there.u64, offset / 8, was, capsule.u64[to / 8] as bigint) === was;
  }
  const words = length === 4 ? 'u32' : length === 2 ? 'u16' : 'u8';
  const was = capsule[words][from / length] as number;
  return Atomics.compareExchange(there[words], offset / length, was, capsule[words][to / length] as number) === was;
}
