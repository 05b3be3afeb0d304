// The memory operand of an instruction that is finished in TypeScript: its segment's checks, then the access.
//
// Structures, of more than 10 bytes, are accessed by parts whose addresses wrap around one by one, at the instruction's
// address size. Processors look at both ends first: FXSAVE and FXRSTOR at the last byte, then the first; the x87's at the
// first word (of 4 bytes, or 2 in the 16-bit forms), then at the last byte. A part that lies across the end of a 32-bit
// segment raises #GP in the middle of the work; here it is accessed.

import { CPU } from '../cpu-state.ts';
import type { Cpu } from '../cpu.ts';
import { FX_IMAGE } from '../fpu/fxsave.ts';
import type { GuestMemory } from './guest-memory.ts';
import { canonical } from './mmu.ts';
import { ACCESS_INFO, isStackOperand, REC } from './record.ts';
import { raise, type FarPointer, type Segments } from './segments.ts';

/** Bytes of the largest operand that is no structure. */
const LARGEST_NUMBER = 10;

/** The operand as the instruction names it. */
export interface OperandOf {
  readonly cpu: Cpu;
  readonly record: number;
  /** linear address, as a whole and in halves */
  readonly va: bigint;
  readonly lo: number;
  readonly hi: number;
  /** operand and address size of the instruction, in bits */
  readonly opSize: number;
  readonly addrSize: number;
}

export class Operands {
  private readonly memory: GuestMemory;
  private readonly segments: Segments;
  constructor(memory: GuestMemory, segments: Segments) { this.memory = memory; this.segments = segments; }

  /** Its offset in its segment. */
  offset(o: OperandOf): bigint { return BigInt.asUintN(o.cpu.compat ? 32 : 64, o.va - base(o)); }

  read(o: OperandOf, length: number, into: Uint8Array): void {
    const host = this.direct(o, length, false);
    if (host >= 0) {
      for (let i = 0; i < length; i++) into[i] = o.cpu.capsule.u8[host + i] as number;
      return;
    }
    this.lookAtEnds(o, length, false);
    for (const run of this.runs(o, length)) {
      this.check(o, run.va, run.length, false);
      this.memory.read(o.cpu, run.va, run.length, run.length === length ? into : into.subarray(run.at), kind(o));
    }
  }
  /** Every page is checked before the first byte changes. */
  write(o: OperandOf, length: number, from: Uint8Array): void {
    const host = this.direct(o, length, true);
    if (host >= 0) {
      for (let i = 0; i < length; i++) o.cpu.capsule.u8[host + i] = from[i] as number;
      return;
    }
    this.probe(o, length);
    for (const run of this.runs(o, length)) this.memory.write(o.cpu, run.va, run.length, run.length === length ? from : from.subarray(run.at), kind(o));
  }
  /** Capsule offset of the operand where it is one plain piece of memory, or -1. Only with a base could it wrap around inside a page. */
  direct(o: OperandOf, length: number, write: boolean): number {
    return length > LARGEST_NUMBER && baseSlot(o) !== CPU.zero / 8 ? -1 : this.memory.directAt(o.cpu, o.lo, o.hi, length, write);
  }
  /** Throws GuestFault unless all of it can be written. */
  probe(o: OperandOf, length: number): void {
    this.lookAtEnds(o, length, true);
    for (const run of this.runs(o, length)) {
      this.check(o, run.va, run.length, true);
      this.memory.probe(o.cpu, run.va, run.length, kind(o));
    }
  }
  /** #GP(0) when it is not aligned to 16 bytes. An address that is not canonical is left to the access. */
  requireAligned(o: OperandOf, write: boolean): void {
    if (o.cpu.compat) this.check(o, o.va, 1, write);
    if ((o.lo & 15) !== 0 && canonical(o.hi)) raise(o.cpu, 13, 0);
  }
  /** The number of so many bytes that stands `at` bytes behind the operand's address. */
  number(o: OperandOf, at: number, bytes: number): bigint {
    const va = BigInt.asUintN(o.cpu.compat ? 32 : 64, o.va + BigInt(at));
    this.check(o, va, bytes, false);
    return this.memory.readBig(o.cpu, va, bytes, kind(o));
  }
  /** The operand as a far pointer: an offset of the operand size, then the selector. */
  farPointer(o: OperandOf): FarPointer {
    const bytes = o.opSize / 8;
    const offset = this.number(o, 0, bytes);
    return { offset, selector: Number(this.number(o, bytes, 2)) };
  }

  private check(o: OperandOf, va: bigint, length: number, write: boolean): void { this.segments.checkAccess(o.cpu, segment(o), va, length, write); }
  private lookAtEnds(o: OperandOf, length: number, write: boolean): void {
    if (length <= LARGEST_NUMBER) return;
    const last = [length - 1, 1] as const;
    const word = length % 10 === 4 ? 2 : 4; // 14 and 94 bytes, or 28 and 108
    for (const [at, bytes] of length === FX_IMAGE ? [last, [0, 1] as const] : [[0, word] as const, last]) {
      const offset = BigInt.asUintN(o.addrSize, this.offset(o) + BigInt(at));
      const va = BigInt.asUintN(o.cpu.compat ? 32 : 64, base(o) + offset);
      this.check(o, va, bytes, write);
      if (write) this.memory.probe(o.cpu, va, bytes, kind(o));
      else this.memory.read(o.cpu, va, bytes, scratch, kind(o));
    }
  }
  /** What lies before the end of the address space, and behind it from the segment's start. */
  private runs(o: OperandOf, length: number): readonly Run[] {
    const room = (1n << BigInt(o.addrSize)) - this.offset(o);
    if (length <= LARGEST_NUMBER || BigInt(length) <= room) return [{ va: o.va, at: 0, length }];
    return [{ va: o.va, at: 0, length: Number(room) }, { va: base(o), at: Number(room), length: length - Number(room) }];
  }
}
interface Run { readonly va: bigint; readonly at: number; readonly length: number }

const scratch = new Uint8Array(4);
const baseSlot = (o: OperandOf): number => o.cpu.capsule.u8[o.record + REC.segment] as number;
const segment = (o: OperandOf): number => baseSlot(o) - CPU.segBase / 8;
const base = (o: OperandOf): bigint => o.cpu.field64(baseSlot(o) * 8);
/** ACCESS_INFO bits of the operand. */
const kind = (o: OperandOf): number => (isStackOperand(o.cpu.capsule, o.record) ? ACCESS_INFO.stack : 0);
