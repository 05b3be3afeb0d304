// The machine-to-physical table (m2p): for each frame number the guest's pfn of it, 8 bytes each, read-only to the
// guest at the start of Xen's window (0xffff8000_00000000). It is real memory under real page tables, so the
// processor's ordinary walk finds it: L4 slot 256 of every table that may be a base points to Xen's L3.
//
//   XEN_FRAME.m2p + 0   the reserved page of every GDT (descriptor.ts)
//                 + 1   L3, + 2   L2
//                 + 3   L1 tables, one for 512 frames of m2p
//                 then  the m2p itself, one frame for 512 frame numbers
//
// As in Xen a guest's L4 table gets slot 256 when it is validated if the guest asked for m2p_strict; it is then taken
// out again where the table becomes a user base. Otherwise it is put in when the table becomes a kernel base.
// The other Xen slots stay empty: our hypervisor does not live in the guest's address space.

import { PTE, PTE_HI, ROOT_PAGETABLE_FIRST_XEN_SLOT, ROOT_PAGETABLE_LAST_XEN_SLOT } from '#abi/mmu.ts';
import { VMASST_TYPE_m2p_strict } from '#abi/xen.ts';
import { type Capsule, PAGE_SIZE } from '#base/capsule.ts';
import { assert } from '#base/assert.ts';
import { DOMAIN_STATE, XEN_FRAME } from '../layout.ts';
import { mm_state } from './mm-state.ts';
import type { Mm } from './mm.ts';

const ENTRIES_PER_FRAME = PAGE_SIZE / 8;
/** The reserved page of every GDT. */
export const XEN_GDT_FRAME: number = XEN_FRAME.m2p;
const L3 = XEN_FRAME.m2p + 1, L2 = XEN_FRAME.m2p + 2, FIRST_L1 = XEN_FRAME.m2p + 3;
const RO_MPT_SLOT = ROOT_PAGETABLE_FIRST_XEN_SLOT;
const TABLE_LO = PTE.PRESENT | PTE.USER | PTE.ACCESSED;

/** Frames that Xen needs of its own in a domain with this much RAM: what Capsule takes as `xenFrames`. */
export function xenFrameCount(guestFrames: number): number {
  let count = FIRST_L1;
  for (;;) {
    const { l1s, frames } = m2pSize(count + guestFrames);
    const needed = FIRST_L1 + l1s + frames;
    if (needed === count) return count;
    count = needed;
  }
}

function m2pSize(totalFrames: number): { l1s: number; frames: number } {
  const frames = Math.ceil(totalFrames / ENTRIES_PER_FRAME);
  return { l1s: Math.ceil(frames / 512), frames };
}

/** Builds the table and its mapping; every entry is invalid. The capsule must have xenFrameCount frames for Xen. */
export function initM2p(mm: Mm): void {
  const { l1s, frames } = m2pSize(mm.total);
  const base = FIRST_L1 + l1s;
  assert(mm.capsule.xenFrames >= base + frames, 'the capsule has room for the m2p');
  mm.state.m2p_l3 = L3;
  mm.state.m2p_base = base;
  writeEntry(mm, L3, 0, L2, TABLE_LO, 0);
  for (let i = 0; i < l1s; i++) writeEntry(mm, L2, i, FIRST_L1 + i, TABLE_LO, 0);
  for (let i = 0; i < frames; i++) writeEntry(mm, FIRST_L1 + (i >>> 9), i & 511, base + i, TABLE_LO, PTE_HI.NX);
  mm.u32.fill(0xffff_ffff, mm.entry(base, 0), mm.entry(base + frames, 0));
}

function writeEntry(mm: Mm, table: number, slot: number, mfn: number, lo: number, hi: number): void {
  const i = mm.entry(table, slot);
  mm.u32[i] = mfn * PAGE_SIZE + lo;
  mm.u32[i + 1] = hi;
}

/** Sets what the table says of a frame; a 64-bit pfn in halves, all ones for none. */
export function setM2p(mm: Mm, mfn: number, pfnLo: number, pfnHi: number): void {
  const i = mm.entry(mm.state.m2p_base, mfn);
  mm.u32[i] = pfnLo;
  mm.u32[i + 1] = pfnHi;
}

/** The pfn of a frame as the guest last set it, or -1 when it has none. */
export function readM2p({ u32, frames }: Capsule, mfn: number): number {
  const base = u32[(DOMAIN_STATE.mm + mm_state.offset.m2p_base) >>> 2] as number;
  const i = (frames + base * PAGE_SIZE >>> 2) + mfn * 2;
  const hi = u32[i + 1] as number;
  return hi > 0x1f_ffff ? -1 : hi * 0x1_0000_0000 + (u32[i] as number);
}

/** First frame of the m2p and how many frames it has. */
export function m2pFrames(mm: Mm): { base: number; frames: number } {
  return { base: mm.state.m2p_base, frames: m2pSize(mm.total).frames };
}

/** Writes the slots of a freshly validated L4 table that are Xen's, whatever the guest left there. */
export function installXenSlots(mm: Mm, l4: number): void {
  mm.u32.fill(0, mm.entry(l4, ROOT_PAGETABLE_FIRST_XEN_SLOT), mm.entry(l4, ROOT_PAGETABLE_LAST_XEN_SLOT + 1));
  if (mm.vmAssist(VMASST_TYPE_m2p_strict)) fillRoMpt(mm, l4);
}

/** Makes the m2p visible under an L4 table. */
export function fillRoMpt(mm: Mm, l4: number): void { writeEntry(mm, l4, RO_MPT_SLOT, mm.state.m2p_l3, TABLE_LO, 0); }

/** Hides the m2p under an L4 table. */
export function zapRoMpt(mm: Mm, l4: number): void {
  const i = mm.entry(l4, RO_MPT_SLOT);
  if (mm.u32[i] === 0) return;
  mm.u32[i] = 0;
  mm.u32[i + 1] = 0;
  mm.machine.flushTlb();
}
