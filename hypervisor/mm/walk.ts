// Walks of the guest's page tables by software: for update_va_mapping and page-table emulation, and for the crash
// report. They set no accessed bits and check no permissions.

import { PTE, PTE_HI } from '#abi/mmu.ts';
import type { Mm } from './mm.ts';

/** One step of a walk. */
export interface WalkStep {
  /** of the table that has the entry: 4 down to 1 */
  readonly level: number;
  /** the table's frame */
  readonly mfn: number;
  readonly slot: number;
  /** the entry, halves */
  readonly lo: number;
  readonly hi: number;
}

/** Slot of a linear address in a table of `level`. */
export function slotOf(level: number, vaLo: number, vaHi: number): number {
  if (level === 1) return (vaLo >>> 12) & 511;
  if (level === 2) return (vaLo >>> 21) & 511;
  if (level === 3) return ((vaHi << 2) | (vaLo >>> 30)) & 511;
  return (vaHi >>> 7) & 511;
}

/**
 * Follows the tables under `base` down to the L1 table that maps an address.
 * @returns the L1 table's frame, or -1 when an entry on the way is not present
 */
export function findL1Table(mm: Mm, base: number, vaLo: number, vaHi: number): number {
  let table = base;
  for (let level = 4; level > 1; level--) {
    const i = mm.entry(table, slotOf(level, vaLo, vaHi));
    const lo = mm.u32[i] as number;
    table = lo >>> 12;
    if ((lo & PTE.PRESENT) === 0 || (lo & PTE.PSE) !== 0 || ((mm.u32[i + 1] as number) & PTE_HI.FRAME) !== 0 || table >= mm.total) return -1;
  }
  return table;
}

/**
 * The entries that the processor would read for an address, for the crash report. Stops after an entry that is not
 * present or that points nowhere.
 * @param base frame of the L4 table
 */
export function walk(mm: Mm, base: number, vaLo: number, vaHi: number): WalkStep[] {
  const steps: WalkStep[] = [];
  let mfn = base;
  for (let level = 4; level > 0 && mm.frames.isValid(mfn); level--) {
    const slot = slotOf(level, vaLo, vaHi);
    const i = mm.entry(mfn, slot);
    const lo = mm.u32[i] as number;
    const hi = mm.u32[i + 1] as number;
    steps.push({ level, mfn, slot, lo, hi });
    if ((lo & PTE.PRESENT) === 0 || (hi & PTE_HI.FRAME) !== 0) break;
    mfn = lo >>> 12;
  }
  return steps;
}
