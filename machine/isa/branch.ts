// JMP Jcc CALL RET LOOP JrCXZ, far transfers, INT, SYSCALL: SDM vol. 2.

import { EXIT, REG } from '../cpu-state.ts';
import { add, and, eqz, i32, i64, ne, sub, widenU, type Expr } from '../wasm/expr.ts';
import type { Env } from './env.ts';
import { conditionName, hex2 } from './mov.ts';
import type { Row } from './row.ts';

const jcc = (cc: number) => (e: Env): void => e.jumpRelative(e.flags.condition(cc));
/** Near branches are 64 bits wide in 64-bit mode whatever the prefix; outside it a 16-bit target loses its upper half. */
const branchTarget = (e: Env, v: Expr): Expr => (e.mode64 ? v : e.opSize === 16 ? and(v, i64(0xffff)) : and(v, i64(0xffff_ffffn)));
const slot = (e: Env): number => (e.mode64 ? 64 : e.opSize);
const callRelative = (e: Env): void => {
  e.push(slot(e), e.narrow(e.nextRip(), slot(e)));
  e.jumpRelative();
};
const readTarget = (e: Env): Expr => e.fn.let(branchTarget(e, e.wideUnsigned(e.read(0, slot(e)), slot(e))));
const jumpIndirect = (e: Env): void => e.jumpTo(readTarget(e));
const callIndirect = (e: Env): void => {
  const target = readTarget(e);
  e.push(slot(e), e.narrow(e.nextRip(), slot(e)));
  e.jumpTo(target);
};
const ret = (popped: boolean) => (e: Env): void => {
  const v = e.top(slot(e));
  const target = e.fn.let(branchTarget(e, e.wideUnsigned(v, slot(e))));
  const sp = add(e.stackPointer(), i64(slot(e) / 8));
  e.setStackPointer(popped ? add(sp, widenU(e.read(0, 16))) : sp);
  e.jumpTo(target);
};
/** Bytes that a branch through a register, memory or the stack has added to rsp by the time its target is known. */
export function stackMove(row: Row, bytes: number, immediate: number): number {
  return row.name === 'RET' ? bytes + (row.operands.length > 0 ? immediate : 0) : row.name === 'CALL' ? -bytes : 0;
}
const countRegister = (e: Env): Expr => e.reg(REG.rcx, e.addrSize);
const loop = (zf: boolean | undefined) => (e: Env): void => {
  const bits = e.addrSize;
  const n = e.fn.let(sub(countRegister(e), e.const(bits, 1)));
  e.setReg(REG.rcx, bits, n);
  const left = ne(n, e.const(bits, 0));
  e.jumpRelative(zf === undefined ? left : and(left, zf ? e.fn.let(ne(e.flags.condition(4), i32(0))) : eqz(e.flags.condition(4))));
};

export const branch: readonly Row[] = [
  { name: 'JMP', opcode: 'EB cb', operands: ['Jb'], size: 'd64', sem: (e) => e.jumpRelative(), ends: true },
  { name: 'JMP', opcode: 'E9 cd', operands: ['Jz'], size: 'd64', sem: (e) => e.jumpRelative(), ends: true },
  ...Array.from({ length: 16 }, (_, cc): Row[] => [
    { name: `J${conditionName(cc)}`, opcode: `${hex2(0x70 + cc)} cb`, operands: ['Jb'], size: 'd64', sem: jcc(cc), cc, flags: 'r' },
    { name: `J${conditionName(cc)}`, opcode: `0F ${hex2(0x80 + cc)} cd`, operands: ['Jz'], size: 'd64', sem: jcc(cc), cc, flags: 'r' },
  ]).flat(),
  { name: 'CALL', opcode: 'E8 cd', operands: ['Jz'], size: 'd64', sem: callRelative, ends: true },
  { name: 'JMP', opcode: 'FF /4', operands: ['Ev'], size: 'd64', sem: jumpIndirect, ends: true },
  { name: 'CALL', opcode: 'FF /2', operands: ['Ev'], size: 'd64', sem: callIndirect, ends: true },
  { name: 'RET', opcode: 'C3', operands: [], size: 'd64', sem: ret(false), ends: true },
  { name: 'RET', opcode: 'C2 iw', operands: ['Iw'], size: 'd64', sem: ret(true), ends: true },
  { name: 'LOOPNZ', opcode: 'E0 cb', operands: ['Jb'], size: 'd64', sem: loop(false), flags: 'r' },
  { name: 'LOOPZ', opcode: 'E1 cb', operands: ['Jb'], size: 'd64', sem: loop(true), flags: 'r' },
  { name: 'LOOP', opcode: 'E2 cb', operands: ['Jb'], size: 'd64', sem: loop(undefined) },
  { name: 'JRCXZ', opcode: 'E3 cb', operands: ['Jb'], size: 'd64', sem: (e) => e.jumpRelative(eqz(countRegister(e))) },
  { name: 'RETF', opcode: 'CB', operands: [], sem: (e) => e.slow('retFar', i32(0)), ends: true, unchecked: 'needs a code segment of the system' },
  { name: 'RETF', opcode: 'CA iw', operands: ['Iw'], sem: (e) => e.slow('retFar', e.read(0, 16)), ends: true, unchecked: 'needs a code segment of the system' },
  { name: 'IRET', opcode: 'CF', operands: [], sem: (e) => e.slow('iret', i32(0)), ends: true, unchecked: 'needs a code segment of the system' },
  { name: 'JMPF', opcode: 'FF /5', operands: ['Mp'], sem: (e) => e.slow('jumpFar', i32(0), e.address()), ends: true, unchecked: 'needs a code segment of the system' },
  { name: 'CALLF', opcode: 'FF /3', operands: ['Mp'], sem: (e) => e.slow('callFar', i32(0), e.address()), ends: true, unchecked: 'needs a code segment of the system' },
  { name: 'JMPF', opcode: 'EA cp', operands: ['Ap'], mode: 'not64', sem: (e) => e.slow('jumpPointer', e.farSelector(), e.farOffset()), ends: true, unchecked: 'needs a code segment of the system' },
  { name: 'CALLF', opcode: '9A cp', operands: ['Ap'], mode: 'not64', sem: (e) => e.slow('callPointer', e.farSelector(), e.farOffset()), ends: true, unchecked: 'needs a code segment of the system' },
  { name: 'INT3', opcode: 'CC', operands: [], sem: (e) => e.exit(EXIT.softint, 3, i64(0), true), ends: true },
  { name: 'INT', opcode: 'CD ib', operands: ['Ib'], sem: (e) => e.exitSoftint(e.imm(8)), ends: true, unchecked: 'asks the operating system' },
  { name: 'INT1', opcode: 'F1', operands: [], sem: (e) => e.exit(EXIT.exception, 1, i64(0), false), ends: true, unchecked: 'asks the debugger' },
  { name: 'INTO', opcode: 'CE', operands: [], mode: 'not64', sem: (e) => e.fn.if(e.flags.condition(0), () => e.exit(EXIT.softint, 4, i64(0), true)), flags: 'r' },
  { name: 'SYSCALL', opcode: '0F 05', operands: [], mode: '64', sem: (e) => e.systemCall(), ends: true, unchecked: 'asks the operating system' },
  { name: 'SYSENTER', opcode: '0F 34', operands: [], sem: (e) => e.exit(EXIT.sysenter, 0, i64(0), false), ends: true, unchecked: 'asks the operating system' },
  { name: 'UD2', opcode: '0F 0B', operands: [], sem: (e) => e.raise(6), ends: true },
  { name: 'UD1', opcode: '0F B9 /r', operands: ['Gv', 'Ev'], sem: (e) => e.raise(6), ends: true },
  { name: 'UD0', opcode: '0F FF /r', operands: ['Gv', 'Ev'], sem: (e) => e.raise(6), ends: true },
];
