// MMU contexts: what is cached under each of the base pointers that were used last.
//
// What is cached is dropped often, by each change of a page table, and little of it at a time. So each context keeps a log
// of the entries that were filled since they were last empty, and a context that is not in use is emptied when it is used
// again: until then its field `base` is void, so that generated code does not switch to it.

import type { Capsule } from '#base/capsule.ts';
import { CPU } from '../cpu-state.ts';
import type { Cpu } from '../cpu.ts';
import { codeEntry, MMU, type EntryLog } from './record.ts';
import { machinesOf } from './siblings.ts';

/** As many as twenty processes have, kernel and user mode: one that has lost its context meets it empty. */
const CONTEXTS = 40;
const EMPTY = 0xff; // a tag of all ones equals no page address
const VOID = 0xffff_ffff;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;

/** What is to be dropped. */
export const DROP = { writes: 1, translations: 2, jumps: 4, all: 7 } as const;

export class MmuContexts {
  private readonly capsule: Capsule;
  private readonly cpus: readonly Cpu[];
  private readonly isShared: boolean;
  /** capsule offset of the first */
  private readonly at: number;
  private readonly fillBytes: (at: number, byte: number, length: number) => void;
  private readonly byBase = new Map<number, number>();
  private readonly bases: number[] = new Array<number>(CONTEXTS).fill(-1);
  private readonly used: number[] = new Array<number>(CONTEXTS).fill(0);
  /** by context, DROP bits of what it holds that is no longer true */
  private readonly stale = new Uint8Array(CONTEXTS);
  /** contexts whose translations are true */
  private readonly current: number[] = [];
  /** contexts whose base is one no more, the last one at the end: its lines are likely to be in the processor's caches */
  private readonly free: number[] = [];
  private clock = 0;
  private running: Cpu | undefined;
  /** entries of pages that were filled and dropped again */
  private misses = 0;

  static readonly size = CONTEXTS * MMU.size;

  constructor(capsule: Capsule, cpus: readonly Cpu[], at: number, fillBytes: (at: number, byte: number, length: number) => void) {
    this.capsule = capsule;
    this.cpus = cpus;
    this.isShared = machinesOf(capsule) > 1;
    this.at = at;
    this.fillBytes = fillBytes;
  }

  /** @param kernel the mode whose tables they are, when it is known */
  setBase(cpu: Cpu, mfn: number, kernel?: boolean): void {
    let slot = this.byBase.get(mfn);
    if (slot === undefined) {
      slot = this.free.pop() ?? this.used.indexOf(Math.min(...this.used));
      this.byBase.delete(this.bases[slot] as number);
      this.bases[slot] = mfn;
      this.stale[slot] = DROP.all;
      this.isNotCurrent(slot);
      this.byBase.set(mfn, slot);
      this.codeMoved();
    }
    this.used[slot] = ++this.clock;
    this.clean(slot);
    this.forgetStacks();
    cpu.setField32(CPU.cr3, mfn);
    cpu.setField32(CPU.mmu, this.context(slot));
    if (kernel !== undefined) cpu.setField32(kernel ? CPU.kernelMmu : CPU.userMmu, this.context(slot));
  }
  /** Before a vCPU runs: others may have taken its context for their bases since. */
  attach(cpu: Cpu): void {
    this.running = cpu;
    const slot = this.slotOf(cpu.field32(CPU.mmu));
    if (this.bases[slot] !== cpu.field32(CPU.cr3)) this.setBase(cpu, cpu.field32(CPU.cr3));
    else this.used[slot] = ++this.clock;
    this.cleanUsed();
  }
  /** False for a vCPU that has run on another machine, or whose base was set there. */
  owns(cpu: Cpu): boolean { return IN_USE.every((field) => { const at = cpu.field32(field); return at === 0 || (at >= this.at && at < this.at + MmuContexts.size); }); }
  /** Drops something of every context. */
  drop(bits: number): void {
    for (let slot = 0; slot < CONTEXTS; slot++) if (this.bases[slot] !== -1) this.spoil(slot, bits);
    this.cleanUsed();
  }
  dropBase(mfn: number): void {
    const slot = this.byBase.get(mfn);
    if (slot === undefined) return;
    this.spoil(slot, DROP.all);
    if (!this.inUse().includes(slot)) {
      this.byBase.delete(mfn);
      this.bases[slot] = -1;
      this.free.push(slot);
    }
    this.cleanUsed();
  }
  /** Drops the translations of one page. */
  dropPage(lo: number, hi: number): void {
    this.forgetStacks();
    const entry = (lo >>> 8) & ((MMU.entries - 1) << 4);
    const page = (lo & ~0xfff) >>> 0;
    const { u32 } = this.capsule;
    for (const slot of this.current) {
      for (let half: number = MMU.read; half <= MMU.write; half += MMU.write) {
        const at = (this.context(slot) + half + entry) >>> 2;
        if (u32[at] === page && u32[at + 1] === hi >>> 0) u32[at] = u32[at + 1] = VOID;
      }
    }
  }
  /** Drops what lets a frame be written. @param host its capsule offset */
  dropWrites(host: number): void {
    this.forgetStacks();
    const inUse = this.inUse();
    for (let slot = 0; slot < CONTEXTS; slot++) {
      if (this.bases[slot] === -1) continue;
      if (inUse.includes(slot)) this.emptyWrites(slot, host);
      else this.spoil(slot, DROP.writes);
    }
  }
  /** Drops everything of every context, as at the beginning. Each is emptied when it is used: most never are. */
  reset(): void {
    this.forgetStacks();
    this.misses = this.tlbMisses;
    for (let slot = 0; slot < CONTEXTS; slot++) {
      this.spoil(slot, DROP.all);
      for (const log of [MMU.pages, MMU.targets]) this.capsule.u32[(this.context(slot) + log.count) >>> 2] = log.size + 1; // all of it
      this.misses -= MMU.pages.size + 1;
    }
    this.cleanUsed();
  }
  /** How often a page was looked up in the page tables. */
  get tlbMisses(): number { return this.bases.reduce((n, _, slot) => n + (this.capsule.u32[(this.context(slot) + MMU.pages.count) >>> 2] as number), this.misses); }

  /** The contexts, for audits: base and capsule offset of each, with nothing in them that is no longer true. */
  audited(): { readonly base: number; readonly at: number }[] {
    return this.bases.flatMap((base, slot) => {
      this.clean(slot);
      return base < 0 ? [] : [{ base, at: this.context(slot) }];
    });
  }

  // ---- entries

  /** Remembers where a page lies. @param host capsule offset of a byte in it */
  rememberPage(cpu: Cpu, lo: number, hi: number, host: number, write: boolean): void {
    const at = cpu.field32(CPU.mmu) + (write ? MMU.write : MMU.read) + (lo >>> 8 & (MMU.entries - 1) << 4);
    const { u32 } = this.capsule;
    const page = (lo & ~4095) >>> 0;
    u32[at >>> 2] = page;
    u32[(at >>> 2) + 1] = hi;
    u32[(at >>> 2) + 2] = (host & ~4095) - page;
    this.note(cpu, MMU.pages, at);
  }
  /** Remembers where a page of code lies. */
  rememberCode(cpu: Cpu, lo: number, hi: number, mfn: number): void {
    const at = cpu.field32(CPU.mmu) + codeEntry(lo);
    const { u32 } = this.capsule;
    u32[at >>> 2] = (lo >>> 12 & 0xfff) << 20 | mfn;
    u32[(at >>> 2) + 1] = hi << 8 & 0xff_ff00 | lo >>> 24;
    this.note(cpu, MMU.targets, at);
  }
  /** Remembers a record as the target of a jump. Same hash as tables.ts jumpEntry. */
  rememberJump(cpu: Cpu, lo: number, hi: number, record: number): void {
    const hash = (lo ^ lo >>> 12) & (MMU.jumpEntries - 1);
    const at = cpu.field32(CPU.mmu) + MMU.jumps + hash * 16;
    const { u32 } = this.capsule;
    u32[at >>> 2] = lo;
    u32[(at >>> 2) + 1] = hi;
    u32[(at >>> 2) + 2] = record;
    u32[(at >>> 2) + 3] = 0;
    this.note(cpu, MMU.targets, at);
  }
  /** As tables.ts noteFilled. */
  private note(cpu: Cpu, log: EntryLog, entry: number): void {
    const context = cpu.field32(CPU.mmu);
    const { u32 } = this.capsule;
    const n = u32[(context + log.count) >>> 2] as number;
    u32[(context + log.count) >>> 2] = n + 1;
    if (n < log.size) u32[(context + log.at + n * 4) >>> 2] = entry;
  }

  // ---- dropping

  /** Decoded code, or where it lies, has changed: compiled code that waits for a call to return does not go on. It is of the vCPU that runs here. */
  codeMoved(): void { this.running?.setField32(CPU.codeMoves, this.running.field32(CPU.codeMoves) + 1); }

  /** The pages of stacks are looked up anew. With siblings in one store, as a vCPU may be running on one of them. */
  private forgetStacks(): void {
    for (const cpu of this.cpus) {
      if (this.isShared) this.capsule.u64[(cpu.base + CPU.stackPage) >>> 3] = NO_PAGE;
      else {
        cpu.setField32(CPU.stackPage, VOID);
        cpu.setField32(CPU.stackPage + 4, VOID);
      }
    }
  }
  private context(slot: number): number { return this.at + slot * MMU.size; }
  private slotOf(context: number): number { return (context - this.at) / MMU.size; }
  /** Contexts that generated code may be in, or switch to without asking. */
  private inUse(): number[] { return this.running ? IN_USE.map((field) => this.slotOf(this.running?.field32(field) as number)) : []; }
  private cleanUsed(): void {
    const { running } = this;
    this.forgetStacks();
    if (!running) return;
    for (const field of IN_USE) this.clean(this.slotOf(running.field32(field)));
  }
  private spoil(slot: number, bits: number): void {
    if (bits & DROP.jumps) this.codeMoved();
    this.stale[slot] = (this.stale[slot] as number) | bits;
    if (bits & DROP.translations) this.isNotCurrent(slot);
    this.capsule.u32[(this.context(slot) + MMU.base) >>> 2] = VOID;
  }
  private isNotCurrent(slot: number): void {
    const at = this.current.indexOf(slot);
    if (at >= 0) this.current.splice(at, 1);
  }
  private clean(slot: number): void {
    const bits = this.stale[slot];
    if (bits === undefined || bits === 0) return; // or no context yet
    this.stale[slot] = 0;
    if (!this.current.includes(slot)) this.current.push(slot);
    this.capsule.u32[(this.context(slot) + MMU.base) >>> 2] = this.bases[slot] as number;
    if (bits & DROP.translations) this.empty(slot, MMU.pages, MMU.read, MMU.jumps);
    else if (bits & DROP.writes) this.emptyWrites(slot, -1);
    if (bits & DROP.jumps) {
      this.empty(slot, MMU.targets, MMU.jumps, MMU.cleared);
      this.guardJumps(slot);
    }
  }
  /** Empties what a log tells of, or a whole part of the context when the log is too short. */
  private empty(slot: number, log: EntryLog, from: number, to: number): void {
    const { u32 } = this.capsule;
    const context = this.context(slot);
    const n = u32[(context + log.count) >>> 2] as number;
    u32[(context + log.count) >>> 2] = 0;
    if (log === MMU.pages) this.misses += n;
    if (n > log.size) return this.fillBytes(context + from, EMPTY, to - from);
    for (let i = 0; i < n; i++) {
      const at = (u32[(context + log.at >>> 2) + i] as number) >>> 2;
      u32[at] = u32[at + 1] = VOID;
    }
  }
  /** Empties write entries: those of the frame at a capsule offset, or all of them (-1). */
  private emptyWrites(slot: number, host: number): void {
    const { u32 } = this.capsule;
    const context = this.context(slot);
    const n = u32[(context + MMU.pages.count) >>> 2] as number;
    const logged = n <= MMU.pages.size;
    const count = logged ? n : MMU.entries;
    for (let i = 0; i < count; i++) {
      const entry = logged ? u32[(context + MMU.pages.at >>> 2) + i] as number : context + MMU.write + i * 16;
      if (entry < context + MMU.write) continue;
      const at = entry >>> 2;
      if (host < 0 || ((u32[at] as number) + (u32[at + 2] as number) >>> 0) === host) u32[at] = u32[at + 1] = VOID;
    }
  }
  /** An empty entry looks like a target of all ones. The entry where that target belongs gets a tag that belongs elsewhere. */
  private guardJumps(slot: number): void { this.capsule.u32[(this.context(slot) + MMU.jumps) >>> 2] = 1; }
}
const IN_USE = [CPU.mmu, CPU.kernelMmu, CPU.userMmu];
