// Counts every reference that the tables, bases, pins and descriptor tables of a domain hold, from nothing, and
// compares with the frame table. What page-type.ts keeps step by step must come out here in one.

import { PTE } from '#abi/mmu.ts';
import { FIRST_RESERVED_GDT_PAGE } from '#abi/xen.ts';
import type { Domain } from '../domain.ts';
import { VCPU_STATE } from '../layout.ts';
import {
  OWNER, PGC_allocated, PGC_count_mask, PGT_count_mask, PGT_l4_page_table, PGT_pinned, PGT_seg_desc_page, PGT_type_mask, PGT_type_shift,
  PGT_validated, PGT_writable_page,
} from '../mm/frame-table.ts';
import { vcpu_mm } from '../mm/gdt.ts';
import type { Mm } from '../mm/mm.ts';
import { deviceMappings, type Held } from './held-frames.ts';
import { isGuestSlot } from '../mm/page-type.ts';

/** Every broken rule, in words; empty when the frame table is right. */
export function auditMemory(domain: Domain, held: readonly Held[] = []): string[] {
  const audit = new Audit(domain.mm);
  for (const { mfn, writable, why } of held) audit.refer(mfn, writable ? PGT_writable_page : 0, why);
  for (let mfn = 0; mfn < domain.mm.total; mfn++) audit.frame(mfn);
  for (const v of domain.vcpus) {
    if (v.state.guest_table !== 0) audit.refer(v.state.guest_table, PGT_l4_page_table, 'kernel base');
    if (v.state.guest_table_user !== 0) audit.refer(v.state.guest_table_user, PGT_l4_page_table, 'user base');
    for (let page = 0; page < FIRST_RESERVED_GDT_PAGE; page++) {
      const mfn = domain.capsule.u32[((v.cpu.base + VCPU_STATE.mm + vcpu_mm.offset.gdt_frames) >>> 2) + page] as number;
      if (mfn !== 0) audit.refer(mfn, PGT_seg_desc_page, 'GDT');
    }
  }
  for (const { domid, frame, writable } of deviceMappings(domain)) if (domid !== domain.domid) audit.referForeign(frame, writable);
  return audit.compare();
}

class Audit {
  private readonly mm: Mm;
  private readonly general: Int32Array;
  private readonly typed: Int32Array;
  private readonly wrong: string[] = [];
  /** references and those of them that write, by foreign frame */
  private readonly foreign = new Map<number, { references: number; writers: number }>();
  private linear = 0;
  private owned = 0;

  constructor(mm: Mm) {
    this.mm = mm;
    this.general = new Int32Array(mm.total);
    this.typed = new Int32Array(mm.total);
  }

  /** One reference with a type; type 0 for a general reference alone. */
  refer(mfn: number, type: number, why: string): void {
    if (mfn >= this.mm.total || this.mm.frames.owner(mfn) !== OWNER.domain) {
      this.wrong.push(`${why} refers to frame ${mfn}, which is not the domain's`);
      return;
    }
    this.general[mfn] = (this.general[mfn] as number) + 1;
    if (type === 0) return;
    this.typed[mfn] = (this.typed[mfn] as number) + 1;
    if ((this.mm.frames.type(mfn) & PGT_type_mask) !== type) this.wrong.push(`${why} needs frame ${mfn} to be of type ${type >>> PGT_type_shift}`);
  }

  /** One reference on a frame of another domain's. */
  referForeign(frame: number, writable: boolean): void {
    const found = this.foreign.get(frame) ?? { references: 0, writers: 0 };
    found.references++;
    if (writable) found.writers++;
    this.foreign.set(frame, found);
  }

  frame(mfn: number): void {
    const { frames } = this.mm;
    const word = frames.type(mfn);
    const level = (word & PGT_type_mask) >>> PGT_type_shift;
    if (frames.owner(mfn) !== OWNER.domain) return;
    if (!frames.isSpecial(mfn)) this.owned++;
    if ((frames.count(mfn) & PGC_allocated) !== 0) this.general[mfn] = (this.general[mfn] as number) + 1;
    if (frames.isSpecial(mfn)) this.typed[mfn] = (this.typed[mfn] as number) + 1;
    if ((word & PGT_pinned) !== 0) this.refer(mfn, word & PGT_type_mask, 'pin');
    if ((word & PGT_count_mask) === 0 || level === 0) return;
    if ((word & PGT_validated) === 0) this.wrong.push(`frame ${mfn} is in use but not validated`);
    if (level <= 4) for (let slot = 0; slot < 512; slot++) if (isGuestSlot(level, slot)) this.entry(mfn, level, slot);
  }

  private entry(table: number, level: number, slot: number): void {
    const lo = this.mm.u32[this.mm.entry(table, slot)] as number;
    if ((lo & PTE.PRESENT) === 0) return;
    const why = `entry ${slot} of L${level} table ${table}`;
    const child = lo >>> 12;
    if (level === 1 && child >= this.mm.total) return this.referForeign(child, (lo & PTE.RW) !== 0);
    if (level === 1) return this.refer(child, (lo & PTE.RW) !== 0 ? PGT_writable_page : 0, why);
    const isLinear = (this.mm.frames.type(child) & PGT_type_mask) >>> PGT_type_shift === level;
    if (isLinear) {
      this.linear++;
      if ((lo & PTE.RW) !== 0) this.wrong.push(`${why} is a writable linear mapping`);
    }
    if (child !== table) this.refer(child, (isLinear ? level : level - 1) << PGT_type_shift, why);
  }

  compare(): string[] {
    const { frames, state } = this.mm;
    for (const { frame, references, writers } of this.mm.foreign.held()) {
      const found = this.foreign.get(frame) ?? { references: 0, writers: 0 };
      this.foreign.delete(frame);
      if (found.references !== references || found.writers !== writers) this.wrong.push(`foreign frame ${frame}: held ${references} times, ${writers} to write; found ${found.references}, ${found.writers}`);
    }
    for (const frame of this.foreign.keys()) this.wrong.push(`foreign frame ${frame}: in use, held by nobody`);
    for (let mfn = 0; mfn < this.mm.total; mfn++) {
      if (frames.owner(mfn) !== OWNER.domain) continue;
      const general = frames.count(mfn) & PGC_count_mask;
      const typed = frames.type(mfn) & PGT_count_mask;
      if (general !== this.general[mfn]) this.wrong.push(`frame ${mfn}: general count ${general}, found ${this.general[mfn]}`);
      if (typed !== this.typed[mfn]) this.wrong.push(`frame ${mfn}: type count ${typed}, found ${this.typed[mfn]}`);
    }
    if (this.mm.linearEntries !== this.linear) this.wrong.push(`${this.mm.linearEntries} linear entries, found ${this.linear}`);
    if (state.tot_pages !== this.owned) this.wrong.push(`tot_pages ${state.tot_pages}, found ${this.owned}`);
    return this.wrong;
  }
}
