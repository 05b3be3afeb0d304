// MUL IMUL DIV IDIV: SDM vol. 2. SF, ZF, AF and PF are undefined after a multiplication, all flags after a division.

import { CPU, FLAG, REG } from '../cpu-state.ts';
import { add, and, divS, divU, eq, eqz, extend32, gtU, i32, i64, mul, ne, or, remS, remU, shl, shrS, shrU, sub, widenS, widenU, wrap, type Expr } from '../wasm/expr.ts';
import type { Env } from './env.ts';
import type { Row } from './row.ts';

const MUL_UNDEFINED = FLAG.sf | FLAG.zf | FLAG.af | FLAG.pf;
const DIV_UNDEFINED = MUL_UNDEFINED | FLAG.cf | FLAG.of;

/** High 64 bits of an unsigned product by four 32-bit products. */
function highUnsigned(e: Env, a: Expr, b: Expr): Expr {
  const lo = (v: Expr): Expr => e.fn.let(and(v, i64(0xffff_ffffn)));
  const hi = (v: Expr): Expr => e.fn.let(shrU(v, i64(32)));
  const a0 = lo(a), a1 = hi(a), b0 = lo(b), b1 = hi(b);
  const t = e.fn.let(add(mul(a1, b0), shrU(mul(a0, b0), i64(32))));
  const u = e.fn.let(add(mul(a0, b1), lo(t)));
  return e.fn.let(add(add(mul(a1, b1), hi(t)), hi(u)));
}
const highSigned = (e: Env, a: Expr, b: Expr): Expr => {
  const h = highUnsigned(e, a, b);
  return e.fn.let(sub(sub(h, and(shrS(a, i64(63)), b)), and(shrS(b, i64(63)), a)));
};

/** CF = OF = the high half is significant; the low half gives the (undefined) others. */
const mulFlags = (e: Env, bits: number, low: Expr, overflow: Expr): void => {
  const o = e.fn.let(overflow);
  e.flags.result(bits, low, o, o);
};
/** rDX:rAX (AX for bytes) = rAX × operand */
const wideMultiply = (signed: boolean) => (e: Env): void => {
  const bits = e.bits(0);
  const b = e.read(0);
  const a = e.reg(REG.rax, bits);
  if (bits === 64) {
    const low = e.fn.let(mul(a, b));
    const high = signed ? highSigned(e, a, b) : highUnsigned(e, a, b);
    e.setReg(REG.rax, 64, low);
    e.setReg(REG.rdx, 64, high);
    mulFlags(e, 64, low, signed ? ne(high, shrS(low, i64(63))) : ne(high, i64(0)));
    return;
  }
  const wide = (v: Expr): Expr => (signed ? e.wideSigned(v, bits) : e.wideUnsigned(v, bits));
  const product = e.fn.let(mul(wide(a), wide(b)));
  const low = e.fn.let(e.truncate(wrap(product), bits));
  if (bits === 8) e.setReg(REG.rax, 16, and(wrap(product), i32(0xffff)));
  else {
    e.setReg(REG.rax, bits, low);
    e.setReg(REG.rdx, bits, e.truncate(wrap(shrU(product, i64(bits))), bits));
  }
  mulFlags(e, bits, low, signed ? ne(product, e.wideSigned(low, bits)) : ne(shrU(product, i64(bits)), i64(0)));
};
const multiplyInto = (a: number, b: number) => (e: Env): void => {
  const bits = e.bits(0);
  const y = e.read(b, bits);
  const x = e.read(a, bits);
  if (bits === 64) {
    const low = e.fn.let(mul(x, y));
    if (!e.flags.dead) mulFlags(e, 64, low, ne(highSigned(e, x, y), shrS(low, i64(63))));
    e.write(0, low);
    return;
  }
  const product = e.fn.let(mul(e.wideSigned(x, bits), e.wideSigned(y, bits)));
  const low = e.fn.let(e.truncate(wrap(product), bits));
  mulFlags(e, bits, low, ne(product, e.wideSigned(low, bits)));
  e.write(0, low);
};

/** rAX, rDX (AL, AH for bytes) = quotient, remainder of rDX:rAX (AX for bytes); #DE when it does not fit. */
const divide = (signed: boolean) => (e: Env): void => {
  const bits = e.bits(0);
  const d = e.read(0);
  const fail = (when: Expr): void => e.fn.if(when, () => e.raise(0));
  fail(eqz(d));
  if (bits === 64) {
    const high = e.reg(REG.rdx, 64), low = e.reg(REG.rax, 64);
    const q = e.fn.var('i64'), r = e.fn.var('i64');
    // nearly all dividends are of 64 bits; a quotient by -1 may not fit
    e.fn.if(signed ? and(eq(high, shrS(low, i64(63))), ne(d, i64(-1))) : eqz(high), () => {
      q.set((signed ? divS : divU)(low, d));
      r.set(sub(low, mul(q.get, d)));
    }, () => {
      fail(eqz(e.fn.let(e.callOut(signed ? 'idiv128' : 'div128', e.cpu, high, low, d))));
      q.set(e.field64(CPU.quotient));
      r.set(e.field64(CPU.remainder));
    });
    e.setReg(REG.rax, 64, q.get);
    e.setReg(REG.rdx, 64, r.get);
    return;
  }
  const dividend = e.fn.let(bits === 8
    ? (signed ? widenS(e.signed(e.reg(REG.rax, 16), 16)) : widenU(e.reg(REG.rax, 16)))
    : bits === 16
      ? (signed ? extend32 : (v: Expr) => v)(or(widenU(e.reg(REG.rax, 16)), shl(widenU(e.reg(REG.rdx, 16)), i64(16))))
      : or(widenU(e.reg(REG.rax, 32)), shl(widenU(e.reg(REG.rdx, 32)), i64(32))));
  const divisor = e.fn.let(signed ? e.wideSigned(d, bits) : e.wideUnsigned(d, bits));
  // the most negative dividend by -1 would trap in WebAssembly: its quotient never fits
  if (signed && bits === 32) fail(and(eqz(add(divisor, i64(1))), eqz(add(dividend, i64(1n << 63n)))));
  const q = e.fn.let(signed ? divS(dividend, divisor) : divU(dividend, divisor));
  const r = e.fn.let(signed ? remS(dividend, divisor) : remU(dividend, divisor));
  fail(signed ? ne(q, e.wideSigned(wrap(q), bits)) : gtU(q, i64((1n << BigInt(bits)) - 1n)));
  if (bits === 8) e.setReg(REG.rax, 16, or(and(wrap(q), i32(0xff)), shl(and(wrap(r), i32(0xff)), i32(8))));
  else {
    e.setReg(REG.rax, bits, e.truncate(wrap(q), bits));
    e.setReg(REG.rdx, bits, e.truncate(wrap(r), bits));
  }
};

export const muldiv: readonly Row[] = [
  { name: 'MUL', opcode: 'F6 /4', operands: ['Eb'], size: 'b', sem: wideMultiply(false), flags: 'w', undefinedFlags: MUL_UNDEFINED },
  { name: 'MUL', opcode: 'F7 /4', operands: ['Ev'], sem: wideMultiply(false), flags: 'w', undefinedFlags: MUL_UNDEFINED },
  { name: 'IMUL', opcode: 'F6 /5', operands: ['Eb'], size: 'b', sem: wideMultiply(true), flags: 'w', undefinedFlags: MUL_UNDEFINED },
  { name: 'IMUL', opcode: 'F7 /5', operands: ['Ev'], sem: wideMultiply(true), flags: 'w', undefinedFlags: MUL_UNDEFINED },
  { name: 'IMUL', opcode: '0F AF /r', operands: ['Gv', 'Ev'], sem: multiplyInto(0, 1), flags: 'w', undefinedFlags: MUL_UNDEFINED },
  { name: 'IMUL', opcode: '69 /r iz', operands: ['Gv', 'Ev', 'Iz'], sem: multiplyInto(1, 2), flags: 'w', undefinedFlags: MUL_UNDEFINED },
  { name: 'IMUL', opcode: '6B /r ib', operands: ['Gv', 'Ev', 'Ib'], sem: multiplyInto(1, 2), flags: 'w', undefinedFlags: MUL_UNDEFINED },
  { name: 'DIV', opcode: 'F6 /6', operands: ['Eb'], size: 'b', sem: divide(false), undefinedFlags: DIV_UNDEFINED },
  { name: 'DIV', opcode: 'F7 /6', operands: ['Ev'], sem: divide(false), undefinedFlags: DIV_UNDEFINED },
  { name: 'IDIV', opcode: 'F6 /7', operands: ['Eb'], size: 'b', sem: divide(true), undefinedFlags: DIV_UNDEFINED },
  { name: 'IDIV', opcode: 'F7 /7', operands: ['Ev'], sem: divide(true), undefinedFlags: DIV_UNDEFINED },
];
