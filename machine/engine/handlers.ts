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
import { INNER, REC } from './record.ts';

export type ImportValues = Record<keyof typeof RUNTIME | keyof typeof HOST, unknown>;
const TABLE_SIZE = 16384;
/** Regions that are kept, and bytes of their modules: V8 takes several times as much. */
const MAX_FUNCTIONS = 12000, MAX_BYTES = 96 << 20;
/** The module of the common handlers, once it is made. */
let common: WasmModule | undefined;

export class Handlers {
  readonly table: WasmTable;
  private readonly memory: WasmMemory;
  private readonly slots = new Map<number | string, number>();
  private readonly specs: (HandlerSpec | keyof typeof SPECIAL | 'block')[] = ['block'];
  private freed: number[] = [];
  private queue: { spec: HandlerSpec | keyof typeof SPECIAL; slot: number }[] = [];
  /** regions compiled since the last clear, and bytes of their modules */
  private functions = 0;
  private size = 0;
  private imports: Record<string, unknown> = {};

  constructor(memory: WasmMemory) {
    this.memory = memory;
    this.table = new Wasm.Instance(new Wasm.Module(tableModule(HANDLER, TABLE_SIZE))).exports['table'] as WasmTable;
  }
  /** Must be called once before the first flush. */
  bind(imports: ImportValues): void { this.imports = { memory: this.memory, table: this.table, ...imports }; }

  /** The slot of a handler; it is filled by the next flush. The caller may change the object afterwards. */
  slot(spec: HandlerSpec | keyof typeof SPECIAL): number {
    const key = typeof spec === 'string' ? spec : keyOf(spec);
    let slot = this.slots.get(key);
    if (slot === undefined) {
      const kept = typeof spec === 'string' ? spec : { ...spec };
      slot = this.newSlot(kept);
      this.slots.set(key, slot);
      this.queue.push({ spec: kept, slot });
    }
    return slot;
  }
  private newSlot(spec: HandlerSpec | keyof typeof SPECIAL | 'block'): number {
    assert(this.specs.length < TABLE_SIZE, 'the handler table has room');
    return this.specs.push(spec) - 1;
  }
  /** What the handler in a slot was made for. */
  spec(slot: number): HandlerSpec | keyof typeof SPECIAL | 'block' { return this.specs[slot] as HandlerSpec; }
  /** True when little room is left: everything that refers to slots has to go, then `clear`. */
  get crowded(): boolean { return this.specs.length > TABLE_SIZE - 1024 || this.functions > MAX_FUNCTIONS || this.size > MAX_BYTES; }
  clear(): void {
    for (let slot = 1; slot < this.specs.length; slot++) this.table.set(slot, null);
    this.functions = this.size = 0;
    this.slots.clear();
    this.specs.length = 1;
    this.queue = [];
    this.freed = [];
  }

  /**
   * Makes the handlers that most guests need. Their module is made once for a process: the slots are always the same,
   * because this comes right after `clear` and the special handlers.
   */
  preload(): void {
    for (const spec of commonHandlers()) this.slot(spec);
    common ??= new Wasm.Module(this.queued());
    this.queue = [];
    new Wasm.Instance(common, { env: this.imports });
  }
  /** The handlers made from rows so far. */
  get made(): HandlerSpec[] { return this.specs.filter((s) => typeof s !== 'string'); }

  /** A slot for a region's function. */
  regionSlot(): number { return this.freed.pop() ?? this.newSlot('block'); }
  /** A slot that nothing was put into. */
  freeSlot(slot: number): void { this.freed.push(slot); }
  /** Puts the functions of regions into the slots that their module names. @param size bytes of the module */
  install(module: WasmModule, functions: number, size: number): void {
    this.functions += functions;
    this.size += size;
    new Wasm.Instance(module, { env: this.imports });
  }

  /** Compiles what was asked for since the last flush. */
  flush(): void {
    if (this.queue.length === 0) return;
    new Wasm.Instance(new Wasm.Module(this.queued()), { env: this.imports });
    this.queue = [];
  }
  /** A module with the handlers that are in the queue. */
  private queued(): Uint8Array {
    const { m, calls, type } = handlerModule('handlers');
    for (const { spec, slot } of this.queue) {
      const { fn, callee } = m.fn(HANDLER.params, HANDLER.result);
      emitHandler(spec, fn, calls, type);
      m.place(slot, callee);
    }
    return m.bytes();
  }
}

type Emitted = ReturnType<ModuleBuilder['fn']>['fn'];

/** Writes the code of a handler. */
function emitHandler(spec: HandlerSpec | keyof typeof SPECIAL | 'block', fn: Emitted, calls: Calls, type: number): void {
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
} as const;
