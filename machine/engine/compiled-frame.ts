// The function that a region becomes: where it keeps the state of a vCPU, and its ways out.
//
// State goes back into the context on the ways out only, and only what differs from it there (liveness.ts). The rest of each is written
// once, at the end of the function; an instruction puts what it has to say into a few locals and jumps there. A fault is one of them: the
// locals hold the state before the instruction, because descriptions fault before they change anything.

import { assert } from '#base/assert.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import { CPU, EXIT } from '../cpu-state.ts';
import type { FlagWords } from '../isa/flags.ts';
import { add, and, eq, geS, i32, i64, load, ltS, ne, or, shrU, sub, wrap, xor, type Expr } from '../wasm/expr.ts';
import type { Fn, Label, Var } from '../wasm/fn.ts';
import { FLAGS, REGISTERS, type Effects } from './effects.ts';
import type { Calls } from './interp-env.ts';
import { type KnownPage, KnownPages } from './known-pages.ts';
import { KnownVectors } from './known-vectors.ts';
import type { Liveness } from './liveness.ts';
import { INNER, MMU } from './record.ts';
import type { Node } from './region.ts';
import { moves } from './region-words.ts';
import { continueAt, enterCachedRegion, isAwaited, jumpEntryOf } from './tables.ts';

/** Jumps by the routines that they go to. */
const JUMPS = ['direct', 'across', 'resume', 'indirect'] as const;
export type JumpKind = (typeof JUMPS)[number];
const NO_GROUP = { node: undefined, until: -1 };

/** What differs from machine to machine (region-words.ts, RegionNumbers). */
export interface Imported { readonly blocks: readonly Expr[]; readonly pages: readonly Expr[] }

/** Where a function keeps the state of a vCPU, and its ways out. */
export class Frame {
  readonly fn: Fn;
  readonly calls: Calls;
  readonly handlerType: number;
  /** the region's words, where its records are read */
  readonly dv: DataView;
  readonly imported: Imported;
  readonly mmu: Var;
  /** the page that the region begins in; and where that is when it runs, for code that may be mapped elsewhere too */
  private readonly page: number;
  private readonly pageNow: Var | undefined;
  readonly budget: Var;
  /** the page that the stack was in last */
  readonly stack: Pick<KnownPage, 'page' | 'add'>;
  readonly pages: KnownPages;
  readonly vectors: KnownVectors;
  /** steps of a node up to which pushes and pops are known to be in the stack's page */
  grouped: { readonly node: Node | undefined; readonly until: number } = NO_GROUP;
  /** a routine outside, which the current instruction called, has overwritten decoded code */
  readonly codeChanged: Var;
  /** what CPU.codeMoves was when the function was entered; and whether it calls what lies outside, so that it has to know */
  private readonly codeMoves: Var;
  private calling = false;
  private readonly registers: readonly Var[];
  private readonly op: Var;
  private readonly res: Var;
  private readonly a: Var;
  /** what a way out needs to know */
  private readonly record: Var;
  private readonly code: Var;
  private readonly done: Var;
  private readonly target: Var;
  private readonly argument: Var;
  private readonly labels = new Map<WayOut, Label>();
  /** ways out that are seldom taken have these in common; then `next` says which it is */
  private readonly tails: Tail[] = [];
  private readonly next: Var;
  /** ways out that something takes: the others are not written */
  private readonly taken = new Set<WayOut>();
  /** registers that locals hold here, those of them that differ from the context, and those that are needed behind the instruction */
  private held = 0;
  private differing = 0;
  private wanted = 0;

  /** @param page where the region begins, in its words */
  constructor(fn: Fn, calls: Calls, handlerType: number, dv: DataView, page: number, imported: Imported) {
    this.fn = fn;
    this.calls = calls;
    this.handlerType = handlerType;
    this.dv = dv;
    this.imported = imported;
    this.mmu = fn.var('i32');
    this.page = page;
    this.pageNow = moves(page) ? fn.var('i64') : undefined;
    this.budget = fn.var('i32');
    this.stack = { page: fn.var('i64'), add: fn.var('i32') };
    this.codeChanged = fn.var('i32');
    this.codeMoves = fn.var('i32');
    this.pages = new KnownPages(fn);
    this.vectors = new KnownVectors(fn);
    this.registers = Array.from({ length: REGISTERS }, () => fn.var('i64'));
    this.op = fn.var('i32');
    this.res = fn.var('i64');
    this.a = fn.var('i64');
    this.record = fn.var('i32');
    this.code = fn.var('i32');
    this.done = fn.var('i32');
    this.next = fn.var('i32');
    this.target = fn.var('i64');
    this.argument = fn.var('i64');
  }

  get pagesMove(): boolean { return this.pageNow !== undefined; }
  get flagWords(): FlagWords {
    return {
      op: () => this.flagWord(this.op), res: () => this.flagWord(this.res), a: () => this.flagWord(this.a),
      set: (op, res, a) => { this.op.set(op); this.res.set(res); this.a.set(a); this.differs(FLAGS); },
    };
  }
  private flagWord(word: Var): Expr {
    assert((this.held & FLAGS) !== 0, 'flags that the region has');
    return word.get;
  }
  private differs(bit: number): void {
    this.held |= bit;
    this.differing |= bit;
  }
  /** A node begins. */
  begin({ needed, differing }: Liveness): void {
    this.held = needed;
    this.differing = differing;
  }
  /** A node's step begins. */
  step({ effects, neededBehind }: Liveness, at: number): void {
    const { reads, writes, isRepeated } = effects[at] as Effects;
    this.wanted = (neededBehind[at] as number) | reads | writes;
    if (isRepeated) this.differing |= writes;
  }
  register(n: number): Expr {
    assert((this.held & 1 << n) !== 0, 'a register that the region has');
    return (this.registers[n] as Var).get;
  }
  /** @param moves the register is likely to lead to another page */
  setRegister(n: number, value: Expr, moves: boolean): void {
    (this.registers[n] as Var).set(value);
    this.differs(1 << n);
    if (moves) this.pages.drop(n);
  }

  /** An address of the region's code: a kernel's is where it was, a program's moves with the region. */
  linear(va: number): Expr { return this.pageNow ? add(this.pageNow.get, i64(BigInt(va - this.page))) : i64(BigInt(va)); }

  /** Writes the whole function around a body, which never comes to its end. @param needed registers, where it begins */
  wrap(needed: number, body: () => void): void {
    const { fn } = this;
    const nest = (k: number): void => {
      if (k === WAYS_OUT.length) return this.wrapInTails(0, body);
      const way = WAYS_OUT[k] as WayOut;
      fn.block((label) => {
        this.labels.set(way, label);
        nest(k + 1);
      });
      if (!this.taken.has(way)) return fn.unreachable();
      if (way !== 'resume') this.spillBudget();
      this[way]();
    };
    nest(0);
    fn.before(() => this.enter(needed));
  }
  private wrapInTails(k: number, body: () => void): void {
    const { fn } = this;
    if (k === TAILS) {
      body();
      return fn.unreachable();
    }
    fn.block((label) => {
      this.tails.push({ label, saved: 0, held: ALL, ways: new Set() });
      this.wrapInTails(k + 1, body);
    });
    const { saved, ways } = this.tails[k] as Tail;
    const [only, ...others] = ways;
    if (!only) return fn.unreachable();
    this.spill(saved);
    if (others.length === 0) fn.br(this.wayTo(only));
    else fn.brTable(SELDOM.map((way) => this.wayTo(ways.has(way) ? way : only)), this.next.get);
  }
  private enter(needed: number): void {
    const { fn } = this;
    const cpu = fn.param(0);
    this.mmu.set(load('i32', 32, cpu, CPU.mmu));
    if (this.pageNow) this.pageNow.set(load('i64', 64, cpu, CPU.page));
    else fn.if(ne(load('i64', 64, cpu, CPU.page), i64(BigInt(this.page))), () => this.interpret(), undefined, false);
    this.budget.set(load('i32', 32, cpu, CPU.budget));
    this.reload(needed);
    this.takeStackPage();
    if (this.calling) this.codeMoves.set(load('i32', 32, cpu, CPU.codeMoves));
  }
  /** The code was mapped elsewhere when it was compiled. */
  private interpret(): void { continueAt(this.fn, this.handlerType, this.fn.param(1)); }
  /** Nothing is known any more of the pushes and pops to come. */
  endGroup(): void { this.grouped = NO_GROUP; }
  /** What is remembered of the stack's page. */
  takeStackPage(): void {
    this.stack.page.set(load('i64', 64, this.fn.param(0), CPU.stackPage));
    this.stack.add.set(load('i32', 32, this.fn.param(0), CPU.stackAdd));
  }
  /** Registers from the context. */
  private reload(registers: number): void {
    const cpu = this.fn.param(0);
    this.registers.forEach((r, n) => { if (registers & 1 << n) r.set(load('i64', 64, cpu, CPU.regs + n * 8)); });
    if ((registers & FLAGS) === 0) return;
    this.op.set(load('i32', 32, cpu, CPU.ccOp));
    this.res.set(load('i64', 64, cpu, CPU.ccRes));
    this.a.set(load('i64', 64, cpu, CPU.ccA));
  }
  /** Puts registers into the context. */
  private spill(registers: number): void {
    const { fn } = this;
    const cpu = fn.param(0);
    this.registers.forEach((r, n) => { if (registers & 1 << n) fn.store(64, cpu, r.get, CPU.regs + n * 8); });
    if (registers & FLAGS) {
      fn.store(32, cpu, this.op.get, CPU.ccOp);
      fn.store(64, cpu, this.res.get, CPU.ccRes);
      fn.store(64, cpu, this.a.get, CPU.ccA);
    }
  }
  private spillBudget(): void { this.fn.store(32, this.fn.param(0), this.budget.get, CPU.budget); }
  private wayTo(way: WayOut): Label {
    this.taken.add(way);
    return this.labels.get(way) as Label;
  }
  private out(way: WayOut): void {
    this.spill(this.differing);
    this.fn.br(this.wayTo(way));
  }
  /** The same for a way that is seldom taken. */
  private seldom(way: Seldom): void {
    const tail = this.tail(way);
    if (!tail) return this.out(way);
    this.next.set(i32(SELDOM.indexOf(way)));
    this.fn.br(tail);
  }
  /**
   * Where all registers go into the context that differ here, and maybe others that are held: so that many ways have it in common. They
   * would take much of a region, as most instructions may fault.
   */
  private tail(way: Seldom): Label | undefined {
    const { differing, held } = this;
    const fits = (tail: Tail): boolean => ((tail.saved | differing) & ~(tail.held & held)) === 0;
    const tail = this.tails.findLast((t) => t.ways.size > 0 && fits(t)) ?? this.tails.find((t) => t.ways.size === 0);
    if (!tail) return undefined;
    tail.saved |= differing;
    tail.held &= held;
    tail.ways.add(way);
    return tail.label;
  }

  // ---- the ways out: what an instruction says, and what is written at the function's end

  /** A routine outside has noted an exception. What it took off the slice is taken off again. */
  faultIf(condition: Expr): void {
    const tail = this.tail('fault');
    if (tail) this.fn.brIf(tail, condition, false); // `next` is 0
    else this.fn.if(condition, () => this.out('fault'), undefined, false);
  }
  private fault(): void { this.fn.returnCall(this.calls.fault, this.fn.param(0)); }
  sayLeave(record: Expr, code: Expr, done: Expr): void {
    this.code.set(code);
    this.record.set(record);
    this.done.set(done);
    this.seldom('leave');
  }
  private leave(): void {
    this.fn.returnCall(this.calls.leave, this.fn.param(0), this.record.get, this.code.get, this.done.get);
  }
  /** To an address where the slice ends, or whose code may have moved or changed and has to be found anew. */
  sayAway(target: Expr, code: number): void {
    this.target.set(target);
    this.code.set(i32(code));
    this.seldom('away');
  }
  private away(): void {
    const { fn } = this;
    fn.store(64, fn.param(0), this.target.get, CPU.rip);
    fn.if(ne(this.code.get, i32(INNER.lookup)), () => fn.return(this.code.get));
    fn.returnCall(this.calls.resume, fn.param(0));
  }
  /** To a block outside: of a jump whose record may be linked to it, or of a computed one; or where no jump leads (`resume`). */
  sayJump(kind: JumpKind, record: Expr, target: Expr, seldom = kind === 'resume'): void {
    this.code.set(i32(JUMPS.indexOf(kind)));
    this.record.set(record);
    this.target.set(target);
    if (seldom) this.seldom('jump');
    else this.out('jump');
  }
  /** Where the jump cache leads to a region, there; the rest is a routine's. */
  private jump(): void {
    const { fn } = this;
    const cpu = fn.param(0), target = this.target.get;
    const entry = jumpEntryOf(fn, this.mmu.get, target);
    const known = and(geS(this.budget.get, i32(0)), eq(load('i64', 64, entry, MMU.jumps), target));
    fn.if(known, () => enterCachedRegion(fn, this.handlerType, entry, target), undefined, true);
    const to = (kind: JumpKind): void => {
      if (kind !== 'resume') return fn.returnCall(this.calls[kind], cpu, this.record.get, target);
      fn.store(64, cpu, target, CPU.rip);
      fn.returnCall(this.calls.resume, cpu);
    };
    JUMPS.forEach((kind, code) => { if (code < JUMPS.length - 1) fn.if(eq(this.code.get, i32(code)), () => to(kind)); });
    to('indirect');
  }
  /** A return to where compiled code waits for it goes there. */
  returnIfAwaited(target: Expr): void {
    const { fn } = this;
    fn.if(isAwaited(fn, target, this.budget.get), () => {
      this.target.set(target);
      this.out('back');
    }, undefined, true);
  }
  private back(): void {
    this.fn.store(64, this.fn.param(0), this.target.get, CPU.rip);
    this.fn.return(i32(EXIT.none));
  }
  /**
   * Calls what lies outside and waits until that returns. Any state may have changed then, and other tables or other code be in place: control
   * goes on from the context if so. Where too many wait, as those of tasks that do not run do, all are given up.
   * @param needed registers, where it returns to
   */
  call(kind: Exclude<JumpKind, 'resume'>, record: Expr, target: Expr, returnTo: Expr, needed: number): void {
    const { fn } = this;
    const cpu = fn.param(0);
    this.calling = true;
    const outer = fn.let(load('i32', 32, cpu, CPU.innermost));
    const full = eq(outer, add(cpu, i32(CPU.returnsEnd - 8)));
    const isOver = ltS(this.budget.get, i32(0));
    fn.if(kind === 'indirect' ? or(isOver, full) : isOver, () => this.sayJump(kind, record, target, true), undefined, false); // that may be no address
    if (kind !== 'indirect') fn.if(full, () => this.sayAway(target, INNER.unwind), undefined, false);
    this.spill(this.differing);
    this.spillBudget();
    fn.store(64, outer, returnTo, 8);
    fn.store(32, cpu, add(outer, i32(8)), CPU.innermost);
    const entry = jumpEntryOf(fn, this.mmu.get, target);
    const region = fn.let(load('i32', 32, entry, MMU.jumps + 12));
    const code = fn.var('i32');
    fn.if(and(eq(load('i64', 64, entry, MMU.jumps), target), ne(region, i32(0))), () => {
      fn.store(64, cpu, and(target, i64(-PAGE_SIZE)), CPU.page);
      code.set(fn.callIndirect(this.handlerType, region, cpu, load('i32', 32, entry, MMU.jumps + 8)));
    }, () => code.set(fn.call(this.calls[kind], cpu, record, target)), true);
    fn.if(code.get, () => fn.return(code.get), undefined, false);
    fn.store(32, cpu, sub(load('i32', 32, cpu, CPU.innermost), i32(8)), CPU.innermost);
    const moved = or(xor(load('i32', 32, cpu, CPU.codeMoves), this.codeMoves.get), xor(load('i32', 32, cpu, CPU.mmu), this.mmu.get));
    fn.brIf(this.wayTo('resume'), moved, false);
    this.reload(needed);
    this.held = needed;
    this.differing = 0;
    this.budget.set(load('i32', 32, cpu, CPU.budget));
    this.takeStackPage();
    this.pages.forget();
    this.vectors.forget();
    this.endGroup();
  }
  private resume(): void { this.fn.returnCall(this.calls.resume, this.fn.param(0)); }
  /** The rest of an instruction that ends its block is a routine's outside. */
  saySlow(record: Expr, routine: number, argument: Expr, va: Expr): void {
    this.record.set(record);
    this.code.set(i32(routine));
    this.done.set(argument);
    this.argument.set(va);
    this.out('slow');
  }
  private slow(): void {
    const va = this.argument.get;
    this.fn.return(this.fn.call(this.calls.slow, this.fn.param(0), this.record.get, this.code.get, this.done.get, wrap(va), wrap(shrU(va, i64(32)))));
  }
  saySystemCall(record: Expr): void {
    this.record.set(record);
    this.out('systemCall');
  }
  private systemCall(): void {
    this.fn.returnCall(this.calls.systemCall, this.fn.param(0), this.record.get);
  }
  /** Around a routine outside that may read and change any state. It returns 0, or the code to leave with. */
  around(call: () => Expr): void {
    this.spill(this.differing);
    this.spillBudget();
    const code = this.fn.let(call());
    this.fn.if(code, () => this.fn.return(code));
    const taken = this.wanted | this.differing;
    this.reload(taken);
    // where it is not always called, nothing but what is the same either way is known behind
    if (this.pages.isPlain) this.differing = 0;
    this.held = this.pages.isPlain ? taken : this.held & taken;
    this.stack.page.set(i64(-1)); // translations may have changed
    this.pages.forget();
    this.vectors.forget();
    this.endGroup();
    this.codeChanged.set(load('i32', 32, this.fn.param(0), CPU.codeChanged));
    this.budget.set(load('i32', 32, this.fn.param(0), CPU.budget));
  }
}
/** Registers that go into the context here, and those that are held wherever it is come from; and the ways that it leads to. */
interface Tail { readonly label: Label; saved: number; held: number; readonly ways: Set<Seldom> }
const TAILS = 16, ALL = -1;
const SELDOM = ['fault', 'away', 'leave', 'jump'] as const;
type Seldom = (typeof SELDOM)[number];
const WAYS_OUT = ['fault', 'leave', 'away', 'jump', 'back', 'resume', 'slow', 'systemCall'] as const;
type WayOut = (typeof WAYS_OUT)[number];
