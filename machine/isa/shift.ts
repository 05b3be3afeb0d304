// SHL SHR SAR ROL ROR RCL RCR SHLD SHRD: SDM vol. 2. A masked count of zero changes no flag and, but for the clearing of
// a 32-bit register's upper half, nothing else.

import { FLAG } from '../cpu-state.ts';
import { add, and, eqz, i32, i64, ne, or, remU, rotl, rotr, select, shl, shrS, shrU, sub, widenU, wrap, xor, type Expr } from '../wasm/expr.ts';
import type { Env } from './env.ts';
import type { Row } from './row.ts';

const bit = (e: Env, v: Expr, n: Expr, bits: number): Expr => (bits === 64 ? wrap(and(shrU(v, widenU(n)), i64(1))) : and(shrU(v, n), i32(1)));

/** Reads, computes, writes; flags change only when the count is not zero. */
function shift(compute: (e: Env, a: Expr, n: Expr, bits: number) => { r: Expr; flags: () => void }) {
  return (e: Env): void => {
    const bits = e.bits(0);
    const n = e.shiftCount(1, bits);
    const a = e.modify(0);
    const { r, flags } = compute(e, a, n, bits);
    const pinned = e.fn.let(r);
    if (!e.flags.dead) e.fn.if(n, () => flags());
    e.write(0, pinned);
  };
}
const shlOp = shift((e, a, n, bits) => {
  // 8- and 16-bit operands are shifted in 32 bits: counts up to 31 fit
  const r = e.fn.let(e.truncate(shl(a, e.by(n, bits)), bits));
  const cf = (): Expr => (bits >= 32 ? bit(e, a, and(sub(i32(0), n), i32(bits - 1)), bits) : and(shrU(shl(a, n), i32(bits)), i32(1)));
  return { r, flags: () => { const c = e.fn.let(cf()); e.flags.result(bits, r, c, xor(c, e.msb(r, bits))); } };
});
const shrOp = shift((e, a, n, bits) => {
  const r = e.fn.let(shrU(a, e.by(n, bits)));
  return { r, flags: () => e.flags.result(bits, r, bit(e, a, sub(n, i32(1)), bits), e.msb(a, bits)) };
});
const sarOp = shift((e, a, n, bits) => {
  const s = e.fn.let(e.signed(a, bits));
  const r = e.fn.let(e.truncate(shrS(s, e.by(n, bits)), bits));
  const last = (): Expr => (bits === 64 ? wrap(and(shrS(s, widenU(sub(n, i32(1)))), i64(1))) : and(shrS(s, sub(n, i32(1))), i32(1)));
  return { r, flags: () => e.flags.result(bits, r, last(), i32(0)) };
});
const rotateFlags = (e: Env, cf: Expr, of: Expr): void => e.flags.merge(FLAG.cf | FLAG.of, or(cf, shl(of, i32(11))));
const narrowRotate = (e: Env, a: Expr, n: Expr, bits: number, left: boolean): Expr => {
  const m = e.fn.let(and(n, i32(bits - 1)));
  const back = and(sub(i32(bits), m), i32(31));
  return e.truncate(left ? or(shl(a, m), shrU(a, back)) : or(shrU(a, m), shl(a, back)), bits);
};
const rolOp = shift((e, a, n, bits) => {
  const r = e.fn.let(bits >= 32 ? rotl(a, e.by(n, bits)) : narrowRotate(e, a, n, bits, true));
  return { r, flags: () => { const c = e.fn.let(bit(e, r, i32(0), bits)); rotateFlags(e, c, xor(c, e.msb(r, bits))); } };
});
const rorOp = shift((e, a, n, bits) => {
  const r = e.fn.let(bits >= 32 ? rotr(a, e.by(n, bits)) : narrowRotate(e, a, n, bits, false));
  return { r, flags: () => { const c = e.fn.let(e.msb(r, bits)); rotateFlags(e, c, xor(c, bit(e, r, i32(bits - 2), bits))); } };
});
/** Rotation through CF: bits + 1 positions; the count is taken modulo that for 8 and 16 bits. */
const throughCarry = (left: boolean) => (e: Env): void => {
  const bits = e.bits(0);
  const raw = e.shiftCount(1, bits);
  const n = e.fn.let(bits < 32 ? remU(raw, i32(bits + 1)) : raw);
  const a = e.modify(0);
  const carry = e.flags.carry();
  // one position at a time by wide arithmetic: (carry:a) rotated within 64 bits for small sizes, by halves for 32 and 64
  const wide = (v: Expr): Expr => e.wideUnsigned(v, bits);
  const x = e.fn.let(wide(a));
  const c = e.fn.let(widenU(carry));
  const k = e.fn.let(widenU(n));
  const size = i64(bits);
  // left: r = a << n | carry << (n-1) | a >> (bits + 1 - n); shifts by 64 and more give 0
  const gone = (v: Expr, by: Expr, f: (a: Expr, b: Expr) => Expr): Expr => select(ne(and(by, i64(~63n)), i64(0)), i64(0), f(v, by));
  const over = e.fn.let(sub(add(size, i64(1)), k));
  const less = e.fn.let(sub(k, i64(1)));
  const rotated = left
    ? or(or(gone(x, k, shl), gone(c, less, shl)), gone(x, over, shrU))
    : or(or(gone(x, k, shrU), gone(c, sub(size, k), shl)), gone(x, over, shl));
  const r = e.fn.let(select(eqz(n), x, rotated));
  const value = e.fn.let(bits === 64 ? r : e.truncate(wrap(r), bits));
  if (!e.flags.dead) {
    e.fn.if(n, () => {
      const out = e.fn.let(wrap(and(left ? shrU(x, sub(size, k)) : shrU(x, less), i64(1))));
      const of = left ? xor(out, e.msb(value, bits)) : xor(e.msb(value, bits), bit(e, value, i32(bits - 2), bits));
      rotateFlags(e, out, of);
    });
  }
  e.write(0, value);
};
const double = (left: boolean) => (e: Env): void => {
  const bits = e.bits(0);
  const n = e.shiftCount(2, bits);
  const a = e.modify(0);
  const b = e.read(1);
  const k = e.by(n, bits);
  const size = e.const(bits, bits);
  let r: Expr;
  let cf: () => Expr;
  if (bits === 16) {
    // a and b side by side in 32 (left) bits; counts over 16 are undefined: as if b were followed by a again
    const pair = e.fn.let(left ? or(shl(widenU(a), i64(32)), or(shl(widenU(b), i64(16)), widenU(a))) : or(shl(widenU(a), i64(32)), or(shl(widenU(b), i64(16)), widenU(a))));
    const wide = e.fn.let(widenU(n));
    r = left ? e.truncate(wrap(shrU(shl(pair, wide), i64(32))), 16) : e.truncate(wrap(shrU(pair, wide)), 16);
    cf = () => wrap(and(left ? shrU(shl(pair, wide), i64(48)) : shrU(pair, sub(wide, i64(1))), i64(1)));
  } else {
    const back = sub(size, k);
    r = select(eqz(n), a, left ? or(shl(a, k), shrU(b, back)) : or(shrU(a, k), shl(b, back)));
    cf = () => (left ? bit(e, a, sub(i32(bits), n), bits) : bit(e, a, sub(n, i32(1)), bits));
  }
  const value = e.fn.let(r);
  if (!e.flags.dead) e.fn.if(n, () => e.flags.result(bits, value, cf(), xor(e.msb(value, bits), e.msb(a, bits))));
  e.write(0, value);
};

const OPERATIONS = [
  ['ROL', 0, rolOp], ['ROR', 1, rorOp], ['RCL', 2, throughCarry(true)], ['RCR', 3, throughCarry(false)],
  ['SHL', 4, shlOp], ['SHR', 5, shrOp], ['SHL', 6, shlOp], ['SAR', 7, sarOp],
] as const;
/** OF is defined for counts of one only; AF is undefined after shifts. */
/** The rotations through CF read it. */
const touches = (name: string): 'r' | 'p' => (name.startsWith('RC') ? 'r' : 'p');
const undefinedFlags = (name: string): number => (name.startsWith('R') ? FLAG.of : FLAG.of | FLAG.af | FLAG.cf);

export const shift_: readonly Row[] = [
  ...OPERATIONS.flatMap(([name, d, sem]): Row[] => [
    { name, opcode: `C0 /${d} ib`, operands: ['Eb', 'Ib'], size: 'b', sem, flags: touches(name), undefinedFlags: undefinedFlags(name) },
    { name, opcode: `C1 /${d} ib`, operands: ['Ev', 'Ib'], sem, flags: touches(name), undefinedFlags: undefinedFlags(name) },
    { name, opcode: `D0 /${d}`, operands: ['Eb', '1'], size: 'b', sem, flags: touches(name), ...(name.startsWith('R') ? {} : { undefinedFlags: FLAG.af }) },
    { name, opcode: `D1 /${d}`, operands: ['Ev', '1'], sem, flags: touches(name), ...(name.startsWith('R') ? {} : { undefinedFlags: FLAG.af }) },
    { name, opcode: `D2 /${d}`, operands: ['Eb', 'CL'], size: 'b', sem, flags: touches(name), undefinedFlags: undefinedFlags(name) },
    { name, opcode: `D3 /${d}`, operands: ['Ev', 'CL'], sem, flags: touches(name), undefinedFlags: undefinedFlags(name) },
  ]),
  { name: 'SHLD', opcode: '0F A4 /r ib', operands: ['Ev', 'Gv', 'Ib'], sem: double(true), flags: 'p', undefinedFlags: FLAG.of | FLAG.af },
  { name: 'SHLD', opcode: '0F A5 /r', operands: ['Ev', 'Gv', 'CL'], sem: double(true), flags: 'p', undefinedFlags: FLAG.of | FLAG.af },
  { name: 'SHRD', opcode: '0F AC /r ib', operands: ['Ev', 'Gv', 'Ib'], sem: double(false), flags: 'p', undefinedFlags: FLAG.of | FLAG.af },
  { name: 'SHRD', opcode: '0F AD /r', operands: ['Ev', 'Gv', 'CL'], sem: double(false), flags: 'p', undefinedFlags: FLAG.of | FLAG.af },
];
