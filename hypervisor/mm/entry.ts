// What a page-table entry may say, and the references that it holds.
//
//  - An L1 entry maps a frame that the domain owns: one general reference, and one `writable` type reference when it
//    permits writing. Cache attributes (PWT, PCD, PAT) are refused: no domain has devices.
//  - Only Xen makes an L1 entry that maps another domain's frame (foreign-frames.ts); it holds references there.
//  - An entry of L2 and above links a table of the level below: one general and one type reference. PWT, PCD, PSE
//    (superpages) and GLOBAL are refused.
//  - Linear page tables: an entry may instead map, read-only, its own table (no reference) or another table of its
//    level that is already in use (references as usual). Chains are refused: a table that has such entries to others
//    cannot be mapped so, nor the other way round.
//  - Xen changes entries that it accepts: USER is set in all, as the guest kernel runs in ring 3. L1 entries that came
//    without it are marked GUEST_KERNEL, the others GLOBAL.
//
// Frame numbers are below 2^20, so the frame of a good entry is in its low half and the high half's frame bits are 0.

import { EBUSY, EINVAL, EPERM } from '#abi/errno.ts';
import { PTE, PTE_HI } from '#abi/mmu.ts';
import { PGT_type_mask, PGT_type_shift, PGT_writable_page } from './frame-table.ts';
import { link, unlink } from './links.ts';
import type { Mm } from './mm.ts';
import { getPageAndType, getPageType, putPage, putPageAndType, putPageType } from './page-type.ts';

export const L1_DISALLOW_MASK: number = PTE.PWT | PTE.PCD | PTE.PAT;
export const TABLE_DISALLOW_MASK: number = PTE.PWT | PTE.PCD | PTE.PSE | PTE.GLOBAL;

/**
 * Checks a present L1 entry and takes its references.
 * @returns 0; -EINVAL for bad flags, -EPERM for a frame that is not memory, -EBUSY for one that the domain does not
 * own, granted to it or not, or that is in use as a page table or descriptor page while the entry permits writing
 */
export function getPageFromL1e(mm: Mm, lo: number, hi: number): number {
  if ((lo & L1_DISALLOW_MASK) !== 0) return -EINVAL;
  const mfn = lo >>> 12;
  if ((hi & PTE_HI.FRAME) === 0 && mm.foreign.has(mfn)) return -EBUSY;
  if ((hi & PTE_HI.FRAME) !== 0 || mfn >= mm.total) return mfn === 0xf_ffff && (hi & PTE_HI.FRAME) === PTE_HI.FRAME ? -EINVAL : -EPERM;
  if (!mm.frames.getPage(mfn)) return -EBUSY;
  if ((lo & PTE.RW) !== 0 && getPageType(mm, mfn, PGT_writable_page) !== 0) {
    putPage(mm, mfn);
    return -EBUSY;
  }
  return 0;
}

/** Drops the references of an L1 entry that was accepted; nothing for one that is not present. */
export function putPageFromL1e(mm: Mm, lo: number): void {
  if ((lo & PTE.PRESENT) === 0) return;
  const mfn = lo >>> 12;
  if (mfn >= mm.total) return mm.foreign.drop(mfn, (lo & PTE.RW) !== 0);
  if ((lo & PTE.RW) !== 0) putPageType(mm, mfn);
  putPage(mm, mfn);
}

/** The low half of an accepted L1 entry as Xen stores it. */
export function adjustedL1Lo(lo: number, hi: number): number {
  const user = (lo & PTE.USER) !== 0 && (hi & PTE_HI.GUEST_KERNEL) === 0;
  return (user ? lo | PTE.USER | PTE.GLOBAL : lo | PTE.USER) >>> 0;
}
/** The high half of an accepted L1 entry as Xen stores it; `lo` as the guest gave it. */
export function adjustedL1Hi(lo: number, hi: number): number {
  return (lo & PTE.USER) !== 0 ? hi : (hi | PTE_HI.GUEST_KERNEL) >>> 0;
}

/** Adjusts an accepted L1 entry in place; `i` is its index in u32. */
export function adjustL1(mm: Mm, i: number): void {
  const lo = mm.u32[i] as number;
  const hi = mm.u32[i + 1] as number;
  mm.u32[i] = adjustedL1Lo(lo, hi);
  mm.u32[i + 1] = adjustedL1Hi(lo, hi);
}

/** Adjusts an accepted entry of L2 or above in place. */
export function adjustTable(mm: Mm, i: number): void { mm.u32[i] = (mm.u32[i] as number) | PTE.USER; }

/**
 * Checks a present entry of an L2, L3 or L4 table and takes its references.
 * @param level of the table that has the entry
 * @returns 0 or -EINVAL
 */
export function getPageFromTableEntry(mm: Mm, level: number, lo: number, hi: number, table: number, slot: number): number {
  if ((lo & TABLE_DISALLOW_MASK) !== 0) return -EINVAL;
  const child = lo >>> 12;
  if ((hi & PTE_HI.FRAME) !== 0 || child >= mm.total) return -EINVAL;
  const rc = getPageAndType(mm, child, (level - 1) << PGT_type_shift);
  if (rc === 0) link(mm, child, level - 1, table, slot);
  return rc === -EINVAL && getLinearPageTable(mm, level, lo, table) ? 0 : rc;
}

/** Drops the references of an accepted entry of an L2, L3 or L4 table; nothing for one that is not present. */
export function putPageFromTableEntry(mm: Mm, level: number, lo: number, table: number, slot: number): void {
  if ((lo & PTE.PRESENT) === 0) return;
  const child = lo >>> 12;
  if (child === table) {
    mm.linearEntries--;
    return;
  }
  if ((mm.frames.type(child) & PGT_type_mask) >>> PGT_type_shift === level) {
    mm.frames.addLinearCount(table, -1);
    mm.frames.addLinearCount(child, 1);
    mm.linearEntries--;
  } else unlink(mm, child, level - 1, table, slot);
  putPageAndType(mm, child);
}

function getLinearPageTable(mm: Mm, level: number, lo: number, table: number): boolean {
  const { frames } = mm;
  if ((lo & PTE.RW) !== 0) return false;
  const other = lo >>> 12;
  if (other !== table) {
    if (!frames.isTable(other, level) || frames.linearCount(table) < 0 || frames.linearCount(table) === 0x7fff) return false;
    if (frames.linearCount(other) > 0 || frames.linearCount(other) === -0x8000) return false;
    if (getPageAndType(mm, other, level << PGT_type_shift) !== 0) return false;
    frames.addLinearCount(table, 1);
    frames.addLinearCount(other, -1);
  }
  mm.linearEntries++;
  return true;
}
