// Page types: how a frame becomes a page table, a descriptor page or writable memory, and how it ceases to be one.
// The rules of the counts are at the head of frame-table.ts, what single entries may map is in entry.ts.
//
// Taking a type reference on a frame of that type is an increment. On a frame without type references it first makes
// the frame that type, which for a page table means to validate it: every present entry is checked and gets its own
// references, so that validating an L4 table validates the whole tree below it. Dropping the last reference undoes it.
// Either all of it happens or nothing. Entries are adjusted as Xen does while they are checked (entry.ts).

import { PTE, ROOT_PAGETABLE_FIRST_XEN_SLOT, ROOT_PAGETABLE_LAST_XEN_SLOT } from '#abi/mmu.ts';
import { EINVAL } from '#abi/errno.ts';
import { assert, unreachable } from '#base/assert.ts';
import { validateDescriptors } from './descriptor.ts';
import { adjustL1, adjustTable, getPageFromL1e, getPageFromTableEntry, putPageFromL1e, putPageFromTableEntry } from './entry.ts';
import { OWNER, PGC_count_mask, PGT_count_mask, PGT_l1_page_table, PGT_l4_page_table, PGT_none, PGT_pinned, PGT_seg_desc_page, PGT_type_mask, PGT_type_shift, PGT_validated, PGT_writable_page } from './frame-table.ts';
import { installXenSlots, setM2p } from './m2p.ts';
import { DOMAIN_STATE } from '../layout.ts';
import type { Mm } from './mm.ts';
import { mm_state } from './mm-state.ts';
import { withFreePages } from './pages-lock.ts';

/**
 * Takes a type reference on a frame on which the caller has a general reference.
 * @param type one of PGT_l1_page_table … PGT_writable_page
 * @returns 0, or a negated errno: the frame is in use as something else, or its contents are not valid for the type
 */
export function getPageType(mm: Mm, mfn: number, type: number): number {
  const { frames } = mm;
  for (;;) {
    const word = frames.type(mfn);
    const count = word & PGT_count_mask;
    if (count === PGT_count_mask) return -EINVAL;
    if ((word & PGT_type_mask) === type) {
      if (count !== 0 || (word & PGT_validated) !== 0) {
        assert((word & PGT_validated) !== 0, 'a type in use is validated');
        if (frames.changeType(mfn, word, word + 1)) return 0;
        continue;
      }
    } else if (count !== 0) return -EINVAL;
    else mm.machine.settle(frames.back(mfn)); // nobody uses it any more as what it was
    const isTable = type !== PGT_writable_page;
    if (frames.changeType(mfn, word, isTable ? type | 1 : type | PGT_validated | 1)) return isTable ? validate(mm, mfn, type) : 0;
  }
}

/** The frame is marked as one of this type that is not validated. */
function validate(mm: Mm, mfn: number, type: number): number {
  mm.work += 512;
  mm.frames.setBack(mfn, 0);
  const rc = type === PGT_seg_desc_page ? validateDescriptors(mm, mfn)
    : type === PGT_l1_page_table ? promoteL1(mm, mfn)
    : type <= PGT_l4_page_table ? promoteTable(mm, mfn, type >>> PGT_type_shift)
    : unreachable(`page type ${type}`);
  mm.frames.setType(mfn, rc === 0 ? type | PGT_validated | 1 : PGT_none);
  mm.machine.frameWritten(mfn); // entries and descriptors were adjusted, up to one that was refused
  return rc;
}

/** Drops a type reference. With the last one of a page table, what its entries refer to is dropped too. */
export function putPageType(mm: Mm, mfn: number): void {
  const { frames } = mm;
  const word = frames.type(mfn);
  const count = word & PGT_count_mask;
  assert(count !== 0, 'a type reference is dropped only once');
  const level = (word & PGT_type_mask) >>> PGT_type_shift;
  if (count !== 1 || level === 0 || level > 4) {
    stamp(mm, mfn, level);
    frames.dropType(mfn);
    return;
  }
  mm.work += 512;
  assert((word & (PGT_validated | PGT_pinned)) === PGT_validated, 'the last reference of a table is not its pin');
  frames.setType(mfn, word & ~PGT_validated);
  if (level === 1) demoteL1(mm, mfn);
  else demoteTable(mm, mfn, level);
  frames.setType(mfn, (word & ~PGT_validated) - 1);
  frames.setBack(mfn, mm.machine.dropped);
}
/** Notes in a frame that is no table that what was dropped so far has to be so before it becomes something else. */
function stamp(mm: Mm, mfn: number, level: number): void {
  const { dropped } = mm.machine;
  if (dropped > 0 && (level === 0 || level > 4)) mm.frames.advanceBack(mfn, dropped);
}

/** Drops a general reference, and frees the frame with the last. */
export function putPage(mm: Mm, mfn: number): void {
  if (mm.frames.putPage(mfn)) freeFrame(mm, mfn);
}

/** Takes both references. @returns 0 or -EINVAL */
export function getPageAndType(mm: Mm, mfn: number, type: number): number {
  if (!mm.frames.getPage(mfn)) return -EINVAL;
  const rc = getPageType(mm, mfn, type);
  if (rc !== 0) putPage(mm, mfn);
  return rc;
}

export function putPageAndType(mm: Mm, mfn: number): void {
  putPageType(mm, mfn);
  putPage(mm, mfn);
}

/** Frees the frames that a grant held last. To be called before the domain's frames are counted or given out, on whatever thread. */
export function reclaimFrames(mm: Mm): void {
  if (mm.state.lingering === 0) return;
  Atomics.store(mm.u32, LINGERING, 0);
  mm.work += mm.total;
  for (let mfn = mm.capsule.xenFrames; mfn < mm.total; mfn++) {
    if (isUnneeded(mm, mfn)) freeFrame(mm, mfn);
  }
}
const LINGERING = (DOMAIN_STATE.mm + mm_state.offset.lingering) >>> 2;

/** Frees a frame that nobody needs any more, unless another thread, which looked for such frames, has done so. */
function freeFrame(mm: Mm, mfn: number): void {
  mm.machine.settle(mm.machine.dropped);
  withFreePages(mm, () => {
    if (!isUnneeded(mm, mfn)) return;
    scrub(mm, mfn); // before somebody else may have it
    leaveDomain(mm, mfn);
  });
  mm.freed.add(mfn);
}
function isUnneeded({ frames }: Mm, mfn: number): boolean { return frames.owner(mfn) === OWNER.domain && (frames.count(mfn) & PGC_count_mask) === 0; }

/** Takes a frame without references out of the domain, contents and m2p as they are. With the lock of free pages. */
export function leaveDomain(mm: Mm, mfn: number): void {
  mm.frames.release(mfn);
  mm.state.tot_pages--;
  if (mfn < mm.state.free_hint) mm.state.free_hint = mfn;
}

/** Clears a frame without references, and its m2p entry. */
export function scrub(mm: Mm, mfn: number): void {
  mm.work += 64;
  setM2p(mm, mfn, 0xffff_ffff, 0xffff_ffff);
  mm.u32.fill(0, mm.entry(mfn, 0), mm.entry(mfn + 1, 0));
  mm.machine.frameWritten(mfn);
}

/** The next present entry of a table, as an index of `u32`, or the table's end. Most tables are nearly empty. */
function nextPresent(u32: Uint32Array, from: number, end: number): number {
  let i = from;
  while (i < end && ((u32[i] as number) & PTE.PRESENT) === 0) i += 2;
  return i;
}

function promoteL1(mm: Mm, mfn: number): number {
  const { u32 } = mm;
  const first = mm.entry(mfn, 0), end = mm.entry(mfn + 1, 0);
  for (let i = nextPresent(u32, first, end); i < end; i = nextPresent(u32, i + 2, end)) {
    const rc = getPageFromL1e(mm, u32[i] as number, u32[i + 1] as number);
    if (rc !== 0) {
      for (let j = i - 2; j >= first; j -= 2) putPageFromL1e(mm, u32[j] as number);
      return rc;
    }
    adjustL1(mm, i);
  }
  return 0;
}

function demoteL1(mm: Mm, mfn: number): void {
  const { u32 } = mm;
  const end = mm.entry(mfn + 1, 0);
  for (let i = nextPresent(u32, mm.entry(mfn, 0), end); i < end; i = nextPresent(u32, i + 2, end)) putPageFromL1e(mm, u32[i] as number);
}

/** True for the slots of a table that are the guest's. */
export function isGuestSlot(level: number, slot: number): boolean {
  return level !== 4 || slot < ROOT_PAGETABLE_FIRST_XEN_SLOT || slot > ROOT_PAGETABLE_LAST_XEN_SLOT;
}

function promoteTable(mm: Mm, mfn: number, level: number): number {
  const { u32 } = mm;
  const first = mm.entry(mfn, 0), end = mm.entry(mfn + 1, 0);
  for (let i = nextPresent(u32, first, end); i < end; i = nextPresent(u32, i + 2, end)) {
    let slot = (i - first) >>> 1;
    if (!isGuestSlot(level, slot)) continue;
    const rc = getPageFromTableEntry(mm, level, u32[i] as number, u32[i + 1] as number, mfn, slot);
    if (rc !== 0) {
      while (--slot >= 0) if (isGuestSlot(level, slot)) putPageFromTableEntry(mm, level, u32[mm.entry(mfn, slot)] as number, mfn, slot);
      return rc;
    }
    adjustTable(mm, i);
  }
  if (level === 4) installXenSlots(mm, mfn);
  return 0;
}

function demoteTable(mm: Mm, mfn: number, level: number): void {
  if (level === 4) mm.machine.dropBase(mfn);
  const { u32 } = mm;
  const first = mm.entry(mfn, 0), end = mm.entry(mfn + 1, 0);
  for (let i = nextPresent(u32, first, end); i < end; i = nextPresent(u32, i + 2, end)) {
    const slot = (i - first) >>> 1;
    if (isGuestSlot(level, slot)) putPageFromTableEntry(mm, level, u32[i] as number, mfn, slot);
  }
}
