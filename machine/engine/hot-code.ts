// Blocks that are executed often, and the regions that are made of them. Whoever enters a block counts it down
// (tables.ts, enterBlock); at 0 the machine leaves, and the block is promoted.
//
// Invariant: a region's function is reached through the head of the block that it was made for, or by a jump cache that found it there,
// and only while no frame that it has code of was written.

import { assert } from '#base/assert.ts';
import type { Capsule } from '#base/capsule.ts';
import type { Cpu } from '../cpu.ts';
import type { Row } from '../isa/row.ts';
import { ROWS } from '../isa/table.ts';
import { ACCESS } from '../machine.ts';
import { variantOf } from './block-decoder.ts';
import type { Blocks } from './blocks.ts';
import type { Handlers, Order } from './handlers.ts';
import type { Mmu } from './mmu.ts';
import { headWord, NOTED, REC, ripOf } from './record.ts';
import { compileRegions, rethrow, type CompiledModule, type RegionCompiler } from './region-job.ts';
import { RegionBuilder, type Block, type BlockSource, type Step } from './region.ts';
import { encodeRegion } from './region-words.ts';

/**
 * Executions after which a block is hot, of which there are so many more when it is of another's region already; and the power of two by which
 * fewer suffice to be taken into its region. An instruction costs about 27 us to
 * compile, 15 ns to interpret in code that is as large as a kernel's, 5 ns to execute when compiled (2026-11, Node 26.10,
 * `npm run bench`).
 */
export const HOT = 4000;
const WARM = 4;
/** Most regions that wait to be compiled. */
const MAX_PENDING = 64;
/** Regions of a module, and how long the first waits for the others: in calls of collect, some 20 us each, and in instructions, for a loop that is seldom left. */
const BATCH = 8, MAX_WAIT = 100, MAX_EXECUTED = 400_000;
/** Most targets of a computed jump that are remembered. */
const MAX_TARGETS = 8;

export class HotCode implements BlockSource {
  /** executions after which a block is hot; 0: never */
  readonly after: number;
  private readonly blocks: Blocks;
  private readonly capsule: Capsule;
  private readonly mmu: Mmu;
  private readonly handlers: Handlers;
  /** first records of the blocks whose regions have code of a frame */
  private readonly byFrame = new Map<number, Set<number>>();
  /** by first record, that of a region which the block is of */
  private readonly members = new Map<number, number>();
  /** by first record */
  private readonly steps = new Map<number, readonly Step[]>();
  /** by record of a computed jump, where it has gone: distances from its page */
  private readonly targets = new Map<number, number[]>();
  /** the vCPU whose block became hot: its tables tell where code lies */
  private compiling: Cpu | undefined;
  private readonly compiler: RegionCompiler | undefined;
  /** slots of regions that are being compiled, by first record; what is void meanwhile leaves */
  private readonly pending = new Map<number, number>();
  private readonly orders = new Map<number, readonly Order[]>();
  /** regions that wait for others to be compiled with; calls of collect since one does, and instructions executed before */
  private batch: Order[] = [];
  private words: Int32Array[] = [];
  private waited = 0;
  private executed = 0;
  private sent = 0;
  /** regions made */
  promoted = 0;

  /** @param compiler compiles on another thread; without it regions are compiled at once */
  constructor(blocks: Blocks, capsule: Capsule, mmu: Mmu, handlers: Handlers, after: number, compiler: RegionCompiler | undefined) {
    this.blocks = blocks;
    this.capsule = capsule;
    this.mmu = mmu;
    this.handlers = handlers;
    this.after = after;
    this.compiler = compiler;
  }

  /** A block is hot, but has to wait. */
  postpone(record: number): void { this.capsule.u32[headWord(record, 'count')] = this.after; }
  /** A block is hot: its region becomes a function, if it can, and from now on the block is that function. */
  promote(cpu: Cpu, record: number): void {
    const { u32, dv } = this.capsule;
    if (this.after === 0) return; // counted down all of 32 bits
    this.blocks.close(); // from now on a block is what regions take it for
    this.compiling = cpu;
    if (this.pending.size >= MAX_PENDING) return this.postpone(record);
    const seed = this.blockAt(Number(BigInt.asIntN(64, ripOf(cpu, record))));
    if (seed?.record !== record) return;
    if (this.isMember(record)) return;
    const region = new RegionBuilder(this, dv).build(seed, this.after >>> WARM);
    if (region.nodes.length === 1 && seed.steps.length === 1) return; // nothing to gain
    const slot = this.handlers.regionSlot();
    for (const { block, context } of region.nodes) {
      if (!context.parent) this.members.set(block.record, record);
      this.note(block.mfn, record);
      if (block.secondMfn >= 0) this.note(block.secondMfn, record);
    }
    const { words, numbers } = encodeRegion(region, u32);
    this.pending.set(record, slot);
    if (this.compiler?.alive) this.order({ record, slot, numbers }, words);
    else this.install([compileRegions([words], rethrow)], [{ record, slot, numbers }]);
  }
  /** Whether a block is of another's region already: it waits then, as control is likely to come into that one soon. */
  private isMember(record: number): boolean {
    const home = this.members.get(record) ?? record, { u16, u32 } = this.capsule;
    if (home === record || this.after === 1) return false;
    const isPending = this.pending.has(home);
    if (!isPending && u32[headWord(home, 'entry')] === u16[home >>> 1]) return false; // void
    this.postpone(record);
    if (!isPending) this.members.delete(record);
    return true;
  }
  private order(order: Order, words: Int32Array): void {
    this.batch.push(order);
    this.words.push(words);
    if (this.batch.length === BATCH) this.send();
  }
  private send(): void {
    if (this.batch.length === 0) return;
    const id = ++this.sent;
    this.orders.set(id, this.batch);
    this.compiler?.compile({ id, regions: this.words });
    this.batch = [];
    this.words = [];
    this.waited = 0;
  }
  /** Takes in what was compiled meanwhile. To be called often. @param executed instructions of the vCPU so far */
  collect(executed: number): void {
    if (this.waited === 0) this.executed = executed;
    if (this.batch.length > 0 && (++this.waited > MAX_WAIT || executed - this.executed > MAX_EXECUTED)) this.send();
    for (let done = this.compiler?.take(); done; done = this.compiler?.take()) {
      const orders = this.orders.get(done.id);
      if (!orders) continue; // everything was dropped since
      this.orders.delete(done.id);
      this.install(done.modules, orders);
    }
  }
  private install(modules: readonly CompiledModule[], orders: readonly Order[]): void {
    for (const module of modules) this.handlers.install(module, orders);
    orders.forEach(({ record, slot }, i) => {
      const wanted = this.pending.get(record) === slot;
      if (wanted) this.pending.delete(record);
      if (wanted && modules.some(({ regions }) => regions.includes(i))) {
        this.capsule.u32[headWord(record, 'entry')] = slot;
        this.promoted++;
      } else this.handlers.freeSlot(slot);
    });
  }
  private note(mfn: number, record: number): void {
    const set = this.byFrame.get(mfn);
    if (set) set.add(record);
    else this.byFrame.set(mfn, new Set([record]));
  }
  /** Regions with code of a frame are void: their blocks count anew. */
  written(mfn: number): void {
    const { u16, u32 } = this.capsule;
    for (const record of this.byFrame.get(mfn) ?? []) {
      this.pending.delete(record);
      if (this.blocks.isVoid(record)) continue;
      const entry = headWord(record, 'entry'), handler = u16[record >>> 1] as number;
      if (u32[entry] !== handler) this.handlers.voidRegion(u32[entry] as number);
      u32[entry] = handler;
      u32[headWord(record, 'count')] = this.after;
    }
    this.byFrame.delete(mfn);
  }
  clear(): void {
    for (const known of [this.byFrame, this.steps, this.targets, this.pending, this.orders, this.members]) known.clear();
    this.batch = [];
    this.words = [];
  }

  // ---- what regions are made of

  blockAt(address: number): Block | undefined {
    const cpu = this.compiling;
    assert(cpu !== undefined, 'a block became hot');
    const lo = address >>> 0;
    const hi = Math.floor(address / 0x1_0000_0000) >>> 0;
    const host = this.mmu.translate(cpu, lo, hi, ACCESS.execute);
    if (host < 0) return undefined;
    const record = this.blocks.find(cpu, (host - this.capsule.frames) * 4 + variantOf(cpu), lo, hi);
    const steps = record === 0 ? undefined : this.stepsOf(record);
    if (!steps) return undefined;
    const left = this.capsule.i32[headWord(record, 'count')] as number;
    return {
      record, steps, start: address, mfn: (host - this.capsule.frames) >>> 12, secondMfn: this.blocks.secondFrame(record),
      heat: this.after - Math.max(0, left),
    };
  }
  /** Undefined for code that is void, or that ends in an unusual way. */
  private stepsOf(first: number): readonly Step[] | undefined {
    if (this.blocks.isVoid(first)) return undefined;
    const known = this.steps.get(first);
    if (known) return known;
    const { u16, dv } = this.capsule;
    const steps: Step[] = [];
    for (let record = first; ; record += REC.size) {
      const spec = this.handlers.spec(u16[record >>> 1] as number);
      if (typeof spec === 'string' && spec !== 'goto' && spec !== 'unavailable') return undefined;
      const row = typeof spec === 'string' ? undefined : ROWS[spec.row] as Row;
      const jumping = typeof spec !== 'string' && spec.fused >= 0 ? ROWS[spec.fused] as Row : row;
      const relative = spec === 'goto' || jumping?.operands[0]?.[0] === 'J';
      const offset = u16[(record + REC.offset) >>> 1] as number;
      const bits = typeof spec === 'string' || spec.mode64 ? 64 : spec.opSize === 16 && spec.fused < 0 ? 16 : 32;
      const by = typeof spec !== 'string' && spec.fused >= 0 ? dv.getInt16(record + REC.near, true) : dv.getInt32(record + REC.imm, true);
      const jump = relative ? { distance: offset + by, bits } : undefined;
      steps.push({ record, spec, jump });
      if (typeof spec === 'string' || row?.ends) break;
    }
    this.steps.set(first, steps);
    return steps;
  }
  targetsOf(record: number): readonly number[] { return this.targets.get(record) ?? []; }
  /** Notes where a computed jump has gone, as a distance from its page. */
  noteTarget(record: number, distance: number): void {
    const { u32 } = this.capsule;
    const noted = (record + REC.link) >>> 2;
    if ((u32[noted] as number) < NOTED) u32[noted] = (u32[noted] as number) + 1;
    const list = this.targets.get(record);
    if (!list) this.targets.set(record, [distance]);
    else if (list.length < MAX_TARGETS && !list.includes(distance)) list.push(distance);
  }
}
