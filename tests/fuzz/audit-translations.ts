// Compares every cached translation of a machine with a walk of the page tables, as they are: none may permit or reach
// what the tables do not (the invariant of hypervisor/mm/links.ts).

import { PTE } from '#abi/mmu.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import type { Domain } from '#hypervisor/domain.ts';
import { slotOf } from '#hypervisor/mm/walk.ts';
import { CPU } from '#machine/cpu-state.ts';
import type { Mmu } from '#machine/engine/mmu.ts';
import { MMU } from '#machine/engine/record.ts';

/** The parts of the engine that are looked into. */
interface Inside { readonly mmu: Mmu }

const EMPTY = 0xffff_ffff;

/** Wrong translations in words, the first few. */
export function auditTranslations(domain: Domain): string[] {
  const { mmu } = domain.machine as unknown as Inside;
  mmu.flushNow();
  const wrong: string[] = [];
  for (const { base, at } of mmu.contexts.audited()) {
    if (!domain.mm.frames.isTable(base, 4)) continue;
    for (const half of [MMU.read, MMU.write]) {
      for (let entry = 0; entry < MMU.entries && wrong.length < 5; entry++) {
        const tag = at + half + entry * 16;
        const problem = checkEntry(domain, base, tag, tag + 8, half === MMU.write);
        if (problem) wrong.push(problem);
      }
    }
  }
  for (const cpu of domain.machine.cpus) {
    const problem = checkEntry(domain, cpu.field32(CPU.cr3), cpu.base + CPU.stackPage, cpu.base + CPU.stackAdd, true);
    if (problem) wrong.push(`the stack's page: ${problem}`);
  }
  return wrong;
}

/** @param tag capsule offset of the page's address @param by of what is added to it */
function checkEntry(domain: Domain, base: number, tag: number, by: number, write: boolean): string | undefined {
  const { u32, frames } = domain.capsule;
  const lo = u32[tag >>> 2] as number;
  const hi = u32[(tag >>> 2) + 1] as number;
  if (lo === EMPTY && hi === EMPTY) return undefined;
  const cached = (((u32[by >>> 2] as number) + lo) % 0x1_0000_0000 - frames) / PAGE_SIZE;
  const walked = walk(domain, base, lo, hi, write);
  if (cached === walked) return undefined;
  return `base ${base}: ${write ? 'write' : 'read'} of 0x${hi.toString(16)}_${lo.toString(16).padStart(8, '0')} is cached as frame ${cached}, the tables say ${walked}`;
}

/** The frame that an address leads to, -1 for none, or none that may be written. */
function walk(domain: Domain, base: number, lo: number, hi: number, write: boolean): number {
  const { mm } = domain;
  let mfn = base;
  for (let level = 4; level >= 1; level--) {
    const entry = mm.u32[mm.entry(mfn, slotOf(level, lo, hi))] as number;
    if ((entry & PTE.PRESENT) === 0 || (write && (entry & PTE.RW) === 0)) return -1;
    mfn = entry >>> 12;
    if (mfn >= mm.total) return -1;
  }
  return mfn;
}
