// Takes the instructions of a block apart and writes their records, as far as control is sure to go: up to what ends a
// block, the page's end, or a conditional jump. Decoding on behind every such jump made twice as many records, most of
// them never executed, between the others in the processor's caches (2026-11, boot of the default guest).

import { PAGE_SIZE, type Capsule } from '#base/capsule.ts';
import { CPU, MODE } from '../cpu-state.ts';
import type { Cpu } from '../cpu.ts';
import { DECODE, decode, Decoded, type CodeBytes } from '../decode/decoder.ts';
import type { Entry } from '../decode/opcode-map.ts';
import { alu } from '../isa/alu.ts';
import { bit } from '../isa/bit.ts';
import { mov_ } from '../isa/mov.ts';
import { shift_ } from '../isa/shift.ts';
import type { Row } from '../isa/row.ts';
import { ROWS } from '../isa/table.ts';
import type { HandlerSpec } from './handler-spec.ts';
import type { Handlers } from './handlers.ts';
import { NEAR, REC, UNNOTED } from './record.ts';

/** What code means beside its bytes, as bits: in compatibility mode; while CR0.TS is set. */
const VARIANT = { compat32: 1, ts: 2 } as const;
export const variantOf = (cpu: Cpu): number => (cpu.field32(CPU.mode) & MODE.compat32 ? VARIANT.compat32 : 0) | (cpu.field32(CPU.mode) & MODE.ts ? VARIANT.ts : 0);

/** Most instructions of a block. */
export const MAX_BLOCK = 64;
/** Room that the records of one take at the most, bytes. */
export const MAX_BLOCK_SIZE = (MAX_BLOCK + 4) * REC.size;

/** Register forms of these neither fault nor leave: flags that one overwrites are dead before it. */
const PURE: ReadonlySet<Row> = new Set([...alu, ...mov_, ...shift_, ...bit].filter((r) => !['AAM', 'XLAT'].includes(r.name)));
/** Instructions that raise #NM while CR0.TS is set (SDM vol. 3, 2.5): x87, MMX and SSE state. */
const FPU: ReadonlySet<Row> = new Set(ROWS.filter((r) => !r.name.endsWith('FENCE')).filter((r) => r.operands.some((o) => 'VWUPQN'.includes(o[0] as string) || o === 'Ex87')
  || ['FWAIT', 'FXSAVE', 'FXRSTOR', 'LDMXCSR', 'STMXCSR', 'EMMS'].includes(r.name)));
/** By a row's number, what is asked of each instruction. */
const isPure = ROWS.map((row) => PURE.has(row)), usesFpu = ROWS.map((row) => FPU.has(row)), isLea = ROWS.map((row) => row.name === 'LEA');

/** A compare that the jump behind it can share a record with: it must not write memory, which might hold that jump. */
const fusible = (d: Decoded, entry: Entry): boolean => entry.fuses && !(entry.lock && d.form !== 'r');
/** How far a jump behind an instruction goes from that. */
const distance = (d: Decoded, jump: Decoded): number => d.length + jump.length + jump.immLo;
const isNear = (d: Decoded, jump: Decoded): boolean => Math.abs(distance(d, jump)) <= NEAR;
/** The variant that is looked up; one object, so that decoding allocates little. */
const wanted: { -readonly [K in keyof HandlerSpec]: HandlerSpec[K] } = { row: 0, opSize: 64, addrSize: 64, mode64: true, rep: '', form: 'r', dead: false, fused: -1 };
const live = new Uint8Array(MAX_BLOCK);

export class BlockDecoder {
  private readonly capsule: Capsule;
  private readonly handlers: Handlers;
  private readonly isShared: boolean;
  private readonly pool: Decoded[] = Array.from({ length: MAX_BLOCK }, () => new Decoded());
  private goto = 0;
  private step = 0;
  private unavailable = 0;
  private mode64 = true;
  /** what `take` has found: instructions; DECODE.ok or why the next is none; the offset in the page where control goes on */
  count = 0;
  outcome: number = DECODE.ok;
  end = 0;

  /** @param isShared other machines change the same memory */
  constructor(capsule: Capsule, handlers: Handlers, isShared: boolean) {
    this.capsule = capsule;
    this.handlers = handlers;
    this.isShared = isShared;
  }
  /** The handler table was started anew. */
  takeSlots(): void {
    this.goto = this.handlers.slot('goto');
    this.step = this.handlers.slot('step');
    this.unavailable = this.handlers.slot('unavailable');
  }

  /** Length of the first instruction, or the offset in it of the byte that cannot be fetched. */
  get firstLength(): number { return (this.pool[0] as Decoded).length; }
  /** Control may go on behind the last instruction, or not, in the same page. */
  get endsOpen(): boolean { return this.end < PAGE_SIZE && (this.pool[this.count - 1]?.entry?.conditional ?? false); }

  /**
   * Decodes from an offset in a page on.
   * @param limit most instructions
   * @param begins a block begins here: its first instruction may reach into the next page, and has a record
   * @param variant as variantOf says
   */
  take(code: CodeBytes, offset: number, limit: number, begins: boolean, variant: number): void {
    const mode64 = (variant & VARIANT.compat32) === 0, noFpu = (variant & VARIANT.ts) !== 0;
    this.count = 0;
    this.outcome = DECODE.ok;
    this.mode64 = mode64;
    while (this.count < limit) {
      const d = this.pool[this.count] as Decoded;
      this.outcome = decode(d, code, offset, mode64);
      if (this.outcome !== DECODE.ok) break;
      const reachesOver = offset + d.length > PAGE_SIZE;
      if (reachesOver && !(begins && this.count === 0)) break; // a block of its own
      const entry = d.entry as Entry;
      d.offset = offset;
      offset += d.length;
      this.count++;
      d.unavailable = noFpu && (usesFpu[entry.number] as boolean);
      d.followed = entry.isJmp && entry.relative && limit > 1 && !(begins && this.count === 1) && !reachesOver && mode64 && offset + d.immLo >= 0 && offset + d.immLo < PAGE_SIZE;
      if (d.followed) offset += d.immLo;
      else if (entry.ends || entry.conditional || d.unavailable || offset >= PAGE_SIZE) break;
    }
    this.end = offset;
  }

  /**
   * Writes the records of what was taken.
   * @param at capsule offset of the first
   * @param before instructions of the block before them
   * @param single a record behind them ends a single step
   * @returns capsule offset behind the last
   */
  write(at: number, before: number, single: boolean): number {
    const { count, pool, mode64 } = this;
    this.liveness();
    for (let i = 0; i < count; i++) {
      const d = pool[i] as Decoded;
      if (d.followed) continue;
      const entry = d.entry as Entry;
      const follower = i + 1 < count ? pool[i + 1] as Decoded : undefined;
      const fuse = follower && fusible(d, entry) && (follower.entry as Entry).cc >= 0 && (mode64 || follower.opSize === 32) && isNear(d, follower) ? follower : undefined;
      wanted.row = entry.number;
      wanted.opSize = d.opSize;
      wanted.addrSize = d.addrSize;
      wanted.mode64 = mode64;
      wanted.rep = d.locked && this.isShared ? 'lock' : d.rep;
      wanted.form = d.form;
      wanted.dead = live[i] === 0;
      wanted.fused = fuse ? (fuse.entry as Entry).number : -1;
      this.writeRecord(at, d, d.unavailable ? this.unavailable : this.handlers.slot(wanted), before + i, fuse);
      at += REC.size;
      if (fuse) i++;
    }
    const last = pool[count - 1] as Decoded;
    if (single || last.followed || !(last.entry as Entry).ends) {
      this.bare(at, single ? this.step : this.goto, this.end, before + count);
      at += REC.size;
    }
    this.handlers.flush();
    return at;
  }

  /**
   * For each instruction, whether anything can see the flags that it leaves. Flags that an instruction keeps ('p')
   * live on through it; one that may fault or leave shows all of them.
   */
  private liveness(): void {
    let needed = true;
    for (let i = this.count - 1; i >= 0; i--) {
      const d = this.pool[i] as Decoded;
      const entry = d.entry as Entry;
      live[i] = needed ? 1 : 0;
      if (d.followed) continue;
      const pure = isPure[entry.number] && (d.form === 'r' || isLea[entry.number]);
      needed = !pure || entry.flags === 'r' || (needed && entry.flags !== 'w');
    }
  }

  private writeRecord(at: number, d: Decoded, handler: number, icount: number, fuse: Decoded | undefined): void {
    const { u8, u16, i32, u32 } = this.capsule;
    const entry = d.entry as Entry, jumping = (fuse ?? d).entry as Entry;
    this.bare(at, handler, d.offset, icount);
    u16[(at + REC.r1) >>> 1] = d.r1;
    u16[(at + REC.r2) >>> 1] = d.r2;
    u16[(at + REC.base) >>> 1] = d.base;
    u16[(at + REC.index) >>> 1] = d.index;
    u8[at + REC.segment] = d.segment;
    u8[at + REC.scale] = d.scale;
    u8[at + REC.length] = d.length + (fuse ? fuse.length : 0);
    // a relative jump's displacement counts from the next instruction
    i32[(at + REC.imm) >>> 2] = entry.relative ? d.immLo + d.length : d.immLo;
    i32[(at + REC.disp) >>> 2] = entry.immediate === 'iv' && d.opSize === 64 || entry.immediate === 'cp' ? d.immHi : d.dispLo;
    if (entry.immediate === 'moffs') {
      i32[(at + REC.wide) >>> 2] = d.dispLo;
      i32[(at + REC.wide + 4) >>> 2] = d.dispHi;
    }
    if (fuse) u16[(at + REC.near) >>> 1] = distance(d, fuse);
    if (!jumping.relative && !jumping.isJmp) u32[(at + REC.link) >>> 2] = UNNOTED;
  }
  /** The fields that every record has. */
  private bare(at: number, handler: number, offset: number, icount: number): void {
    const { u8, u16, u32 } = this.capsule;
    for (let word = at >>> 2; word < (at + REC.size) >>> 2; word++) u32[word] = 0;
    u16[at >>> 1] = handler;
    u16[(at + REC.offset) >>> 1] = offset;
    u8[at + REC.icount] = icount;
  }
}
