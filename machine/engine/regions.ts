// Hot blocks of one page, made into one function: jumps between them stay inside. The page is one frame at one linear
// page in one variant of the mode, so a jump within it needs no look at the page tables: control is on the page already.
//
// The function is (cpu, state) → exit code, with a state for each block: a loop around a br_table. A jump to a block
// further on goes straight there, a jump back goes around the loop. Every block has an entry, a handler for its first
// record, which keeps its slot in the handler table when the function is made anew with more blocks.

import { i32, type Expr } from '../wasm/expr.ts';
import type { Fn, Label, Var } from '../wasm/fn.ts';
import type { Handlers, HandlerSpec } from './handlers.ts';
import { REC } from './record.ts';

/** A block that is known to be hot: its first record, and what each record's handler was made for. */
export interface HotBlock {
  readonly record: number;
  readonly specs: readonly (HandlerSpec | 'goto')[];
  /** slot of its entry in the handler table */
  readonly slot: number;
  /** linear address */
  readonly start: bigint;
}

/** Where a region's blocks can be reached from inside. */
export interface Inside {
  readonly dv: DataView;
  /** whether a block of the region begins at an address */
  has(target: bigint): boolean;
  /** emits the jump to it */
  go(target: bigint): void;
}

const MAX_BLOCKS = 32;
/** Up to so many blocks a region is made anew for each; beyond, for every PENDING ones. */
const SMALL = 4, PENDING = 4;

interface Region { blocks: HotBlock[]; pending: number }

export class Regions {
  private readonly handlers: Handlers;
  private readonly dv: DataView;
  private readonly byPage = new Map<string, Region>();
  private readonly byRecord = new Map<number, Region>();

  constructor(handlers: Handlers, dv: DataView) {
    this.handlers = handlers;
    this.dv = dv;
  }

  /**
   * Adds a block to its page's region and compiles.
   * @param page names frame, linear page and variant
   * @returns the slot of the block's entry
   */
  add(page: string, record: number, specs: readonly (HandlerSpec | 'goto')[]): number {
    const block: HotBlock = { record, specs, slot: this.handlers.entrySlot(), start: this.dv.getBigUint64(record + REC.rip, true) };
    let region = this.byPage.get(page);
    if (!region || region.blocks.length >= MAX_BLOCKS) this.byPage.set(page, region = { blocks: [], pending: 0 });
    this.byRecord.set(record, region);
    region.blocks.push(block);
    region.pending++;
    if (region.blocks.length <= SMALL || region.pending >= PENDING) {
      region.pending = 0;
      this.handlers.region(region.blocks, this.dv);
    } else this.handlers.region([block], this.dv);
    return block.slot;
  }
  /** A block's code changed: nothing is made from it any more. What is compiled already is reached no more. */
  forget(record: number): void {
    const region = this.byRecord.get(record);
    if (!region) return;
    region.blocks = region.blocks.filter((b) => b.record !== record);
    this.byRecord.delete(record);
  }
  clear(): void {
    this.byPage.clear();
    this.byRecord.clear();
  }
}

/**
 * Writes the body of a region's function.
 * @param emit writes the code of one block; control must not fall out of it
 */
export function emitRegion(blocks: readonly HotBlock[], dv: DataView, fn: Fn, state: Var, emit: (block: HotBlock, inside: Inside) => void): void {
  const order = [...blocks].sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
  const states = new Map(order.map((b, i) => [b.start, i]));
  const labels: Label[] = [];
  fn.loop((again) => {
    const nest = (k: number): void => {
      fn.block((label) => {
        labels[k] = label;
        if (k > 0) nest(k - 1);
        else fn.brTable(labels, state.get);
      });
      const stateAt = (target: bigint): number | undefined => states.get(BigInt.asUintN(64, target));
      const go = (target: bigint): void => {
        const to = stateAt(target) as number;
        if (to > k) { fn.br(labels[to] as Label); return; }
        state.set(i32(to));
        fn.br(again);
      };
      emit(order[k] as HotBlock, { dv, has: (target) => stateAt(target) !== undefined, go });
      fn.unreachable();
    };
    nest(order.length - 1);
  });
  fn.unreachable();
}
/** The state number of a block among others, as emitRegion orders them. */
export const stateOf = (blocks: readonly HotBlock[], block: HotBlock): Expr => i32(blocks.filter((b) => b.start < block.start).length);
