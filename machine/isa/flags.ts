// The six status flags, kept lazily. State is three words of the register file:
//   ccRes  the last result, zero-extended to 64 bits: gives ZF, SF and PF
//   ccA    see the kind
//   ccOp   kind | (size in bits - 1) << 8
// Kinds:
//   bits   CF, AF and OF are bits of ccA, at their places in RFLAGS
//   all    all six are bits of ccA; ccRes is not used
//   add    ccA is the first operand, zero-extended; CF, OF, AF follow from it and the result
//   sub    likewise
// Within one function the last flags are also known symbolically: a compare and the branch after it become one test.

import { CPU, FLAG } from '../cpu-state.ts';
import { and, constant, eq, eqz, extend16, extend8, i32, i64, leS, leU, load, ltS, ltU, ne, or, popcnt, select, shl, shrU, sub, widenU, wrap, xor, Expr } from '../wasm/expr.ts';
import type { Callee, Fn } from '../wasm/fn.ts';

export const CC = { bits: 0, all: 1, add: 2, sub: 3 } as const;
/** Condition codes as in Jcc, SETcc, CMOVcc (SDM vol. 1, appendix B). */
export const COND = { o: 0, no: 1, b: 2, ae: 3, z: 4, nz: 5, be: 6, a: 7, s: 8, ns: 9, p: 10, np: 11, l: 12, ge: 13, le: 14, g: 15 } as const;
/** The six status flags. */
export const STATUS = FLAG.cf | FLAG.pf | FLAG.af | FLAG.zf | FLAG.sf | FLAG.of;

/** What the last flags in this function came from; all parts are pinned. `result`: cf and of are known bits. */
type Known =
  | { readonly kind: 'sub' | 'add'; readonly bits: number; readonly a: Expr; readonly b: Expr; readonly r: Expr }
  | { readonly kind: 'logic' | 'partial'; readonly bits: number; readonly r: Expr }
  | { readonly kind: 'result'; readonly bits: number; readonly r: Expr; readonly cf: Expr; readonly of: Expr };

/** The three words, wherever an engine keeps them. */
export interface FlagWords {
  op(): Expr;
  res(): Expr;
  a(): Expr;
  set(op: Expr, res: Expr, a: Expr): void;
}
/** The words as they lie in the context. */
export const flagsInContext = (fn: Fn, cpu: Expr): FlagWords => ({
  op: () => load('i32', 32, cpu, CPU.ccOp),
  res: () => load('i64', 64, cpu, CPU.ccRes),
  a: () => load('i64', 64, cpu, CPU.ccA),
  set(op, res, a) {
    fn.store(32, cpu, op, CPU.ccOp);
    fn.store(64, cpu, res, CPU.ccRes);
    fn.store(64, cpu, a, CPU.ccA);
  },
});

/** The shared routines that tell flags from the three words (engine/runtime.ts builds them from emitReaders). */
export type FlagReaders = { readonly [K in 'cf' | 'of' | 'pf' | 'status' | 'be' | 'l' | 'le']: Callee };

export class Flags {
  private readonly fn: Fn;
  private readonly words: FlagWords;
  private readonly readers: FlagReaders;
  private readonly nesting: number;
  private readonly lasting: boolean;
  /** nothing will see the flags of this instruction: writes are left out */
  dead: boolean;
  private known: Known | undefined;

  /** @param lasting one object serves many instructions, so it is worth while to keep the parts of what is known */
  constructor(fn: Fn, readers: FlagReaders, dead: boolean, words: FlagWords, lasting = false) {
    this.fn = fn;
    this.words = words;
    this.readers = readers;
    this.dead = dead;
    this.lasting = lasting;
    this.nesting = fn.nesting;
  }

  /** What is known now, for a block that is reached from here only. */
  get knowledge(): unknown { return this.known; }
  inherit(knowledge: unknown): void { this.known = knowledge as Known | undefined; }
  /** Numbers of the locals that what is known refers to. */
  localsInUse(into: Set<number>): void {
    for (const part of Object.values(this.known ?? {})) if (part instanceof Expr && part.local !== undefined) into.add(part.local);
  }

  private wide(v: Expr, bits: number): Expr { return bits === 64 ? v : widenU(v); }
  /** What is written under a condition is not known behind it. */
  private note(known: Known | undefined): void { this.known = this.fn.nesting === this.nesting ? known : undefined; }
  private keep(kind: number, bits: number, result: Expr, a: Expr): void {
    if (!this.dead) this.words.set(i32(kind | (bits - 1) << 8), result, a);
  }

  /** r = a + b */
  add(bits: number, a: Expr, b: Expr, r: Expr): void {
    this.note({ kind: 'add', bits, a, b, r });
    this.keep(CC.add, bits, this.wide(r, bits), this.wide(a, bits));
  }
  /** r = a - b */
  sub(bits: number, a: Expr, b: Expr, r: Expr): void {
    this.note({ kind: 'sub', bits, a, b, r });
    this.keep(CC.sub, bits, this.wide(r, bits), this.wide(a, bits));
  }
  /** AND, OR, XOR, TEST: CF and OF clear, AF undefined (clear) */
  logic(bits: number, r: Expr): void {
    this.note({ kind: 'logic', bits, r });
    this.keep(CC.bits, bits, this.wide(r, bits), i64(0));
  }
  /** ZF, SF, PF from a result; CF and OF (and AF) as given, i32 0 or 1 each. */
  result(bits: number, r: Expr, cf: Expr, of: Expr, af: Expr = i32(0)): void {
    this.note(undefined);
    if (this.dead) return;
    const [carry, overflow] = this.lasting ? [this.fn.let(cf), this.fn.let(of)] : [cf, of];
    if (this.lasting && (r.pinned)) this.note({ kind: 'result', bits, r, cf: carry, of: overflow });
    this.keep(CC.bits, bits, this.wide(r, bits), widenU(or(carry, or(shl(overflow, i32(11)), shl(af, i32(4))))));
  }
  /** INC and DEC: as `result` with the old CF. */
  step(bits: number, r: Expr, of: Expr, af: Expr): void {
    if (!this.dead) this.result(bits, r, this.carry(), of, af);
    if (this.dead || this.known === undefined) this.note({ kind: 'partial', bits, r });
  }
  /** All six from RFLAGS bits (i32). */
  all(flags: Expr): void {
    this.known = undefined;
    this.keep(CC.all, 8, i64(0), widenU(and(flags, i32(STATUS))));
  }
  /** Replaces the flags in `mask` (a constant) by those bits of `value` (i32), keeps the others. */
  merge(mask: number, value: Expr): void {
    if (this.dead) this.known = undefined;
    else this.all(or(and(this.status(), i32(STATUS & ~mask)), and(value, i32(mask))));
  }

  private read(reader: Callee): Expr { return this.fn.let(this.fn.call(reader, this.words.op(), this.words.res(), this.words.a())); }
  /** CF as 0 or 1. */
  carry(): Expr { return this.fn.let((this.known && this.fromKnown(this.known, COND.b)) ?? (this.lasting ? this.lazyCarry() : this.read(this.readers.cf))); }
  /** What the reader `cf` does, in line. */
  private lazyCarry(): Expr { return carryOf(this.fn, this.words.op(), this.words.res(), this.words.a()); }
  /** The six flags as RFLAGS bits. */
  status(): Expr { return this.read(this.readers.status); }

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
    } else if (k.kind === 'result') {
      if (cc === COND.b) return k.cf;
      if (cc === COND.o) return k.of;
      if (cc === COND.be) return or(k.cf, eqz(k.r));
      if (cc === COND.l) return xor(ltS(signed(k.r), zero), k.of);
      if (cc === COND.le) return or(eqz(k.r), xor(ltS(signed(k.r), zero), k.of));
    } else if (k.kind === 'add' && cc === COND.b) return ltU(k.r, k.a);
    return undefined;
  }
  private fromState(cc: number): Expr {
    const r = this.readers;
    switch (cc) {
      case COND.o: return this.read(r.of);
      case COND.b: return this.read(r.cf);
      case COND.z: return this.quick(eqz(this.words.res()), FLAG.zf);
      case COND.be: return this.read(r.be);
      case COND.s: return this.quick(topBit(this.words.op(), this.words.res()), FLAG.sf);
      case COND.p: return this.read(r.pf);
      case COND.l: return this.read(r.l);
      default: return this.read(r.le);
    }
  }
  private quick(lazy: Expr, flag: number): Expr { return this.fn.let(zfOrSf(this.words.op(), this.words.a(), lazy, flag)); }
}

const kindOf = (op: Expr): Expr => and(op, i32(0xff));
const bitOf = (a: Expr, flag: number): Expr => ne(and(wrap(a), i32(flag)), i32(0));
/** The bit of a value that is its sign in the size of the last operation. */
const topBit = (op: Expr, v: Expr): Expr => and(wrap(shrU(v, widenU(shrU(op, i32(8))))), i32(1));
const zfOrSf = (op: Expr, a: Expr, lazy: Expr, flag: number): Expr => select(eq(kindOf(op), i32(CC.all)), bitOf(a, flag), lazy);

/** CF, 0 or 1, of the three words. */
function carryOf(fn: Fn, op: Expr, res: Expr, a: Expr): Expr {
  const kind = fn.let(kindOf(op));
  return select(ltU(kind, i32(CC.add)), and(wrap(a), i32(1)), select(eq(kind, i32(CC.add)), ltU(res, a), ltU(a, res)));
}

/** Writes the bodies of the shared routines; each takes the three words and gives an i32. */
export function emitReaders(define: (name: keyof FlagReaders, body: (fn: Fn, op: Expr, res: Expr, a: Expr, readers: Partial<FlagReaders>) => void) => void): void {
  define('cf', (fn, op, res, a) => {
    fn.return(carryOf(fn, op, res, a));
  });
  define('of', (fn, op, res, a) => {
    const k = fn.let(kindOf(op));
    fn.if(ltU(k, i32(CC.add)), () => fn.return(bitOf(a, FLAG.of)));
    fn.if(eq(k, i32(CC.add)), () => fn.return(topBit(op, and(xor(a, res), xor(sub(res, a), res)))));
    fn.return(topBit(op, and(xor(a, sub(a, res)), xor(a, res))));
  });
  define('pf', (fn, op, res, a) => {
    fn.if(eq(kindOf(op), i32(CC.all)), () => fn.return(bitOf(a, FLAG.pf)));
    fn.return(eqz(and(popcnt(and(wrap(res), i32(0xff))), i32(1))));
  });
  define('be', (fn, op, res, a, r) => fn.return(or(zfOrSf(op, a, eqz(res), FLAG.zf), fn.call(r.cf as Callee, op, res, a))));
  define('l', (fn, op, res, a, r) => fn.return(xor(zfOrSf(op, a, topBit(op, res), FLAG.sf), fn.call(r.of as Callee, op, res, a))));
  define('le', (fn, op, res, a, r) => fn.return(or(zfOrSf(op, a, eqz(res), FLAG.zf), fn.call(r.l as Callee, op, res, a))));
  define('status', (fn, op, res, a, r) => {
    const k = fn.let(kindOf(op));
    fn.if(eq(k, i32(CC.all)), () => fn.return(wrap(a)));
    // AF is bit 4 of a ^ b ^ r; b follows from a and r
    const other = select(eq(k, i32(CC.add)), sub(res, a), sub(a, res));
    const af = select(ltU(k, i32(CC.add)), and(wrap(a), i32(FLAG.af)), and(wrap(xor(a, xor(res, other))), i32(FLAG.af)));
    const flag = (on: Expr, bit: number): Expr => shl(on, i32(bit));
    fn.return([
      fn.call(r.cf as Callee, op, res, a), flag(fn.call(r.pf as Callee, op, res, a), 2), af, flag(eqz(res), 6), flag(topBit(op, res), 7),
      flag(fn.call(r.of as Callee, op, res, a), 11),
    ].reduce(or));
  });
}
