// FCOM, FUCOM, FICOM with their popping forms, FCOMI and FUCOMI (to RFLAGS), FTST, FXAM.

import { FLAG } from '../cpu-state.ts';
import { ORDER, compare, examine } from './compare.ts';
import type { Execution } from './execution.ts';
import { type Float80, zero } from './float80.ts';
import { SOURCES } from './family-arithmetic.ts';
import { type Row, type Run, eight, memoryRow, row } from './row.ts';
import { CONDITION, FSW } from './words.ts';

interface Form { quiet: boolean; pops: number }

/** Compares ST(0) with what `source` gives; the outcome is reported even where an unmasked exception stops the pop. */
function order(x: Execution, sources: readonly number[], source: () => Float80, quiet: boolean): number {
  return x.lacks(...sources) ? ORDER.unordered : compare(x.registers.get(0), source(), quiet, x.op);
}

function finish(x: Execution, pops: number): void {
  if (x.op.stopped) return;
  for (let n = 0; n < pops; n++) x.registers.pop();
}

const withRegister = ({ quiet, pops }: Form): Run => (x) => {
  x.setCondition(CONDITION, order(x, [0, x.i], () => x.registers.get(x.i), quiet));
  finish(x, pops);
};
const withMemory = (read: (x: Execution) => Float80, pops: number): Run => (x) => {
  x.setCondition(CONDITION, order(x, [0], () => read(x), false));
  finish(x, pops);
};
/** C0, C2, C3 go to CF, PF, ZF; OF, SF and AF become clear. */
const toFlags = ({ quiet, pops }: Form): Run => (x) => {
  const o = order(x, [0, x.i], () => x.registers.get(x.i), quiet);
  x.newFlags = (o & FSW.c0 ? FLAG.cf : 0) | (o & FSW.c2 ? FLAG.pf : 0) | (o & FSW.c3 ? FLAG.zf : 0);
  x.keepC1();
  finish(x, pops);
};
const runTest: Run = (x) => x.setCondition(CONDITION, order(x, [0], () => zero(0), false));
const runExamine: Run = (x) => x.setCondition(CONDITION, examine(x.registers.get(0), x.registers.empty(0)));

const COM: Form = { quiet: false, pops: 0 };
const UCOM: Form = { quiet: true, pops: 0 };
const popping = (form: Form, pops = 1): Form => ({ ...form, pops });

export const compareRegisterRows: [number, Row][] = [
  ...eight(0xd8d0, row('FCOM', withRegister(COM))),
  ...eight(0xd8d8, row('FCOMP', withRegister(popping(COM)))),
  ...eight(0xdcd0, row('FCOM', withRegister(COM))), // undocumented
  ...eight(0xdcd8, row('FCOMP', withRegister(popping(COM)))), // undocumented
  ...eight(0xded0, row('FCOMP', withRegister(popping(COM)))), // undocumented
  [0xded9, row('FCOMPP', withRegister(popping(COM, 2)))],
  ...eight(0xdde0, row('FUCOM', withRegister(UCOM))),
  ...eight(0xdde8, row('FUCOMP', withRegister(popping(UCOM)))),
  [0xdae9, row('FUCOMPP', withRegister(popping(UCOM, 2)))],
  ...eight(0xdbf0, row('FCOMI', toFlags(COM))),
  ...eight(0xdff0, row('FCOMIP', toFlags(popping(COM)))),
  ...eight(0xdbe8, row('FUCOMI', toFlags(UCOM))),
  ...eight(0xdfe8, row('FUCOMIP', toFlags(popping(UCOM)))),
  [0xd9e4, row('FTST', runTest)],
  [0xd9e5, row('FXAM', runExamine)],
];

export const compareMemoryRows: [number, Row][] = SOURCES.flatMap(({ opcode, size, suffix, read }): [number, Row][] => [
  [opcode << 8 | 2, memoryRow(`${suffix.endsWith('int') ? 'FICOM' : 'FCOM'}${suffix}`, 'read', size, withMemory(read, 0))],
  [opcode << 8 | 3, memoryRow(`${suffix.endsWith('int') ? 'FICOMP' : 'FCOMP'}${suffix}`, 'read', size, withMemory(read, 1))],
]);
