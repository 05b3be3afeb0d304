// The page tables that a PV kernel starts on, in guest memory. One top table; further tables as mappings need them. A
// table page is mapped read-only wherever it is mapped, because Xen admits no writable mapping of a page table.
//
// Addresses are the low 48 bits of canonical ones, as numbers. Frames: mfn = first RAM frame + pfn.

import { assert } from '#base/assert.ts';
import { type Capsule, PAGE_SIZE } from '#base/capsule.ts';

const PRESENT = 1, WRITABLE = 2, USER = 4, ACCESSED = 0x20, DIRTY = 0x40;
/** Xen gives every guest mapping the user bit: a 64-bit PV kernel runs in ring 3. */
const LEAF = PRESENT | WRITABLE | USER | ACCESSED;
const TABLE = PRESENT | WRITABLE | USER | ACCESSED | DIRTY;

/** Bytes that one table of each level covers; level 0 is the L1 table. */
const COVERS = [2 ** 21, 2 ** 30, 2 ** 39, 2 ** 48] as const;
const TOP = 3;
const ENTRIES = 512;

export interface Mapping {
  /** first and last byte */
  readonly from: number;
  readonly to: number;
  /** pfn of the first page */
  readonly pfn: number;
}

interface Table { readonly level: number; readonly index: number }

export class PageTables {
  /** by level, then by address / COVERS: the table's pfn */
  private readonly tables: readonly Map<number, number>[] = COVERS.map(() => new Map<number, number>());
  private readonly mappings: Mapping[] = [];
  private readonly pfns = new Set<number>();

  /** Tables that a mapping of [from, to] would need beyond the present ones. */
  countMissing(from: number, to: number): number { return this.missing(from, to).length; }

  private missing(from: number, to: number): Table[] {
    const list: Table[] = [];
    for (let level = TOP; level >= 0; level--) {
      const covers = COVERS[level] as number;
      for (let index = Math.floor(from / covers); index <= Math.floor(to / covers); index++) {
        if (!this.tables[level]?.has(index)) list.push({ level, index });
      }
    }
    return list;
  }

  /**
   * Adds a mapping of consecutive pages. The tables that it lacks take pages from `tablesPfn` on, the top first.
   * @returns how many
   */
  add(mapping: Mapping, tablesPfn: number): number {
    const list = this.missing(mapping.from, mapping.to);
    list.forEach(({ level, index }, i) => {
      this.tables[level]?.set(index, tablesPfn + i);
      this.pfns.add(tablesPfn + i);
    });
    this.mappings.push(mapping);
    return list.length;
  }

  /** pfn of the top table. */
  get top(): number { return this.pfn(TOP, 0); }

  private pfn(level: number, index: number): number {
    const pfn = this.tables[level]?.get(index);
    assert(pfn !== undefined, 'a table was reserved for every mapping');
    return pfn;
  }

  /** Writes all tables. */
  write(capsule: Capsule): void {
    const set = (table: number, index: number, pfn: number, flags: number): void => {
      const at = (capsule.frame(capsule.xenFrames + table) >>> 2) + (index % ENTRIES) * 2;
      const mfn = capsule.xenFrames + pfn;
      capsule.u32[at] = mfn << 12 | flags;
      capsule.u32[at + 1] = mfn >>> 20;
    };
    for (let level = 0; level < TOP; level++) {
      const perParent = (COVERS[level + 1] as number) / (COVERS[level] as number);
      for (const [index, pfn] of this.tables[level] ?? []) set(this.pfn(level + 1, Math.floor(index / perParent)), index, pfn, TABLE);
    }
    for (const { from, to, pfn } of this.mappings) {
      for (let va = from, p = pfn; va <= to; va += PAGE_SIZE, p++) {
        set(this.pfn(0, Math.floor(va / (COVERS[0] as number))), va / PAGE_SIZE, p, this.pfns.has(p) ? LEAF & ~WRITABLE : LEAF);
      }
    }
  }
}
