// Translation: page walks over guest frames, and the accesses that are not one plain piece of memory. This file is the whole truth about translation; the walk in runtime.ts is its fast
// path for the plain case.
//
// Invariant: a write entry exists only for a page whose frame has no flags: pages with decoded code and pages that the
// hypervisor watches are written through `commit`.

import { PAGE_SIZE, type Capsule } from '#base/capsule.ts';
import { CPU, EXIT, NO_ERROR_CODE } from '../cpu-state.ts';
import type { Cpu } from '../cpu.ts';
import { ACCESS, PFEC, STORE, type ForeignMemory, type MachineHooks } from '../machine.ts';
import { exchangeBytes } from './exchange-bytes.ts';
import { copyAsOne, loadForeign, storeForeign } from './foreign-access.ts';
import { FrameFlags } from './frame-flags.ts';
import { DROP, MmuContexts } from './mmu-contexts.ts';
import { ACCESS_INFO, FRAME_FLAG, INNER } from './record.ts';
import { POSTED, type Siblings } from './siblings.ts';

/** Page-table entry bits (SDM vol. 3, 4.5). */
const PTE = { present: 1, write: 2, accessed: 0x20, dirty: 0x40, large: 0x80 } as const;
/** What the bounce buffer stands for. */
const BOUNCE = { none: 0, crossing: 1, single: 2, denied: 3 } as const;

/** Linear addresses whose accesses are to be noted. */
export interface Watch { readonly bit: number; readonly at: bigint; readonly end: bigint; readonly reads: boolean }

export class Mmu {
  private readonly capsule: Capsule;
  private readonly hooks: MachineHooks;
  readonly contexts: MmuContexts;
  readonly frameFlags: FrameFlags;
  private readonly codeWritten: (mfn: number) => void;
  /** fills part of the capsule, faster than JavaScript does */
  readonly fillBytes: (at: number, byte: number, length: number) => void;
  /** other machines that have translations of the same memory, who are told what is dropped here */
  siblings: Siblings | undefined;
  /** DROP bits of a flush that is still to come */
  private pending = 0;

  /** error code of the last failed walk, without the user bit */
  faultCode = 0;

  static size(frames: number): number { return MmuContexts.size + FrameFlags.size(frames); }

  /** @param at capsule offset of its contexts @param flags where those are behind which the flags of frames are */
  constructor(capsule: Capsule, cpus: readonly Cpu[], at: number, flags: number, hooks: MachineHooks, codeWritten: (mfn: number) => void, fillBytes: (at: number, byte: number, length: number) => void) {
    this.capsule = capsule;
    this.contexts = new MmuContexts(capsule, cpus, at, fillBytes);
    this.frameFlags = new FrameFlags(capsule, flags);
    this.hooks = hooks;
    this.codeWritten = codeWritten;
    this.fillBytes = fillBytes;
  }

  // ---- what is cached

  /** Drops everything, everywhere. */
  drop(mfn?: number): void {
    this.flushLater(mfn);
    this.siblings?.post(POSTED.all, 0, 0, mfn ?? -1);
  }
  dropPage(lo: number, hi: number, mfn?: number): void {
    this.flushPage(lo, hi, mfn);
    this.siblings?.post(POSTED.page, lo, hi, mfn ?? -1);
  }
  dropBase(mfn: number): void {
    this.contexts.dropBase(mfn);
    this.siblings?.post(POSTED.base, 0, 0, mfn);
  }
  /** Drops what a sibling has dropped. */
  follow(kind: number, lo: number, hi: number, mfn: number): void {
    const frame = mfn < 0 ? undefined : mfn;
    if (kind === POSTED.page) this.flushPage(lo, hi, frame);
    else if (kind === POSTED.all) { this.flushLater(frame); this.flushNow(); }
    else if (kind === POSTED.writes) this.contexts.dropWrites(this.capsule.frames + mfn * PAGE_SIZE);
    else if (kind === POSTED.base) this.contexts.dropBase(mfn);
  }
  /** Flushes before the next guest instruction: several requests at once cost one flush. */
  flushLater(mfn?: number): void { this.pending |= mfn === undefined || this.hasCode(mfn) ? DROP.translations | DROP.jumps : DROP.translations; }
  flushNow(): void {
    if (this.pending === 0) return;
    this.contexts.drop(this.pending);
    this.pending = 0;
  }
  private hasCode(mfn: number): boolean { return mfn >= this.capsule.totalFrames || (this.flags(mfn) & FRAME_FLAG.code) !== 0; }
  /** Drops one page under every base, and all jump targets where code moved. */
  flushPage(lo: number, hi: number, mfn?: number): void {
    this.contexts.dropPage(lo, hi);
    if (mfn === undefined || this.hasCode(mfn)) this.contexts.drop(DROP.jumps);
  }

  // ---- frames

  flags(mfn: number): number { return this.frameFlags.of(mfn); }
  /** Writes to the frame of a capsule offset concern nobody. */
  isPlain(host: number): boolean { return this.flags((host - this.capsule.frames) >>> 12) === 0; }
  setFlag(mfn: number, flag: number, on: boolean): void {
    const old = this.frameFlags.set(mfn, flag, on);
    if (on && old === 0) this.contexts.dropWrites(this.capsule.frames + mfn * PAGE_SIZE);
  }

  /**
   * From now on no write to a frame goes unseen, by whatever machine. With siblings it waits for them, and does what they have
   * posted meanwhile: nothing is known of translations behind it.
   */
  guard(mfn: number, flag: number): void {
    this.setFlag(mfn, flag, true);
    if (!this.siblings) return;
    this.siblings.post(POSTED.writes, 0, 0, mfn);
    this.siblings.settle();
  }
  /** Nobody has anything to do with any frame: as in fresh scratch. */
  clearFlags(): void { this.fillBytes(this.frameFlags.at, 0, FrameFlags.size(this.capsule.totalFrames)); }

  // ---- the walk

  /**
   * Walks the tables under the vCPU's base, checks permissions, sets accessed and dirty bits.
   * @returns capsule offset of the byte; -1 when it faults (faultCode); -2 when only the last level's missing write
   *   permission stands in the way (readonlyAt holds the byte's offset). Memory of another machine has offsets beyond the
   *   frames, by its frame number (isForeign)
   */
  walk(cpu: Cpu, lo: number, hi: number, access: number): number {
    const { u32, frames, totalFrames } = this.capsule;
    let table = cpu.field32(CPU.cr3);
    let writable = true;
    let at = 0;
    for (let level = 4; level >= 1; level--) {
      const index = level === 4 ? hi >>> 7 & 511 : level === 3 ? (hi & 127) << 2 | lo >>> 30 : level === 2 ? lo >>> 21 & 511 : lo >>> 12 & 511;
      at = (frames + table * PAGE_SIZE + index * 8) >>> 2;
      const entryLo = u32[at] as number;
      const entryHi = u32[at + 1] as number;
      if (!(entryLo & PTE.present)) return this.fault(access, 0);
      if (this.siblings && Atomics.load(u32, at) !== entryLo) return this.walk(cpu, lo, hi, access); // halves of two entries
      table = (entryHi & 0xf_ffff) * 0x10_0000 + (entryLo >>> 12);
      const own = table < totalFrames;
      if ((!own && !(level === 1 && this.hooks.foreign?.has(table))) || ((level === 2 || level === 3) && entryLo & PTE.large)) return this.fault(access, PFEC.present | PFEC.reserved);
      if (access === ACCESS.execute && (!own || entryHi >>> 31)) return this.fault(access, PFEC.present);
      writable &&= (entryLo & PTE.write) !== 0;
      if (!(entryLo & PTE.accessed) && !this.mark(at, entryLo, PTE.accessed)) return this.walk(cpu, lo, hi, access);
    }
    const host = frames + table * PAGE_SIZE + (lo & 4095);
    if (access === ACCESS.write) {
      if (!writable) {
        this.fault(access, PFEC.present);
        if (table >= totalFrames) return -1; // no table of the guest's
        this.readonlyAt = host;
        return -2;
      }
      const entryLo = u32[at] as number;
      if (!(entryLo & PTE.dirty) && ((entryLo >>> 12) !== (table & 0xf_ffff) || !this.mark(at, entryLo, PTE.dirty))) return this.walk(cpu, lo, hi, access);
    }
    return host;
  }
  /** Sets a bit of an entry, unless somebody has changed it since it was read: another machine may be at it. */
  private mark(at: number, entryLo: number, bit: number): boolean { return Atomics.compareExchange(this.capsule.u32, at, entryLo, (entryLo | bit) >>> 0) === entryLo; }
  private readonlyAt = 0;
  private fault(access: number, code: number): number {
    this.faultCode = code | access;
    return -1;
  }

  /** The Machine interface's translate: no TLB, no exception. */
  translate(cpu: Cpu, lo: number, hi: number, access: number): number {
    this.foreignAt = -1;
    if (!canonical(hi)) { this.faultCode = access; return -1; }
    const host = this.walk(cpu, lo, hi, access);
    if (!this.isForeign(host)) return host < 0 ? -1 : host;
    this.foreignAt = host - this.capsule.frames;
    return -1;
  }
  foreignAt = -1;

  // ---- data breakpoints

  private watches: readonly Watch[] = [];
  /** bits of the watches that accesses have met */
  hits = 0;
  get watching(): boolean { return this.watches.length > 0; }
  /** Notes accesses to these places while this vCPU runs. Their pages get no TLB entries meanwhile. */
  watch(cpu: Cpu, watches: readonly Watch[]): void {
    this.watches = watches;
    cpu.setField32(CPU.watching, watches.length);
    for (const w of watches) this.flushPage(Number(w.at & 0xffff_ffffn), Number(w.at >> 32n));
  }
  /** Notes an access of `size` bytes; `access` does it by itself. */
  note(lo: number, hi: number, size: number, info: number): void {
    if (this.watches.length === 0 || info & ACCESS_INFO.probe) return;
    const at = BigInt(hi) << 32n | BigInt(lo);
    for (const w of this.watches) if (at < w.end && at + BigInt(size) > w.at && (w.reads || info & ACCESS_INFO.write)) this.hits |= w.bit;
  }
  private isWatched(lo: number, hi: number): boolean {
    const page = (BigInt(hi) << 32n | BigInt(lo)) >> 12n;
    return this.watches.some((w) => w.at >> 12n === page);
  }

  // ---- the slow path of guest accesses

  /** Result of the HOST routine translateSlow: capsule address or 0 with the exception fields set. */
  access(cpu: Cpu, lo: number, hi: number, info: number): number {
    lo >>>= 0;
    hi >>>= 0;
    const size = info & 0xff;
    this.note(lo, hi, size, info);
    const write = (info & ACCESS_INFO.write) !== 0;
    const room = PAGE_SIZE - (lo & 4095);
    const endLo = lo + size - 1;
    const nextHi = cpu.compat ? 0 : (hi + 1) >>> 0; // 32-bit addresses wrap around
    const endHi = endLo > 0xffff_ffff ? nextHi : hi;
    if (!canonical(hi) || !canonical(endHi)) return this.generalProtection(cpu, (info & ACCESS_INFO.stack) !== 0);
    const first = this.page(cpu, lo, hi, write);
    if (first === 0) return 0;
    const deniedFirst = this.denied;
    if (size <= room) {
      if (!deniedFirst) {
        const foreign = this.isForeign(first);
        const aligned = !(info & ACCESS_INFO.locked) || (lo & (size - 1)) === 0;
        if (!foreign && aligned && (!write || this.isPlain(first))) { this.fill(cpu, lo, hi, first, write); return first; }
      }
      return this.bounce(cpu, deniedFirst ? BOUNCE.denied : BOUNCE.single, lo, hi, info, first, first);
    }
    const nextLo = (lo + room) % 0x1_0000_0000;
    const second = this.page(cpu, nextLo, lo + room > 0xffff_ffff ? nextHi : hi, write);
    if (second === 0) return 0;
    // a write that crosses into a watched page table is nobody's way to write one
    if (deniedFirst || this.denied) return this.pageFault(cpu, this.denied && !deniedFirst ? nextLo : lo, hi, PFEC.present | PFEC.write);
    return this.bounce(cpu, BOUNCE.crossing, lo, hi, info, first, second);
  }
  private denied = false;
  /** Translates one page of an access: capsule offset, or 0 after setting the exception. */
  private page(cpu: Cpu, lo: number, hi: number, write: boolean): number {
    this.denied = false;
    const host = this.walk(cpu, lo, hi, write ? ACCESS.write : ACCESS.read);
    if (host >= 0) return host;
    if (host === -2 && this.hooks.storeWatched(cpu, (this.readonlyAt - this.capsule.frames) >>> 12)) {
      this.denied = true;
      return this.readonlyAt;
    }
    return this.pageFault(cpu, lo, hi, this.faultCode);
  }
  private fill(cpu: Cpu, lo: number, hi: number, host: number, write: boolean): void {
    if (this.watches.length === 0 || !this.isWatched(lo, hi)) this.contexts.rememberPage(cpu, lo, hi, host, write);
  }

  /** Puts the current bytes into the bounce buffer and notes what it stands for. */
  private bounce(cpu: Cpu, kind: number, lo: number, hi: number, access: number, first: number, second: number): number {
    const { frames, u8 } = this.capsule;
    const at = cpu.base + CPU.bounce;
    const size = access & 0xff;
    const locked = (access & ACCESS_INFO.locked) !== 0;
    const room = kind === BOUNCE.crossing ? PAGE_SIZE - (lo & 4095) : size;
    this.loadFrom(first, at, room);
    if (room < size) this.loadFrom(second, at + room, size - room);
    if (locked) u8.copyWithin(cpu.base + CPU.bounceWas, at, at + size);
    const info = (cpu.base + CPU.bounceInfo) >>> 2, { u32 } = this.capsule;
    u32[info] = kind;
    u32[info + 1] = lo;
    u32[info + 2] = hi;
    u32[info + 3] = size;
    u32[info + 4] = first - frames;
    u32[info + 5] = second - frames;
    u32[info + 6] = locked ? 1 : 0;
    return at;
  }
  isBounce(cpu: Cpu, host: number): boolean { return host === cpu.base + CPU.bounce; }
  /** Makes a write to the bounce buffer real. 0; EXIT.exception; INNER.again when a locked one has to be done anew, for memory has changed meanwhile. */
  commit(cpu: Cpu): number {
    const { u32, frames } = this.capsule;
    const info = (cpu.base + CPU.bounceInfo) >>> 2;
    const kind = u32[info] as number, lo = u32[info + 1] as number, hi = u32[info + 2] as number, size = u32[info + 3] as number;
    const first = u32[info + 4] as number, second = u32[info + 5] as number, locked = u32[info + 6] !== 0;
    const at = cpu.base + CPU.bounce;
    if (kind === BOUNCE.denied) {
      const done = size > 8 ? STORE.refused : this.hooks.storeDenied(cpu, lo, hi, size, this.bounced(at, size), this.bounced(at + 4, size - 4), locked ? this.was(cpu, size) : undefined);
      this.flushNow();
      if (done === STORE.changed) return INNER.again;
      if (done === STORE.done) return 0;
      this.pageFault(cpu, lo, hi, PFEC.present | PFEC.write);
      return EXIT.exception;
    }
    if (locked) return this.exchange(cpu, first + frames, second + frames, kind === BOUNCE.crossing ? PAGE_SIZE - (lo & 4095) : size, size) ? 0 : INNER.again;
    const room = kind === BOUNCE.crossing ? PAGE_SIZE - (lo & 4095) : size;
    this.storeTo(first + frames, at, room);
    if (room < size) this.storeTo(second + frames, at + room, size - room);
    return 0;
  }
  /** The store that was committed was to a page table. */
  wasDenied(cpu: Cpu): boolean { return this.capsule.u32[(cpu.base + CPU.bounceInfo) >>> 2] === BOUNCE.denied; }
  /** Up to 4 bytes of the bounce buffer as a number. */
  private bounced(at: number, bytes: number): number {
    const { u8, dv } = this.capsule;
    return bytes <= 0 ? 0 : bytes === 1 ? u8[at] as number : bytes === 2 ? dv.getUint16(at, true) : dv.getUint32(at, true);
  }
  /** What was there when a locked instruction read it. */
  private was(cpu: Cpu, size: number): { readonly lo: number; readonly hi: number } {
    const at = cpu.base + CPU.bounceWas;
    return { lo: this.bounced(at, size), hi: this.bounced(at + 4, size - 4) };
  }
  /** A locked instruction's write. False when there is something else now than it has read. */
  private exchange(cpu: Cpu, first: number, second: number, room: number, size: number): boolean {
    const [to, from] = [cpu.base + CPU.bounce, cpu.base + CPU.bounceWas];
    const pieces = [{ host: first, at: 0, length: room }, { host: second, at: room, length: size - room }].filter((p) => p.length > 0).map((p) => ({ ...p, ...this.placeOf(p.host) }));
    const done = exchangeBytes(this.capsule, pieces, from, to);
    if (done) for (const { host } of pieces) this.noteStore(host);
    return done;
  }
  private placeOf(host: number): { readonly capsule: Capsule; readonly offset: number } {
    if (!this.isForeign(host)) return { capsule: this.capsule, offset: host };
    const { capsule, offset } = (this.hooks.foreign as ForeignMemory).find((host - this.capsule.frames) >>> 12);
    return { capsule, offset: offset + ((host - this.capsule.frames) & 4095) };
  }
  /** True for an offset of `walk` that is another machine's memory. */
  private isForeign(host: number): boolean { return host >= this.capsule.frames + this.capsule.totalFrames * PAGE_SIZE; }
  private loadFrom(host: number, to: number, length: number): void {
    if (!this.isForeign(host)) this.copy(host, to, length);
    else loadForeign(this.hooks.foreign as ForeignMemory, host - this.capsule.frames, this.capsule, to, length);
  }
  private storeTo(host: number, from: number, length: number): void {
    if (this.isForeign(host)) return storeForeign(this.hooks.foreign as ForeignMemory, host - this.capsule.frames, this.capsule, from, length);
    this.copy(from, host, length);
    this.noteStore(host);
  }
  /** Copies a few bytes: faster than copyWithin, which is made for many. Siblings see numbers change as a whole. */
  private copy(from: number, to: number, length: number): void {
    if (this.siblings) return copyAsOne(this.capsule, from, this.capsule, to, length);
    const { u8 } = this.capsule;
    for (let i = 0; i < length; i++) u8[to + i] = u8[from + i] as number;
  }
  private noteStore(host: number): void {
    const mfn = (host - this.capsule.frames) >>> 12;
    if (this.flags(mfn) & FRAME_FLAG.code) this.codeWritten(mfn);
  }

  // ---- exceptions

  pageFault(cpu: Cpu, lo: number, hi: number, code: number): 0 {
    cpu.setField32(CPU.exitInfo, 14);
    cpu.setField32(CPU.errorCode, code | (cpu.kernelMode ? 0 : PFEC.user));
    cpu.setField32(CPU.cr2, lo);
    cpu.setField32(CPU.cr2 + 4, hi);
    return 0;
  }
  undefinedOpcode(cpu: Cpu): 0 {
    cpu.setField32(CPU.exitInfo, 6);
    cpu.setField32(CPU.errorCode, NO_ERROR_CODE);
    return 0;
  }
  generalProtection(cpu: Cpu, stack: boolean): 0 {
    cpu.setField32(CPU.exitInfo, stack ? 12 : 13);
    cpu.setField32(CPU.errorCode, 0);
    return 0;
  }
}

/** Bits 47..63 of an address alike, by its high half. */
export const canonical = (hi: number): boolean => { const top = hi >>> 15; return top === 0 || top === 0x1_ffff; };
