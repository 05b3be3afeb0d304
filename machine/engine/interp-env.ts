// The interpreter's binding of instruction descriptions: operand numbers come from the operation record, registers lie
// in the vCPU context, and a handler ends with a tail call to the next record's handler.
// A handler is a function (cpu, record) → exit code.

import { assert } from '#base/assert.ts';
import { VCPU_BASE } from '#base/capsule.ts';
import { CPU, EXIT, NO_ERROR_CODE, REG, SEG, SEG_DENIES } from '../cpu-state.ts';
import { Env, type Bits, type Part, type Place, type Prefix, type SlowName, typeOf } from '../isa/env.ts';
import type { Flags } from '../isa/flags.ts';
import type { Row } from '../isa/row.ts';
import { ENTRIES } from '../decode/opcode-map.ts';
import { add, and, compareExchange, displace, eq, geS, gtU, i32, i64, load, ltS, ne, or, select, shl, shrU, sub, widenU, wrap, xor, type Expr, type Type } from '../wasm/expr.ts';
import type { Callee, Fn } from '../wasm/fn.ts';
import { HOST, type RUNTIME } from './imports.ts';
import { ACCESS_INFO, INNER, MMU, REC } from './record.ts';
import { continueAt, enterBlock, enterCached, isAwaited, isCanonical, jumpEntry, tlbEntry } from './tables.ts';
import { SLOW } from './slow-names.ts';

/** Everything a handler may call, as indices in its module. */
export type Calls = { readonly [K in keyof typeof RUNTIME | keyof typeof HOST]: Callee };

export interface Shape {
  readonly opSize: Bits;
  readonly addrSize: 16 | 32 | 64;
  readonly mode64: boolean;
  readonly rep: Prefix;
  readonly form: 'r' | 'm' | 'x';
}

/** Opcodes with an immediate that is 64 bits long, or a far pointer. */
const WIDE = / (iv|cp)$/;
const FIXED: Record<string, number> = { AL: 0, AX: 0, eAX: 0, rAX: 0, CL: 8, DX: 16 };

const WIDE_LOCK = VCPU_BASE + CPU.wideLock;

export class InterpEnv extends Env {
  protected readonly record: Expr;
  protected readonly form: 'r' | 'm' | 'x';
  protected readonly calls: Calls;
  protected readonly handlerType: number;
  /** instructions in this record: 2 when fused */
  protected readonly instructions: number;

  constructor(fn: Fn, row: Row, shape: Shape, flags: Flags, calls: Calls, handlerType: number, instructions: number, record: Expr = fn.param(1)) {
    super(fn, row, shape.opSize, shape.addrSize, shape.mode64, shape.rep, flags);
    this.record = record;
    this.form = shape.form;
    this.calls = calls;
    this.handlerType = handlerType;
    this.instructions = instructions;
  }

  // ---- operands

  /** A field of the record. */
  protected fieldOf(type: 'i32' | 'i64', bits: 8 | 16 | 32 | 64, offset: number, signed = false): Expr { return load(type, bits, this.record, offset, signed); }
  protected field16(offset: number): Expr { return this.fieldOf('i32', 16, offset); }
  /** Address of the register field whose offset in the context stands in the record. */
  protected contextField(offset: Expr): Expr { return offset.value !== undefined ? displace(this.cpu, Number(offset.value)) : add(this.cpu, offset); }
  private registerAt(offset: number): Expr { return this.fn.let(this.contextField(this.field16(offset))); }
  private readonly places = new Map<number, Place>();
  protected place(k: number): Place {
    let p = this.places.get(k);
    if (!p) { p = this.makePlace(k); this.places.set(k, p); }
    return p;
  }
  /** Binds every register operand now: a description may use one first inside a conditional part. */
  bindRegisters(): void { this.row.operands.forEach((code, k) => { if (code !== 'none' && !'ASCDIJMB'.includes(code[0] as string) && code !== '1') this.place(k); }); }
  /** A register operand whose number stands in the record. */
  protected registerPlace(offset: number, _general: boolean): Place { return { kind: 'reg', address: this.registerAt(offset) }; }
  /** AL, rAX, CL or DX. */
  protected fixedPlace(offset: number): Place { return { kind: 'reg', address: offset === 0 ? this.cpu : this.fn.let(add(this.cpu, i32(offset))) }; }
  private makePlace(k: number): Place {
    const code = this.row.operands[k];
    assert(code !== undefined, `${this.row.name} has an operand ${k}`);
    const fixed = FIXED[code];
    if (fixed !== undefined) return this.fixedPlace(fixed);
    switch (code[0]) {
      case 'G': case 'V': case 'P': return this.registerPlace(REC.r1, code[0] === 'G');
      case 'E': case 'W': case 'Q': return this.form === 'r' ? this.registerPlace(REC.r2, code[0] === 'E') : { kind: 'mem' };
      case 'Z': case 'R': case 'U': case 'N': return this.registerPlace(REC.r2, code[0] === 'Z' || code[0] === 'R');
      case 'M': case 'O': case 'B': return { kind: 'mem' };
      case 'I': case 'J': case '1': return { kind: 'imm' };
      default: throw new Error(`operand code ${code}`);
    }
  }
  regNumber(k: number): Expr {
    const letter = this.row.operands[k]?.[0];
    return this.fn.let(shrU(this.field16(letter === 'R' || letter === 'E' ? REC.r2 : REC.r1), i32(3)));
  }
  imm(bits: Bits): Expr {
    if (this.row.operands.includes('1')) return i32(1);
    if (bits === 64) return this.fn.let(WIDE.test(this.row.opcode) ? this.fieldOf('i64', 64, REC.wide) : this.fieldOf('i64', 32, REC.imm, true));
    return this.fn.let(this.fieldOf('i32', bits, REC.imm));
  }
  protected offsetExpr(): Expr {
    const reg = (offset: number): Expr => this.addressRegister(this.field16(offset));
    const disp = this.displacement();
    if (this.row.operands.includes('Mxlat')) return add(reg(REC.base), widenU(this.reg(REG.rax, 8)));
    const simple = add(reg(REC.base), disp);
    return this.form === 'm' ? simple : add(simple, shl(reg(REC.index), this.fieldOf('i64', 8, REC.scale)));
  }
  protected displacement(): Expr { return this.row.operands.some((code) => code[0] === 'O') ? this.fieldOf('i64', 64, REC.wide) : this.fieldOf('i64', 32, REC.disp, true); }
  /** A base or index register by its offset in the context, which may be CPU.zero. */
  protected addressRegister(offset: Expr): Expr { return load('i64', 64, this.contextField(offset)); }
  protected segmentBase(): Expr | undefined { return this.form === 'x' ? this.segmentField() : undefined; }
  private segmentField(): Expr { return load('i64', 64, this.contextField(shl(this.fieldOf('i32', 8, REC.segment), i32(3)))); }
  /** Number of a segment register, i32. Only outside 64-bit mode has every operand one. */
  private segmentOf(part: Part): Expr {
    if (part === 'operand') return this.fn.let(sub(this.fieldOf('i32', 8, REC.segment), i32(CPU.segBase / 8)));
    return i32(part === 'stack' ? SEG.ss : SEG.es);
  }
  private segmentField32(segment: Expr, offset: number): Expr { return load('i32', 32, this.contextField(shl(segment, i32(2))), offset); }
  wholeSegments(): Expr {
    if (this.mode64) return i32(1);
    return eq(or(this.segmentField32(this.segmentOf('operand'), CPU.segShort), this.segmentField32(i32(SEG.es), CPU.segShort)), i32(0));
  }
  /**
   * The checks of an access outside 64-bit mode (SDM vol. 3, 5.3 and 5.5): #GP(0), or #SS(0) for the stack segment.
   * Processors let an access to a flat segment, of base 0 and 4 GiB, wrap around at its end.
   */
  protected checkSegment(va: Expr, bits: number, write: boolean, part: Part): void {
    const segment = this.segmentOf(part);
    const base = this.fn.let(wrap(load('i64', 64, this.contextField(shl(segment, i32(3))), CPU.segBase)));
    const short = this.fn.let(this.segmentField32(segment, CPU.segShort));
    const last = add(widenU(sub(wrap(va), base)), i64(bits / 8 - 1));
    const beyond = gtU(last, widenU(xor(short, i32(-1))));
    this.fn.if(and(ne(or(base, short), i32(0)), beyond), () => this.fn.if(eq(segment, i32(SEG.ss)), () => this.raise(12, i32(0)), () => this.raise(13, i32(0))));
    if (part === 'stack') return; // neither null nor read-only
    const selector = load('i32', 16, this.contextField(shl(segment, i32(1))), CPU.selector);
    this.fn.if(eq(and(selector, i32(0xfffc)), i32(0)), () => this.raise(13, i32(0)));
    const rights = load('i32', 8, this.contextField(segment), CPU.segRights);
    this.fn.if(and(rights, i32(write ? SEG_DENIES.write : SEG_DENIES.read)), () => this.raise(13, i32(0)));
  }
  stringBase(source: boolean): Expr {
    if (source) return this.fn.let(this.segmentField());
    return this.mode64 ? i64(0) : this.field64(CPU.segBase);
  }
  /** The address so many bytes from the page that the block begins in. */
  protected inPage(distance: Expr): Expr { return add(load('i64', 64, this.cpu, CPU.page), distance); }
  rip(): Expr { return this.fn.let(this.inPage(this.fieldOf('i64', 16, REC.offset))); }
  nextRip(): Expr { return this.fn.let(this.inPage(add(this.fieldOf('i64', 16, REC.offset), this.fieldOf('i64', 8, REC.length)))); }
  budget(): Expr { return load('i32', 32, this.cpu, CPU.budget); }

  // ---- memory

  /** Capsule offset of the MMU context. */
  protected mmu(): Expr { return load('i32', 32, this.cpu, CPU.mmu); }
  /** Leaves with the exception that a routine outside has noted, when a condition holds. */
  protected faultIf(condition: Expr): void { this.fn.if(condition, () => this.fn.return(i32(EXIT.exception)), undefined, false); }
  protected hit(entry: Expr, lastPage: Expr, half: number): Expr { return eq(lastPage, load('i64', 64, entry, half)); }
  /** Page of an access's last byte: where it is that of the first too, one comparison sees both. */
  protected lastPage(va: Expr, bits: number): Expr { return and(bits > 8 ? add(va, i64(bits / 8 - 1)) : va, i64(-4096)); }
  protected missed(va: Expr, bits: number, write: boolean, stack: boolean, more = 0): Expr {
    const info = bits / 8 | (write ? ACCESS_INFO.write : 0) | (stack ? ACCESS_INFO.stack : 0) | (this.isLocked ? ACCESS_INFO.locked : 0) | more;
    return this.fn.call(this.routine(), this.cpu, this.record, va, i32(info));
  }
  protected routine(): Callee { return this.calls.translate; }
  translate(address: Expr, bits: number, write: boolean, part: Part): Expr {
    const host = this.fn.var('i32');
    this.access(this.fn.let(address), bits, write, part, (at) => host.set(at));
    return this.fn.let(host.get);
  }
  exchangeAt(va: Expr, bits: Bits, change: (old: Expr) => Expr): Expr {
    const { fn } = this;
    const type = typeOf(bits) as 'i32' | 'i64';
    const host = this.lockedHost(va, bits);
    const old = fn.var(type, load(type, bits, host));
    this.ifBounced(host, () => {
      fn.store(bits, host, change(fn.let(old.get)));
      this.commit(host);
    }, () => fn.loop((again) => {
      const from = fn.let(old.get);
      old.set(compareExchange(type, bits, host, from, change(from)));
      fn.brIf(again, ne(old.get, from), false);
    }));
    return fn.let(old.get);
  }
  /** There is no instruction for 16 bytes: whoever changes them holds a lock. Nobody waits for long, as it is not held across anything. */
  exchangeWide(va: Expr, change: (lo: Expr, hi: Expr) => readonly [Expr, Expr]): readonly [Expr, Expr] {
    const { fn } = this;
    const lock = i32(WIDE_LOCK);
    const host = this.translate(va, 128, true, 'operand');
    const lo = fn.var('i64'), hi = fn.var('i64');
    const replace = (): void => {
      lo.set(load('i64', 64, host));
      hi.set(load('i64', 64, host, 8));
      change(fn.let(lo.get), fn.let(hi.get)).forEach((v, i) => fn.store(64, host, v, i * 8));
    };
    this.ifBounced(host, () => { replace(); this.commit(host); }, () => {
      fn.loop((again) => fn.brIf(again, compareExchange('i32', 32, lock, i32(0), i32(1)), false));
      replace();
      fn.drop(compareExchange('i32', 32, lock, i32(1), i32(0)));
    });
    return [fn.let(lo.get), fn.let(hi.get)];
  }
  /** Where memory lies that is changed as one: aligned, or in the bounce buffer. */
  private lockedHost(va: Expr, bits: Bits): Expr {
    const host = this.fn.var('i32');
    const ordinary = (): void => this.access(va, bits, true, 'operand', (at) => host.set(at));
    if (bits === 8) ordinary();
    else {
      this.fn.if(and(wrap(va), i32(bits / 8 - 1)), () => {
        if (!this.mode64) this.checkSegment(va, bits, true, 'operand');
        host.set(this.outside(va, bits, true, 'operand'));
      }, ordinary, false);
    }
    return this.fn.let(host.get);
  }
  protected ifBounced(host: Expr, bounced: () => void, plain: () => void): void { this.fn.if(this.isBounce(host), bounced, plain, false); }
  loadGuest(type: Type, bits: number, address: Expr, part: Part): Expr {
    const value = this.fn.var(type);
    this.access(this.fn.let(address), bits, false, part, (at) => value.set(load(type, bits, at)));
    return this.fn.let(value.get);
  }
  /**
   * Writes an access twice: at where the TLB says that an address is, and for what it does not know.
   * @param use gets the capsule offset
   */
  protected access(va: Expr, bits: number, write: boolean, part: Part, use: (at: Expr, missed: boolean) => void): void {
    if (!this.mode64) this.checkSegment(va, bits, write, part);
    const half = write ? MMU.write : MMU.read;
    const entry = tlbEntry(this.fn, this.mmu(), va);
    this.fn.if(this.hit(entry, this.lastPage(va, bits), half), () => use(add(wrap(va), load('i32', 32, entry, half + 8)), false), () => use(this.outside(va, bits, write, part), true), true);
  }
  /** What a routine outside says to an access. */
  protected outside(va: Expr, bits: number, write: boolean, part: Part): Expr {
    const host = this.fn.let(this.missed(va, bits, write, part === 'stack'));
    this.faultIf(eq(host, i32(0)));
    return host;
  }
  probeStack(va: Expr, bits: number): void {
    if (!this.mode64) this.checkSegment(va, bits, true, 'stack');
    const entry = tlbEntry(this.fn, this.mmu(), va);
    this.fn.if(eq(this.hit(entry, this.lastPage(va, bits), MMU.write), i32(0)), () => {
      this.faultIf(eq(this.missed(va, bits, true, true, ACCESS_INFO.probe), i32(0)));
    }, undefined, false);
  }
  isBounce(host: Expr): Expr { return eq(host, add(this.cpu, i32(CPU.bounce))); }
  commit(host: Expr): void {
    this.fn.if(this.isBounce(host), () => {
      const code = this.fn.let(this.fn.call(this.calls.commit, this.cpu, this.record));
      this.fn.if(code, () => this.fn.return(code), undefined, false);
    }, undefined, false);
  }
  storeGuest(address: Expr, bits: number, value: Expr, part: Part): void {
    const va = this.fn.let(address);
    const pinned = this.fn.let(value);
    this.access(va, bits, true, part, (at, missed) => {
      this.fn.store(bits, at, pinned);
      if (missed) this.commit(at);
    });
  }

  // ---- ways out

  protected leave(code: Expr, done: boolean): void {
    this.fn.returnCall(this.calls.leave, this.cpu, this.record, code, i32(done ? this.instructions : 0));
  }
  raise(vector: number, errorCode?: Expr): void {
    this.setField(CPU.exitInfo, i32(vector));
    this.setField(CPU.errorCode, errorCode ?? i32(NO_ERROR_CODE | 0));
    this.leave(i32(EXIT.exception), false);
  }
  exit(code: number, info: number, argument: Expr, restart: boolean): void {
    this.setField64(CPU.exitArg, argument);
    this.setField(CPU.exitInfo, i32(info));
    this.leave(i32(code), !restart);
  }
  systemCall(): void { this.fn.returnCall(this.calls.systemCall, this.cpu, this.record); }
  exitSoftint(n: Expr): void {
    this.setField(CPU.exitInfo, n);
    this.leave(i32(EXIT.softint), false);
  }
  slow(name: SlowName, argument: Expr, va?: Expr): void {
    const code = this.fn.let(this.callSlow(name, argument, va));
    this.fn.if(code, () => this.fn.return(code));
  }
  protected callSlow(name: SlowName, argument: Expr, va?: Expr): Expr {
    const lo = va ? wrap(va) : i32(0);
    const hi = va ? wrap(shrU(va, i64(32))) : i32(0);
    return this.fn.call(this.calls.slow, this.cpu, this.record, i32(this.slowNumber(name)), argument, lo, hi);
  }
  protected slowNumber(name: SlowName): number { return SLOW[name] | this.opSize << 8 | this.addrSize << 16; }
  /** Says where it is: the time that a guest reads goes on within a block. */
  callOut(name: string, ...args: Expr[]): Expr {
    if (name in HOST) this.setField(CPU.exitOp, this.record);
    const callee = this.calls[name as keyof Calls];
    assert(callee !== undefined, `a routine ${name}`);
    return this.fn.call(callee, ...args);
  }
  afterFlagChange(): void { this.fn.if(and(this.field(CPU.flags), i32(0x100)), () => this.leave(i32(INNER.lookup), true)); }
  repeatLater(): void {
    this.spend(i32(1));
    this.fn.if(ltS(this.budget(), i32(0)), () => this.leave(i32(INNER.again), false));
  }
  /** Takes instructions from the slice. */
  protected spend(n: Expr): void { this.setField(CPU.budget, sub(this.budget(), n)); }

  /** The block's instructions up to and with this one. */
  protected retired(): Expr { return add(this.fieldOf('i32', 8, REC.icount), i32(this.instructions)); }
  /** How far from the page a relative jump leads. */
  protected distance(): Expr {
    const by = this.instructions > 1 ? this.fieldOf('i64', 16, REC.near, true) : this.fieldOf('i64', 32, REC.imm, true);
    return add(this.fieldOf('i64', 16, REC.offset), by);
  }
  target(): Expr {
    const t = this.inPage(this.distance());
    return this.fn.let(this.mode64 ? t : and(t, i64(this.opSize === 16 ? 0xffffn : 0xffff_ffffn)));
  }
  jumpRelative(condition?: Expr): void {
    const go = (): void => {
      this.spend(this.retired());
      emitLinked(this.fn, this.handlerType, this.record);
      this.fn.returnCall(this.calls.direct, this.cpu, this.record, this.target());
    };
    if (condition) {
      this.fn.if(condition, go);
      this.fn.store(8, this.record, i32(1), REC.passed);
    } else go();
  }
  jumpTo(target: Expr): void {
    const t = this.fn.let(target);
    this.spend(this.retired());
    if (this.row.name === 'RET') {
      this.fn.if(isAwaited(this.fn, t, this.budget()), () => {
        this.setField64(CPU.rip, t);
        this.fn.return(i32(EXIT.none));
      });
    }
    emitIndirectExit(this.fn, this.calls.jumpMiss, this.handlerType, this.record, t);
  }
  /** Ends the handler: on to the next record. */
  finish(): void { continueAt(this.fn, this.handlerType, this.fn.let(add(this.record, i32(REC.size)))); }
}

/** Instructions that a record stands for. */
export const instructionsOf = (spec: { readonly fused: number }): number => (spec.fused >= 0 ? 2 : 1);
/** A jump with no operands of its own: for what is not an instruction but has to go on somewhere, or raise something. */
export const JUMP: Shape = { opSize: 64, addrSize: 64, mode64: true, rep: '', form: 'r' };
export const JMP: Row = rowAt(ENTRIES.findIndex((e) => e.row.name === 'JMP'));
function rowAt(n: number): Row {
  const entry = ENTRIES[n];
  assert(entry !== undefined, 'a row of the table');
  return entry.row;
}
/**
 * Writes an instruction, and the jump that is fused to it.
 * @param make the engine's binding
 * @returns the binding of the instruction itself
 */
export function emitInstruction<E extends InterpEnv>(spec: Shape & { readonly row: number; readonly fused: number }, make: (row: Row, shape: Shape, instructions: number) => E): E {
  const instructions = instructionsOf(spec);
  const env = make(rowAt(spec.row), spec, instructions);
  env.bindRegisters();
  env.row.sem(env);
  if (spec.fused >= 0) {
    const jump = make(rowAt(spec.fused), { ...spec, opSize: 64, form: 'r' }, instructions);
    jump.row.sem(jump);
  }
  return env;
}

// ---- how control goes from block to block; the instructions of the block that ends are paid for already

/** Goes to the block that a jump's record is linked to, if it is to any and the slice goes on. */
function emitLinked(fn: Fn, handlerType: number, record: Expr): void {
  const link = fn.let(load('i32', 32, record, REC.link));
  fn.if(and(ne(link, i32(0)), geS(load('i32', 32, fn.param(0), CPU.budget), i32(0))), () => enterBlock(fn, handlerType, link), undefined, true);
}
/** Where a jump goes whose record may be linked to its target. */
export function emitDirectExit(fn: Fn, jumpMiss: Callee, handlerType: number, record: Expr, target: Expr): void {
  emitLinked(fn, handlerType, record);
  emitUnlinkedExit(fn, jumpMiss, handlerType, record, target);
}
/** The same for a jump that cannot be linked, as it leads to another page. */
export function emitUnlinkedExit(fn: Fn, jumpMiss: Callee, handlerType: number, record: Expr, target: Expr): void {
  const cpu = fn.param(0);
  fn.if(ltS(load('i32', 32, cpu, CPU.budget), i32(0)), () => {
    fn.store(64, cpu, target, CPU.rip);
    fn.return(i32(EXIT.budget));
  });
  throughCache(fn, jumpMiss, handlerType, record, target, record);
}
/** Where a computed jump goes. Its target may not be canonical. */
export function emitIndirectExit(fn: Fn, jumpMiss: Callee, handlerType: number, record: Expr, target: Expr): void {
  const cpu = fn.param(0);
  fn.if(ltS(load('i32', 32, cpu, CPU.budget), i32(0)), () => {
    fn.store(64, cpu, target, CPU.rip);
    fn.store(32, cpu, record, CPU.exitOp);
    fn.return(select(isCanonical(fn, target), i32(EXIT.budget), i32(INNER.badTarget)));
  });
  throughCache(fn, jumpMiss, handlerType, record, target, i32(0));
}
/** Goes on at a target that the jump cache may know. @param linked the record that may be linked to it, or 0 */
function throughCache(fn: Fn, jumpMiss: Callee, handlerType: number, record: Expr, target: Expr, linked: Expr): void {
  const cpu = fn.param(0);
  const entry = jumpEntry(fn, cpu, target);
  fn.if(eq(load('i64', 64, entry, MMU.jumps), target), () => enterCached(fn, handlerType, entry, target), undefined, true);
  fn.store(32, cpu, linked, CPU.exitOp);
  fn.returnCall(jumpMiss, cpu, record, target);
}
