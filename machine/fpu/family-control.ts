// Control words, environments and whole states: FLDCW to FRSTOR, FNINIT, FNCLEX, and the instructions that only move
// the stack pointer or the tags.
//
// Environment (Intel SDM vol. 1, figures 8-9 and 8-10; the protected-mode formats, which 64-bit mode uses too): seven
// fields of four bytes, or of two with a 66h prefix: FCW, FSW, the full tag word, FIP, FCS and FOP, FDP, FDS. The
// segment selectors are deprecated (CPUID.7.EBX[13]): saved as 0, not loaded.

import type { Execution } from './execution.ts';
import { kindOf, load80, store80 } from './float80.ts';
import { type Row, type Run, eight, memoryRow, row } from './row.ts';
import { EXCEPTIONS, FCW, FSW } from './words.ts';

const TAG = { valid: 0, zero: 1, special: 2, empty: 3 } as const;

function tagWord(x: Execution): number {
  const { registers } = x;
  let word = 0;
  for (let i = 0; i < 8; i++) {
    const kind = kindOf(registers.get(i));
    const tag = registers.empty(i) ? TAG.empty : kind === 'zero' ? TAG.zero : kind === 'normal' ? TAG.valid : TAG.special;
    word |= tag << 2 * (registers.top + i & 7);
  }
  return word;
}

/** Only empty or not is taken from a tag word: the rest follows from the registers. */
function abridged(tags: number): number {
  let ftw = 0;
  for (let physical = 0; physical < 8; physical++) if ((tags >>> 2 * physical & 3) !== TAG.empty) ftw |= 1 << physical;
  return ftw;
}

/** Bytes of an environment. */
const environmentSize = (x: Execution): number => (x.operand16 ? 14 : 28);

function storeEnvironment(x: Execution): void {
  const { registers, memory, operand16 } = x;
  const fip = Number(BigInt.asUintN(32, registers.fip)), fdp = Number(BigInt.asUintN(32, registers.fdp));
  const words = [registers.fcw, registers.fsw, tagWord(x)];
  if (operand16) {
    for (const [n, value] of [...words, fip & 0xffff, 0, fdp & 0xffff, 0].entries()) memory.setUint16(2 * n, value, true);
    return;
  }
  const fields = [...words.map((word) => 0xffff_0000 | word), fip, registers.fop << 16, fdp, 0xffff_0000];
  for (const [n, value] of fields.entries()) memory.setUint32(4 * n, value, true);
}

function loadEnvironment(x: Execution): void {
  const { registers, memory, operand16 } = x;
  const field = (n: number): number => (operand16 ? memory.getUint16(2 * n, true) : memory.getUint32(4 * n, true));
  registers.top = (field(1) & FSW.top) >>> 11;
  registers.fcw = field(0);
  registers.fsw = field(1) & 0xffff;
  registers.ftw = abridged(field(2));
  registers.fip = BigInt(field(3));
  registers.fop = operand16 ? 0 : field(4) >>> 16;
  registers.fdp = BigInt(field(5));
}

const storeEnv: Run = (x) => {
  storeEnvironment(x);
  x.stores = true;
  x.registers.fcw |= EXCEPTIONS;
};

const save: Run = (x) => {
  storeEnvironment(x);
  for (let i = 0; i < 8; i++) store80(x.memory, environmentSize(x) + 10 * i, x.registers.get(i));
  x.stores = true;
  initialise(x);
};

const restore: Run = (x) => {
  loadEnvironment(x);
  const ftw = x.registers.ftw;
  for (let i = 0; i < 8; i++) x.registers.set(i, load80(x.memory, environmentSize(x) + 10 * i));
  x.registers.ftw = ftw;
};

const initialise: Run = ({ registers }) => {
  registers.top = 0;
  registers.fcw = FCW.initial;
  registers.fsw = 0;
  registers.ftw = 0;
  registers.fop = 0;
  registers.fip = 0n;
  registers.fdp = 0n;
};

const clearExceptions: Run = ({ registers }) => { registers.fsw &= ~(EXCEPTIONS | FSW.sf); };
const loadControl: Run = ({ registers, memory }) => { registers.fcw = memory.getUint16(0, true); };
const storeControl: Run = (x) => { x.memory.setUint16(0, x.registers.fcw, true); x.stores = true; };
const storeStatus: Run = (x) => { x.memory.setUint16(0, x.registers.fsw, true); x.stores = true; };
const storeStatusAx: Run = (x) => { x.newAx = x.registers.fsw; };
const nothing: Run = () => {};

export const controlRegisterRows: [number, Row][] = [
  [0xd9d0, row('FNOP', (x) => x.keepC1())],
  [0xd9f6, row('FDECSTP', ({ registers }) => { registers.top--; })],
  [0xd9f7, row('FINCSTP', ({ registers }) => { registers.top++; })],
  ...eight(0xddc0, row('FFREE', ({ registers, i }) => registers.free(i))),
  ...eight(0xdfc0, row('FFREEP', ({ registers, i }) => { registers.free(i); registers.pop(); })), // undocumented
  [0xdbe0, row('FNENI', nothing, 'no-wait')], // 8087 only
  [0xdbe1, row('FNDISI', nothing, 'no-wait')], // 8087 only
  [0xdbe2, row('FNCLEX', clearExceptions, 'no-wait')],
  [0xdbe3, row('FNINIT', initialise, 'no-wait')],
  [0xdbe4, row('FNSETPM', nothing, 'no-wait')], // 287 only
  [0xdfe0, row('FNSTSW AX', storeStatusAx, 'no-wait')],
];

export const controlMemoryRows: [number, Row][] = [
  [0xd904, memoryRow('FLDENV', 'read', 28, loadEnvironment, 'control', 14)],
  [0xd905, memoryRow('FLDCW', 'read', 2, loadControl, 'control')],
  [0xd906, memoryRow('FNSTENV', 'write', 28, storeEnv, 'no-wait', 14)],
  [0xd907, memoryRow('FNSTCW', 'write', 2, storeControl, 'no-wait')],
  [0xdd04, memoryRow('FRSTOR', 'read', 108, restore, 'control', 94)],
  [0xdd06, memoryRow('FNSAVE', 'write', 108, save, 'no-wait', 94)],
  [0xdd07, memoryRow('FNSTSW', 'write', 2, storeStatus, 'no-wait')],
];
