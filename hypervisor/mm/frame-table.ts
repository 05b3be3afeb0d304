// The frame table: what each frame of the domain is used for, and how often.
//
// Every frame has two counts, as in Xen. The general count says how many things need the frame to exist: being
// allocated to the domain is one, each mapping is one, each use as a table or descriptor page is one. The type count
// says how many of those need it to be of its present type. Rules:
//
//  - a frame has one type at a time, and the type changes only while the type count is zero;
//  - `writable` is counted once for every mapping that permits writing; page tables and descriptor pages are types of
//    their own, so none of them is ever mapped writable;
//  - `validated` says that the contents were checked for the type; a page table loses it with its last type count;
//  - `pinned` holds one type and one general count on a page table at the guest's request;
//  - a frame whose general count falls to zero is free: no mapping and no table refers to it.
//
// Other domains take and drop references on granted frames (foreign-frames.ts), perhaps on another thread: general
// counts change by atomic operations, and so does the type word where it is not that of a table or descriptor page, which
// belongs to the domain alone.
//
// One entry is 16 bytes: general count, type word, back word, info word. The back word of a page table tells where it
// is linked (links.ts); that of another frame what all machines have to have dropped before it becomes something else (page-type.ts). The info word has the owner and the linear page-table count.

import type { Capsule } from '#base/capsule.ts';
import { FRAME_TABLE } from '#base/capsule.ts';
import { assert } from '#base/assert.ts';

/** General count word. */
export const PGC_allocated = 0x4000_0000, PGC_count_mask = 0x3fff_ffff;

/** Type word: type in bits 30:28, then pinned, validated, and the type count. Types 1..4 are page tables of that level. */
export const PGT_none = 0, PGT_l1_page_table = 0x1000_0000, PGT_l2_page_table = 0x2000_0000, PGT_l3_page_table = 0x3000_0000,
  PGT_l4_page_table = 0x4000_0000, PGT_seg_desc_page = 0x5000_0000, PGT_writable_page = 0x7000_0000;
export const PGT_type_mask = 0x7000_0000, PGT_pinned = 0x0800_0000, PGT_validated = 0x0400_0000, PGT_count_mask = 0x03ff_ffff;
export const PGT_type_shift = 28;

/** Owner of a frame, in the low byte of the info word. Xen's own frames are never mapped by the guest. */
export const OWNER = { nobody: 0, domain: 1, xen: 2 } as const;
const OWNER_MASK = 0xff;
/** A frame of Xen's that the domain owns (shared info, grant frames): cannot be freed by the guest. */
const SPECIAL = 0x100;
const LINEAR_SHIFT = 16;
/** Numbers that others can be ahead by. */
const RACE = 2 ** 20;

/** Accessors over the entries. Frame numbers given to all but `isValid` must be valid. */
export class FrameTable {
  readonly total: number;
  private readonly words: Int32Array<SharedArrayBuffer>;
  private readonly base = FRAME_TABLE >>> 2;
  /**
   * There are other domains, perhaps on other threads. A domain that is alone changes its counts by plain stores: atomic
   * ones make validating a full L1 table three times as long (2026-11, Node 26.10).
   */
  shared = false;

  constructor(capsule: Capsule) {
    this.words = capsule.i32;
    this.total = capsule.totalFrames;
  }

  /** True for the number of a frame that exists; false for NaN and everything else. */
  isValid(mfn: number): boolean { return mfn >= 0 && mfn < this.total; }

  count(mfn: number): number { return this.words[this.base + mfn * 4] as number; }
  setCount(mfn: number, word: number): void { this.words[this.base + mfn * 4] = word; }
  type(mfn: number): number { return this.words[this.base + mfn * 4 + 1] as number; }
  setType(mfn: number, word: number): void { this.words[this.base + mfn * 4 + 1] = word; }
  /** Changes the type word unless somebody else did. @returns whether it was `from` */
  changeType(mfn: number, from: number, to: number): boolean { return this.change(this.base + mfn * 4 + 1, from, to); }
  /** Drops a type reference that is not a table's last. */
  dropType(mfn: number): void { this.decrement(this.base + mfn * 4 + 1); }
  /** Changes the general count word unless somebody else did. @returns whether it was `from` */
  changeCount(mfn: number, from: number, to: number): boolean { return this.change(this.base + mfn * 4, from, to); }
  /** The domain gives the frame back: it lives as long as other references hold it. False when it had done so before. */
  clearAllocated(mfn: number): boolean { return (Atomics.and(this.words, this.base + mfn * 4, ~PGC_allocated) & PGC_allocated) !== 0; }
  private change(i: number, from: number, to: number): boolean {
    if (this.shared) return Atomics.compareExchange(this.words, i, from, to) === from;
    if (this.words[i] !== from) return false;
    this.words[i] = to;
    return true;
  }
  /** @returns what the word was */
  private decrement(i: number): number {
    if (this.shared) return Atomics.sub(this.words, i, 1);
    const was = this.words[i] as number;
    this.words[i] = was - 1;
    return was;
  }
  back(mfn: number): number { return this.words[this.base + mfn * 4 + 2] as number; }
  setBack(mfn: number, word: number): void { this.words[this.base + mfn * 4 + 2] = word; }
  /** Sets the back word, unless it is a number between this one and one that somebody else has set meanwhile. */
  advanceBack(mfn: number, word: number): void {
    const i = this.base + mfn * 4 + 2;
    for (let was = this.words[i] as number; (word - was | 0) > 0 || (was - word | 0) > RACE;) {
      const seen = Atomics.compareExchange(this.words, i, was, word | 0);
      if (seen === was) return;
      was = seen;
    }
  }
  private info(mfn: number): number { return this.words[this.base + mfn * 4 + 3] as number; }
  private setInfo(mfn: number, word: number): void { this.words[this.base + mfn * 4 + 3] = word; }

  owner(mfn: number): number { return this.info(mfn) & OWNER_MASK; }
  isSpecial(mfn: number): boolean { return (this.info(mfn) & SPECIAL) !== 0; }
  /** Positive: how many entries of this table map another table of its level. Negative: how many such entries map it. */
  linearCount(mfn: number): number { return this.info(mfn) >> LINEAR_SHIFT; }
  addLinearCount(mfn: number, by: number): void { this.setInfo(mfn, this.info(mfn) + (by << LINEAR_SHIFT)); }

  /** True for a page table of `level` whose contents have been checked and that is in use. */
  isTable(mfn: number, level: number): boolean {
    const word = this.type(mfn);
    return (word & PGT_type_mask) === level << PGT_type_shift && (word & PGT_validated) !== 0 && (word & PGT_count_mask) !== 0;
  }

  /** Makes a frame the domain's RAM, allocated and of no type. Who else looks, at the owner first, sees it when all else is in place. */
  giveToDomain(mfn: number): void {
    this.setType(mfn, PGT_none);
    this.setBack(mfn, 0);
    this.setCount(mfn, PGC_allocated | 1);
    Atomics.store(this.words, this.base + mfn * 4 + 3, OWNER.domain);
  }

  /** Shares a frame of Xen's with the domain, writable: the type count that never falls keeps it so. */
  shareXenFrame(mfn: number): void {
    this.setCount(mfn, PGC_allocated | 1);
    this.setType(mfn, PGT_writable_page | PGT_validated | 1);
    this.setInfo(mfn, OWNER.domain | SPECIAL);
  }

  /** Takes a shared frame of Xen's from the domain again. False when the domain has it mapped or granted. */
  unshareXenFrame(mfn: number): boolean {
    if (!this.changeCount(mfn, PGC_allocated | 1, 0)) return false;
    this.keepForXen(mfn);
    return true;
  }

  /** Marks a frame as Xen's own. */
  keepForXen(mfn: number): void {
    this.setCount(mfn, PGC_allocated | 1);
    this.setType(mfn, PGT_none);
    this.setInfo(mfn, OWNER.xen);
  }

  /** Takes a frame out of use. Nothing may refer to it. */
  release(mfn: number): void {
    assert((this.count(mfn) & PGC_count_mask) === 0 && (this.type(mfn) & PGT_count_mask) === 0, 'a freed frame has no references');
    this.setCount(mfn, 0);
    this.setType(mfn, PGT_none);
    this.setBack(mfn, 0);
    this.setInfo(mfn, OWNER.nobody);
  }

  /** True for a frame that the domain owns and that is in use. */
  isOwned(mfn: number): boolean { return this.isValid(mfn) && this.owner(mfn) === OWNER.domain && (this.count(mfn) & PGC_count_mask) !== 0; }

  /** Takes a general reference. False when the domain does not own the frame, or the frame does not exist. */
  getPage(mfn: number): boolean {
    if (!this.isValid(mfn)) return false;
    const i = this.base + mfn * 4;
    if (((this.words[i + 3] as number) & OWNER_MASK) !== OWNER.domain) return false;
    for (;;) {
      const word = this.words[i] as number;
      const count = word & PGC_count_mask;
      if (count === 0 || count === PGC_count_mask) return false;
      if (this.change(i, word, word + 1)) return true;
    }
  }

  /** Drops a general reference. True when it was the last: the caller frees the frame. */
  putPage(mfn: number): boolean {
    const i = this.base + mfn * 4;
    const count = this.decrement(i) & PGC_count_mask;
    assert(count !== 0, 'a reference is dropped only once');
    return count === 1;
  }
}
