// Loads, stores, exchanges, conditional moves and constants.

import { FLAG } from '../cpu-state.ts';
import { DECIMAL_INDEFINITE, fromDecimal, fromDouble, fromInteger, fromSingle, loaded, toDecimal, toDouble, toInteger, toSingle } from './convert.ts';
import type { Execution } from './execution.ts';
import { type Float80, INDEFINITE, ONE, load80, store80, zero } from './float80.ts';
import type { Operation } from './operation.ts';
import { round80 } from './rounding.ts';
import { type Row, type Run, eight, memoryRow, row } from './row.ts';
import { FSW, ROUNDING } from './words.ts';

// ---- memory to stack ----

const load = (read: (x: Execution) => Float80): Run => (x) => x.push(() => read(x));
/** A denormal source is reported after the load: even unmasked, that does not stop it. */
const loadFloat = (read: (x: Execution) => Float80): Run => (x) => {
  x.push(() => loaded(read(x), x.op));
  if (x.op.denormalSource) x.op.raise(FSW.de);
};
const loadSingle = loadFloat((x) => fromSingle(BigInt(x.memory.getUint32(0, true)), x.op));
const loadDouble = loadFloat((x) => fromDouble(x.memory.getBigUint64(0, true), x.op));
const loadExtended = load((x) => load80(x.memory, 0));
const loadDecimal = load((x) => fromDecimal(BigInt(x.memory.getUint16(8, true)) << 64n | x.memory.getBigUint64(0, true)));
const loadInt16 = load((x) => fromInteger(BigInt(x.memory.getInt16(0, true))));
const loadInt32 = load((x) => fromInteger(BigInt(x.memory.getInt32(0, true))));
const loadInt64 = load((x) => fromInteger(x.memory.getBigInt64(0, true)));

// ---- stack to memory ----

/** Writes the low `size` bytes of a number. */
function put(x: Execution, size: number, bits: bigint): void {
  for (let at = 0; at < size; at += 2) x.memory.setUint16(at, Number(BigInt.asUintN(16, bits >> BigInt(8 * at))), true);
}

type Encode = (v: Float80, op: Operation) => bigint;
const store = (size: number, encode: Encode, indefinite: bigint, pops: number): Run => (x) =>
  x.store((v) => put(x, size, encode(v, x.op)), () => put(x, size, indefinite), pops);
const storeFloat = (size: number, encode: Encode, pops: number): Run => (x) =>
  x.store((v) => put(x, size, encode(v, x.op)), () => put(x, size, encode(INDEFINITE, x.op)), pops);
const integerOf = (size: number): Encode => (v, op) => toInteger(v, 8 * size, op.rounding, op);
/** FISTTP: truncates whatever rounding control says. */
const truncatedOf = (size: number): Encode => (v, op) => toInteger(v, 8 * size, ROUNDING.zero, op);
const storeInteger = (size: number, encode: Encode, pops: number): Run => store(size, encode, -1n << BigInt(8 * size - 1), pops);
const storeExtended: Run = (x) => x.store((v) => store80(x.memory, 0, v), () => store80(x.memory, 0, INDEFINITE), 1);

// ---- register to register ----

const loadRegister: Run = (x) => {
  const source = x.i;
  x.pushFrom(source, () => x.registers.get(source));
};
const storeRegister = (pops: boolean): Run => (x) => x.replace(x.i, [0], () => x.registers.get(0), pops);

/** FSTP by its alias D9 D8: an empty ST(0) is no fault, it is popped and nothing is stored. */
const storeUnchecked: Run = (x) => {
  if (x.registers.empty(0)) x.registers.pop();
  else storeRegister(true)(x);
};

/** Masked, an empty register takes part as the indefinite. */
const exchange: Run = (x) => {
  const { registers, op, i } = x;
  x.lacks(0, i);
  if (op.stopped) return;
  const a = registers.empty(0) ? INDEFINITE : registers.get(0);
  const b = registers.empty(i) ? INDEFINITE : registers.get(i);
  registers.set(0, b);
  registers.set(i, a);
};

const moveIf = (flags: number, set: boolean): Run => (x) => {
  const { registers, i } = x;
  x.replace(0, [0, i], () => registers.get(((x.rflags & flags) !== 0) === set ? i : 0));
  x.keepC1();
};
const MOVES: readonly { first: number; name: string; flags: number; set: boolean }[] = [
  { first: 0xdac0, name: 'FCMOVB', flags: FLAG.cf, set: true },
  { first: 0xdac8, name: 'FCMOVE', flags: FLAG.zf, set: true },
  { first: 0xdad0, name: 'FCMOVBE', flags: FLAG.cf | FLAG.zf, set: true },
  { first: 0xdad8, name: 'FCMOVU', flags: FLAG.pf, set: true },
  { first: 0xdbc0, name: 'FCMOVNB', flags: FLAG.cf, set: false },
  { first: 0xdbc8, name: 'FCMOVNE', flags: FLAG.zf, set: false },
  { first: 0xdbd0, name: 'FCMOVNBE', flags: FLAG.cf | FLAG.zf, set: false },
  { first: 0xdbd8, name: 'FCMOVNU', flags: FLAG.pf, set: false },
];

// ---- constants ----

/** Rounds a constant by rounding control; neither precision nor C1 is reported. */
const constant = (exp: number, bits: bigint): Run => (x) => x.push(() => {
  const v = round80(0, bits, exp, x.op);
  x.op.raised &= ~FSW.pe;
  x.op.c1 = false;
  return v;
});

/** Significands with 64 bits beyond the format's: constant = bits × 2^exp. */
const CONSTANTS: readonly { at: number; name: string; exp: number; bits: bigint }[] = [
  { at: 0xd9e9, name: 'FLDL2T', exp: -126, bits: 0xd49a784bcd1b8afe_492bf6ff4dafdb4dn },
  { at: 0xd9ea, name: 'FLDL2E', exp: -127, bits: 0xb8aa3b295c17f0bb_be87fed0691d3e89n },
  { at: 0xd9eb, name: 'FLDPI', exp: -126, bits: 0xc90fdaa22168c234_c4c6628b80dc1cd1n },
  { at: 0xd9ec, name: 'FLDLG2', exp: -129, bits: 0x9a209a84fbcff798_8f8959ac0b7c9178n },
  { at: 0xd9ed, name: 'FLDLN2', exp: -128, bits: 0xb17217f7d1cf79ab_c9e3b39803f2f6afn },
];

export const transferRegisterRows: [number, Row][] = [
  ...eight(0xd9c0, row('FLD', loadRegister)),
  ...eight(0xd9c8, row('FXCH', exchange)),
  ...eight(0xddc8, row('FXCH', exchange)), // undocumented
  ...eight(0xdfc8, row('FXCH', exchange)), // undocumented
  ...eight(0xd9d8, row('FSTP', storeUnchecked)), // undocumented
  ...eight(0xddd0, row('FST', storeRegister(false))),
  ...eight(0xddd8, row('FSTP', storeRegister(true))),
  ...eight(0xdfd0, row('FSTP', storeRegister(true))), // undocumented
  ...eight(0xdfd8, row('FSTP', storeRegister(true))), // undocumented
  ...MOVES.flatMap(({ first, name, flags, set }) => eight(first, row(name, moveIf(flags, set)))),
  ...CONSTANTS.map(({ at, name, exp, bits }): [number, Row] => [at, row(name, constant(exp, bits))]),
  [0xd9e8, row('FLD1', (x) => x.push(() => ONE))],
  [0xd9ee, row('FLDZ', (x) => x.push(() => zero(0)))],
];

export const transferMemoryRows: [number, Row][] = [
  [0xd900, memoryRow('FLD m32fp', 'read', 4, loadSingle)],
  [0xd902, memoryRow('FST m32fp', 'write', 4, storeFloat(4, toSingle, 0))],
  [0xd903, memoryRow('FSTP m32fp', 'write', 4, storeFloat(4, toSingle, 1))],
  [0xdd00, memoryRow('FLD m64fp', 'read', 8, loadDouble)],
  [0xdd02, memoryRow('FST m64fp', 'write', 8, storeFloat(8, toDouble, 0))],
  [0xdd03, memoryRow('FSTP m64fp', 'write', 8, storeFloat(8, toDouble, 1))],
  [0xdb05, memoryRow('FLD m80fp', 'read', 10, loadExtended)],
  [0xdb07, memoryRow('FSTP m80fp', 'write', 10, storeExtended)],
  [0xdf00, memoryRow('FILD m16int', 'read', 2, loadInt16)],
  [0xdf01, memoryRow('FISTTP m16int', 'write', 2, storeInteger(2, truncatedOf(2), 1))],
  [0xdf02, memoryRow('FIST m16int', 'write', 2, storeInteger(2, integerOf(2), 0))],
  [0xdf03, memoryRow('FISTP m16int', 'write', 2, storeInteger(2, integerOf(2), 1))],
  [0xdb00, memoryRow('FILD m32int', 'read', 4, loadInt32)],
  [0xdb01, memoryRow('FISTTP m32int', 'write', 4, storeInteger(4, truncatedOf(4), 1))],
  [0xdb02, memoryRow('FIST m32int', 'write', 4, storeInteger(4, integerOf(4), 0))],
  [0xdb03, memoryRow('FISTP m32int', 'write', 4, storeInteger(4, integerOf(4), 1))],
  [0xdf05, memoryRow('FILD m64int', 'read', 8, loadInt64)],
  [0xdd01, memoryRow('FISTTP m64int', 'write', 8, storeInteger(8, truncatedOf(8), 1))],
  [0xdf07, memoryRow('FISTP m64int', 'write', 8, storeInteger(8, integerOf(8), 1))],
  [0xdf04, memoryRow('FBLD m80bcd', 'read', 10, loadDecimal)],
  [0xdf06, memoryRow('FBSTP m80bcd', 'write', 10, store(10, toDecimal, DECIMAL_INDEFINITE, 1))],
];
