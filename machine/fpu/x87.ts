// The x87 as the interpreter calls it. One instruction goes like this:
//
//   1. x87Operand(opcode, modrm, operand16) when it is decoded: how many bytes of memory it reads or writes.
//   2. x87Check(cpu, opcode, modrm): #UD or a pending #MF comes before any access to memory.
//   3. Kind 'read': the caller fills x87Memory, and may fault.
//   4. x87(cpu, opcode, modrm, site) acts. It cannot fault.
//   5. Result `store`: the caller writes the first `size` bytes of x87Memory; if that faults, x87Undo(cpu) takes the
//      instruction back.
//
// Device-not-available (#NM) is the caller's, before all of this. Everything lies in the vCPU's FXSAVE area; nothing
// is kept here between instructions but scratch.
//
// As on the processors since Skylake, FOP and FDP are recorded only by instructions that meet an unmasked exception
// (CPUID.7.EBX[6] FDP_EXCPTN_ONLY; fopcode compatibility off), and FCS and FDS are always 0 (CPUID.7.EBX[13]).

import type { Cpu } from '../cpu.ts';
import { CPU } from '../cpu-state.ts';
import { Execution } from './execution.ts';
import { type Row } from './row.ts';
import { rowOf } from './table.ts';
import { EXCEPTIONS, FSW } from './words.ts';

/** Bits of CPUID.7.EBX that this x87 behaves by: FDP_EXCPTN_ONLY, deprecated FCS and FDS. */
export const X87_CPUID_7_EBX = 1 << 6 | 1 << 13;

export const VECTOR_UD = 6;
export const VECTOR_MF = 16;

const execution = new Execution();
const undo = new Uint8Array(160);

/** The memory operand of the instruction at hand: 108 bytes, little-endian from 0. */
export const x87Memory: Uint8Array = execution.bytes;

export interface X87Operand {
  /** bytes; 0 for register forms */
  size: number;
  kind: 'none' | 'read' | 'write';
}

/** The memory operand of an encoding. Encodings that raise #UD have none. */
export function x87Operand(opcode: number, modrm: number, operand16: boolean): X87Operand {
  const row = rowOf(opcode, modrm);
  return row ? { size: row.size[operand16 ? 1 : 0], kind: row.kind } : { size: 0, kind: 'none' };
}

/** The instruction's name in the Intel manual; null for an encoding that raises #UD. */
export const x87Name = (opcode: number, modrm: number): string | null => rowOf(opcode, modrm)?.name ?? null;

/** What an instruction needs to know beside its operands. */
export interface X87Site {
  /** 66h prefix */
  operand16: boolean;
  /** address of the instruction's first byte, prefixes included: becomes FIP */
  rip: bigint;
  /** offset of the memory operand in its segment: becomes FDP */
  data: bigint;
  /** RFLAGS, for FCMOVcc */
  rflags: number;
}

export interface X87Result {
  /** exception to raise: 0 none, VECTOR_UD, VECTOR_MF; nothing has changed then */
  vector: number;
  /** x87Memory is to be written to the memory operand */
  store: boolean;
  /** new CF, PF and ZF (FLAG bits), with OF, SF and AF clear; -1: RFLAGS stay */
  flags: number;
}
const result: X87Result = { vector: 0, store: false, flags: -1 };

const isPending = (fsw: number): boolean => (fsw & FSW.es) !== 0;

/** The exception that an encoding raises before it touches memory: 0, VECTOR_UD, VECTOR_MF. */
export function x87Check(cpu: Cpu, opcode: number, modrm: number): number {
  const row = rowOf(opcode, modrm);
  if (!row) return VECTOR_UD;
  return row.manner !== 'no-wait' ? x87Pending(cpu) : 0;
}

/** FWAIT, and the check that MMX instructions begin with: VECTOR_MF when an unmasked exception is pending, else 0. */
export function x87Pending(cpu: Cpu): number {
  return isPending(execution.registers.attach(cpu).fsw) ? VECTOR_MF : 0;
}

/**
 * Executes one instruction D8 to DF. A memory operand to be read is in x87Memory. FNSTSW AX writes AX itself.
 * @returns one object, reused by the next call
 */
export function x87(cpu: Cpu, opcode: number, modrm: number, site: X87Site): X87Result {
  result.vector = x87Check(cpu, opcode, modrm);
  result.store = false;
  result.flags = -1;
  const row = rowOf(opcode, modrm);
  if (result.vector !== 0 || !row) return result;
  const x = execution;
  x.registers.attach(cpu);
  if (row.kind === 'write') x.registers.copyTo(undo);
  x.i = modrm & 7;
  x.operand16 = site.operand16;
  x.rflags = site.rflags;
  x.begin();
  row.run(x);
  if (row.manner === 'numeric') record(x, row, opcode, modrm, site);
  if (x.newAx >= 0) cpu.capsule.u16[cpu.base + CPU.regs >>> 1] = x.newAx;
  result.store = x.stores;
  result.flags = x.newFlags;
  return result;
}

/** Takes the last instruction's effect on the x87 state back: its store to memory has faulted. */
export function x87Undo(cpu: Cpu): void {
  execution.registers.attach(cpu).copyFrom(undo);
}

/**
 * Status word and last-instruction pointers after a numeric instruction. Condition codes that the manual leaves
 * undefined are what silicon gives: those that an instruction does not define stay, but C1 becomes 0 where nothing was
 * rounded up (FFREE, FINCSTP and FDECSTP included; FCMOVcc, FCOMI and its like, and FNOP keep it). FPREM and FPREM1 of
 * an invalid operand clear C1 and C2; FSIN and its like C2. Comparisons set C0, C2 and C3 even when an unmasked
 * exception stops their pop.
 */
function record(x: Execution, row: Row, opcode: number, modrm: number, site: X87Site): void {
  const { registers, op } = x;
  registers.fsw = registers.fsw & ~x.conditionMask | op.raised | x.condition | (op.c1 ? FSW.c1 : 0);
  registers.fip = site.rip;
  if ((op.raised & EXCEPTIONS & ~op.fcw) === 0) return;
  registers.fop = (opcode & 7) << 8 | modrm;
  if (row.kind !== 'none') registers.fdp = site.data;
}
