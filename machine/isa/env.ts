// What the description of an instruction sees: its operands, the register file, guest memory, the flags, and the ways
// out. Engines derive from it: the interpreter reads operand numbers from an operation record, a compiler knows them.
//
// Values of 8, 16 and 32 bits are i32, zero-extended; values of 64 bits are i64. A read makes an expression that is
// pinned, so its order is that of the description. Memory accesses come first: a fault leaves the function at once and
// the guest must see the state before the instruction.

import { assert } from '#base/assert.ts';
import { CPU, FLAG, FX, REG } from '../cpu-state.ts';
import { add, and, constant, Expr, extend16, extend32, extend8, i32, i64, load, or, select, shl, shrU, sub, widenS, widenU, wrap, eqz, ne, type Type } from '../wasm/expr.ts';
import type { Fn } from '../wasm/fn.ts';
import { Flags } from './flags.ts';
import type { Row } from './row.ts';

/** Routines for what is rare or long (engine/slow.ts). */
export type SlowName = 'retFar' | 'iret' | 'jumpFar' | 'callFar' | 'jumpPointer' | 'callPointer' | 'loadSegment' | 'loadPointer' | 'enter' | 'x87' | 'fxsave' | 'fxrstor' | 'emms' | 'enterMmx' | 'checkSelector' | 'unimplemented' | 'bound' | 'pcmpstr' | 'sse';

export type Bits = 8 | 16 | 32 | 64;
/** The wasm type that holds a value of a size. */
export const typeOf = (bits: number): Type => (bits === 64 ? 'i64' : 'i32');

/** How one operand of a decoded instruction is bound. */
export type Place =
  | { readonly kind: 'reg'; readonly address: Expr; readonly vector?: number | undefined } // capsule address of the register's low byte; number of an XMM register, where it is known
  | { readonly kind: 'general'; readonly n: number; readonly high: boolean } // a general register by number; `high`: its bits 8..15
  | { readonly kind: 'mem' }
  | { readonly kind: 'imm' };

export type RegisterPlace = Extract<Place, { kind: 'reg' }>;

/** What a prefix makes of an instruction. `lock`: it changes memory as one, where others may change it at the same time. */
export type Prefix = '' | 'rep' | 'repnz' | 'lock';

/** Whose segment an access goes through: the memory operand's, the stack's, or ES, where strings go to. */
export type Part = 'operand' | 'stack' | 'es';

/** A translated guest address that may be written. */
export interface Host { readonly address: Expr; readonly bits: number }

const SUFFIX_BITS: Record<string, number> = { b: 8, w: 16, d: 32, q: 64, dq: 128, ps: 128, pd: 128, x: 128, ss: 32, sd: 64, pi: 64, p: 0, s: 0, a: 0, '': 0, x87: 0, xlat: 8 };

export abstract class Env {
  readonly fn: Fn;
  readonly row: Row;
  /** effective operand size in bits */
  readonly opSize: Bits;
  /** effective address size in bits */
  readonly addrSize: 16 | 32 | 64;
  /** 64-bit mode, as against compatibility mode */
  readonly mode64: boolean;
  /** 'rep' (F3) or 'repnz' (F2) for string instructions */
  readonly rep: Prefix;
  readonly cpu: Expr;
  readonly flags: Flags;
  private readonly hosts = new Map<number, Host>();
  private addressCache: Expr | undefined;

  constructor(fn: Fn, row: Row, opSize: Bits, addrSize: 16 | 32 | 64, mode64: boolean, rep: Prefix, flags: Flags) {
    this.fn = fn;
    this.row = row;
    this.opSize = opSize;
    this.addrSize = addrSize;
    this.mode64 = mode64;
    this.rep = rep;
    this.cpu = fn.param(0);
    this.flags = flags;
  }

  // ---- what an engine binds

  /** The operand's place. */
  protected abstract place(k: number): Place;
  /** The immediate as a 64-bit value (sign-extended as decoded), or its low 32 bits. */
  abstract imm(bits: Bits): Expr;
  /** The halves of a far pointer that stands in the instruction. */
  farOffset(): Expr { return this.fn.let(and(this.imm(64), i64(0xffff_ffffn))); }
  farSelector(): Expr { return this.fn.let(wrap(shrU(this.imm(64), i64(32)))); }
  /** The effective address without segment base, 64 bits, before truncation to the address size. */
  protected abstract offsetExpr(): Expr;
  /** The segment base of the memory operand; undefined when it is known to be 0. */
  protected abstract segmentBase(): Expr | undefined;
  /** Address of this instruction and of the next one, i64. */
  abstract rip(): Expr;
  abstract nextRip(): Expr;
  /**
   * Capsule address of guest memory for an access; leaves the function when it faults. A page-crossing or otherwise
   * special access gives a bounce buffer: `commit` after a write makes it real.
   */
  abstract translate(va: Expr, bits: number, write: boolean, part: Part): Expr;
  /** Checks that a place on the stack can be written; leaves the function when it cannot. */
  abstract probeStack(va: Expr, bits: number): void;
  abstract commit(host: Expr): void;
  /**
   * Replaces a value in memory by one that follows from it, as one: nobody sees or changes it in between. Nothing else of the
   * instruction may be done yet.
   * @param change makes the new value and nothing else: it is written out several times
   * @returns the value before
   */
  abstract exchangeAt(va: Expr, bits: Bits, change: (old: Expr) => Expr): Expr;
  /** The same for 16 bytes, in halves, low first. */
  abstract exchangeWide(va: Expr, change: (lo: Expr, hi: Expr) => readonly [Expr, Expr]): readonly [Expr, Expr];
  /** A plain load from guest memory. */
  abstract loadGuest(type: Type, bits: number, va: Expr, part: Part): Expr;
  /** A plain store to guest memory. */
  abstract storeGuest(va: Expr, bits: number, value: Expr, part: Part): void;
  /** Leaves with an exception; the state is that before the instruction. */
  abstract raise(vector: number, errorCode?: Expr): void;
  /** Leaves with an EXIT code after the instruction is done (rip = next) or, `restart`, as if before it. */
  abstract exit(code: number, info: number, argument: Expr, restart: boolean): void;
  /** Near jump to a computed target (i64). */
  abstract jumpTo(target: Expr): void;
  /** Near jump to the instruction's relative target, when the condition holds (always when absent). */
  abstract jumpRelative(condition?: Expr): void;
  /** The relative target as a value. */
  abstract target(): Expr;
  /** Ends this execution of a repeated string instruction early: rip stays, so that events can come in. */
  abstract repeatLater(): void;
  /** SYSCALL: leaves the function. */
  abstract systemCall(): void;
  /** Leaves with EXIT.softint for INT n; n in i32. */
  abstract exitSoftint(n: Expr): void;
  /**
   * Executes the rest of the instruction by a TypeScript routine (engine/slow.ts). It may fault or transfer control:
   * then the function is left; else it goes on.
   */
  abstract slow(name: SlowName, argument: Expr, va?: Expr): void;
  /** True (i32) when `host` is the bounce buffer. */
  abstract isBounce(host: Expr): Expr;
  /** Number of the register of operand k, i32: general, control, debug or segment. */
  abstract regNumber(k: number): Expr;
  /** After a write of TF and the like: the next instruction starts outside of linked code. */
  abstract afterFlagChange(): void;
  /** Nothing of a string's segments is cut off (i32): its elements need no check one by one. */
  abstract wholeSegments(): Expr;
  /** Segment base of a string instruction's source (overridable) or destination (ES). */
  abstract stringBase(source: boolean): Expr;
  /** RFLAGS as a guest reads it, i32. */
  readFlags(): Expr { return this.fn.let(or(or(this.flags.status(), this.field(CPU.flags)), i32(2))); }
  /** Instructions left in this slice, i32. */
  abstract budget(): Expr;
  /** Calls a routine outside (TypeScript or shared wasm) by name. Result by its declaration in engine/imports.ts. */
  abstract callOut(name: string, ...args: Expr[]): Expr;

  // ---- operands

  /** Size of operand k in bits. */
  bits(k: number): number {
    const code = this.row.operands[k];
    assert(code !== undefined, `${this.row.name} has an operand ${k}`);
    if (code === 'AL' || code === 'CL' || code === 'AH' || code === '1') return 8;
    if (code === 'AX' || code === 'DX') return 16;
    if (code === 'rAX' || code === 'eAX') return code === 'eAX' && this.opSize === 64 ? 32 : this.opSize;
    const suffix = code.slice(1);
    if (suffix === 'v') return this.opSize;
    if (suffix === 'z') return this.opSize === 64 ? 32 : this.opSize;
    if (suffix === 'y') return this.opSize === 64 ? 64 : 32;
    if (suffix === 'q64') return this.mode64 ? 64 : 32;
    const bits = SUFFIX_BITS[suffix];
    assert(bits !== undefined, `operand code ${code}`);
    return bits;
  }
  /** True when operand k is in memory. */
  isMemory(k: number): boolean { return this.place(k).kind === 'mem'; }

  /** Reads operand k. An immediate comes sign-extended to `bits` (the operation's size by default). */
  read(k: number, bits: number = this.bits(k)): Expr {
    const place = this.place(k);
    if (place.kind === 'imm') return this.imm((bits === 8 ? 8 : bits) as Bits);
    if (place.kind === 'general') return this.fn.let(this.readGeneral(place.n, place.high, bits));
    return place.kind === 'reg' ? this.fn.let(load(typeOf(bits), bits, place.address)) : this.loadGuest(typeOf(bits), bits, this.address(), 'operand');
  }
  /** Reads operand k that will be written by the same instruction: faults as a write does. */
  modify(k: number): Expr {
    const place = this.place(k);
    const bits = this.bits(k);
    if (place.kind !== 'mem') return this.read(k);
    return this.fn.let(load(typeOf(bits), bits, this.hostFor(k).address));
  }
  /** The instruction is to change memory as one. */
  get isLocked(): boolean { return this.rep === 'lock'; }
  /** Replaces operand k, in memory: see exchangeAt. */
  exchange(k: number, change: (old: Expr) => Expr): Expr { return this.exchangeAt(this.address(), this.bits(k) as Bits, change); }
  /** Makes sure that operand k can be written, before anything else changes. */
  probe(k: number): void { if (this.place(k).kind === 'mem') this.hostFor(k); }
  /** Writes operand k; a 32-bit register write clears the upper half. */
  write(k: number, value: Expr): void {
    const place = this.place(k);
    const bits = this.bits(k);
    if (place.kind === 'reg') { this.storeReg(place.address, bits, value); return; }
    if (place.kind === 'general') { this.writeGeneral(place.n, place.high, bits, value); return; }
    const host = this.hosts.get(k);
    if (host) {
      this.fn.store(bits, host.address, value);
      this.commit(host.address);
    } else this.storeGuest(this.address(), bits, value, 'operand');
  }
  private hostFor(k: number): Host {
    let host = this.hosts.get(k);
    if (!host) {
      host = { address: this.translate(this.address(), this.bits(k), true, 'operand'), bits: this.bits(k) };
      this.hosts.set(k, host);
    }
    return host;
  }

  /** Vector, MMX or raw register bytes of operand k: `width` bits of it as a wasm value. */
  readVector(k: number, type: Type, width: number, aligned = false): Expr {
    const place = this.place(k);
    assert(place.kind === 'reg' || place.kind === 'mem', 'a vector register or memory operand');
    if (place.kind === 'mem' && aligned) this.requireAligned(this.address(), width / 8);
    return place.kind === 'reg' ? this.fn.let(this.readRegister(place, type, width)) : this.loadGuest(type, width, this.address(), 'operand');
  }
  /** The upper half of operand k, an XMM register. */
  readHigh(k: number): Expr { return this.fn.let(load('i64', 64, this.registerAddress(k), 8)); }
  /** The lowest bits of a register that is not general. */
  protected readRegister({ address }: RegisterPlace, type: Type, width: number): Expr { return load(type, width, address); }
  protected writeRegister({ address }: RegisterPlace, width: number, value: Expr): void { this.fn.store(width, address, value); }
  /** Writes `width` bits of operand k; the rest of a register stays. */
  writeVector(k: number, width: number, value: Expr, aligned = false): void {
    const place = this.place(k);
    if (place.kind === 'reg') { this.writeRegister(place, width, value); return; }
    if (aligned) this.requireAligned(this.address(), width / 8);
    this.storeGuest(this.address(), width, value, 'operand');
  }
  /** Capsule address of a register operand, as what is read there or, operand 0, maybe written. */
  registerAddress(k: number): Expr {
    const place = this.place(k);
    assert(place.kind === 'reg', 'a register operand');
    return place.address;
  }
  /** Address from which `load(..., CPU.selector)` reads the selector of segment operand k. */
  segmentSelector(k: number): Expr { return add(this.cpu, shl(this.regNumber(k), i32(1))); }
  /** Writes a 16-bit value to a register operand zero-extended to the operand size (MOV r, Sreg). */
  writeWide(k: number, value: Expr): void {
    const place = this.place(k);
    const wide = this.zeroExtend(value, 16, this.opSize);
    if (place.kind === 'general') { this.writeGeneral(place.n, place.high, this.opSize, wide); return; }
    assert(place.kind === 'reg', 'a register operand');
    this.storeReg(place.address, this.opSize, wide);
  }
  /** #GP(0) when the address is not a multiple of `bytes`. */
  requireAligned(va: Expr, bytes: number): void {
    this.fn.if(ne(and(wrap(va), i32(bytes - 1)), i32(0)), () => this.raise(13, i32(0)), undefined, false);
  }

  /** Linear address of the memory operand. */
  address(): Expr { return this.addressCache ??= this.linearOf(this.truncateAddress(this.offsetExpr())); }
  /** Linear address of the place so many bytes (i64) behind the memory operand; it wraps as an address of its size does. */
  addressBehind(bytes: Expr): Expr { return this.linearOf(this.truncateAddress(add(this.offsetExpr(), bytes))); }
  /** Linear address of an offset in the memory operand's segment. */
  linearOf(offset: Expr): Expr {
    const base = this.segmentBase();
    return this.fn.let(base ? this.linear(add(offset, base)) : offset);
  }
  /** The memory operand's offset in its segment (LEA). */
  offset(): Expr { return this.fn.let(this.truncateAddress(this.offsetExpr())); }
  protected truncateAddress(a: Expr): Expr { return this.addrSize === 64 ? a : and(a, i64(this.addrSize === 32 ? 0xffff_ffffn : 0xffffn)); }
  /** Linear addresses are 32 bits wide outside 64-bit mode. */
  linear(a: Expr): Expr { return this.mode64 ? a : and(a, i64(0xffff_ffffn)); }

  // ---- registers by number

  reg(n: number, bits: number): Expr { return this.fn.let(this.readGeneral(n, false, bits)); }
  setReg(n: number, bits: number, value: Expr): void { this.writeGeneral(n, false, bits, value); }
  /** AH */
  ah(): Expr { return this.fn.let(this.readGeneral(REG.rax, true, 8)); }
  setAh(value: Expr): void { this.writeGeneral(REG.rax, true, 8, value); }
  /** General register n, or its second byte; an engine may keep it elsewhere than in the context. */
  protected readGeneral(n: number, high: boolean, bits: number): Expr { return load(typeOf(bits), bits, this.cpu, CPU.regs + n * 8 + (high ? 1 : 0)); }
  protected writeGeneral(n: number, high: boolean, bits: number, value: Expr): void { this.storeReg(this.cpu, bits, value, CPU.regs + n * 8 + (high ? 1 : 0)); }
  private storeReg(address: Expr, bits: number, value: Expr, offset = 0): void {
    if (bits === 32) this.fn.store(64, address, widenU(value), offset);
    else this.fn.store(bits, address, value, offset);
  }
  /** A 32-bit field of the register file by its offset in CPU. */
  field(offset: number): Expr { return this.fn.let(load('i32', 32, this.cpu, offset)); }
  setField(offset: number, value: Expr): void { this.fn.store(32, this.cpu, value, offset); }
  field64(offset: number): Expr { return this.fn.let(load('i64', 64, this.cpu, offset)); }
  setField64(offset: number, value: Expr): void { this.fn.store(64, this.cpu, value, offset); }
  mxcsr(): Expr { return this.field(CPU.fxState + FX.mxcsr); }

  // ---- memory by address

  load(va: Expr, bits: number, part: Part = 'operand'): Expr { return this.loadGuest(typeOf(bits), bits, va, part); }
  store(va: Expr, bits: number, value: Expr, part: Part = 'operand'): void { this.storeGuest(va, bits, value, part); }

  // ---- the stack

  /** Stack pointer width in bits. */
  get stackBits(): 32 | 64 { return this.mode64 ? 64 : 32; }
  stackPointer(): Expr { const v = this.reg(REG.rsp, this.stackBits); return this.mode64 ? v : widenU(v); }
  /** Sets rsp from an i64. */
  setStackPointer(v: Expr): void { this.setReg(REG.rsp, this.stackBits, this.mode64 ? v : wrap(v)); }
  /** Linear address in the stack segment, whose base is 0. */
  stackAddress(v: Expr): Expr { return this.fn.let(this.linear(v)); }
  push(bits: number, value: Expr): void {
    const sp = this.stackAddress(sub(this.stackPointer(), i64(bits / 8)));
    this.store(sp, bits, value, 'stack');
    this.setStackPointer(sp);
  }
  /** Reads the top of the stack; `drop` afterwards moves rsp. */
  top(bits: number): Expr { return this.load(this.stackAddress(this.stackPointer()), bits, 'stack'); }
  drop(bytes: number): void { this.setStackPointer(add(this.stackPointer(), i64(bytes))); }

  // ---- values

  /** A constant of the type that holds `bits`. */
  const(bits: number, n: bigint | number): Expr { return constant(typeOf(bits), n); }
  /** Sign-extends a value of `bits` within its wasm type. */
  signed(v: Expr, bits: number): Expr { return bits === 8 ? extend8(v) : bits === 16 ? extend16(v) : v; }
  /** Clears what is above `bits` within the wasm type. */
  truncate(v: Expr, bits: number): Expr { return bits === 8 ? and(v, i32(0xff)) : bits === 16 ? and(v, i32(0xffff)) : v; }
  /** A zero-extended value of `from` bits as the type for `to` bits. */
  zeroExtend(v: Expr, from: number, to: number): Expr { return from <= 32 && to === 64 ? widenU(v) : v; }
  /** A value of `from` bits with its sign, truncated to `to` bits. */
  signExtend(v: Expr, from: number, to: number): Expr {
    if (from === 64) return v;
    const s = this.signed(v, from);
    return to === 64 ? widenS(s) : this.truncate(s, to);
  }
  /** A value of `bits` sign-extended to i64. */
  wideSigned(v: Expr, bits: number): Expr { return bits === 64 ? v : bits === 32 ? widenS(v) : widenS(this.signed(v, bits)); }
  wideUnsigned(v: Expr, bits: number): Expr { return bits === 64 ? v : widenU(v); }
  /** The top bit of a value of `bits`, as 0 or 1 in i32. */
  msb(v: Expr, bits: number): Expr { return bits === 64 ? wrap(shrU(v, i64(63))) : and(shrU(v, i32(bits - 1)), i32(1)); }
  /** i64 → the type for `bits`, low part. */
  narrow(v: Expr, bits: number): Expr { return bits === 64 ? v : this.truncate(wrap(v), bits); }

  /** DF: +1 or -1 times `bytes`, as i64. */
  stringStep(bytes: number): Expr {
    return this.fn.let(select(eqz(and(this.field(CPU.flags), i32(FLAG.df))), i64(bytes), i64(-bytes)));
  }

  /** Count of a shift or rotate, masked as the CPU does. */
  shiftCount(k: number, bits: number): Expr { return this.fn.let(and(this.read(k, 8), i32(bits === 64 ? 63 : 31))); }
  /** shl/shr of an operand-sized value by an i32 count. */
  by(count: Expr, bits: number): Expr { return bits === 64 ? widenU(count) : count; }
}

export { add, and, constant, eqz, extend16, extend32, extend8, i32, i64, ne, or, select, shl, shrU, sub, widenS, widenU, wrap };
