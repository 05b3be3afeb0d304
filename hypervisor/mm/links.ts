// Which cached translations die when an entry changes.
//
// The machine caches translations by base table. Xen leaves it to the guest to flush its TLB and flushes by itself
// only when a frame's type changes. We do better, because page tables in use change only through us: whenever a
// present entry is weakened (cleared, pointed elsewhere, or made to permit less), the translations made from it are
// dropped at once. So at every moment
//
//     each cached translation is what a walk of the tables gives now.
//
// From this follow: a frame that becomes a page table or descriptor page has no stale writable translation anywhere;
// a vCPU that loads another base needs no flush; and what the guest asks to flush is already gone.
//
// The linear address of an L1 entry follows from where its table is linked. Each table's back word says that: for L1
// and L2 tables it is the sum, modulo 2^32, of (parent frame × 512 + slot) over all entries that link it, so when
// there is one such entry (nearly always) the sum is the link itself. For L3 tables it is the L4 slot, which is the
// same in all processes' L4 tables for the kernel's part; MANY when slots differ. Where a table is linked more
// than once all translations are dropped instead. So they are when an entry above L1 changes while the guest uses linear
// page tables: such entries then map pages too.
//
// An entry whose ACCESSED bit is clear was never cached: the machine sets the bit when it walks.
//
// Where several machines run vCPUs of the domain, the sentence above holds for the one that dropped; the others follow
// (machine/engine/siblings.ts), and what must not be before they have waits for them (page-type.ts).

import { PTE, PTE_HI } from '#abi/mmu.ts';
import { PGT_count_mask, PGT_pinned } from './frame-table.ts';
import type { Mm } from './mm.ts';

const MANY = -1;
/** Permissions and marks of an entry that a cached translation relies on. */
const RELIED_ON = PTE.PRESENT | PTE.RW | PTE.USER | PTE.ACCESSED | PTE.DIRTY;
const FRAME_LO = 0xffff_f000;

/** True when a translation cached from the old entry may permit or reach what the new one does not. */
export function weakens(oldLo: number, oldHi: number, newLo: number, newHi: number): boolean {
  if ((oldLo & (PTE.PRESENT | PTE.ACCESSED)) !== (PTE.PRESENT | PTE.ACCESSED)) return false;
  return (oldLo & ~newLo & RELIED_ON) !== 0 || ((oldLo ^ newLo) & FRAME_LO) !== 0 || (newHi & ~oldHi & PTE_HI.NX) !== 0;
}

/** Notes that entry `slot` of `parent` now links `child`, whose type count already includes it. */
export function link(mm: Mm, child: number, childLevel: number, parent: number, slot: number): void {
  const { frames } = mm;
  if (childLevel < 3) frames.setBack(child, (frames.back(child) + parent * 512 + slot) | 0);
  else if (links(mm, child) === 1) frames.setBack(child, slot);
  else if (frames.back(child) !== slot) frames.setBack(child, MANY);
}

/** Notes that entry `slot` of `parent` links `child` no more. */
export function unlink(mm: Mm, child: number, childLevel: number, parent: number, slot: number): void {
  if (childLevel < 3) mm.frames.setBack(child, (mm.frames.back(child) - parent * 512 - slot) | 0);
}

/** Type references of a table other than its pin: entries of the level above. */
function links(mm: Mm, table: number): number {
  const word = mm.frames.type(table);
  return (word & PGT_count_mask) - ((word & PGT_pinned) !== 0 ? 1 : 0);
}

/** Drops what is cached from entry `slot` of an L1 table, which led to frame `mfn`. */
export function flushL1Entry(mm: Mm, l1: number, slot: number, mfn: number): void {
  const { frames, machine } = mm;
  const l1Links = links(mm, l1);
  if (l1Links === 0) return;
  if (l1Links > 1) return machine.flushTlb(mfn);
  const toL2 = frames.back(l1);
  const l2 = toL2 >>> 9;
  const l2Links = links(mm, l2);
  if (l2Links === 0) return;
  if (l2Links > 1) return machine.flushTlb(mfn);
  const toL3 = frames.back(l2);
  const l3 = toL3 >>> 9;
  if (links(mm, l3) === 0) return;
  const l4Slot = frames.back(l3);
  if (l4Slot === MANY) return machine.flushTlb(mfn);
  const l3Slot = toL3 & 511;
  const hi = (l4Slot << 7) | (l3Slot >>> 2);
  machine.flushTlbPage((((l3Slot & 3) << 30) | ((toL2 & 511) << 21) | (slot << 12)) >>> 0, (l4Slot >= 256 ? hi | 0xffff_0000 : hi) >>> 0, mfn);
}

/** Drops what is cached through an entry of `table` that links `child`: nothing, when the child maps nothing. */
export function flushSubtree(mm: Mm, table: number, level: number, child: number): void {
  if (mm.linearEntries !== 0) mm.machine.flushTlb();
  else if ((level === 4 || links(mm, table) !== 0) && !isEmpty(mm, child)) mm.machine.flushTlb();
}

function isEmpty(mm: Mm, table: number): boolean {
  const first = mm.entry(table, 0);
  for (let i = first; i < first + 1024; i += 2) if (((mm.u32[i] as number) & PTE.PRESENT) !== 0) return false;
  return true;
}
