// One WebAssembly function in the making: statements are appended in order, control structures nest as callbacks.

import { assert } from '#base/assert.ts';
import { Bytes } from './bytes.ts';
import { emitStore, Expr, eqz, TYPE_CODE, type Type } from './expr.ts';

export interface Signature { readonly params: readonly Type[]; readonly result: Type | undefined }
/** A callable: an import or a function of the module, by index. */
export interface Callee extends Signature { readonly index: number }
/** A place that br can go to. */
export interface Label { readonly depth: number }

/** A local variable that changes. */
export class Var {
  readonly type: Type;
  readonly index: number;
  private readonly fn: Fn;
  constructor(fn: Fn, type: Type, index: number) { this.fn = fn; this.type = type; this.index = index; }
  get get(): Expr { return new Expr(this.type, (o) => { o.u8(0x20); o.u32(this.index); }); }
  set(value: Expr): void {
    assert(value.type === this.type, `a value of type ${this.type}, not ${value.type}`);
    value.emit(this.fn.code);
    this.fn.code.u8(0x21);
    this.fn.code.u32(this.index);
  }
}

const NONE: ReadonlySet<number> = new Set();

export class Fn {
  readonly signature: Signature;
  code: Bytes = new Bytes();
  private readonly locals: Type[] = [];
  private depth = 0;
  /** where branches are whose conditions are nearly always the same: offsets in `code` */
  readonly hints: { at: number; likely: boolean }[] = [];
  /** locals of the current scope, and those of scopes that have ended, which are used again */
  private scoped: number[] | undefined;
  private readonly free: Record<Type, number[]> = { i32: [], i64: [], f32: [], f64: [], v128: [] };

  constructor(params: readonly Type[], result: Type | undefined) { this.signature = { params, result }; }

  param(i: number): Expr {
    const type = this.signature.params[i];
    assert(type !== undefined, 'a parameter of the function');
    return new Expr(type, (o) => { o.u8(0x20); o.u32(i); }, undefined, true);
  }
  /** A parameter as a variable that changes. */
  paramVar(i: number): Var { return new Var(this, this.param(i).type, i); }
  /** A new variable. */
  var(type: Type, initial?: Expr): Var {
    const index = (this.scoped && this.free[type].pop()) ?? this.signature.params.length + this.locals.push(type) - 1;
    this.scoped?.push(index);
    const v = new Var(this, type, index);
    if (initial) v.set(initial);
    return v;
  }
  /** A variable of no scope. */
  lasting(type: Type): Var { return new Var(this, type, this.signature.params.length + this.locals.push(type) - 1); }
  /** Evaluates now and keeps the value: what is returned may be used any number of times. */
  let(e: Expr): Expr {
    if (e.pinned) return e;
    const v = this.var(e.type, e);
    const kept = new Expr(e.type, (o) => { o.u8(0x20); o.u32(v.index); }, undefined, true);
    kept.local = v.index;
    return kept;
  }
  /**
   * From here on variables belong to a scope; those of the scope before are free for others, but for the ones in `keep`.
   * V8's baseline compiler clears each local at every call of the function, so a long function should have few. A
   * variable in a scope has no value to begin with.
   */
  scope(keep: ReadonlySet<number> = NONE): void {
    const kept: number[] = [];
    for (const index of this.scoped ?? []) {
      if (keep.has(index)) kept.push(index);
      else this.free[this.locals[index - this.signature.params.length] as Type].push(index);
    }
    this.scoped = kept;
  }
  /** How deep control structures are nested here. */
  get nesting(): number { return this.depth; }
  /** Writes code that comes before everything written so far. */
  before(write: () => void): void {
    const rest = this.code;
    const hints = this.hints.splice(0);
    this.code = new Bytes(rest.length + 512);
    write();
    for (const { at, likely } of hints) this.hints.push({ at: at + this.code.length, likely });
    this.code.append(rest);
  }
  store(bits: number, address: Expr, value: Expr, offset = 0): void { emitStore(this.code, bits, address, value, offset); }
  /** Loads and stores before it come before those behind it, for all threads. */
  fence(): void { this.code.bytes([0xfe, 3, 0]); }
  drop(e: Expr): void { e.emit(this.code); this.code.u8(0x1a); }

  /** @param likely what the condition is nearly always: code for the other case is then put out of the way */
  if(condition: Expr, then: () => void, otherwise?: () => void, likely?: boolean): void {
    if (condition.value !== undefined) {
      if (condition.value !== 0n) then();
      else otherwise?.();
      return;
    }
    condition.emit(this.code);
    this.hint(likely);
    this.code.u8(0x04);
    this.code.u8(0x40);
    this.depth++;
    then();
    if (otherwise) { this.code.u8(0x05); otherwise(); }
    this.depth--;
    this.code.u8(0x0b);
  }
  /** br to the label leaves the block */
  block(body: (label: Label) => void): void { this.nest(0x02, body); }
  /** br to the label starts over */
  loop(body: (label: Label) => void): void { this.nest(0x03, body); }
  br(label: Label): void { this.code.u8(0x0c); this.code.u32(this.depth - label.depth); }
  brIf(label: Label, condition: Expr, likely?: boolean): void {
    condition.emit(this.code);
    this.hint(likely);
    this.code.u8(0x0d);
    this.code.u32(this.depth - label.depth);
  }
  /** For the branch that is written next. */
  private hint(likely: boolean | undefined): void { if (likely !== undefined) this.hints.push({ at: this.code.length, likely }); }
  /** Goes to the label whose number `index` is; the last one for numbers beyond. */
  brTable(labels: readonly Label[], index: Expr): void {
    index.emit(this.code);
    this.code.u8(0x0e);
    this.code.u32(labels.length - 1);
    for (const label of labels) this.code.u32(this.depth - label.depth);
  }
  brUnless(label: Label, condition: Expr): void { this.brIf(label, eqz(condition)); }
  return(value?: Expr): void { value?.emit(this.code); this.code.u8(0x0f); }
  unreachable(): void { this.code.u8(0x00); }

  /** A call as an expression; use `let` or `drop` or `do` to place it. */
  call(f: Callee, ...args: Expr[]): Expr {
    this.check(f, args);
    return new Expr(f.result ?? 'i32', (o) => { for (const a of args) a.emit(o); o.u8(0x10); o.u32(f.index); });
  }
  /** A call for its effect. */
  do(f: Callee, ...args: Expr[]): void {
    const e = this.call(f, ...args);
    if (f.result) this.drop(e);
    else e.emit(this.code);
  }
  /** A call through the table, as `call`. */
  callIndirect(typeIndex: number, slot: Expr, ...args: Expr[]): Expr {
    return new Expr('i32', (o) => {
      for (const a of args) a.emit(o);
      slot.emit(o);
      o.u8(0x11);
      o.u32(typeIndex);
      o.u8(0);
    });
  }
  /** Leaves this function by a tail call through the table. */
  returnCallIndirect(typeIndex: number, slot: Expr, ...args: Expr[]): void {
    for (const a of args) a.emit(this.code);
    slot.emit(this.code);
    this.code.u8(0x13);
    this.code.u32(typeIndex);
    this.code.u8(0);
  }
  /** Leaves this function by a tail call. */
  returnCall(f: Callee, ...args: Expr[]): void {
    this.check(f, args);
    for (const a of args) a.emit(this.code);
    this.code.u8(0x12);
    this.code.u32(f.index);
  }
  /** memory.fill and memory.copy (bulk memory operations) */
  fill(address: Expr, byte: Expr, length: Expr): void { for (const e of [address, byte, length]) e.emit(this.code); this.code.bytes([0xfc, 11, 0]); }
  copy(to: Expr, from: Expr, length: Expr): void { for (const e of [to, from, length]) e.emit(this.code); this.code.bytes([0xfc, 10, 0, 0]); }

  /** The declaration of its locals. */
  localsBytes(): Bytes {
    const out = new Bytes(32);
    const runs: [number, Type][] = [];
    for (const t of this.locals) {
      const last = runs.at(-1);
      if (last && last[1] === t) last[0]++;
      else runs.push([1, t]);
    }
    out.u32(runs.length);
    for (const [n, t] of runs) { out.u32(n); out.u8(TYPE_CODE[t]); }
    return out;
  }
  /** The body as the code section has it: locals, instructions, end. */
  body(): Bytes {
    const out = new Bytes(this.code.length + 64);
    out.append(this.localsBytes());
    out.append(this.code);
    out.u8(0x0b);
    return out;
  }

  private nest(code: number, body: (label: Label) => void): void {
    this.code.u8(code);
    this.code.u8(0x40);
    this.depth++;
    body({ depth: this.depth });
    this.depth--;
    this.code.u8(0x0b);
  }
  private check(f: Callee, args: readonly Expr[]): void {
    assert(args.length === f.params.length && args.every((a, i) => a.type === f.params[i]), 'arguments of the types that the callee takes');
  }
}
