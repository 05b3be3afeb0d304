// The compiler's binding of instruction descriptions: the fields of records are known, general registers, flags and the
// slice's budget are locals of the function, and jumps to blocks of the same region stay inside.

import { PAGE_SIZE } from '#base/capsule.ts';
import { CPU, EXIT, REG } from '../cpu-state.ts';
import type { Part, Place, RegisterPlace, SlowName } from '../isa/env.ts';
import type { Flags } from '../isa/flags.ts';
import type { Row } from '../isa/row.ts';
import { add, and, constant, displace, eq, eqz, i32, i64, load, ltS, ltU, ne, or, shl, shrU, sub, widenU, wrap, xor, Expr, type Type } from '../wasm/expr.ts';
import type { Callee, Label, Var } from '../wasm/fn.ts';
import type { Frame, JumpKind } from './compiled-frame.ts';
import { InterpEnv, type Shape } from './interp-env.ts';
import { ACCESS_INFO, CODE_PAGE, codeEntry, INNER, MMU, REC } from './record.ts';
import { type KnownPage, MAX_ACCESS, ROOM, type PageKey } from './known-pages.ts';
import { KnownVectors } from './known-vectors.ts';
import { needsCheck, pageOfNode, type Node } from './region.ts';
import { stackGroup } from './stack-group.ts';
import { codeEntryOf, tlbEntry } from './tables.ts';

/** Routines that know nothing of general registers and flags. */
const APART: ReadonlySet<SlowName> = new Set(['sse', 'enterMmx', 'emms']);

/** Instructions that move a pointer by little. */
const STEPS: ReadonlySet<string> = new Set(['ADD', 'SUB', 'INC', 'DEC']);

/** Where the machine that runs the code has a step's record. */
export function addressOf({ node, at }: Pick<Site, 'node' | 'at'>, { imported }: Frame): Expr {
  const { emit, type } = add(imported.blocks[node.block.record] as Expr, i32(at * REC.size));
  return new Expr(type, emit, undefined, true);
}

/** What a record's code needs to know of its place in the region. */
export interface Site {
  readonly node: Node;
  /** position in the node's steps */
  readonly at: number;
  /** where its fields are in the region's words */
  readonly record: number;
  /** jumps to a node from here */
  go(to: Node): void;
  /** registers that a node needs */
  needed(node: Node): number;
  /** for an instruction whose stores go to page tables: behind it */
  readonly redone?: Label;
}

export class CompiledEnv extends InterpEnv {
  private readonly frame: Frame;
  private readonly site: Site;
  /** the instruction called a routine that may change any state */
  private slowed = false;

  constructor(frame: Frame, row: Row, shape: Shape, flags: Flags, instructions: number, site: Site) {
    super(frame.fn, row, shape, flags, frame.calls, frame.handlerType, instructions, addressOf(site, frame));
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
    return general ? { kind: 'general', n: at >>> 3, high: (at & 7) !== 0 } : { kind: 'reg', address: displace(this.cpu, at), vector: KnownVectors.numberAt(at) };
  }
  protected override readRegister(place: RegisterPlace, type: Type, width: number): Expr {
    return place.vector === undefined ? super.readRegister(place, type, width) : this.frame.vectors.read(place.vector, type, width);
  }
  protected override writeRegister(place: RegisterPlace, width: number, value: Expr): void {
    if (place.vector === undefined) super.writeRegister(place, width, value);
    else this.frame.vectors.write(place.vector, width, value);
  }
  override registerAddress(k: number): Expr {
    const place = this.place(k);
    if (k === 0 && place.kind === 'reg' && place.vector !== undefined) this.frame.vectors.drop(place.vector);
    return super.registerAddress(k);
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
    const moves = !STEPS.has(this.row.name);
    if (bits === 64) this.frame.setRegister(n, value, moves);
    else if (bits === 32) this.frame.setRegister(n, widenU(value), moves);
    else {
      const mask = (1n << BigInt(bits)) - 1n;
      const by = high ? 8n : 0n;
      const part = and(widenU(value), i64(mask));
      this.frame.setRegister(n, or(and(this.frame.register(n), i64(~(mask << by))), by ? shl(part, i64(by)) : part), moves);
    }
  }
  protected override inPage(distance: Expr): Expr { return this.frame.linear(pageOfNode(this.site.node) + Number(BigInt.asIntN(64, distance.value as bigint))); }
  protected override offsetExpr(): Expr {
    if (this.numberAt(REC.base) !== CPU.page) return super.offsetExpr();
    const address = this.inPage(this.displacement());
    return this.form === 'x' && this.numberAt(REC.index) === CPU.fourGiB ? add(address, i64(1n << 32n)) : address;
  }
  protected override addressRegister(offset: Expr): Expr { return offset.value === BigInt(CPU.zero) ? i64(0) : this.frame.register(Number(offset.value) >>> 3); }
  protected override access(va: Expr, bits: number, write: boolean, part: Part, use: (at: Expr, missed: boolean) => void): void {
    if (this.isStack(part)) { this.onStack(va, bits, write, part, use); return; }
    const { pages } = this.frame;
    const key = bits <= MAX_ACCESS * 8 ? this.pageKey(part) : undefined;
    const known = key === undefined ? undefined : pages.find(key, write);
    if (known) this.within(ltU(sub(va, known.page.get), i64(ROOM)), known.add, va, use, () => this.outside(va, bits, write, part));
    else this.throughTlb(va, bits, write, part, use, key === undefined ? undefined : pages.note(key, write));
  }
  /**
   * What the TLB does not know is in it behind the routine: so nothing depends on the way that control took, and V8 has nothing to bring
   * together.
   * @param noted gets the page
   */
  private throughTlb(va: Expr, bits: number, write: boolean, part: Part, use: (at: Expr, missed: boolean) => void, noted: KnownPage | undefined): void {
    const { fn } = this;
    if (!this.mode64) this.checkSegment(va, bits, write, part);
    const half = write ? MMU.write : MMU.read;
    const entry = tlbEntry(fn, this.mmu(), va);
    const page = fn.let(this.lastPage(va, bits));
    fn.if(eqz(this.hit(entry, page, half)), () => { this.outside(va, bits, write, part); }, undefined, false);
    const by = fn.let(load('i32', 32, entry, half + 8));
    noted?.add.set(by);
    noted?.page.set(page);
    use(add(wrap(va), by), false);
  }
  /** An access that is likely to be in a page whose place is known. @param outside for where it is not */
  private within(condition: Expr, by: Var, va: Expr, use: (at: Expr, missed: boolean) => void, outside: () => Expr): void {
    const host = this.fn.var('i32', add(wrap(va), by.get));
    this.fn.if(eqz(condition), () => host.set(outside()), undefined, false);
    use(host.get, false);
  }
  /** What an operand's page is likely to be the same as; undefined where nothing is. */
  private pageKey(part: Part): PageKey | undefined {
    if (part !== 'operand' || !this.mode64 || this.form !== 'm' || this.addrSize !== 64) return undefined;
    const base = this.numberAt(REC.base);
    const page = base === CPU.page ? pageOfNode(this.site.node) : 0;
    return base === CPU.page || base === CPU.zero ? `page ${Math.floor((page + Number(BigInt.asIntN(64, this.displacement().value as bigint))) / PAGE_SIZE)}` : base >>> 3;
  }
  private isStack(part: Part): boolean {
    const bySp = part === 'operand' && this.form !== 'x' && this.row.operands.some((o) => 'EMWQ'.includes(o[0] as string)) && this.numberAt(REC.base) === REG.rsp * 8;
    return this.mode64 && (part === 'stack' || bySp);
  }
  private onStack(va: Expr, bits: number, write: boolean, part: Part, use: (at: Expr, missed: boolean) => void): void {
    const { stack } = this.frame;
    if (part === 'stack' && this.isInGroup()) { use(add(wrap(va), stack.add.get), false); return; }
    this.within(this.inStackPage(va, bits / 8), stack.add, va, use, () => this.outsideStackPage(va, bits, write, part));
    this.frame.endGroup(); // the page may be another one now
  }
  /** Nearly all is aligned: what is not is asked for outside. Nothing is in the page -1. */
  private inStackPage(va: Expr, bytes: number): Expr {
    const page = this.frame.stack.page.get;
    if (bytes <= 8) return eq(and(va, i64(bytes - 1 - PAGE_SIZE)), page);
    const differs = (at: Expr): Expr => xor(and(at, i64(-PAGE_SIZE)), page);
    return eqz(or(differs(va), differs(add(va, i64(bytes - 1)))));
  }
  /** A push or a pop whose neighbours are looked at together with it: they lie in the stack's page, or the interpreter goes on. */
  private isInGroup(): boolean {
    const { fn, frame, site } = this;
    if (frame.grouped.node === site.node && site.at <= frame.grouped.until) return true;
    const group = site.at < 0 ? undefined : stackGroup(site.node.steps, site.at, frame.dv);
    if (!group || !frame.pages.isPlain) return false;
    const { lo, hi, until } = group;
    const rsp = frame.register(REG.rsp);
    const low = fn.let(add(rsp, i64(lo)));
    fn.if(eqz(this.inStackPage(low, hi - lo)), () => {
      this.faultIf(eq(fn.call(this.calls.stackRange, this.cpu, this.record, low, i32(hi - lo)), i32(0)));
      frame.takeStackPage();
    }, undefined, false);
    frame.grouped = { node: site.node, until };
    return true;
  }
  private outsideStackPage(va: Expr, bits: number, write: boolean, part: Part): Expr {
    const { fn, frame } = this;
    const info = bits / 8 | (write ? ACCESS_INFO.write : 0) | (part === 'stack' ? ACCESS_INFO.stack : 0) | (this.isLocked ? ACCESS_INFO.locked : 0);
    const host = fn.let(fn.call(this.calls.stack, this.cpu, this.record, va, i32(info)));
    this.faultIf(eq(host, i32(0)));
    frame.takeStackPage();
    return host;
  }
  /** The handler of an instruction that stores to page tables is called, where others are left to theirs: the region goes on behind it. */
  protected override outside(va: Expr, bits: number, write: boolean, part: Part): Expr {
    const { fn, frame, site: { redone } } = this;
    if (!write || !redone) return super.outside(va, bits, write, part);
    this.slowed = true;
    frame.around(() => fn.call(this.calls.once, this.cpu, this.record));
    fn.br(redone);
    return i32(0); // control does not come here
  }
  protected override routine(): Callee { return this.calls.plain; }
  /** What has to be committed does not come so far: the interpreter does it. */
  override commit(): void {}
  protected override ifBounced(_host: Expr, _bounced: () => void, plain: () => void): void { plain(); }
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
      else this.leaveFor(this.staysInPage() ? 'direct' : 'across', this.target());
    };
    if (condition) this.fn.if(condition, go);
    else go();
  }
  private staysInPage(): boolean {
    const distance = Number(this.distance().value);
    return distance >= 0 && distance < PAGE_SIZE;
  }
  override jumpTo(target: Expr): void {
    const t = this.fn.let(target);
    this.spend(this.retired());
    const { returnTo, computed } = this.site.node;
    for (const to of returnTo ? [returnTo] : computed) this.fn.if(eq(t, this.frame.linear(to.block.start)), () => this.stay(to), undefined, returnTo ? true : undefined);
    if (this.row.name === 'RET') this.frame.returnIfAwaited(t);
    this.leaveFor('indirect', t);
  }
  /** To a block outside. Where the region goes on when that returns, it waits for it. */
  private leaveFor(kind: Exclude<JumpKind, 'resume'>, target: Expr): void {
    const { frame, site: { node, at } } = this;
    const after = at === node.steps.length - 1 ? node.after : undefined;
    if (!after) return frame.sayJump(kind, this.record, target);
    frame.call(kind, this.record, target, frame.linear(after.block.start), this.site.needed(after));
    this.goTo(after, true);
  }
  /** A jump to a block of the region. */
  private stay(to: Node): void {
    const target = this.frame.linear(to.block.start);
    this.fn.if(ltS(this.budget(), i32(0)), () => this.frame.sayAway(target, EXIT.budget), undefined, false);
    this.goTo(to, false);
  }
  /** @param isLost CPU.page is another page's */
  private goTo(to: Node, isLost: boolean): void {
    const target = this.frame.linear(to.block.start), isElsewhere = needsCheck(this.site.node, to);
    if (isElsewhere) {
      this.requirePage(to.block.start, to.block.mfn, target);
      if (to.block.secondMfn >= 0) this.requirePage(to.block.start + PAGE_SIZE, to.block.secondMfn, target);
    }
    if (isElsewhere || isLost) this.setField64(CPU.page, this.frame.linear(pageOfNode(to)));
    this.site.go(to);
  }
  /** @param page number of the page that has to be at an address */
  private requirePage(va: number, page: number, target: Expr): void {
    const { pagesMove, imported } = this.frame;
    const number = imported.pages[page] as Expr;
    const entry = pagesMove ? codeEntryOf(this.fn, this.mmu(), this.frame.linear(va)) : displace(this.mmu(), codeEntry(va >>> 0));
    const wanted = pagesMove ? or(and(shl(this.frame.linear(va), i64(8)), i64(CODE_PAGE)), number) : number;
    this.fn.if(ne(load('i64', 64, entry, pagesMove ? MMU.code : 0), wanted), () => this.frame.sayAway(target, INNER.lookup), undefined, false);
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
