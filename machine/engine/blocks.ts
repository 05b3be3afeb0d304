// Decoded code: blocks of operation records, found by physical address. A block begins at one address, goes on through jumps
// within the page, and ends where control cannot fall through, at a conditional jump, or at the page's end. When its
// conditional jump is not taken at once, it goes on behind that: blocks follow the way that control took first.
//
// Invariants: a frame that any record was decoded from has FRAME_FLAG.code, so its writes come to `written`; a record
// whose bytes changed has the handler `stale`, so every way to it (links, jump caches, the record before) is safe.

import { PAGE_SIZE, type Capsule } from '#base/capsule.ts';
import { CPU } from '../cpu-state.ts';
import type { Cpu } from '../cpu.ts';
import { DECODE } from '../decode/decoder.ts';
import { ACCESS, type Extent } from '../machine.ts';
import { BlockDecoder, MAX_BLOCK, MAX_BLOCK_SIZE, variantOf } from './block-decoder.ts';
import { CodeHeat } from './code-heat.ts';
import type { Handlers } from './handlers.ts';
import { HotCode } from './hot-code.ts';
import { DROP } from './mmu-contexts.ts';
import { canonical, type Mmu } from './mmu.ts';
import type { RegionCompiler } from './region-job.ts';
import { BLOCK_TABLE, blockEntry, firstRecordAt, FRAME_FLAG, headWord, REC } from './record.ts';
import type { Siblings } from './siblings.ts';

/** The block that was decoded last, while it may go on. */
interface OpenBlock {
  /** the record at its end that may give way: it leads to what comes next */
  readonly goto: number;
  /** capsule offset of its page */
  readonly page: number;
  readonly variant: number;
}

export class Blocks {
  private readonly capsule: Capsule;
  private readonly mmu: Mmu;
  private readonly handlers: Handlers;
  /** other machines execute code of the same memory: LOCK forms are atomic, and who writes code tells them */
  private readonly siblings: Siblings | undefined;
  readonly hot: HotCode;
  /** capsule offset of the block table */
  readonly table: number;
  private readonly start: number;
  private readonly end: number;
  private top: number;
  /** what code means here beside its bytes: compatibility mode, CR0.TS. Jump caches hold targets of one variant only. */
  private variant = 0;
  /** physical address × 4 + variant → first record */
  private readonly byAddress = new Map<number, number>();
  /** blocks whose only instruction reaches into the next page: where that page must lie */
  private readonly straddling = new Map<number, number>();
  /** the blocks of a frame, three numbers each: first record, count, key */
  private readonly byFrame = new Map<number, number[]>();
  private readonly heat = new CodeHeat();
  private readonly decoder: BlockDecoder;
  private open: OpenBlock | undefined;
  private stale = 0;
  /** blocks made, and how often everything was dropped for want of room */
  made = 0;
  resets = 0;

  constructor(capsule: Capsule, mmu: Mmu, handlers: Handlers, at: number, size: number, compileAfter: number, compiler?: RegionCompiler, siblings?: Siblings) {
    this.siblings = siblings;
    this.hot = new HotCode(this, capsule, mmu, handlers, compileAfter, compiler);
    this.capsule = capsule;
    this.mmu = mmu;
    this.handlers = handlers;
    this.decoder = new BlockDecoder(capsule, handlers, siblings !== undefined);
    this.table = at;
    this.start = at + BLOCK_TABLE.size;
    this.end = at + size;
    this.top = this.start;
    this.clearTable();
    this.takeSlots();
  }

  private clearTable(): void { this.mmu.fillBytes(this.table, 0xff, BLOCK_TABLE.size); }
  /** Where the records lie. */
  get records(): Extent { return { offset: this.start, bytes: this.top - this.start }; }
  /** Starts the handler table anew. No record may be there. */
  takeSlots(): void {
    this.handlers.start();
    this.stale = this.handlers.slot('stale');
    this.decoder.takeSlots();
  }

  /**
   * The record of the instruction at rip.
   * @returns 0 when it cannot be fetched: the exception fields are set
   */
  lookup(cpu: Cpu): number { return this.untilSettled(() => this.lookupOnce(cpu)); }
  /** Does something again if what others have posted was done meanwhile: it may rest on a translation that is gone. */
  private untilSettled(look: () => number): number {
    for (;;) {
      const followed = this.siblings?.followed;
      const record = look();
      if (this.siblings?.followed === followed) return record;
    }
  }
  private lookupOnce(cpu: Cpu): number {
    const lo = cpu.field32(CPU.rip);
    const hi = cpu.field32(CPU.rip + 4);
    const host = this.fetchPage(cpu, lo, hi);
    if (host === 0) return 0;
    this.mmu.contexts.rememberCode(cpu, lo, hi, (host - this.capsule.frames) >>> 12);
    const key = (host - this.capsule.frames) * 4 + variantOf(cpu);
    const found = this.find(cpu, key, lo, hi);
    if (found !== 0) this.publish(found, key);
    return found !== 0 ? found : this.build(cpu, host, key, lo, hi, this.heat.limit((host - this.capsule.frames) >>> 12, MAX_BLOCK));
  }
  /** Before a vCPU runs, and when its mode may have changed: jump caches hold targets of one variant only. */
  useVariantOf(cpu: Cpu): void {
    const variant = variantOf(cpu);
    if (variant === this.variant) return;
    this.mmu.contexts.drop(DROP.jumps);
    this.variant = variant;
  }
  /** Frame of the page that a block's only instruction reaches into, or -1. */
  secondFrame(record: number): number {
    const second = this.straddling.get(record);
    return second === undefined ? -1 : (second - this.capsule.frames) >>> 12;
  }
  isVoid(record: number): boolean { return this.capsule.u16[record >>> 1] === this.stale; }
  /** Puts a block into the table that generated code looks into, before one that is there by the same hash. One that reaches into the next page is not for it. */
  private publish(record: number, key: number): void {
    if (this.straddling.has(record)) return;
    const physical = Math.floor(key / 4);
    const { u32 } = this.capsule;
    const at = (this.table + blockEntry(physical)) >>> 2;
    if (u32[at] !== physical) {
      u32[at + 2] = u32[at] as number;
      u32[at + 3] = u32[at + 1] as number;
    }
    u32[at] = physical;
    u32[at + 1] = record | key & 3;
  }
  /** The block at a physical address and variant, for a linear address; 0 when there is none. */
  find(cpu: Cpu, key: number, lo: number, hi: number): number {
    const record = this.byAddress.get(key);
    if (record === undefined) return 0;
    if (this.siblings && !this.isGuarded(Math.floor(key / 4 / PAGE_SIZE))) return 0;
    const second = this.straddling.get(record);
    if (second === undefined) return record;
    if (this.secondPage(cpu, lo, hi) !== second || (this.siblings && !this.isGuarded((second - this.capsule.frames) >>> 12))) return 0;
    const next = (lo | 4095) + 1;
    this.mmu.contexts.rememberCode(cpu, next >>> 0, next > 0xffff_ffff ? hi + 1 : hi, (second - this.capsule.frames) >>> 12);
    return record;
  }
  /** One instruction that is followed by a `step` record, for the trap flag. Not kept. */
  single(cpu: Cpu): number { return this.untilSettled(() => this.singleOnce(cpu)); }
  private singleOnce(cpu: Cpu): number {
    const lo = cpu.field32(CPU.rip);
    const hi = cpu.field32(CPU.rip + 4);
    const host = this.fetchPage(cpu, lo, hi);
    if (host === 0) return 0;
    const top = this.top;
    const record = this.build(cpu, host, -1, lo, hi, 1);
    if (this.top > top) this.top = top; // the records are used at once and never again
    return record;
  }
  private fetchPage(cpu: Cpu, lo: number, hi: number): number {
    if (!canonical(hi)) return this.mmu.generalProtection(cpu, false);
    const host = this.mmu.walk(cpu, lo, hi, ACCESS.execute);
    cpu.setField32(CPU.page, lo & ~4095);
    cpu.setField32(CPU.page + 4, hi);
    return host < 0 ? this.mmu.pageFault(cpu, lo, hi, this.mmu.faultCode) : host;
  }
  /** Capsule offset of the page after rip's, or -1. */
  private secondPage(cpu: Cpu, lo: number, hi: number): number {
    const next = (lo - (lo & 4095)) + PAGE_SIZE;
    return this.mmu.translate(cpu, next >>> 0, next > 0xffff_ffff ? (hi + 1) >>> 0 : hi, ACCESS.execute);
  }

  /** @param key -1 for a block that is not kept */
  private build(cpu: Cpu, host: number, key: number, lo: number, hi: number, limit: number): number {
    this.close();
    if (this.isFull) this.reset();
    const offset = host & 4095, page = host - offset;
    if (key >= 0) this.guard(page);
    let second = 0;
    const beyond = (at: number): number => {
      if (second === 0) {
        second = this.secondPage(cpu, lo, hi);
        if (second > 0 && key >= 0) this.guard(second);
      }
      return second < 0 ? -1 : this.capsule.u8[second + at - PAGE_SIZE] as number;
    };
    const { decoder } = this;
    decoder.take({ bytes: this.capsule.u8, page, beyond }, offset, limit, true, variantOf(cpu));
    if (decoder.count === 0) {
      if (decoder.outcome === DECODE.fetchFault) {
        const at = lo + decoder.firstLength;
        return this.mmu.pageFault(cpu, at >>> 0, at > 0xffff_ffff ? (hi + 1) >>> 0 : hi, this.mmu.faultCode);
      }
      return decoder.outcome === DECODE.tooLong ? this.mmu.generalProtection(cpu, false) : this.mmu.undefinedOpcode(cpu);
    }
    const reaches = offset + decoder.firstLength > PAGE_SIZE;
    const first = firstRecordAt(this.top);
    this.top = decoder.write(first, 0, limit === 1);
    this.capsule.u32[headWord(first, 'entry')] = this.capsule.u16[first >>> 1] as number;
    if (key < 0) return first;
    this.keep(first, host, key, reaches ? second : 0);
    if (decoder.endsOpen && limit === MAX_BLOCK) this.open = { goto: this.top - REC.size, page, variant: key & 3 };
    return first;
  }
  private get isFull(): boolean { return this.top + MAX_BLOCK_SIZE > this.end || this.handlers.crowded; }
  /** No block goes on any more. */
  close(): void { this.open = undefined; }
  /**
   * Control went on behind the block that was decoded last: the instructions there take the place of the record that leads
   * to them. What was paid for the block is due later.
   * @returns false when they are, or have to be, a block of their own
   */
  goesOn(cpu: Cpu, record: number): boolean {
    const { open, decoder } = this;
    if (open?.goto !== record) return false;
    this.close();
    const { u8, u16 } = this.capsule;
    const offset = u16[(record + REC.offset) >>> 1] as number, before = u8[record + REC.icount] as number;
    if (variantOf(cpu) !== open.variant || before >= MAX_BLOCK || this.isFull || this.byAddress.has((open.page + offset - this.capsule.frames) * 4 + open.variant)) return false;
    decoder.take({ bytes: u8, page: open.page, beyond: NOTHING }, offset, MAX_BLOCK - before, false, open.variant);
    if (decoder.count === 0) return false;
    const old = this.top;
    this.top = decoder.write(record, before, false);
    const blocks = this.byFrame.get((open.page - this.capsule.frames) >>> 12) as number[]; // it is the last of them
    blocks[blocks.length - 2] = (blocks.at(-2) as number) + (this.top - old) / REC.size;
    cpu.setField32(CPU.budget, cpu.field32(CPU.budget) + before);
    if (decoder.endsOpen) this.open = { ...open, goto: this.top - REC.size };
    return true;
  }
  /** Makes a block known. @param second capsule offset of the page that its first instruction reaches into, 0 for none */
  private keep(first: number, host: number, key: number, second: number): void {
    this.made++;
    this.byAddress.set(key, first);
    const { u32 } = this.capsule;
    u32[headWord(first, 'count')] = this.hot.after;
    this.own((host - this.capsule.frames) >>> 12, first, key);
    if (second === 0) this.publish(first, key);
    if (second > 0) {
      this.straddling.set(first, second);
      this.own((second - this.capsule.frames) >>> 12, first, key);
    }
  }
  /** From now on a write to the page comes to `written`: to be called before code is read there. */
  private guard(page: number): void {
    const mfn = (page - this.capsule.frames) >>> 12;
    if (!this.byFrame.has(mfn) || (this.mmu.flags(mfn) & FRAME_FLAG.code) === 0) this.mmu.guard(mfn, FRAME_FLAG.code);
  }
  /** False, and nothing is decoded from a frame any more, if a sibling has written there since it was guarded: what it says of that may have been heard before it was read. */
  private isGuarded(mfn: number): boolean {
    if (this.mmu.flags(mfn) & FRAME_FLAG.code) return true;
    this.forget(mfn);
    return false;
  }
  /** Notes the block that was written last as one of a frame. */
  private own(mfn: number, first: number, key: number): void {
    const count = (this.top - first) / REC.size;
    const list = this.byFrame.get(mfn);
    if (list) list.push(first, count, key);
    else this.byFrame.set(mfn, [first, count, key]);
  }

  /** A void record was met: from now on what was found at its address stands for it. */
  replace(old: number, found: number): void {
    const { u16, u32 } = this.capsule;
    const sameOffset = u16[(old + REC.offset) >>> 1] === u16[(found + REC.offset) >>> 1];
    if (old !== found && u16[old >>> 1] === this.stale && sameOffset && !this.straddling.has(found)) u32[(old + REC.link) >>> 2] = found;
  }

  /** Bytes of a frame with decoded code changed: all that was decoded from it is void, here and on other machines. */
  written(mfn: number): void {
    this.unguard(mfn);
    this.forget(mfn);
    this.siblings?.postCode(mfn);
    this.siblings?.settle();
  }
  /** More is known of the page that executes now than when its regions were made. */
  recompile(cpu: Cpu): void {
    const host = this.mmu.translate(cpu, cpu.field32(CPU.page), cpu.field32(CPU.page + 4), ACCESS.execute);
    if (host >= 0) this.hot.written((host - this.capsule.frames) >>> 12);
  }
  /** All that was decoded from a frame is void. */
  forget(mfn: number): void {
    this.close();
    const list = this.byFrame.get(mfn);
    if (!list) return; // what was read there was no code
    this.hot.written(mfn);
    this.mmu.contexts.codeMoved();
    for (let b = 0; b < list.length; b += 3) {
      const [record, count, key] = [list[b], list[b + 1], list[b + 2]] as [number, number, number];
      for (let i = 0; i < count; i++) {
        this.capsule.u16[(record + i * REC.size) >>> 1] = this.stale;
        this.capsule.u32[(record + i * REC.size + REC.link) >>> 2] = 0;
      }
      this.capsule.u32[headWord(record, 'entry')] = this.stale;
      if (this.byAddress.get(key) === record) this.byAddress.delete(key);
      this.straddling.delete(record);
    }
    this.byFrame.delete(mfn);
    this.heat.rewritten(mfn, this.made);
  }
  /** The same of all frames. Handlers stay where they are: one may be at work. */
  forgetAll(): void { for (const mfn of this.byFrame.keys()) this.forget(mfn); }
  private unguard(mfn: number): void { this.mmu.setFlag(mfn, FRAME_FLAG.code | FRAME_FLAG.written, false); }
  /** Other domains have written to frames with code (frame-flags.ts), of this machine's or of others'. */
  writtenByOthers(): void {
    const frames = this.siblings ? Array(this.capsule.totalFrames).keys() : this.byFrame.keys();
    for (const mfn of frames) if (this.mmu.flags(mfn) & FRAME_FLAG.written) this.written(mfn);
  }
  /** Drops everything: there is no room left. */
  reset(): void {
    this.close();
    if (!this.siblings) for (const mfn of this.byFrame.keys()) this.unguard(mfn); // they may have code there
    this.byFrame.clear();
    this.byAddress.clear();
    this.straddling.clear();
    this.hot.clear();
    this.heat.clear();
    this.mmu.contexts.drop(DROP.jumps);
    this.clearTable();
    if (this.handlers.crowded) this.takeSlots();
    this.top = this.start;
    this.resets++;
  }
}
const NOTHING = (): number => -1;
