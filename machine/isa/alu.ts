// ADD OR ADC SBB AND SUB XOR CMP TEST INC DEC NEG NOT XADD CMPXCHG: SDM vol. 2.

import { FLAG, REG } from '../cpu-state.ts';
import { add, and, divU, eq, eqz, gtU, i32, i64, load, ltU, mul, ne, or, select, shl, shrU, sub, widenU, wrap, xor, type Expr } from '../wasm/expr.ts';
import type { Env } from './env.ts';
import type { Row } from './row.ts';

/** The result, and the flags of it. */
type Operation = (e: Env, bits: number, a: Expr, b: Expr) => Expr;
/** The result alone, of a, b and a carry. */
type Value = (a: Expr, b: Expr, carry: Expr) => Expr;

const addition: Operation = (e, bits, a, b) => {
  const r = e.fn.let(e.truncate(add(a, b), bits));
  e.flags.add(bits, a, b, r);
  return r;
};
const subtraction: Operation = (e, bits, a, b) => {
  const r = e.fn.let(e.truncate(sub(a, b), bits));
  e.flags.sub(bits, a, b, r);
  return r;
};
/** Flags of a + b + carry and a - b - borrow: the carry chain of each bit gives CF, OF and AF. */
const withCarry = (negate: boolean): Operation => (e, bits, a, b) => {
  const c = e.fn.let(e.zeroExtend(e.flags.carry(), 8, bits));
  const r = e.fn.let(e.truncate(negate ? sub(sub(a, b), c) : add(add(a, b), c), bits));
  const not = (v: Expr): Expr => xor(v, e.const(bits, -1));
  // the vector of carries (borrows) out of each bit
  const chain = e.fn.let(negate ? or(and(not(a), b), and(or(not(a), b), r)) : or(and(a, b), and(or(a, b), not(r))));
  const overflow = negate ? and(xor(a, b), xor(a, r)) : and(xor(a, r), xor(b, r));
  const low = (v: Expr): Expr => (bits === 64 ? wrap(v) : v);
  e.flags.result(bits, r, e.msb(chain, bits), e.msb(overflow, bits), and(shrU(low(chain), i32(3)), i32(1)));
  return r;
};
const logical = (f: (a: Expr, b: Expr) => Expr): Operation => (e, bits, a, b) => {
  const r = e.fn.let(f(a, b));
  e.flags.logic(bits, r);
  return r;
};

/** destination = destination op source; memory is read for writing before anything changes */
const binary = (operation: Operation, keep: boolean, value: Value, reads: boolean) => (e: Env): void => {
  const bits = e.bits(0);
  const b = e.read(1, bits);
  if (e.isLocked) {
    const carry = reads ? e.fn.let(e.zeroExtend(e.flags.carry(), 8, bits)) : e.const(bits, 0);
    operation(e, bits, e.exchange(0, (a) => e.truncate(value(a, b, carry), bits)), b);
    return;
  }
  const a = keep ? e.modify(0) : e.read(0);
  // the result is written (and may fault on commit) only after the flags are computed: writes to translated memory cannot fault
  const r = operation(e, bits, a, b);
  if (keep) e.write(0, r);
};

function family(name: string, base: number, digit: number, operation: Operation, value: Value, options: { keep?: boolean; reads?: boolean } = {}): Row[] {
  const keep = options.keep ?? true;
  const sem = binary(operation, keep, value, options.reads ?? false);
  const logicOp = ['AND', 'OR', 'XOR'].includes(name);
  const common = {
    name, sem, flags: (options.reads ? 'r' : 'w') as 'r' | 'w', ...(logicOp ? { undefinedFlags: FLAG.af } : {}),
    ...(options.reads ? {} : { fuses: true }), ...(keep ? { lock: true } : {}),
  };
  const hex = (n: number): string => n.toString(16).toUpperCase().padStart(2, '0');
  return [
    { ...common, opcode: `${hex(base)} /r`, operands: ['Eb', 'Gb'], size: 'b' },
    { ...common, opcode: `${hex(base + 1)} /r`, operands: ['Ev', 'Gv'] },
    { ...common, opcode: `${hex(base + 2)} /r`, operands: ['Gb', 'Eb'], size: 'b', lock: false },
    { ...common, opcode: `${hex(base + 3)} /r`, operands: ['Gv', 'Ev'], lock: false },
    { ...common, opcode: `${hex(base + 4)} ib`, operands: ['AL', 'Ib'], size: 'b', lock: false },
    { ...common, opcode: `${hex(base + 5)} iz`, operands: ['rAX', 'Iz'], lock: false },
    { ...common, opcode: `80 /${digit} ib`, operands: ['Eb', 'Ib'], size: 'b' },
    { ...common, opcode: `81 /${digit} iz`, operands: ['Ev', 'Iz'] },
    { ...common, opcode: `82 /${digit} ib`, operands: ['Eb', 'Ib'], size: 'b', mode: 'not64' },
    { ...common, opcode: `83 /${digit} ib`, operands: ['Ev', 'Ib'] },
  ];
}

const test = (e: Env): void => {
  const bits = e.bits(0);
  const b = e.read(1, bits);
  const a = e.read(0);
  e.flags.logic(bits, e.fn.let(and(a, b)));
};
const incDec = (step: 1 | -1) => (e: Env): void => {
  const bits = e.bits(0);
  const next = (a: Expr): Expr => e.truncate(step === 1 ? add(a, e.const(bits, 1)) : sub(a, e.const(bits, 1)), bits);
  const r = e.fn.let(next(e.isLocked ? e.exchange(0, next) : e.modify(0)));
  const low = bits === 64 ? wrap(r) : r;
  // INC overflows to the smallest number, DEC to the largest; AF when the low digit wrapped
  const limit = 1n << BigInt(bits - 1);
  const of = eq(r, e.const(bits, step === 1 ? limit : limit - 1n));
  const af = eq(and(low, i32(15)), i32(step === 1 ? 0 : 15));
  e.flags.step(bits, r, of, af);
  if (!e.isLocked) e.write(0, r);
};
const neg = (e: Env): void => {
  const bits = e.bits(0);
  const zero = e.const(bits, 0);
  if (e.isLocked) subtraction(e, bits, zero, e.exchange(0, (a) => e.truncate(sub(zero, a), bits)));
  else e.write(0, subtraction(e, bits, zero, e.modify(0)));
};
const not = (e: Env): void => {
  const inverse = (a: Expr): Expr => e.truncate(xor(a, e.const(e.bits(0), -1)), e.bits(0));
  if (e.isLocked) e.exchange(0, inverse);
  else e.write(0, inverse(e.modify(0)));
};
const xadd = (e: Env): void => {
  const bits = e.bits(0);
  const b = e.isLocked ? e.read(1) : undefined;
  const a = b ? e.exchange(0, (old) => e.truncate(add(old, b), bits)) : e.modify(0);
  const r = addition(e, bits, a, b ?? e.read(1));
  e.write(1, a);
  if (!b) e.write(0, r);
};
/** The destination is written in both cases, as the CPU does; rAX and a 32-bit destination keep their upper halves only when not written. */
const cmpxchg = (e: Env): void => {
  const bits = e.bits(0);
  if (e.isLocked) {
    const wanted = e.reg(REG.rax, bits);
    const to = e.read(1);
    const found = e.exchange(0, (v) => select(eq(v, wanted), to, v));
    subtraction(e, bits, wanted, found);
    e.fn.if(ne(wanted, found), () => e.setReg(REG.rax, bits, found));
    return;
  }
  const a = e.modify(0);
  const old = e.reg(REG.rax, bits);
  const b = e.read(1);
  subtraction(e, bits, old, a);
  const same = e.fn.let(eq(old, a));
  if (e.isMemory(0)) {
    e.write(0, select(same, b, a));
    e.fn.if(eqz(same), () => e.setReg(REG.rax, bits, a));
  } else e.fn.if(same, () => e.write(0, b), () => e.setReg(REG.rax, bits, a));
};
function lockedWide(e: Env, va: Expr, half: 32 | 64): void {
  const [wantedLo, wantedHi, toLo, toHi] = [REG.rax, REG.rdx, REG.rbx, REG.rcx].map((r) => e.reg(r, half)) as [Expr, Expr, Expr, Expr];
  const isWanted = (lo: Expr, hi: Expr): Expr => e.fn.let(and(eq(lo, wantedLo), eq(hi, wantedHi)));
  const halves = (v: Expr): [Expr, Expr] => [e.fn.let(wrap(v)), e.fn.let(wrap(shrU(v, i64(32))))];
  const [lo, hi] = half === 32 ? halves(e.exchangeAt(va, 64, (v) => select(isWanted(...halves(v)), or(widenU(toLo), shl(widenU(toHi), i64(32))), v)))
    : e.exchangeWide(va, (l, h) => { const same = isWanted(l, h); return [select(same, toLo, l), select(same, toHi, h)]; });
  const same = isWanted(lo, hi);
  e.flags.merge(FLAG.zf, shl(same, i32(6)));
  e.fn.if(eqz(same), () => {
    e.setReg(REG.rax, half, lo);
    e.setReg(REG.rdx, half, hi);
  });
}
/** CMPXCHG8B and CMPXCHG16B: only ZF changes. */
const cmpxchgWide = (e: Env): void => {
  const half = e.opSize === 64 ? 64 : 32;
  const va = e.address();
  if (half === 64) e.requireAligned(va, 16);
  if (e.isLocked) { lockedWide(e, va, half); return; }
  const host = e.translate(va, half * 2, true, 'operand');
  const at = (i: number): Expr => e.fn.let(half === 64 ? load64(host, i * 8) : load32(host, i * 4));
  const lo = at(0);
  const hi = at(1);
  const same = e.fn.let(and(eq(lo, e.reg(REG.rax, half)), eq(hi, e.reg(REG.rdx, half))));
  e.flags.merge(FLAG.zf, shl(same, i32(6)));
  e.fn.if(same, () => {
    e.fn.store(half, host, e.reg(REG.rbx, half));
    e.fn.store(half, host, e.reg(REG.rcx, half), half / 8);
  }, () => {
    e.setReg(REG.rax, half, lo);
    e.setReg(REG.rdx, half, hi);
  });
  e.commit(host);
};
const load64 = (a: Expr, o: number): Expr => load('i64', 64, a, o);
const load32 = (a: Expr, o: number): Expr => load('i32', 32, a, o);

// ---- decimal adjust (not in 64-bit mode)

const low8 = (v: Expr): Expr => and(v, i32(0xff));
const decimalAdjust = (subtract: boolean) => (e: Env): void => {
  const status = e.flags.status();
  const al = e.reg(REG.rax, 8);
  const lowAdjust = e.fn.let(or(gtU(and(al, i32(15)), i32(9)), ne(and(status, i32(FLAG.af)), i32(0))));
  const carry = e.fn.let(or(gtU(al, i32(0x99)), and(status, i32(1))));
  const by = e.fn.let(add(select(lowAdjust, i32(6), i32(0)), select(carry, i32(0x60), i32(0))));
  const r = e.fn.let(low8(subtract ? sub(al, by) : add(al, by)));
  // DAS also sets CF when the subtraction of 6 borrows
  const cf = subtract ? or(carry, and(lowAdjust, ltU(al, i32(6)))) : carry;
  e.setReg(REG.rax, 8, r);
  e.flags.result(8, r, cf, i32(0), lowAdjust);
};
const asciiAdjust = (subtract: boolean) => (e: Env): void => {
  const status = e.flags.status();
  const ax = e.reg(REG.rax, 16);
  const adjust = e.fn.let(or(gtU(and(ax, i32(15)), i32(9)), ne(and(status, i32(FLAG.af)), i32(0))));
  const r = e.fn.let(and(select(adjust, subtract ? sub(ax, i32(0x106)) : add(ax, i32(0x106)), ax), i32(0xff0f)));
  e.setReg(REG.rax, 16, r);
  e.flags.result(8, low8(r), adjust, i32(0), adjust);
};
const aam = (e: Env): void => {
  const by = e.read(0, 8);
  e.fn.if(eqz(by), () => e.raise(0));
  const al = e.reg(REG.rax, 8);
  const quotient = e.fn.let(divU(al, by));
  const r = e.fn.let(sub(al, mul(quotient, by)));
  e.setReg(REG.rax, 16, or(r, shl(quotient, i32(8))));
  e.flags.result(8, r, i32(0), i32(0));
};
const aad = (e: Env): void => {
  const by = e.read(0, 8);
  const ax = e.reg(REG.rax, 16);
  const r = e.fn.let(low8(add(and(ax, i32(0xff)), mul(shrU(ax, i32(8)), by))));
  e.setReg(REG.rax, 16, r);
  e.flags.result(8, r, i32(0), i32(0));
};

const AAX_UNDEFINED = FLAG.of | FLAG.sf | FLAG.zf | FLAG.pf;

export const alu: readonly Row[] = [
  ...family('ADD', 0x00, 0, addition, add),
  ...family('OR', 0x08, 1, logical(or), or),
  ...family('ADC', 0x10, 2, withCarry(false), (a, b, carry) => add(add(a, b), carry), { reads: true }),
  ...family('SBB', 0x18, 3, withCarry(true), (a, b, carry) => sub(sub(a, b), carry), { reads: true }),
  ...family('AND', 0x20, 4, logical(and), and),
  ...family('SUB', 0x28, 5, subtraction, sub),
  ...family('XOR', 0x30, 6, logical(xor), xor),
  ...family('CMP', 0x38, 7, subtraction, sub, { keep: false }),
  { name: 'TEST', opcode: '84 /r', operands: ['Eb', 'Gb'], size: 'b', sem: test, flags: 'w', fuses: true, undefinedFlags: FLAG.af },
  { name: 'TEST', opcode: '85 /r', operands: ['Ev', 'Gv'], sem: test, flags: 'w', fuses: true, undefinedFlags: FLAG.af },
  { name: 'TEST', opcode: 'A8 ib', operands: ['AL', 'Ib'], size: 'b', sem: test, flags: 'w', fuses: true, undefinedFlags: FLAG.af },
  { name: 'TEST', opcode: 'A9 iz', operands: ['rAX', 'Iz'], sem: test, flags: 'w', fuses: true, undefinedFlags: FLAG.af },
  ...[0, 1].flatMap((d): Row[] => [
    { name: 'TEST', opcode: `F6 /${d} ib`, operands: ['Eb', 'Ib'], size: 'b', sem: test, flags: 'w', fuses: true, undefinedFlags: FLAG.af },
    { name: 'TEST', opcode: `F7 /${d} iz`, operands: ['Ev', 'Iz'], sem: test, flags: 'w', fuses: true, undefinedFlags: FLAG.af },
  ]),
  { name: 'INC', opcode: 'FE /0', operands: ['Eb'], size: 'b', sem: incDec(1), flags: 'p', fuses: true, lock: true },
  { name: 'INC', opcode: 'FF /0', operands: ['Ev'], sem: incDec(1), flags: 'p', fuses: true, lock: true },
  { name: 'INC', opcode: '40+r', operands: ['Zv'], mode: 'not64', sem: incDec(1), flags: 'p', fuses: true },
  { name: 'DEC', opcode: 'FE /1', operands: ['Eb'], size: 'b', sem: incDec(-1), flags: 'p', fuses: true, lock: true },
  { name: 'DEC', opcode: 'FF /1', operands: ['Ev'], sem: incDec(-1), flags: 'p', fuses: true, lock: true },
  { name: 'DEC', opcode: '48+r', operands: ['Zv'], mode: 'not64', sem: incDec(-1), flags: 'p', fuses: true },
  { name: 'NOT', opcode: 'F6 /2', operands: ['Eb'], size: 'b', sem: not, lock: true },
  { name: 'NOT', opcode: 'F7 /2', operands: ['Ev'], sem: not, lock: true },
  { name: 'NEG', opcode: 'F6 /3', operands: ['Eb'], size: 'b', sem: neg, flags: 'w', lock: true },
  { name: 'NEG', opcode: 'F7 /3', operands: ['Ev'], sem: neg, flags: 'w', lock: true },
  { name: 'XADD', opcode: '0F C0 /r', operands: ['Eb', 'Gb'], size: 'b', sem: xadd, flags: 'w', lock: true },
  { name: 'XADD', opcode: '0F C1 /r', operands: ['Ev', 'Gv'], sem: xadd, flags: 'w', lock: true },
  { name: 'CMPXCHG', opcode: '0F B0 /r', operands: ['Eb', 'Gb'], size: 'b', sem: cmpxchg, flags: 'w', lock: true },
  { name: 'CMPXCHG', opcode: '0F B1 /r', operands: ['Ev', 'Gv'], sem: cmpxchg, flags: 'w', lock: true },
  { name: 'CMPXCHG8B', opcode: '0F C7 /1', operands: ['Mq'], size: 'y', sem: cmpxchgWide, flags: 'p', lock: true },
  { name: 'DAA', opcode: '27', operands: [], size: 'b', mode: 'not64', sem: decimalAdjust(false), flags: 'r', undefinedFlags: FLAG.of },
  { name: 'DAS', opcode: '2F', operands: [], size: 'b', mode: 'not64', sem: decimalAdjust(true), flags: 'r', undefinedFlags: FLAG.of },
  { name: 'AAA', opcode: '37', operands: [], size: 'b', mode: 'not64', sem: asciiAdjust(false), flags: 'r', undefinedFlags: AAX_UNDEFINED },
  { name: 'AAS', opcode: '3F', operands: [], size: 'b', mode: 'not64', sem: asciiAdjust(true), flags: 'r', undefinedFlags: AAX_UNDEFINED },
  { name: 'AAM', opcode: 'D4 ib', operands: ['Ib'], size: 'b', mode: 'not64', sem: aam, flags: 'p', undefinedFlags: FLAG.of | FLAG.af | FLAG.cf },
  { name: 'AAD', opcode: 'D5 ib', operands: ['Ib'], size: 'b', mode: 'not64', sem: aad, flags: 'p', undefinedFlags: FLAG.of | FLAG.af | FLAG.cf },
];
