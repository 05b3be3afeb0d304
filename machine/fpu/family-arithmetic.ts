// FADD, FMUL, FSUB, FSUBR, FDIV, FDIVR with their popping and integer forms; the unary and remainder instructions of
// group D9 E0 to FF that are exact.

import { type Binary, add, divide, multiply, reversed, squareRoot, subtract } from './arithmetic.ts';
import { fromDouble, fromInteger, fromSingle } from './convert.ts';
import type { Execution } from './execution.ts';
import { type Float80, INDEFINITE, negate, withSign } from './float80.ts';
import { extract, remainder, roundInteger, scale } from './remainder.ts';
import { type Row, type Run, eight, memoryRow, row } from './row.ts';
import { CONDITION, FSW } from './words.ts';

const OPERATIONS: readonly { reg: number; name: string; f: Binary }[] = [
  { reg: 0, name: 'FADD', f: add },
  { reg: 1, name: 'FMUL', f: multiply },
  { reg: 4, name: 'FSUB', f: subtract },
  { reg: 5, name: 'FSUBR', f: reversed(subtract) },
  { reg: 6, name: 'FDIV', f: divide },
  { reg: 7, name: 'FDIVR', f: reversed(divide) },
];

/** Memory operand as the arithmetic and comparing instructions read it. */
export const SOURCES: readonly { opcode: number; size: number; suffix: string; read: (x: Execution) => Float80 }[] = [
  { opcode: 0xd8, size: 4, suffix: ' m32fp', read: (x) => fromSingle(BigInt(x.memory.getUint32(0, true)), x.op) },
  { opcode: 0xda, size: 4, suffix: ' m32int', read: (x) => fromInteger(BigInt(x.memory.getInt32(0, true))) },
  { opcode: 0xdc, size: 8, suffix: ' m64fp', read: (x) => fromDouble(x.memory.getBigUint64(0, true), x.op) },
  { opcode: 0xde, size: 2, suffix: ' m16int', read: (x) => fromInteger(BigInt(x.memory.getInt16(0, true))) },
];

const withMemory = (f: Binary, read: (x: Execution) => Float80): Run => (x) =>
  x.replace(0, [0], () => f(x.registers.get(0), read(x), x.op));
const toTop = (f: Binary): Run => (x) =>
  x.replace(0, [0, x.i], () => f(x.registers.get(0), x.registers.get(x.i), x.op));
/** DC and DE: ST(i) is the destination, yet the operands keep the order ST(0), ST(i), so E0 to FF swap their names. */
const toRegister = (f: Binary, pops: boolean): Run => (x) =>
  x.replace(x.i, [0, x.i], () => f(x.registers.get(0), x.registers.get(x.i), x.op), pops);
const unary = (f: (x: Execution, v: Float80) => Float80): Run => (x) =>
  x.replace(0, [0], () => f(x, x.registers.get(0)));

function runRemainder(nearest: boolean): Run {
  return (x) => {
    const { registers, op } = x;
    x.setCondition(FSW.c1 | FSW.c2, 0);
    x.replace(0, [0, 1], () => {
      const { value, condition } = remainder(registers.get(0), registers.get(1), nearest, op);
      if (condition !== null) x.setCondition(CONDITION, condition);
      return value;
    });
  };
}

/** The exponent replaces ST(0), the significand is pushed on it. */
function runExtract(x: Execution): void {
  const { registers, op } = x;
  let exponent = INDEFINITE;
  x.pushFrom(0, () => {
    const parts = extract(registers.get(0), op);
    exponent = parts.exponent;
    return parts.significand;
  });
  if (!op.stopped) registers.set(1, exponent);
}

export const arithmeticRegisterRows: [number, Row][] = [
  ...OPERATIONS.flatMap(({ reg, name, f }) => [
    ...eight(0xd8c0 + 8 * reg, row(name, toTop(f))),
    ...eight(0xdcc0 + 8 * reg, row(name, toRegister(f, false))),
    ...eight(0xdec0 + 8 * reg, row(`${name}P`, toRegister(f, true))),
  ]),
  [0xd9e0, row('FCHS', unary((_, v) => negate(v)))],
  [0xd9e1, row('FABS', unary((_, v) => withSign(v, 0)))],
  [0xd9f4, row('FXTRACT', runExtract)],
  [0xd9f5, row('FPREM1', runRemainder(true))],
  [0xd9f8, row('FPREM', runRemainder(false))],
  [0xd9fa, row('FSQRT', unary((x, v) => squareRoot(v, x.op)))],
  [0xd9fc, row('FRNDINT', unary((x, v) => roundInteger(v, x.op)))],
  [0xd9fd, row('FSCALE', (x) => x.replace(0, [0, 1], () => scale(x.registers.get(0), x.registers.get(1), x.op)))],
];

export const arithmeticMemoryRows: [number, Row][] = OPERATIONS.flatMap(({ reg, name, f }) =>
  SOURCES.map(({ opcode, size, suffix, read }): [number, Row] => [opcode << 8 | reg, memoryRow(name + suffix, 'read', size, withMemory(f, read))]));
