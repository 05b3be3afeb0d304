// Decoded code: blocks of operation records, found by physical address. A block begins at one address, goes on over
// conditional jumps that are not taken and through jumps within the page, and ends where control cannot fall through, or at the page's end.
//
// Invariants: a frame that any record was decoded from has FRAME_FLAG.code, so its writes come to `written`; a record
// whose bytes changed has the handler `stale`, so every way to it (links, jump caches, the record before) is safe.

import { PAGE_SIZE, type Capsule } from '#base/capsule.ts';
import { MODE, CPU } from '../cpu-state.ts';
import type { Cpu } from '../cpu.ts';
import { DECODE, decode, Decoded } from '../decode/decoder.ts';
import { alu } from '../isa/alu.ts';
import { bit } from '../isa/bit.ts';
import { mov_ } from '../isa/mov.ts';
import { shift_ } from '../isa/shift.ts';
import type { Row } from '../isa/row.ts';
import { ROWS } from '../isa/table.ts';
import { ACCESS } from '../machine.ts';
import { CodeHeat } from './code-heat.ts';
import type { HandlerSpec } from './handler-spec.ts';
import type { Handlers } from './handlers.ts';
import { HotCode } from './hot-code.ts';
import { DROP } from './mmu-contexts.ts';
import { canonical, type Mmu } from './mmu.ts';
import type { RegionCompiler } from './region-job.ts';
import { BLOCK_TABLE, blockEntry, FRAME_FLAG, REC, UNNOTED } from './record.ts';

const MAX_BLOCK = 64;
/** Register forms of these neither fault nor leave: flags that one overwrites are dead before it. */
const PURE: ReadonlySet<Row> = new Set([...alu, ...mov_, ...shift_, ...bit].filter((r) => !['AAM', 'XLAT'].includes(r.name)));

/** Instructions that raise #NM while CR0.TS is set (SDM vol. 3, 2.5): x87, MMX and SSE state. */
const FPU: ReadonlySet<Row> = new Set(ROWS.filter((r) => !r.name.endsWith('FENCE')).filter((r) => r.operands.some((o) => 'VWUPQN'.includes(o[0] as string) || o === 'Ex87')
  || ['FWAIT', 'FXSAVE', 'FXRSTOR', 'LDMXCSR', 'STMXCSR', 'EMMS'].includes(r.name)));

/** A jump within the page that is always taken: decoding goes on at its target, and no record stands for it, unless the block begins with it. */
const followable = (d: Decoded, next: number, mode64: boolean): boolean =>
  d.entry?.row.name === 'JMP' && d.entry.row.operands[0]?.[0] === 'J' && mode64 && next + d.immLo >= 0 && next + d.immLo < PAGE_SIZE;

const isRelative = (d: Decoded): boolean => d.entry?.row.operands[0]?.[0] === 'J';

/** A compare that the jump behind it can share a record with: it must not write memory, which might hold that jump. */
const fusible = (d: Decoded): boolean => (d.entry?.row.fuses ?? false) && !(d.entry?.row.lock && d.form !== 'r');
/** The variant that is looked up; one object, so that decoding allocates little. */
const wanted: { -readonly [K in keyof HandlerSpec]: HandlerSpec[K] } = { row: 0, opSize: 64, addrSize: 64, mode64: true, rep: '', form: 'r', dead: false, fused: -1 };
const live = new Uint8Array(MAX_BLOCK);

/** What code means beside its bytes: compatibility mode, CR0.TS. */
export const variantOf = (cpu: Cpu): number => (cpu.field32(CPU.mode) & MODE.compat32 ? 1 : 0) | (cpu.field32(CPU.mode) & MODE.ts ? 2 : 0);
export class Blocks {
  private readonly capsule: Capsule;
  private readonly mmu: Mmu;
  private readonly handlers: Handlers;
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
  private readonly pool: Decoded[] = Array.from({ length: MAX_BLOCK }, () => new Decoded());
  private stale = 0;
  private goto = 0;
  private step = 0;
  private unavailable = 0;
  /** blocks made, and how often everything was dropped for want of room */
  made = 0;
  resets = 0;

  constructor(capsule: Capsule, mmu: Mmu, handlers: Handlers, at: number, size: number, compileAfter: number, compiler?: RegionCompiler) {
    this.hot = new HotCode(this, capsule, mmu, handlers, compileAfter, compiler);
    this.capsule = capsule;
    this.mmu = mmu;
    this.handlers = handlers;
    this.table = at;
    this.start = at + BLOCK_TABLE.size;
    this.end = at + size;
    this.top = this.start;
    this.clearTable();
    this.takeSlots();
  }

  private clearTable(): void { this.mmu.fillBytes(this.table, 0xff, BLOCK_TABLE.size); }
  /** Starts the handler table anew. */
  private takeSlots(): void {
    this.handlers.start();
    this.stale = this.handlers.slot('stale');
    this.goto = this.handlers.slot('goto');
    this.step = this.handlers.slot('step');
    this.unavailable = this.handlers.slot('unavailable');
  }

  /**
   * The record of the instruction at rip.
   * @returns 0 when it cannot be fetched: the exception fields are set
   */
  lookup(cpu: Cpu): number {
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
  isVoid(record: number): boolean { return this.capsule.u32[record >>> 2] === this.stale; }
  /** Puts a block into the table that generated code looks into. One that reaches into the next page is not for it. */
  private publish(record: number, key: number): void {
    if (this.straddling.has(record)) return;
    const physical = Math.floor(key / 4);
    const { u32 } = this.capsule;
    const at = (this.table + blockEntry(physical)) >>> 2;
    u32[at] = physical;
    u32[at + 1] = record | key & 3;
  }
  /** The block at a physical address and variant, for a linear address; 0 when there is none. */
  find(cpu: Cpu, key: number, lo: number, hi: number): number {
    const record = this.byAddress.get(key);
    if (record === undefined) return 0;
    const second = this.straddling.get(record);
    if (second === undefined) return record;
    if (this.secondPage(cpu, lo, hi) !== second) return 0;
    const next = (lo | 4095) + 1;
    this.mmu.contexts.rememberCode(cpu, next >>> 0, next > 0xffff_ffff ? hi + 1 : hi, (second - this.capsule.frames) >>> 12);
    return record;
  }
  /** One instruction that is followed by a `step` record, for the trap flag. Not kept. */
  single(cpu: Cpu): number {
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

  private build(cpu: Cpu, host: number, key: number, lo: number, hi: number, limit: number): number {
    if (this.top + (MAX_BLOCK + 2) * REC.size > this.end || this.handlers.crowded) this.reset();
    const mode64 = (cpu.field32(CPU.mode) & MODE.compat32) === 0;
    const noFpu = (cpu.field32(CPU.mode) & MODE.ts) !== 0;
    const { u8 } = this.capsule;
    const page = host - (host & 4095);
    if (key >= 0) this.guard(page);
    let second = 0;
    let offset = host & 4095; // of the instruction in its page
    const fetch = (at: number): number => {
      if (offset + at < PAGE_SIZE) return u8[page + offset + at] as number;
      if (second === 0) {
        second = this.secondPage(cpu, lo, hi);
        if (second > 0 && key >= 0) this.guard(second);
      }
      return second < 0 ? -1 : u8[second + offset + at - PAGE_SIZE] as number;
    };
    let count = 0;
    let outcome: number = DECODE.ok;
    while (count < limit) {
      const d = this.pool[count] as Decoded;
      outcome = decode(d, fetch, offset, mode64);
      const reachesOver = offset + d.length > PAGE_SIZE;
      if (outcome !== DECODE.ok || (count > 0 && reachesOver)) break; // what reaches into the next page is a block of its own
      d.offset = offset;
      offset += d.length;
      count++;
      d.unavailable = noFpu && FPU.has(d.entry?.row as Row);
      d.followed = limit > 1 && count > 1 && !reachesOver && followable(d, offset, mode64);
      if (d.followed) offset += d.immLo;
      else if (d.entry?.row.ends || d.unavailable || offset >= PAGE_SIZE) break;
    }
    if (count === 0) {
      if (outcome === DECODE.fetchFault) {
        const at = lo + (this.pool[0] as Decoded).length;
        return this.mmu.pageFault(cpu, at >>> 0, at > 0xffff_ffff ? (hi + 1) >>> 0 : hi, this.mmu.faultCode);
      }
      return outcome === DECODE.tooLong ? this.mmu.generalProtection(cpu, false) : this.mmu.undefinedOpcode(cpu);
    }
    const reaches = (host & 4095) + (this.pool[0] as Decoded).length > PAGE_SIZE;
    const first = this.write(count, offset, mode64, limit === 1);
    if (key < 0) return first;
    this.keep(first, host, key, reaches ? second : 0);
    return first;
  }

  /** Writes the records of the decoded instructions; `end` is the page offset where control goes on behind them. */
  private write(count: number, end: number, mode64: boolean, single: boolean): number {
    const first = this.top;
    this.liveness(count);
    for (let i = 0; i < count; i++) {
      const d = this.pool[i] as Decoded;
      if (d.followed) continue;
      const follower = i + 1 < count ? this.pool[i + 1] as Decoded : undefined;
      const fuse = follower && fusible(d) && follower.entry?.row.cc !== undefined && (mode64 || follower.opSize === 32) ? follower : undefined;
      wanted.row = d.entry?.number as number;
      wanted.opSize = d.opSize;
      wanted.addrSize = d.addrSize;
      wanted.mode64 = mode64;
      wanted.rep = d.rep;
      wanted.form = d.form;
      wanted.dead = live[i] === 0;
      wanted.fused = fuse?.entry?.number ?? -1;
      this.writeRecord(this.top, d, d.unavailable ? this.unavailable : this.handlers.slot(wanted), d.offset, i, fuse);
      this.top += REC.size;
      if (fuse) i++;
    }
    const last = this.pool[count - 1] as Decoded;
    if (single || last.followed || !last.entry?.row.ends) {
      this.bare(this.top, single ? this.step : this.goto, end, count);
      this.top += REC.size;
    }
    this.handlers.flush();
    return first;
  }
  /** Makes a block known. @param second capsule offset of the page that its first instruction reaches into, 0 for none */
  private keep(first: number, host: number, key: number, second: number): void {
    this.made++;
    this.byAddress.set(key, first);
    const { u32 } = this.capsule;
    u32[(first + REC.count) >>> 2] = this.hot.after;
    this.own((host - this.capsule.frames) >>> 12, first, key);
    if (second === 0) this.publish(first, key);
    if (second > 0) {
      this.straddling.set(first, second);
      this.own((second - this.capsule.frames) >>> 12, first, key);
    }
  }
  /** From now on a write to the page comes to `written`: to be called before code is read there. */
  private guard(page: number): void { this.mmu.setFlag((page - this.capsule.frames) >>> 12, FRAME_FLAG.code, true); }
  /** Notes the block that was written last as one of a frame. */
  private own(mfn: number, first: number, key: number): void {
    const count = (this.top - first) / REC.size;
    const list = this.byFrame.get(mfn);
    if (list) list.push(first, count, key);
    else this.byFrame.set(mfn, [first, count, key]);
  }

  /**
   * For each instruction, whether anything can see the flags that it leaves. Flags that an instruction keeps ('p')
   * live on through it; one that may fault or leave shows all of them.
   */
  private liveness(count: number): void {
    let needed = true;
    for (let i = count - 1; i >= 0; i--) {
      const d = this.pool[i] as Decoded;
      const row = d.entry?.row as Row;
      live[i] = needed ? 1 : 0;
      if (d.followed) continue;
      const pure = PURE.has(row) && (d.form === 'r' || row.name === 'LEA');
      needed = !pure || row.flags === 'r' || (needed && row.flags !== 'w');
    }
  }

  private writeRecord(at: number, d: Decoded, handler: number, offset: number, icount: number, fuse: Decoded | undefined): void {
    const { u8, u16, i32 } = this.capsule;
    this.bare(at, handler, offset, icount);
    u16[(at + REC.r1) >>> 1] = d.r1;
    u16[(at + REC.r2) >>> 1] = d.r2;
    i32[(at + REC.imm) >>> 2] = d.immLo;
    i32[(at + REC.imm + 4) >>> 2] = d.immHi;
    i32[(at + REC.disp) >>> 2] = d.dispLo;
    i32[(at + REC.disp + 4) >>> 2] = d.dispHi;
    u16[(at + REC.base) >>> 1] = d.base;
    u16[(at + REC.index) >>> 1] = d.index;
    u8[at + REC.segment] = d.segment;
    u8[at + REC.scale] = d.scale;
    u8[at + REC.length] = d.length + (fuse?.length ?? 0);
    // a relative jump's displacement counts from the next instruction
    if (d.entry?.row.name !== 'JMP') i32[(at + REC.link) >>> 2] = isRelative(fuse ?? d) ? 0 : UNNOTED;
    i32[(at + REC.rel) >>> 2] = (fuse ? fuse.immLo + fuse.length : d.immLo) + d.length;
  }
  /** The fields that every record has. */
  private bare(at: number, handler: number, offset: number, icount: number): void {
    const { u8, u32 } = this.capsule;
    u32[at >>> 2] = handler;
    u32[(at + REC.real) >>> 2] = handler;
    u32[(at + REC.link) >>> 2] = 0;
    u32[(at + REC.rel) >>> 2] = 0;
    u8[at + REC.length] = 0;
    u8[at + REC.passed] = 0;
    u32[(at + REC.offset) >>> 2] = offset;
    u8[at + REC.icount] = icount;
  }
  /** A void record was met: from now on what was found at its address stands for it. */
  replace(old: number, found: number): void {
    const { u32 } = this.capsule;
    const sameOffset = u32[(old + REC.offset) >>> 2] === u32[(found + REC.offset) >>> 2];
    if (old !== found && u32[old >>> 2] === this.stale && sameOffset && !this.straddling.has(found)) u32[(old + REC.link) >>> 2] = found;
  }

  /** Bytes of a frame with decoded code changed: all that was decoded from it is void. */
  written(mfn: number): void {
    const list = this.byFrame.get(mfn);
    if (!list) return this.unguard(mfn); // what was read there was no code
    for (let b = 0; b < list.length; b += 3) {
      const [record, count, key] = [list[b], list[b + 1], list[b + 2]] as [number, number, number];
      for (let i = 0; i < count; i++) {
        this.capsule.u32[(record + i * REC.size) >>> 2] = this.stale;
        this.capsule.u32[(record + i * REC.size + REC.link) >>> 2] = 0;
      }
      if (this.byAddress.get(key) === record) this.byAddress.delete(key);
      this.straddling.delete(record);
    }
    this.byFrame.delete(mfn);
    this.hot.written(mfn);
    this.unguard(mfn);
    this.heat.rewritten(mfn, this.made);
  }
  private unguard(mfn: number): void { this.mmu.setFlag(mfn, FRAME_FLAG.code | FRAME_FLAG.written, false); }
  /** Other threads have written to frames with code (frame-flags.ts). */
  writtenByOthers(): void {
    for (const mfn of this.byFrame.keys()) if (this.mmu.flags(mfn) & FRAME_FLAG.written) this.written(mfn);
  }
  /** Drops everything: there is no room left. */
  reset(): void {
    for (const mfn of this.byFrame.keys()) this.unguard(mfn);
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
