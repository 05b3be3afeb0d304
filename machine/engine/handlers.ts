// Makes the interpreter's handlers from the instruction table, when they are first needed, and puts them into the
// handler table. One handler serves one row at one operand size, address size, form and liveness of flags; a compare
// followed by a conditional jump is one handler for both.

import { assert } from '#base/assert.ts';
import { Wasm, type WasmMemory, type WasmModule, type WasmTable } from '#base/webassembly.ts';
import { CPU } from '../cpu-state.ts';
import { Flags, flagsInContext } from '../isa/flags.ts';
import { i32, load, sub } from '../wasm/expr.ts';
import { tableModule, type ModuleBuilder } from '../wasm/module.ts';
import { commonHandlers } from './common-handlers.ts';
import { HANDLER, type HOST, type RUNTIME } from './imports.ts';
import { handlerModule } from './handler-module.ts';
import { keyOf, type HandlerSpec } from './handler-spec.ts';
import { enterBlock } from './tables.ts';
import { emitInstruction, InterpEnv, JMP, JUMP, type Calls } from './interp-env.ts';
import type { CompiledModule } from './region-job.ts';
import type { RegionNumbers } from './region-words.ts';
import { INNER, REC } from './record.ts';

/** Finds what `make` would give, which is the same in each run of the program. */
export type Keeper = (name: string, make: () => Uint8Array) => Uint8Array;
export type ImportValues = Record<keyof typeof RUNTIME | keyof typeof HOST, unknown>;
/** The last slot takes functions of regions that this machine has not. */
const TABLE_SIZE = 16384, NOWHERE = TABLE_SIZE - 1;
/** Regions that are kept, and bytes of their modules: V8 takes several times as much. */
const MAX_FUNCTIONS = 12000, MAX_BYTES = 96 << 20;
/** A region whose function a slot waits for. */
export interface Order { readonly record: number; readonly slot: number; readonly numbers: RegionNumbers }
type Spec = HandlerSpec | keyof typeof SPECIAL | 'block';
/**
 * What all handler tables of a process begin with: the special handlers and the common ones, in the same slots. Made when first
 * needed.
 */
interface Common { readonly slots: ReadonlyMap<number | string, number>; readonly specs: readonly Spec[]; readonly module: WasmModule }
let common: Common | undefined;
let emptyTable: WasmModule | undefined;

export class Handlers {
  readonly table: WasmTable;
  private readonly memory: WasmMemory;
  /** slots of handlers that not every machine has, and what those are for */
  private readonly slots = new Map<number | string, number>();
  private readonly specs: Spec[] = [];
  private freed: number[] = [];
  private queue: { spec: Exclude<Spec, 'block'>; slot: number }[] = [];
  /** regions compiled since the last clear, and bytes of their modules */
  private functions = 0;
  private size = 0;
  private imports: Record<string, unknown> = {};
  private readonly common: Common;

  constructor(memory: WasmMemory, kept: Keeper = (_name, make) => make()) {
    this.memory = memory;
    emptyTable ??= new Wasm.Module(tableModule(HANDLER, TABLE_SIZE));
    this.table = new Wasm.Instance(emptyTable).exports['table'] as WasmTable;
    common ??= makeCommon(kept);
    this.common = common;
  }
  /** Must be called once before the first flush. */
  bind(imports: ImportValues): void { this.imports = { memory: this.memory, table: this.table, ...imports }; }

  /** The slot of a handler; it is filled by the next flush. The caller may change the object afterwards. */
  slot(spec: HandlerSpec | keyof typeof SPECIAL): number {
    const key = typeof spec === 'string' ? spec : keyOf(spec);
    let slot = this.common.slots.get(key) ?? this.slots.get(key);
    if (slot === undefined) {
      const kept = typeof spec === 'string' ? spec : { ...spec };
      slot = this.newSlot(kept);
      this.slots.set(key, slot);
      this.queue.push({ spec: kept, slot });
    }
    return slot;
  }
  private newSlot(spec: Spec): number {
    assert(this.count < TABLE_SIZE, 'the handler table has room');
    return this.common.specs.length + this.specs.push(spec) - 1;
  }
  private get count(): number { return this.common.specs.length + this.specs.length; }
  /** What the handler in a slot was made for. */
  spec(slot: number): Spec { return (this.common.specs[slot] ?? this.specs[slot - this.common.specs.length]) as Spec; }
  /** True when little room is left: everything that refers to slots has to go, then `start`. */
  get crowded(): boolean { return this.count > TABLE_SIZE - 1024 || this.functions > MAX_FUNCTIONS || this.size > MAX_BYTES; }
  /** Bytes of the modules of regions. */
  get moduleBytes(): number { return this.size; }
  /** Starts with the handlers that every machine has, and forgets all others. */
  start(): void {
    for (let slot = this.common.specs.length; slot < this.count; slot++) this.table.set(slot, null);
    this.functions = this.size = 0;
    this.slots.clear();
    this.specs.length = 0;
    this.queue = [];
    this.freed = [];
    new Wasm.Instance(this.common.module, { env: this.imports });
  }
  /** The handlers made from rows so far. */
  get made(): HandlerSpec[] { return [...this.common.specs, ...this.specs].filter((s) => typeof s !== 'string'); }

  /** A slot for a region's function. */
  regionSlot(): number { return this.freed.pop() ?? this.newSlot('block'); }
  /** What a region's function was put into is the way to its block from now on: jump caches may remember it. */
  voidRegion(slot: number): void { this.table.set(slot, this.table.get(this.slot('again'))); }
  /** A slot that nothing was put into. */
  freeSlot(slot: number): void { this.freed.push(slot); }
  /** Puts functions of regions into slots. @param orders of the job that the module was compiled for */
  install({ module, functions, size, regions }: CompiledModule, orders: readonly Order[]): void {
    const here: (number | bigint)[] = []; // what the module imports, in its order
    functions.forEach(({ blocks, pages }, i) => {
      const order = orders[regions[i] ?? -1];
      if (!order) here.push(NOWHERE, ...Array<number>(blocks).fill(0), ...Array<bigint>(pages).fill(0n));
      else {
        here.push(order.slot, ...order.numbers.blocks.map((record) => record | 0), ...order.numbers.pages);
        this.functions++;
        this.size += size / functions.length;
      }
    });
    new Wasm.Instance(module, { env: this.imports, here });
  }

  /** Compiles what was asked for since the last flush. */
  flush(): void {
    if (this.queue.length === 0) return;
    new Wasm.Instance(new Wasm.Module(moduleOf(this.queue)), { env: this.imports });
    this.queue = [];
  }
}

/** A module that puts handlers into their slots. */
function moduleOf(handlers: readonly { readonly spec: Exclude<Spec, 'block'>; readonly slot: number }[]): Uint8Array {
  const { m, calls, type } = handlerModule('handlers');
  for (const { spec, slot } of handlers) {
    const { fn, callee } = m.fn(HANDLER.params, HANDLER.result);
    emitHandler(spec, fn, calls, type);
    m.place(i32(slot), callee);
  }
  return m.bytes();
}
/** Slot 0 stays empty. */
function makeCommon(kept: Keeper): Common {
  const handlers = [...Object.keys(SPECIAL) as (keyof typeof SPECIAL)[], ...commonHandlers()].map((spec, i) => ({ spec, slot: i + 1 }));
  return {
    slots: new Map(handlers.map(({ spec, slot }) => [typeof spec === 'string' ? spec : keyOf(spec), slot])),
    specs: ['block', ...handlers.map(({ spec }) => spec)],
    module: new Wasm.Module(kept('handlers', () => moduleOf(handlers))),
  };
}

type Emitted = ReturnType<ModuleBuilder['fn']>['fn'];

/** Writes the code of a handler. */
function emitHandler(spec: Spec, fn: Emitted, calls: Calls, type: number): void {
  assert(spec !== 'block', 'a record has a handler of its own');
  if (typeof spec === 'string') { SPECIAL[spec](calls, fn, type); return; }
  const flags = new Flags(fn, calls, spec.dead, flagsInContext(fn, fn.param(0)));
  const env = emitInstruction(spec, (row, shape, instructions) => new InterpEnv(fn, row, shape, flags, calls, type, instructions));
  if (env.row.ends) fn.unreachable();
  else env.finish();
}
/** For what is not an instruction. */
const bare = (fn: Emitted, calls: Calls, type: number): InterpEnv => new InterpEnv(fn, JMP, JUMP, new Flags(fn, calls, false, flagsInContext(fn, fn.param(0))), calls, type, 0);

/** Records that are not instructions. */
const SPECIAL = {
  /** goes to the next address, which is not in this block */
  goto: (calls: Calls, fn: Emitted, type: number): void => bare(fn, calls, type).jumpRelative(),
  /** ends a single step */
  step: (calls: Calls, fn: Emitted): void => { fn.returnCall(calls.leave, fn.param(0), fn.param(1), i32(INNER.step), i32(0)); },
  /** ends an instruction that is executed by itself (CPU.once) */
  done: (_calls: Calls, fn: Emitted): void => fn.return(i32(0)),
  /** #NM: an instruction that needs the FPU while CR0.TS is set */
  unavailable: (calls: Calls, fn: Emitted, type: number): void => bare(fn, calls, type).raise(7),
  /** what it stood for was overwritten; who linked to it goes on at what took its place, once that is known */
  stale: (calls: Calls, fn: Emitted, type: number): void => {
    const [cpu, record] = [fn.param(0), fn.param(1)];
    const link = fn.let(load('i32', 32, record, REC.link));
    fn.if(link, () => {
      fn.store(32, cpu, sub(load('i32', 32, cpu, CPU.budget), load('i32', 8, record, REC.icount)), CPU.budget);
      enterBlock(fn, type, link);
    });
    fn.returnCall(calls.leave, cpu, record, i32(INNER.lookup), i32(0));
  },
  /** a region was here that is void: its block begins as the block says */
  again: (_calls: Calls, fn: Emitted, type: number): void => enterBlock(fn, type, fn.param(1)),
} as const;
