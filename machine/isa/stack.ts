// PUSH POP PUSHF POPF ENTER LEAVE PUSHA POPA, LAHF SAHF and the flag instructions: SDM vol. 2.

import { CPU, EXIT, FLAG, PRIV, REG, SEG } from '../cpu-state.ts';
import { add, and, i32, i64, load, or, shrU, sub, widenU, wrap, xor, type Expr } from '../wasm/expr.ts';
import type { Env } from './env.ts';
import type { Row } from './row.ts';

const push = (e: Env): void => e.push(e.opSize, e.read(0, e.opSize));
/** rsp is raised before the address of a memory operand is computed, and is what POP rsp overwrites. */
const popReg = (e: Env): void => {
  const v = e.top(e.opSize);
  e.drop(e.opSize / 8);
  e.write(0, v);
};
const popMemory = (e: Env): void => {
  const v = e.top(e.opSize);
  if (!e.isMemory(0)) { popRegister(e, v); return; }
  // the address is that with the raised rsp; a fault must show the old one
  const rsp = e.stackPointer();
  e.drop(e.opSize / 8);
  const offset = e.offset();
  e.setStackPointer(rsp);
  const va = e.linearOf(offset);
  const host = e.translate(va, e.opSize, true, 'operand');
  e.drop(e.opSize / 8);
  e.fn.store(e.opSize, host, v);
  e.commit(host);
};
const popRegister = (e: Env, v: Expr): void => {
  e.drop(e.opSize / 8);
  e.write(0, v);
};
const pushf = (e: Env): void => {
  const flags = e.fn.let(and(e.readFlags(), i32(~(FLAG.vm | FLAG.rf))));
  e.push(e.opSize, e.opSize === 64 ? widenU(flags) : e.truncate(flags, e.opSize));
};
/** In ring 3 with IOPL below 3, IF and IOPL stay as they are. */
const popf = (e: Env): void => {
  const v = e.top(e.opSize);
  e.drop(e.opSize / 8);
  const value = e.fn.let(e.opSize === 64 ? wrap(v) : v);
  const changeable = (FLAG.tf | FLAG.df | FLAG.nt | FLAG.ac | FLAG.id) & (e.opSize === 16 ? 0xffff : -1);
  e.setField(CPU.flags, or(and(e.field(CPU.flags), i32(~changeable)), and(value, i32(changeable))));
  e.flags.all(value);
  e.afterFlagChange();
};
const leave = (e: Env): void => {
  const frame = e.fn.let(e.wideUnsigned(e.reg(REG.rbp, e.stackBits), e.stackBits));
  const v = e.load(e.stackAddress(frame), e.opSize, 'stack');
  e.setStackPointer(add(frame, i64(e.opSize / 8)));
  e.setReg(REG.rbp, e.opSize, v);
};
/**
 * ENTER with nesting level 0; deeper levels (unused by compilers) go to the slow path. The new top of the stack must be
 * writable, though nothing is written there.
 */
const enter = (e: Env): void => {
  const both = e.fn.let(e.imm(32));
  e.fn.if(and(shrU(both, i32(16)), i32(31)), () => e.slow('enter', both), () => {
    const bytes = e.opSize / 8;
    const sp = e.fn.let(sub(e.stackPointer(), i64(bytes)));
    e.store(e.stackAddress(sp), e.opSize, e.reg(REG.rbp, e.opSize), 'stack');
    const top = e.stackAddress(sub(sp, widenU(and(both, i32(0xffff)))));
    e.probeStack(top, e.opSize);
    e.setReg(REG.rbp, e.opSize, e.narrow(sp, e.opSize));
    e.setStackPointer(top);
  });
};
const lahf = (e: Env): void => e.setAh(or(e.flags.status(), i32(2)));
const sahf = (e: Env): void => e.flags.merge(FLAG.sf | FLAG.zf | FLAG.af | FLAG.pf | FLAG.cf, e.ah());
const systemFlag = (flag: number, on: boolean) => (e: Env): void => {
  const f = e.field(CPU.flags);
  e.setField(CPU.flags, on ? or(f, i32(flag)) : and(f, i32(~flag)));
};
const setCarry = (value: (old: Expr) => Expr) => (e: Env): void => e.flags.merge(FLAG.cf, value(e.flags.carry()));

const PUSHA = [REG.rax, REG.rcx, REG.rdx, REG.rbx, REG.rsp, REG.rbp, REG.rsi, REG.rdi];
/** All stores are made, top down, before rsp moves: a fault leaves rsp as it was. */
const pusha = (e: Env): void => {
  const bytes = e.opSize / 8;
  const sp = e.fn.let(e.stackPointer());
  PUSHA.forEach((r, i) => e.store(e.stackAddress(sub(sp, i64((i + 1) * bytes))), e.opSize, e.reg(r, e.opSize), 'stack'));
  e.setStackPointer(sub(sp, i64(8 * bytes)));
};
/** Upwards from rsp, each register as it is read: a fault leaves those below it loaded, and rsp as it was. */
const popa = (e: Env): void => {
  const bytes = e.opSize / 8;
  const sp = e.fn.let(e.stackPointer());
  PUSHA.toReversed().forEach((r, i) => {
    const v = e.load(e.stackAddress(add(sp, i64(i * bytes))), e.opSize, 'stack');
    if (r !== REG.rsp) e.setReg(r, e.opSize, v);
  });
  e.setStackPointer(add(sp, i64(8 * bytes)));
};
/** With an operand size of 32 bits the stack pointer moves by 4, but only the selector's 16 bits are written. */
const pushSeg = (seg: number) => (e: Env): void => {
  const selector = e.fn.let(load('i32', 16, e.cpu, CPU.selector + seg * 2));
  if (e.opSize === 64) { e.push(64, widenU(selector)); return; }
  const sp = e.stackAddress(sub(e.stackPointer(), i64(e.opSize / 8)));
  e.store(sp, 16, selector, 'stack');
  e.setStackPointer(sp);
};
/** Only the selector's 16 bits are read. */
const popSeg = (seg: number) => (e: Env): void => {
  e.slow('loadSegment', or(e.top(16), i32(seg << 16)));
  e.drop(e.opSize / 8);
};

export const stack: readonly Row[] = [
  { name: 'PUSH', opcode: '50+r', operands: ['Zv'], size: 'd64', sem: push },
  { name: 'PUSH', opcode: 'FF /6', operands: ['Ev'], size: 'd64', sem: push },
  { name: 'PUSH', opcode: '68 iz', operands: ['Iz'], size: 'd64', sem: push },
  { name: 'PUSH', opcode: '6A ib', operands: ['Ib'], size: 'd64', sem: push },
  { name: 'POP', opcode: '58+r', operands: ['Zv'], size: 'd64', sem: popReg },
  { name: 'POP', opcode: '8F /0', operands: ['Ev'], size: 'd64', sem: popMemory },
  { name: 'PUSHF', opcode: '9C', operands: [], size: 'd64', sem: pushf, flags: 'r' },
  { name: 'POPF', opcode: '9D', operands: [], size: 'd64', sem: popf, flags: 'p' },
  { name: 'LEAVE', opcode: 'C9', operands: [], size: 'd64', sem: leave },
  { name: 'ENTER', opcode: 'C8 iw ib', operands: ['Iw', 'Ib'], size: 'd64', sem: enter },
  { name: 'LAHF', opcode: '9F', operands: [], size: 'b', sem: lahf, flags: 'r' },
  { name: 'SAHF', opcode: '9E', operands: [], size: 'b', sem: sahf, flags: 'p' },
  { name: 'CMC', opcode: 'F5', operands: [], size: 'b', sem: setCarry((c) => xor(c, i32(1))), flags: 'r' },
  { name: 'CLC', opcode: 'F8', operands: [], size: 'b', sem: setCarry(() => i32(0)), flags: 'p' },
  { name: 'STC', opcode: 'F9', operands: [], size: 'b', sem: setCarry(() => i32(1)), flags: 'p' },
  { name: 'CLD', opcode: 'FC', operands: [], size: 'b', sem: systemFlag(FLAG.df, false) },
  { name: 'STD', opcode: 'FD', operands: [], size: 'b', sem: systemFlag(FLAG.df, true) },
  { name: 'SALC', opcode: 'D6', operands: [], size: 'b', mode: 'not64', sem: (e) => e.setReg(REG.rax, 8, e.truncate(sub(i32(0), e.flags.carry()), 8)), flags: 'r' },
  { name: 'CLI', opcode: 'FA', operands: [], size: 'b', sem: (e) => e.exit(EXIT.privileged, PRIV.cli, i64(0), true), ends: true, unchecked: 'privileged' },
  { name: 'STI', opcode: 'FB', operands: [], size: 'b', sem: (e) => e.exit(EXIT.privileged, PRIV.sti, i64(0), true), ends: true, unchecked: 'privileged' },
  { name: 'PUSHA', opcode: '60', operands: [], mode: 'not64', sem: pusha },
  { name: 'POPA', opcode: '61', operands: [], mode: 'not64', sem: popa },
  ...([['06', SEG.es], ['0E', SEG.cs], ['16', SEG.ss], ['1E', SEG.ds]] as const).map(([opcode, seg]): Row => ({ name: 'PUSH', opcode, operands: [], mode: 'not64', sem: pushSeg(seg) })),
  ...([['07', SEG.es], ['17', SEG.ss], ['1F', SEG.ds]] as const).map(([opcode, seg]): Row => ({ name: 'POP', opcode, operands: [], mode: 'not64', sem: popSeg(seg), unchecked: 'loads a segment register' })),
  ...([['0F A0', SEG.fs], ['0F A8', SEG.gs]] as const).map(([opcode, seg]): Row => ({ name: 'PUSH', opcode, operands: [], size: 'd64', sem: pushSeg(seg) })),
  ...([['0F A1', SEG.fs], ['0F A9', SEG.gs]] as const).map(([opcode, seg]): Row => ({ name: 'POP', opcode, operands: [], size: 'd64', sem: popSeg(seg), unchecked: 'loads a segment register' })),
];
