// The transcendental instructions: where operands and results lie. FPTAN and FSINCOS push a second result; an operand
// beyond 2^63 sets C2 and changes nothing.

import type { Execution } from './execution.ts';
import { type Float80, INDEFINITE } from './float80.ts';
import type { Operation } from './operation.ts';
import { type Row, type Run, row } from './row.ts';
import { arcTangent, beyondTrigonometry, cosine, exp2Minus1, sine, sineCosine, tangent, yLog2, yLog2Plus1 } from './transcendental.ts';
import { FSW } from './words.ts';

type Unary = (x: Float80, op: Operation) => Float80;

/** f(ST(0), ST(1)) replaces ST(1); pops. */
const combine = (f: (st0: Float80, st1: Float80, op: Operation) => Float80): Run => (x) =>
  x.replace(1, [0, 1], () => f(x.registers.get(0), x.registers.get(1), x.op), true);

/** Sets C2 to whether the operand is out of range. */
function outOfRange(x: Execution): boolean {
  const beyond = beyondTrigonometry(x.registers.get(0));
  x.setCondition(FSW.c1 | FSW.c2, beyond ? FSW.c2 : 0);
  return beyond;
}

const angle = (f: Unary): Run => (x) => {
  x.setCondition(FSW.c1 | FSW.c2, 0);
  if (!x.registers.empty(0) && outOfRange(x)) return;
  x.replace(0, [0], () => f(x.registers.get(0), x.op));
};

/** Replaces ST(0) by `first` and pushes `second`. */
const twoResults = (f: (x: Float80, op: Operation) => readonly [first: Float80, second: Float80]): Run => (x) => {
  const { registers, op } = x;
  let first = INDEFINITE;
  x.setCondition(FSW.c1 | FSW.c2, 0);
  if (!registers.empty(0) && registers.empty(7) && outOfRange(x)) return;
  x.pushFrom(0, () => {
    const both = f(registers.get(0), op);
    first = both[0];
    return both[1];
  });
  if (!op.stopped) registers.set(1, first);
};

export const transcendentalRows: [number, Row][] = [
  [0xd9f0, row('F2XM1', (x) => x.replace(0, [0], () => exp2Minus1(x.registers.get(0), x.op)))],
  [0xd9f1, row('FYL2X', combine(yLog2))],
  [0xd9f2, row('FPTAN', twoResults((v, op) => { const { tan, one } = tangent(v, op); return [tan, one]; }))],
  [0xd9f3, row('FPATAN', combine((x, y, op) => arcTangent(y, x, op)))],
  [0xd9f9, row('FYL2XP1', combine(yLog2Plus1))],
  [0xd9fb, row('FSINCOS', twoResults((v, op) => { const { sin, cos } = sineCosine(v, op); return [sin, cos]; }))],
  [0xd9fe, row('FSIN', angle(sine))],
  [0xd9ff, row('FCOS', angle(cosine))],
];
