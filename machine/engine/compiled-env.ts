// The compiler's binding of instruction descriptions: the fields of records are known, general registers, flags and the
// slice's budget are locals of the function, and jumps to blocks of the same region stay inside.
//
// State goes back into the context on the ways out only. Each is written once, at the end of the function; an
// instruction puts what it has to say into a few locals and jumps there. A fault is one of them: the locals hold the state
// before the instruction, because descriptions fault before they change anything.

import { PAGE_SIZE } from '#base/capsule.ts';
import { CPU, EXIT, REG } from '../cpu-state.ts';
import type { Part, Place, SlowName } from '../isa/env.ts';
import type { Flags, FlagWords } from '../isa/flags.ts';
import type { Row } from '../isa/row.ts';
import { add, and, constant, displace, eq, i32, i64, load, ltS, ne, or, shl, shrU, sub, widenU, wrap, type Expr } from '../wasm/expr.ts';
import type { Callee, Fn, Label, Var } from '../wasm/fn.ts';
import { InterpEnv, type Calls, type Shape } from './interp-env.ts';
import { ACCESS_INFO, CODE_PAGE, codeEntry, codePage, INNER, MMU, REC } from './record.ts';
import { needsCheck, pageOfNode, type Node } from './region.ts';
import { codeEntryOf } from './tables.ts';

const REGISTERS = 16;
/** Where user addresses end. */
const USER_END = 2 ** 47;
/** Routines that know nothing of general registers and flags. */
const APART: ReadonlySet<SlowName> = new Set(['sse', 'enterMmx', 'emms']);

/** Where a function keeps the state of a vCPU, and its ways out. */
export class Frame {
  readonly fn: Fn;
  readonly calls: Calls;
  readonly handlerType: number;
  readonly dv: DataView;
  readonly mmu: Var;
  /** the page that the region begins in; and where that is when it runs, for code that may be mapped elsewhere too */
  private readonly page: number;
  private readonly pageNow: Var | undefined;
  readonly budget: Var;
  /** the page that the stack was in last, and its capsule offset less its address; or -1 */
  readonly stackPage: Var;
  readonly stackAdd: Var;
  /** a routine outside, which the current instruction called, has overwritten decoded code */
  readonly codeChanged: Var;
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
  /** ways out that something takes: the others are not written */
  private readonly taken = new Set<WayOut>();
  private used = 0;
  private written = 0;

  /** @param page where the region begins, when it is compiled */
  constructor(fn: Fn, calls: Calls, handlerType: number, dv: DataView, page: number) {
    this.fn = fn;
    this.calls = calls;
    this.handlerType = handlerType;
    this.dv = dv;
    this.mmu = fn.var('i32');
    this.page = page;
    this.pageNow = page >= 0 && page < USER_END ? fn.var('i64') : undefined;
    this.budget = fn.var('i32');
    this.stackPage = fn.var('i64');
    this.stackAdd = fn.var('i32');
    this.codeChanged = fn.var('i32');
    this.registers = Array.from({ length: REGISTERS }, () => fn.var('i64'));
    this.op = fn.var('i32');
    this.res = fn.var('i64');
    this.a = fn.var('i64');
    this.record = fn.var('i32');
    this.code = fn.var('i32');
    this.done = fn.var('i32');
    this.target = fn.var('i64');
    this.argument = fn.var('i64');
  }

  get pagesMove(): boolean { return this.pageNow !== undefined; }
  get flagWords(): FlagWords {
    return {
      op: () => this.op.get, res: () => this.res.get, a: () => this.a.get,
      set: (op, res, a) => { this.op.set(op); this.res.set(res); this.a.set(a); },
    };
  }
  register(n: number): Expr {
    this.used |= 1 << n;
    return (this.registers[n] as Var).get;
  }
  setRegister(n: number, value: Expr): void {
    this.used |= 1 << n;
    this.written |= 1 << n;
    (this.registers[n] as Var).set(value);
  }

  /** An address of the region's code: a kernel's is where it was, a program's moves with the region. */
  linear(va: number): Expr { return this.pageNow ? add(this.pageNow.get, i64(BigInt(va - this.page))) : i64(BigInt(va)); }

  /** Writes the whole function around a body, which never comes to its end. */
  wrap(body: () => void): void {
    const { fn } = this;
    const nest = (k: number): void => {
      if (k === WAYS_OUT.length) { body(); fn.unreachable(); return; }
      const way = WAYS_OUT[k] as WayOut;
      fn.block((label) => {
        this.labels.set(way, label);
        nest(k + 1);
      });
      if (this.taken.has(way)) this[way]();
      else fn.unreachable();
    };
    nest(0);
    fn.before(() => this.enter());
  }
  private enter(): void {
    const { fn } = this;
    const cpu = fn.param(0);
    this.mmu.set(load('i32', 32, cpu, CPU.mmu));
    if (this.pageNow) this.pageNow.set(load('i64', 64, cpu, CPU.page));
    else fn.if(ne(load('i64', 64, cpu, CPU.page), i64(BigInt(this.page))), () => this.interpret(), undefined, false);
    this.budget.set(load('i32', 32, cpu, CPU.budget));
    this.reload();
    this.loadStack();
  }
  /** The code was mapped elsewhere when it was compiled. */
  private interpret(): void { this.fn.returnCallIndirect(this.handlerType, load('i32', 32, this.fn.param(1), REC.real), this.fn.param(0), this.fn.param(1)); }
  private loadStack(): void {
    this.stackPage.set(load('i64', 64, this.fn.param(0), CPU.stackPage));
    this.stackAdd.set(load('i32', 32, this.fn.param(0), CPU.stackAdd));
  }
  /** Registers and flags from the context. */
  private reload(): void {
    const cpu = this.fn.param(0);
    this.registers.forEach((r, n) => { if (this.used & 1 << n) r.set(load('i64', 64, cpu, CPU.regs + n * 8)); });
    this.op.set(load('i32', 32, cpu, CPU.ccOp));
    this.res.set(load('i64', 64, cpu, CPU.ccRes));
    this.a.set(load('i64', 64, cpu, CPU.ccA));
  }
  private spill(): void {
    const { fn } = this;
    const cpu = fn.param(0);
    this.registers.forEach((r, n) => { if (this.written & 1 << n) fn.store(64, cpu, r.get, CPU.regs + n * 8); });
    fn.store(32, cpu, this.op.get, CPU.ccOp);
    fn.store(64, cpu, this.res.get, CPU.ccRes);
    fn.store(64, cpu, this.a.get, CPU.ccA);
    fn.store(32, cpu, this.budget.get, CPU.budget);
  }
  private wayTo(way: WayOut): Label {
    this.taken.add(way);
    return this.labels.get(way) as Label;
  }
  private out(way: WayOut): void { this.fn.br(this.wayTo(way)); }

  // ---- the ways out: what an instruction says, and what is written at the function's end

  /** A routine outside has noted an exception. */
  faultIf(condition: Expr): void { this.fn.brIf(this.wayTo('fault'), condition, false); }
  private fault(): void {
    this.spill();
    this.fn.returnCall(this.calls.fault, this.fn.param(0));
  }
  sayLeave(record: Expr, code: Expr, done: Expr): void {
    this.code.set(code);
    this.record.set(record);
    this.done.set(done);
    this.out('leave');
  }
  private leave(): void {
    this.spill();
    this.fn.returnCall(this.calls.leave, this.fn.param(0), this.record.get, this.code.get, this.done.get);
  }
  /** To an address where the slice ends, or whose code may have moved or changed and has to be found anew. */
  sayAway(target: Expr, code: number): void {
    this.target.set(target);
    this.code.set(i32(code));
    this.out('away');
  }
  private away(): void {
    const { fn } = this;
    this.spill();
    fn.store(64, fn.param(0), this.target.get, CPU.rip);
    fn.if(eq(this.code.get, i32(EXIT.budget)), () => fn.return(i32(EXIT.budget)));
    fn.returnCall(this.calls.resume, fn.param(0));
  }
  sayDirect(record: Expr, target: Expr): void {
    this.record.set(record);
    this.target.set(target);
    this.out('direct');
  }
  private direct(): void {
    this.spill();
    this.fn.returnCall(this.calls.direct, this.fn.param(0), this.record.get, this.target.get);
  }
  sayIndirect(record: Expr, target: Expr): void {
    this.record.set(record);
    this.target.set(target);
    this.out('indirect');
  }
  private indirect(): void {
    this.spill();
    this.fn.returnCall(this.calls.indirect, this.fn.param(0), this.record.get, this.target.get);
  }
  /** The rest of an instruction that ends its block is a routine's outside. */
  saySlow(record: Expr, routine: number, argument: Expr, va: Expr): void {
    this.record.set(record);
    this.code.set(i32(routine));
    this.done.set(argument);
    this.argument.set(va);
    this.out('slow');
  }
  private slow(): void {
    this.spill();
    const va = this.argument.get;
    this.fn.return(this.fn.call(this.calls.slow, this.fn.param(0), this.record.get, this.code.get, this.done.get, wrap(va), wrap(shrU(va, i64(32)))));
  }
  saySystemCall(record: Expr): void {
    this.record.set(record);
    this.out('systemCall');
  }
  private systemCall(): void {
    this.spill();
    this.fn.returnCall(this.calls.systemCall, this.fn.param(0), this.record.get);
  }
  /** Around a routine outside that may read and change any state. It returns 0, or the code to leave with. */
  around(call: () => Expr): void {
    this.used = this.written = 0xffff;
    this.spill();
    const code = this.fn.let(call());
    this.fn.if(code, () => this.fn.return(code));
    this.reload();
    this.stackPage.set(i64(-1)); // translations may have changed
    this.codeChanged.set(load('i32', 32, this.fn.param(0), CPU.codeChanged));
    this.budget.set(load('i32', 32, this.fn.param(0), CPU.budget));
  }
}
const WAYS_OUT = ['fault', 'leave', 'away', 'direct', 'indirect', 'slow', 'systemCall'] as const;
type WayOut = (typeof WAYS_OUT)[number];

/** What a record's code needs to know of its place in the region. */
export interface Site {
  readonly node: Node;
  /** position in the node's steps */
  readonly at: number;
  readonly record: number;
  /** jumps to a node from here */
  go(to: Node): void;
}

export class CompiledEnv extends InterpEnv {
  private readonly frame: Frame;
  private readonly site: Site;
  /** the instruction called a routine that may change any state */
  private slowed = false;

  constructor(frame: Frame, row: Row, shape: Shape, flags: Flags, instructions: number, site: Site) {
    super(frame.fn, row, shape, flags, frame.calls, frame.handlerType, instructions, i32(site.record));
    this.frame = frame;
    this.site = site;
  }

  // ---- what is known, and what is in locals

  protected override fieldOf(type: 'i32' | 'i64', bits: 8 | 16 | 32 | 64, offset: number, signed = false): Expr {
    const { dv } = this.frame;
    const at = this.site.record + offset;
    const raw = bits === 8 ? BigInt(dv.getUint8(at)) : bits === 16 ? BigInt(dv.getUint16(at, true)) : bits === 32 ? BigInt(dv.getUint32(at, true)) : dv.getBigUint64(at, true);
    return constant(type, signed ? BigInt.asIntN(bits, raw) : raw);
  }
  private numberAt(offset: number): number { return Number(this.field16(offset).value); }
  protected override registerPlace(offset: number, general: boolean): Place {
    const at = this.numberAt(offset);
    return general ? { kind: 'general', n: at >>> 3, high: (at & 7) !== 0 } : { kind: 'reg', address: displace(this.cpu, at) };
  }
  protected override fixedPlace(offset: number): Place { return { kind: 'general', n: offset >>> 3, high: (offset & 7) !== 0 }; }
  protected override readGeneral(n: number, high: boolean, bits: number): Expr {
    const value = this.frame.register(n);
    if (bits === 64) return value;
    const low = wrap(value);
    if (bits === 32) return low;
    return bits === 16 ? and(low, i32(0xffff)) : and(high ? shrU(low, i32(8)) : low, i32(0xff));
  }
  protected override writeGeneral(n: number, high: boolean, bits: number, value: Expr): void {
    if (bits === 64) this.frame.setRegister(n, value);
    else if (bits === 32) this.frame.setRegister(n, widenU(value));
    else {
      const mask = (1n << BigInt(bits)) - 1n;
      const by = high ? 8n : 0n;
      const part = and(widenU(value), i64(mask));
      this.frame.setRegister(n, or(and(this.frame.register(n), i64(~(mask << by))), by ? shl(part, i64(by)) : part));
    }
  }
  protected override inPage(distance: Expr): Expr { return this.frame.linear(pageOfNode(this.site.node) + Number(BigInt.asIntN(64, distance.value as bigint))); }
  protected override offsetExpr(): Expr {
    if (this.numberAt(REC.base) !== CPU.page) return super.offsetExpr();
    return this.inPage(this.fieldOf('i64', 64, REC.disp));
  }
  protected override addressRegister(offset: Expr): Expr { return offset.value === BigInt(CPU.zero) ? i64(0) : this.frame.register(Number(offset.value) >>> 3); }
  protected override stackHost(va: Expr, bits: number, write: boolean, part: Part): Expr | undefined {
    if (!this.isStack(part)) return undefined;
    const host = this.fn.var('i32');
    this.fn.if(this.inStackPage(va, bits), () => host.set(this.stackAddress32(va)), () => host.set(this.outsideStackPage(va, bits, write, part)), true);
    return this.fn.let(host.get);
  }
  protected override stackStore(va: Expr, bits: number, value: Expr, part: Part): boolean {
    if (!this.isStack(part)) return false;
    this.fn.if(this.inStackPage(va, bits), () => this.fn.store(bits, this.stackAddress32(va), value), () => {
      const host = this.outsideStackPage(va, bits, true, part);
      this.fn.store(bits, host, value);
    }, true);
    return true;
  }
  private isStack(part: Part): boolean {
    const bySp = part === 'operand' && this.form !== 'x' && this.row.operands.some((o) => 'EMWQ'.includes(o[0] as string)) && this.numberAt(REC.base) === REG.rsp * 8;
    return this.mode64 && (part === 'stack' || bySp);
  }
  private inStackPage(va: Expr, bits: number): Expr { return eq(this.lastPage(va, bits), this.frame.stackPage.get); }
  private stackAddress32(va: Expr): Expr { return add(wrap(va), this.frame.stackAdd.get); }
  private outsideStackPage(va: Expr, bits: number, write: boolean, part: Part): Expr {
    const { fn, frame } = this;
    const info = bits / 8 | (write ? ACCESS_INFO.write : 0) | (part === 'stack' ? ACCESS_INFO.stack : 0);
    const host = fn.let(fn.call(this.calls.stack, this.cpu, this.record, va, i32(info)));
    this.faultIf(eq(host, i32(0)));
    frame.stackPage.set(load('i64', 64, this.cpu, CPU.stackPage));
    frame.stackAdd.set(load('i32', 32, this.cpu, CPU.stackAdd));
    return host;
  }
  protected override writeRoutine(): Callee { return this.calls.store; }
  /** What has to be committed does not come so far: the interpreter does it. */
  override commit(): void {}
  /** Leaves when a routine has overwritten decoded code, maybe the region's own. */
  leaveIfStale(): void { if (this.slowed) this.fn.if(this.frame.codeChanged.get, () => this.leave(i32(INNER.lookup), true), undefined, false); }
  protected override mmu(): Expr { return this.frame.mmu.get; }
  override budget(): Expr { return this.frame.budget.get; }
  protected override spend(n: Expr): void { this.frame.budget.set(sub(this.frame.budget.get, n)); }

  // ---- ways out

  protected override faultIf(condition: Expr): void { this.frame.faultIf(condition); }
  protected override leave(code: Expr, done: boolean): void { this.frame.sayLeave(this.record, code, i32(done ? this.instructions : 0)); }
  override systemCall(): void { this.frame.saySystemCall(this.record); }
  override slow(name: SlowName, argument: Expr, va?: Expr): void {
    if (APART.has(name)) this.frame.faultIf(this.callSlow(name, argument, va));
    else if (this.row.ends) this.frame.saySlow(this.record, this.slowNumber(name), argument, va ?? i64(0));
    else {
      const pinned = this.fn.let(argument);
      this.slowed = true;
      this.frame.around(() => this.callSlow(name, pinned, va));
    }
  }
  /** The time that a guest reads goes on within a block: the routine needs the budget. */
  override callOut(name: string, ...args: Expr[]): Expr {
    this.setField(CPU.budget, this.frame.budget.get);
    return super.callOut(name, ...args);
  }
  override jumpRelative(condition?: Expr): void {
    const go = (): void => {
      this.spend(this.retired());
      const to = this.site.node.jumps.get(this.site.at);
      if (to) this.stay(to);
      else this.frame.sayDirect(this.record, this.target());
    };
    if (condition) this.fn.if(condition, go);
    else go();
  }
  override jumpTo(target: Expr): void {
    const t = this.fn.let(target);
    this.spend(this.retired());
    const { returnTo, computed } = this.site.node;
    for (const to of returnTo ? [returnTo] : computed) this.fn.if(eq(t, this.frame.linear(to.block.start)), () => this.stay(to), undefined, returnTo ? true : undefined);
    this.frame.sayIndirect(this.record, t);
  }
  /** A jump to a block of the region. */
  private stay(to: Node): void {
    const target = this.frame.linear(to.block.start);
    this.fn.if(ltS(this.budget(), i32(0)), () => this.frame.sayAway(target, EXIT.budget), undefined, false);
    if (needsCheck(this.site.node, to)) {
      this.requirePage(to.block.start, to.block.mfn, target);
      if (to.block.secondMfn >= 0) this.requirePage(to.block.start + PAGE_SIZE, to.block.secondMfn, target);
      this.setField64(CPU.page, this.frame.linear(pageOfNode(to)));
    }
    this.site.go(to);
  }
  private requirePage(va: number, mfn: number, target: Expr): void {
    const { pagesMove } = this.frame;
    const entry = pagesMove ? codeEntryOf(this.fn, this.mmu(), this.frame.linear(va)) : displace(this.mmu(), codeEntry(va >>> 0));
    const page = pagesMove ? or(and(shl(this.frame.linear(va), i64(8)), i64(CODE_PAGE)), i64(mfn)) : i64(codePage(BigInt(va), mfn));
    this.fn.if(ne(load('i64', 64, entry, pagesMove ? MMU.code : 0), page), () => this.frame.sayAway(target, INNER.lookup), undefined, false);
  }
  /**
   * The block ends early because another one goes on. The slice is looked at where that leads back, by a jump that
   * decoding has followed: else a loop might never end.
   */
  fallInto(to: Node, retired: number): void {
    this.spend(i32(retired));
    if (to.block.start <= this.site.node.block.start) this.stay(to);
    else this.site.go(to);
  }
}
