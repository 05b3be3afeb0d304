// What generated code calls outside its own module, by name: signatures in one place for both sides.

import type { Type } from '../wasm/expr.ts';

interface ImportSignature { readonly params: readonly Type[]; readonly result: Type | undefined }
const signature = (params: readonly Type[], result?: Type): ImportSignature => ({ params, result });

/** A reader of flags: takes the three words (isa/flags.ts). */
const READER = signature(['i32', 'i64', 'i64'], 'i32');

/** Shared routines, themselves WebAssembly (runtime.ts). All but the readers take the vCPU context first. */
export const RUNTIME = {
  cf: READER, of: READER, pf: READER, status: READER, be: READER, l: READER, le: READER,
  /** (cpu, record, address, info) → capsule address, or 0: the function returns EXIT.exception */
  translate: signature(['i32', 'i32', 'i64', 'i32'], 'i32'),
  /** As translate, for compiled code: what the TLB does not know then gives 0 too, and notes in CPU.redo what to do about it */
  plain: signature(['i32', 'i32', 'i64', 'i32'], 'i32'),
  /** As translate, or for writes as plain, for the stack: tells in CPU.stackPage and stackAdd what may be written there without asking again */
  stack: signature(['i32', 'i32', 'i64', 'i32'], 'i32'),
  /** (cpu, record, address, bytes) → 1: they are in a page of the stack that may be written, see CPU.stackPage; or as plain */
  stackRange: signature(['i32', 'i32', 'i64', 'i32'], 'i32'),
  /** (cpu, record) → 0, or an exit code: executes one instruction by its handler, with the state in the context */
  once: signature(['i32', 'i32'], 'i32'),
  /** (cpu): leaves compiled code where one of these gave 0, or with an exception that a routine has noted */
  fault: signature(['i32'], 'i32'),
  /** (cpu, record, code, done): charges instructions, sets rip (to the next when done), returns the code */
  leave: signature(['i32', 'i32', 'i32', 'i32'], 'i32'),
  /** (cpu, record, target): where a jump goes whose record may be linked to its target; where one to another page goes; where a computed one goes */
  direct: signature(['i32', 'i32', 'i64'], 'i32'),
  across: signature(['i32', 'i32', 'i64'], 'i32'),
  indirect: signature(['i32', 'i32', 'i64'], 'i32'),
  /** (cpu, record, target): leaves for a target that the jump cache does not have; CPU.exitOp says whether it may be linked */
  jumpMiss: signature(['i32', 'i32', 'i64'], 'i32'),
  /** (cpu): goes on at rip, or returns INNER.lookup */
  resume: signature(['i32'], 'i32'),
  /** (cpu, record): a SYSCALL instruction; leaves the function */
  systemCall: signature(['i32', 'i32'], 'i32'),
  /** (cpu, high, low, divisor) → 1 when the quotient fits; results in CPU.quotient, CPU.remainder */
  div128: signature(['i32', 'i64', 'i64', 'i64'], 'i32'),
  idiv128: signature(['i32', 'i64', 'i64', 'i64'], 'i32'),
} as const;

/** Routines in TypeScript. */
export const HOST = {
  /** (cpu, record, low, high, info): what the walk in WebAssembly cannot decide */
  translateSlow: signature(['i32', 'i32', 'i32', 'i32', 'i32'], 'i32'),
  /** (cpu, record) → 0, or an exit code: makes the bounce buffer's write real */
  commit: signature(['i32', 'i32'], 'i32'),
  /** a whole number: a JavaScript bigint would cost more than the clock */
  rdtsc: signature(['i32'], 'f64'),
  random: signature(['i32'], 'i64'),
  /** (cpu, record, routine | operand size << 8 | address size << 16, argument, low, high) → 0 to go on, or an exit code */
  slow: signature(['i32', 'i32', 'i32', 'i32', 'i32', 'i32'], 'i32'),
} as const;

/** (cpu) → 0 to go on at rip, or an exit code: a system call or an exception that the routines' module leaves for in the middle of a run */
export const HYPERCALL = signature(['i32'], 'i32');
export const HANDLER = signature(['i32', 'i32'], 'i32');
