// Segment descriptors that a 64-bit PV guest may have in its GDT and LDT.
//
//  - Code and data segments: any, with the DPL forced to 3, as the guest kernel runs in ring 3 too.
//  - System descriptors: only call gates, to a code selector that is the guest's own, and with the DPL forced to 0:
//    using one faults. All zero is fine.
//  - What is not present is fine: it faults.
//
// A descriptor page (PGT_seg_desc_page) has been checked and is never writable by the guest.

import { FIRST_RESERVED_GDT_ENTRY, FLAT_KERNEL_CS } from '#abi/xen.ts';
import { EINVAL } from '#abi/errno.ts';
import type { Mm } from './mm.ts';

/** Bits of a descriptor's high half (Intel SDM vol. 3, 3.4.5). */
const SEGMENT_P = 0x8000, SEGMENT_S = 0x1000, SEGMENT_DPL = 0x6000, SEGMENT_TYPE = 0x0f00, TYPE_CALL_GATE = 0x0c00;

/**
 * Checks one descriptor.
 * @returns its high half as Xen stores it, or -1 when it is not allowed; the low half is stored as it is
 */
export function checkDescriptor(lo: number, hi: number): number {
  if ((hi & SEGMENT_P) === 0) return hi;
  if ((hi & SEGMENT_S) !== 0) return (hi | SEGMENT_DPL) >>> 0;
  const type = hi & SEGMENT_TYPE;
  if (type === 0) return (hi | SEGMENT_DPL) >>> 0;
  if (type !== TYPE_CALL_GATE || (hi & 0xff) !== 0 || !isGateSelector(lo >>> 16)) return -1;
  return (hi & ~SEGMENT_DPL) >>> 0;
}

function isGateSelector(selector: number): boolean {
  return selector >>> 3 < FIRST_RESERVED_GDT_ENTRY || selector === FLAT_KERNEL_CS || (selector & 4) !== 0;
}

/** Checks a whole page and stores what Xen changes. @returns 0 or -EINVAL */
export function validateDescriptors(mm: Mm, mfn: number): number {
  for (let slot = 0; slot < 512; slot++) {
    const i = mm.entry(mfn, slot);
    const hi = checkDescriptor(mm.u32[i] as number, mm.u32[i + 1] as number);
    if (hi < 0) return -EINVAL;
    mm.u32[i + 1] = hi;
  }
  return 0;
}
