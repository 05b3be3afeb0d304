// Typed WebAssembly expressions as values: `add(a, b)` is a tree that is written out where it is used. Constants fold,
// so a description that is given known operands shrinks by itself. An expression with a load in it reads memory where
// it is written out, not where it is built: pin it with Fn.let when an effect may come between.

import { assert } from '#base/assert.ts';
import type { Bytes } from './bytes.ts';

export type Type = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';
export const TYPE_CODE: Record<Type, number> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b };

export class Expr {
  readonly type: Type;
  /** the value, when it is a known i32 (signed) or i64 (signed) */
  readonly value: bigint | undefined;
  /** writes the instructions that push the value */
  readonly emit: (out: Bytes) => void;
  /** true for a local that is never set again: using it twice costs nothing */
  readonly pinned: boolean;
  /** an address that is known to be `base` + `by` without wrapping around: loads and stores take `by` into their offset */
  displaced: { readonly base: Expr; readonly by: number } | undefined = undefined;
  /** number of the local that holds it, when Fn.let made one */
  local: number | undefined = undefined;
  constructor(type: Type, emit: (out: Bytes) => void, value?: bigint, pinned = false) {
    this.type = type;
    this.emit = emit;
    this.value = value;
    this.pinned = pinned;
  }
}

const new32 = (n: number): Expr => new Expr('i32', (o) => { o.u8(0x41); o.s32(n); }, BigInt(n), true);
const new64 = (n: bigint | number): Expr => {
  const v = BigInt.asIntN(64, BigInt(n));
  return new Expr('i64', (o) => { o.u8(0x42); o.s64(v); }, v, true);
};
/** Constants that are used again and again. */
const SMALL = 1024;
const small32 = Array.from({ length: 2 * SMALL }, (_, i) => new32(i - SMALL));
const small64 = Array.from({ length: 2 * SMALL }, (_, i) => new64(i - SMALL));
export const i32 = (n: number): Expr => { const v = n | 0; return v >= -SMALL && v < SMALL ? small32[v + SMALL] as Expr : new32(v); };
export const i64 = (n: bigint | number): Expr => (n >= -SMALL && n < SMALL ? small64[Number(n) + SMALL] as Expr : new64(n));
/** A constant of an integer type. */
export const constant = (type: Type, n: bigint | number): Expr => (type === 'i64' ? i64(n) : i32(Number(BigInt.asIntN(32, BigInt(n)))));

function binary(code32: number, code64: number, fold: (a: bigint, b: bigint, bits: number) => bigint | undefined, comparison = false): (a: Expr, b: Expr) => Expr {
  return (a, b) => {
    assert(a.type === b.type && (a.type === 'i32' || a.type === 'i64'), `integer operands of one type, not ${a.type} and ${b.type}`);
    const bits = a.type === 'i32' ? 32 : 64;
    const type = comparison ? 'i32' : a.type;
    if (a.value !== undefined && b.value !== undefined) {
      const v = fold(a.value, b.value, bits);
      if (v !== undefined) return constant(type, v);
    }
    const code = bits === 32 ? code32 : code64;
    return new Expr(type, (o) => { a.emit(o); b.emit(o); o.u8(code); });
  };
}
const unsigned = (n: bigint, bits: number): bigint => BigInt.asUintN(bits, n);
const rawAdd = binary(0x6a, 0x7c, (a, b) => a + b);
/** a + b; a zero operand vanishes */
export const add = (a: Expr, b: Expr): Expr => (b.value === 0n && a.type === b.type ? a : a.value === 0n && a.type === b.type ? b : rawAdd(a, b));
const rawSub = binary(0x6b, 0x7d, (a, b) => a - b);
export const sub = (a: Expr, b: Expr): Expr => (b.value === 0n && a.type === b.type ? a : rawSub(a, b));
export const mul = binary(0x6c, 0x7e, (a, b) => a * b);
export const divS = binary(0x6d, 0x7f, () => undefined);
export const divU = binary(0x6e, 0x80, () => undefined);
export const remS = binary(0x6f, 0x81, () => undefined);
export const remU = binary(0x70, 0x82, () => undefined);
export const and = binary(0x71, 0x83, (a, b) => a & b);
export const or = binary(0x72, 0x84, (a, b) => a | b);
export const xor = binary(0x73, 0x85, (a, b) => a ^ b);
const rawShl = binary(0x74, 0x86, (a, b, n) => a << (b & BigInt(n - 1)));
export const shl = (a: Expr, b: Expr): Expr => (b.value === 0n && a.type === b.type ? a : rawShl(a, b));
export const shrS = binary(0x75, 0x87, (a, b, n) => a >> (b & BigInt(n - 1)));
export const shrU = binary(0x76, 0x88, (a, b, n) => unsigned(a, n) >> (b & BigInt(n - 1)));
export const rotl = binary(0x77, 0x89, () => undefined);
export const rotr = binary(0x78, 0x8a, () => undefined);
const truth = (b: boolean): bigint => (b ? 1n : 0n);
export const eq = binary(0x46, 0x51, (a, b) => truth(a === b), true);
export const ne = binary(0x47, 0x52, (a, b) => truth(a !== b), true);
export const ltS = binary(0x48, 0x53, (a, b) => truth(a < b), true);
export const ltU = binary(0x49, 0x54, (a, b, n) => truth(unsigned(a, n) < unsigned(b, n)), true);
export const gtS = binary(0x4a, 0x55, (a, b) => truth(a > b), true);
export const gtU = binary(0x4b, 0x56, (a, b, n) => truth(unsigned(a, n) > unsigned(b, n)), true);
export const leS = binary(0x4c, 0x57, (a, b) => truth(a <= b), true);
export const leU = binary(0x4d, 0x58, (a, b, n) => truth(unsigned(a, n) <= unsigned(b, n)), true);
export const geS = binary(0x4e, 0x59, (a, b) => truth(a >= b), true);
export const geU = binary(0x4f, 0x5a, (a, b, n) => truth(unsigned(a, n) >= unsigned(b, n)), true);

function unary(from: Type, to: Type, code: number, fold?: (a: bigint) => bigint): (a: Expr) => Expr {
  return (a) => {
    assert(a.type === from, `an operand of type ${from}, not ${a.type}`);
    if (fold && a.value !== undefined) return constant(to, fold(a.value));
    return new Expr(to, (o) => { a.emit(o); o.u8(code); });
  };
}
const byType = (f32: (a: Expr) => Expr, f64: (a: Expr) => Expr) => (a: Expr): Expr => (a.type === 'i32' ? f32(a) : f64(a));
export const eqz = byType(unary('i32', 'i32', 0x45, (a) => truth(a === 0n)), unary('i64', 'i32', 0x50, (a) => truth(a === 0n)));
export const clz = byType(unary('i32', 'i32', 0x67), unary('i64', 'i64', 0x79));
export const ctz = byType(unary('i32', 'i32', 0x68), unary('i64', 'i64', 0x7a));
export const popcnt = byType(unary('i32', 'i32', 0x69), unary('i64', 'i64', 0x7b));
export const extend8 = byType(unary('i32', 'i32', 0xc0, (a) => BigInt.asIntN(8, a)), unary('i64', 'i64', 0xc2, (a) => BigInt.asIntN(8, a)));
export const extend16 = byType(unary('i32', 'i32', 0xc1, (a) => BigInt.asIntN(16, a)), unary('i64', 'i64', 0xc3, (a) => BigInt.asIntN(16, a)));
export const extend32 = unary('i64', 'i64', 0xc4, (a) => BigInt.asIntN(32, a));
/** The address `by` bytes (a known number) above `base`, which cannot wrap around. */
export function displace(base: Expr, by: number): Expr {
  const e = new Expr('i32', (o) => { base.emit(o); o.u8(0x41); o.s32(by); o.u8(0x6a); }, undefined, base.pinned);
  e.displaced = { base, by };
  return e;
}
/** i64 → i32, the low half */
export const wrap = unary('i64', 'i32', 0xa7, (a) => a);
/** i32 → i64 with sign */
export const widenS = unary('i32', 'i64', 0xac, (a) => BigInt.asIntN(32, a));
/** i32 → i64 without sign */
export const widenU = unary('i32', 'i64', 0xad, (a) => BigInt.asUintN(32, a));

/** Any instruction by its opcode bytes (prefix byte first), for the float and vector families. */
export function op(type: Type, code: readonly number[], ...args: Expr[]): Expr {
  return new Expr(type, (o) => {
    for (const a of args) a.emit(o);
    o.bytes(code);
  });
}
/** A vector instruction (prefix FD, opcode as LEB128), with immediate lane bytes if any. */
export function simd(type: Type, code: number, args: readonly Expr[], immediates: readonly number[] = []): Expr {
  return new Expr(type, (o) => {
    for (const a of args) a.emit(o);
    o.u8(0xfd);
    o.u32(code);
    o.bytes(immediates);
  });
}

/** condition ? a : b, both evaluated */
export function select(condition: Expr, a: Expr, b: Expr): Expr {
  assert(condition.type === 'i32' && a.type === b.type, 'select: i32 condition, operands of one type');
  if (condition.value !== undefined) return condition.value !== 0n ? a : b;
  return new Expr(a.type, (o) => { a.emit(o); b.emit(o); condition.emit(o); if (a.type === 'v128') { o.u8(0x1c); o.u8(1); o.u8(0x7b); } else o.u8(0x1b); });
}

const LOADS = { i32: { 8: 0x2d, 16: 0x2f, 32: 0x28 }, i64: { 8: 0x31, 16: 0x33, 32: 0x35, 64: 0x29 } } as const;
const LOADS_SIGNED = { i32: { 8: 0x2c, 16: 0x2e, 32: 0x28 }, i64: { 8: 0x30, 16: 0x32, 32: 0x34, 64: 0x29 } } as const;
const memarg = (o: Bytes, offset: number): void => { o.u8(0); o.u32(offset); };

/** Loads `bits` from address + offset into a type; zero-extended unless `signed`. f32, f64 and v128 load their own width. */
export function load(type: Type, bits: number, address: Expr, offset = 0, signed = false): Expr {
  if (address.displaced) return load(type, bits, address.displaced.base, offset + address.displaced.by, signed);
  if (type === 'v128') return new Expr(type, (o) => { address.emit(o); o.u8(0xfd); o.u32(0); memarg(o, offset); });
  const code = type === 'f32' ? 0x2a : type === 'f64' ? 0x2b : (signed ? LOADS_SIGNED : LOADS)[type][bits as 8];
  assert(code !== undefined, `a load of ${bits} bits into ${type}`);
  return new Expr(type, (o) => { address.emit(o); o.u8(code); memarg(o, offset); });
}
const COMPARE_EXCHANGE = { i32: { 8: 0x4a, 16: 0x4b, 32: 0x48 }, i64: { 64: 0x49 } } as const;
/** Atomic: stores `bits` of `to` where `from` is, at an address that is a multiple of the size. The value is what was there: pin it. */
export function compareExchange(type: 'i32' | 'i64', bits: number, address: Expr, from: Expr, to: Expr): Expr {
  const code = (COMPARE_EXCHANGE[type] as Readonly<Record<number, number>>)[bits];
  assert(code !== undefined, `a compare-exchange of ${bits} bits in ${type}`);
  return new Expr(type, (o) => {
    for (const e of [address, from, to]) e.emit(o);
    o.bytes([0xfe, code, Math.log2(bits / 8), 0]);
  });
}
const STORES = { i32: { 8: 0x3a, 16: 0x3b, 32: 0x36 }, i64: { 8: 0x3c, 16: 0x3d, 32: 0x3e, 64: 0x37 } } as const;
/** Writes out a store; Fn.store is the statement. */
export function emitStore(o: Bytes, bits: number, address: Expr, value: Expr, offset: number): void {
  if (address.displaced) { emitStore(o, bits, address.displaced.base, value, offset + address.displaced.by); return; }
  address.emit(o);
  value.emit(o);
  if (value.type === 'v128') { o.u8(0xfd); o.u32(11); memarg(o, offset); return; }
  const code = value.type === 'f32' ? 0x38 : value.type === 'f64' ? 0x39 : STORES[value.type][bits as 8];
  assert(code !== undefined, `a store of ${bits} bits from ${value.type}`);
  o.u8(code);
  memarg(o, offset);
}
