// The six status flags, kept lazily. State is three words of the register file:
//   ccRes  the last result, sign-extended to 64 bits: gives ZF, SF and PF
//   ccA    see the kind
//   ccOp   kind | (size in bits - 1) << 8
// Kinds:
//   bits   CF, AF and OF are bits of ccA, at their places in RFLAGS
//   all    all six are bits of ccA; ccRes is not used
//   add    ccA is the first operand, sign-extended; CF, OF, AF follow from it and the result
//   sub    likewise
// Within one function the last flags are also known symbolically: a compare and the branch after it become one test.

import { CPU, FLAG } from '../cpu-state.ts';
import { and, constant, eq, eqz, extend16, extend8, i32, i64, leS, leU, load, ltS, ltU, ne, or, popcnt, select, shl, shrU, sub, widenS, widenU, wrap, xor, type Expr } from '../wasm/expr.ts';
import type { Callee, Fn } from '../wasm/fn.ts';

export const CC = { bits: 0, all: 1, add: 2, sub: 3 } as const;
/** Condition codes as in Jcc, SETcc, CMOVcc (SDM vol. 1, appendix B). */
export const COND = { o: 0, no: 1, b: 2, ae: 3, z: 4, nz: 5, be: 6, a: 7, s: 8, ns: 9, p: 10, np: 11, l: 12, ge: 13, le: 14, g: 15 } as const;
const STATUS = FLAG.cf | FLAG.pf | FLAG.af | FLAG.zf | FLAG.sf | FLAG.of;

type Known = { kind: 'sub' | 'add'; bits: number; a: Expr; b: Expr; r: Expr } | { kind: 'logic' | 'result'; bits: number; r: Expr };

/** The shared routines that read flags from the register file (engine/runtime.ts builds them from emitReaders). */
export type FlagReaders = { readonly [K in 'cf' | 'of' | 'pf' | 'status' | 'be' | 'l' | 'le']: Callee };

export class Flags {
  private readonly fn: Fn;
  private readonly cpu: Expr;
  private readonly readers: FlagReaders;
  /** nothing will see the flags of this instruction: writes are left out */
  readonly dead: boolean;
  private known: Known | undefined;

  constructor(fn: Fn, readers: FlagReaders, dead: boolean) {
    this.fn = fn;
    this.cpu = fn.param(0);
    this.readers = readers;
    this.dead = dead;
  }

  private wide(v: Expr, bits: number): Expr { return bits === 64 ? v : widenS(bits === 8 ? extend8(v) : bits === 16 ? extend16(v) : v); }
  private keep(kind: number, bits: number, result: Expr, a: Expr): void {
    if (this.dead) return;
    this.fn.store(32, this.cpu, i32(kind | (bits - 1) << 8), CPU.ccOp);
    this.fn.store(64, this.cpu, result, CPU.ccRes);
    this.fn.store(64, this.cpu, a, CPU.ccA);
  }

  /** r = a + b */
  add(bits: number, a: Expr, b: Expr, r: Expr): void {
    this.known = { kind: 'add', bits, a, b, r };
    this.keep(CC.add, bits, this.wide(r, bits), this.wide(a, bits));
  }
  /** r = a - b */
  sub(bits: number, a: Expr, b: Expr, r: Expr): void {
    this.known = { kind: 'sub', bits, a, b, r };
    this.keep(CC.sub, bits, this.wide(r, bits), this.wide(a, bits));
  }
  /** AND, OR, XOR, TEST: CF and OF clear, AF undefined (clear) */
  logic(bits: number, r: Expr): void {
    this.known = { kind: 'logic', bits, r };
    this.keep(CC.bits, bits, this.wide(r, bits), i64(0));
  }
  /** ZF, SF, PF from a result; CF and OF (and AF) as given, i32 0 or 1 each. Not known afterwards: it may be conditional. */
  result(bits: number, r: Expr, cf: Expr, of: Expr, af: Expr = i32(0)): void {
    this.known = undefined;
    if (this.dead) return;
    this.keep(CC.bits, bits, this.wide(r, bits), widenU(or(cf, or(shl(of, i32(11)), shl(af, i32(4))))));
  }
  /** INC and DEC: as `result` with the old CF, and never conditional. */
  step(bits: number, r: Expr, of: Expr, af: Expr): void {
    if (!this.dead) this.result(bits, r, this.carry(), of, af);
    this.known = { kind: 'result', bits, r };
  }
  /** All six from RFLAGS bits (i32). */
  all(flags: Expr): void {
    this.known = undefined;
    this.keep(CC.all, 8, i64(0), widenU(and(flags, i32(STATUS))));
  }
  /** Replaces the flags in `mask` (a constant) by those bits of `value` (i32), keeps the others. */
  merge(mask: number, value: Expr): void {
    this.known = undefined;
    if (this.dead) return;
    this.all(or(and(this.status(), i32(STATUS & ~mask)), and(value, i32(mask))));
  }

  /** CF as 0 or 1. */
  carry(): Expr { return this.fn.let(this.fn.call(this.readers.cf, this.cpu)); }
  /** The six flags as RFLAGS bits. */
  status(): Expr { return this.fn.let(this.fn.call(this.readers.status, this.cpu)); }

  /** A condition code as an i32 that is zero or not. */
  condition(cc: number): Expr {
    const positive = this.known ? this.fromKnown(this.known, cc & ~1) : undefined;
    const value = positive ?? this.fromState(cc & ~1);
    return cc & 1 ? eqz(value) : value;
  }
  private fromKnown(k: Known, cc: number): Expr | undefined {
    const signed = (v: Expr): Expr => (k.bits === 8 ? extend8(v) : k.bits === 16 ? extend16(v) : v);
    const zero = constant(k.bits === 64 ? 'i64' : 'i32', 0);
    if (cc === COND.z) return k.kind === 'sub' ? eq(k.a, k.b) : eqz(k.r);
    if (cc === COND.s) return ltS(signed(k.r), zero);
    if (k.kind === 'sub') {
      if (cc === COND.b) return ltU(k.a, k.b);
      if (cc === COND.be) return leU(k.a, k.b);
      if (cc === COND.l) return ltS(signed(k.a), signed(k.b));
      if (cc === COND.le) return leS(signed(k.a), signed(k.b));
    } else if (k.kind === 'logic') {
      if (cc === COND.b || cc === COND.o) return i32(0);
      if (cc === COND.be) return eqz(k.r);
      if (cc === COND.l) return ltS(signed(k.r), zero);
      if (cc === COND.le) return leS(signed(k.r), zero);
    } else if (k.kind === 'add' && cc === COND.b) return ltU(k.r, k.a);
    return undefined;
  }
  private fromState(cc: number): Expr {
    const call = (f: Callee): Expr => this.fn.let(this.fn.call(f, this.cpu));
    const r = this.readers;
    switch (cc) {
      case COND.o: return call(r.of);
      case COND.b: return call(r.cf);
      case COND.z: return this.quick(eqz(load('i64', 64, this.cpu, CPU.ccRes)), FLAG.zf);
      case COND.be: return call(r.be);
      case COND.s: return this.quick(ltS(load('i64', 64, this.cpu, CPU.ccRes), i64(0)), FLAG.sf);
      case COND.p: return call(r.pf);
      case COND.l: return call(r.l);
      default: return call(r.le);
    }
  }
  private quick(lazy: Expr, flag: number): Expr { return this.fn.let(zfOrSf(this.cpu, lazy, flag)); }
}

const isAll = (cpu: Expr): Expr => eq(and(load('i32', 32, cpu, CPU.ccOp), i32(0xff)), i32(CC.all));
const bitOfA = (cpu: Expr, flag: number): Expr => ne(and(load('i32', 32, cpu, CPU.ccA), i32(flag)), i32(0));
const zfOrSf = (cpu: Expr, lazy: Expr, flag: number): Expr => select(isAll(cpu), bitOfA(cpu, flag), lazy);

/** Writes the bodies of the shared routines; each takes the context's address and gives an i32. */
export function emitReaders(define: (name: keyof FlagReaders, body: (fn: Fn, cpu: Expr, readers: Partial<FlagReaders>) => void) => void): void {
  const res = (cpu: Expr): Expr => load('i64', 64, cpu, CPU.ccRes);
  const a = (cpu: Expr): Expr => load('i64', 64, cpu, CPU.ccA);
  const kind = (fn: Fn, cpu: Expr): Expr => fn.let(and(load('i32', 32, cpu, CPU.ccOp), i32(0xff)));
  const topBit = (fn: Fn, cpu: Expr, v: Expr): Expr => and(wrap(shrU(v, widenU(shrU(load('i32', 32, cpu, CPU.ccOp), i32(8))))), i32(1));

  define('cf', (fn, cpu) => {
    const k = kind(fn, cpu);
    fn.if(ltU(k, i32(CC.add)), () => fn.return(and(load('i32', 32, cpu, CPU.ccA), i32(1))));
    fn.if(eq(k, i32(CC.add)), () => fn.return(ltU(res(cpu), a(cpu))));
    fn.return(ltU(a(cpu), res(cpu)));
  });
  define('of', (fn, cpu) => {
    const k = kind(fn, cpu);
    fn.if(ltU(k, i32(CC.add)), () => fn.return(bitOfA(cpu, FLAG.of)));
    const r = fn.let(res(cpu));
    const x = fn.let(a(cpu));
    fn.if(eq(k, i32(CC.add)), () => fn.return(topBit(fn, cpu, and(xor(x, r), xor(sub(r, x), r)))));
    fn.return(topBit(fn, cpu, and(xor(x, sub(x, r)), xor(x, r))));
  });
  define('pf', (fn, cpu) => {
    fn.if(isAll(cpu), () => fn.return(bitOfA(cpu, FLAG.pf)));
    fn.return(eqz(and(popcnt(and(load('i32', 32, cpu, CPU.ccRes), i32(0xff))), i32(1))));
  });
  define('be', (fn, cpu, r) => fn.return(or(zfOrSf(cpu, eqz(res(cpu)), FLAG.zf), fn.call(r.cf as Callee, cpu))));
  define('l', (fn, cpu, r) => fn.return(xor(zfOrSf(cpu, ltS(res(cpu), i64(0)), FLAG.sf), fn.call(r.of as Callee, cpu))));
  define('le', (fn, cpu, r) => fn.return(or(zfOrSf(cpu, eqz(res(cpu)), FLAG.zf), fn.call(r.l as Callee, cpu))));
  define('status', (fn, cpu, r) => {
    fn.if(isAll(cpu), () => fn.return(load('i32', 32, cpu, CPU.ccA)));
    const k = kind(fn, cpu);
    const v = fn.let(res(cpu));
    const x = fn.let(a(cpu));
    // AF is bit 4 of a ^ b ^ r; b follows from a and r
    const other = select(eq(k, i32(CC.add)), sub(v, x), sub(x, v));
    const af = select(ltU(k, i32(CC.add)), and(wrap(x), i32(FLAG.af)), and(wrap(xor(x, xor(v, other))), i32(FLAG.af)));
    const flag = (on: Expr, bit: number): Expr => shl(on, i32(bit));
    fn.return([
      fn.call(r.cf as Callee, cpu), flag(fn.call(r.pf as Callee, cpu), 2), af, flag(eqz(v), 6), flag(ltS(v, i64(0)), 7), flag(fn.call(r.of as Callee, cpu), 11),
    ].reduce(or));
  });
}

