// Changing one entry of a page table in use: the new value is checked and takes its references, is stored, and the
// old value's references are dropped. An update that fails changes nothing. No allocation: this is the hottest path
// of the hypervisor (47,000 calls in a boot of the Debian kernel).

import { EINVAL } from '#abi/errno.ts';
import { PTE, PTE_HI } from '#abi/mmu.ts';
import { adjustedL1Hi, adjustedL1Lo, getPageFromL1e, getPageFromTableEntry, L1_DISALLOW_MASK, putPageFromL1e, putPageFromTableEntry, TABLE_DISALLOW_MASK } from './entry.ts';
import { flushL1Entry, flushSubtree, weakens } from './links.ts';
import type { Mm } from './mm.ts';
import { isGuestSlot } from './page-type.ts';

const AD = PTE.ACCESSED | PTE.DIRTY;
/** Differences in the low half that need no new check: USER, ACCESSED, DIRTY, GLOBAL and the available bits. */
const CHECKED = 0xffff_f000 | PTE.PRESENT | PTE.RW | PTE.PWT | PTE.PCD | PTE.PSE;

function sameMapping(oldLo: number, oldHi: number, lo: number, hi: number): boolean {
  return ((oldLo ^ lo) & CHECKED) === 0 && ((oldHi ^ hi) & PTE_HI.FRAME) === 0;
}

/**
 * Sets entry `slot` of an L1 table in use.
 * @param preserveAd true to keep the accessed and dirty bits that the processor has set
 * @param wasLo the low half that a locked instruction has read: another one now is CHANGED
 * @returns 0, or a negated errno as getPageFromL1e gives
 */
export function setL1Entry(mm: Mm, table: number, slot: number, lo: number, hi: number, preserveAd: boolean, wasLo?: number): number {
  const { u32 } = mm;
  const i = mm.entry(table, slot);
  const oldLo = u32[i] as number;
  const oldHi = u32[i + 1] as number;
  let newLo = lo;
  let newHi = hi;
  let drop = true;
  if ((lo & PTE.PRESENT) !== 0) {
    if ((lo & L1_DISALLOW_MASK) !== 0) return -EINVAL;
    if (sameMapping(oldLo, oldHi, lo, hi)) drop = false;
    else {
      const rc = getPageFromL1e(mm, lo, hi);
      if (rc !== 0) return rc;
    }
    newLo = adjustedL1Lo(lo, hi);
    newHi = adjustedL1Hi(lo, hi);
  }
  const kept = preserveAd ? AD : 0;
  if (!replaceL1Entry(mm, table, slot, newLo, newHi, kept, wasLo)) {
    if (drop) putPageFromL1e(mm, newLo);
    return CHANGED;
  }
  if (drop) putPageFromL1e(mm, oldLo);
  return 0;
}
/** The entry is not what a locked instruction has read there. */
export const CHANGED = 1;

/**
 * Stores an entry as it is; references of the old one are not dropped. Nothing is cached of another domain's frame.
 * @param kept bits that the old one keeps
 * @param wasLo the low half that it must have, if any
 */
function replaceL1Entry(mm: Mm, table: number, slot: number, lo: number, hi: number, kept = 0, wasLo?: number): boolean {
  const { u32 } = mm;
  const i = mm.entry(table, slot);
  const oldHi = u32[i + 1] as number;
  const oldLo = exchangeEntry(mm, i, lo, hi, kept, wasLo);
  if (oldLo < 0) return false;
  mm.machine.frameWritten(table);
  if (oldLo >>> 12 < mm.total && weakens(oldLo, oldHi, lo | (oldLo & kept), hi)) flushL1Entry(mm, table, slot, oldLo >>> 12);
  return true;
}
/**
 * Stores an entry that other vCPUs may be looking at, and mark as accessed or dirty: an entry that they have marked may be
 * cached. They never see halves that do not belong together.
 * @returns the low half before, or -1: it was not `wasLo`, and nothing is changed
 */
function exchangeEntry({ u32, capsule: { u64 } }: Mm, i: number, lo: number, hi: number, kept: number, wasLo: number | undefined): number {
  for (let old = wasLo ?? u32[i] as number; ;) {
    const oldHi = u32[i + 1] as number;
    const now = (lo | (old & kept)) >>> 0;
    const wasPresent = (old & PTE.PRESENT) !== 0;
    if (!wasPresent) u32[i + 1] = hi;
    const bothHalves = wasPresent && hi !== oldHi && (now & PTE.PRESENT) !== 0;
    const seen = bothHalves ? Number(Atomics.compareExchange(u64, i >>> 1, whole(old, oldHi), whole(now, hi)) & 0xffff_ffffn) : Atomics.compareExchange(u32, i, old, now);
    if (seen === old) {
      u32[i + 1] = hi;
      return old;
    }
    if (wasLo !== undefined) return -1;
    old = seen;
  }
}
const whole = (lo: number, hi: number): bigint => BigInt(hi) << 32n | BigInt(lo);

/**
 * Sets entry `slot` of an L1 table in use to one whose references the caller has taken, and which it gives to the entry:
 * that of a grant, or one that was taken from another place.
 */
export function giveL1Entry(mm: Mm, table: number, slot: number, lo: number, hi: number): void {
  const old = mm.u32[mm.entry(table, slot)] as number;
  replaceL1Entry(mm, table, slot, lo, hi);
  putPageFromL1e(mm, old);
}

/** Clears entry `slot` of an L1 table in use. Its references are the caller's now. */
export function takeL1Entry(mm: Mm, table: number, slot: number): { readonly lo: number; readonly hi: number } {
  const i = mm.entry(table, slot);
  const entry = { lo: mm.u32[i] as number, hi: mm.u32[i + 1] as number };
  replaceL1Entry(mm, table, slot, 0, 0);
  return entry;
}

/**
 * Sets entry `slot` of a table of level 2, 3 or 4 in use.
 * @returns 0 or -EINVAL
 */
export function setTableEntry(mm: Mm, level: number, table: number, slot: number, lo: number, hi: number, preserveAd: boolean): number {
  if (!isGuestSlot(level, slot)) return -EINVAL;
  const { u32 } = mm;
  const i = mm.entry(table, slot);
  const oldLo = u32[i] as number;
  const oldHi = u32[i + 1] as number;
  let newLo = lo;
  let drop = true;
  if ((lo & PTE.PRESENT) !== 0) {
    if ((lo & TABLE_DISALLOW_MASK) !== 0) return -EINVAL;
    if (sameMapping(oldLo, oldHi, lo, hi)) drop = false;
    else {
      const rc = getPageFromTableEntry(mm, level, lo, hi, table, slot);
      if (rc !== 0) return rc;
    }
    newLo = (lo | PTE.USER) >>> 0;
  }
  const kept = preserveAd ? AD : 0;
  const before = exchangeEntry(mm, i, newLo, hi, kept, undefined);
  mm.machine.frameWritten(table);
  if (weakens(before, oldHi, newLo | (before & kept), hi)) flushSubtree(mm, table, level, oldLo >>> 12);
  if (drop) putPageFromTableEntry(mm, level, oldLo, table, slot);
  return 0;
}
