// One x87 instruction in execution: the registers that it works on, the operation that collects its exceptions, its
// memory operand, and the ways in which the families end: write a register, push, store, pop.
//
// Invariant: an instruction that meets an unmasked exception before computing (Operation.stopped) changes nothing
// but the status word; a store to memory stops for unmasked overflow and underflow too.

import { type Float80, INDEFINITE } from './float80.ts';
import { Operation } from './operation.ts';
import { Registers } from './registers.ts';
import { FSW } from './words.ts';

/** Greatest memory operand: FNSAVE's. */
export const MEMORY_BYTES = 108;

export class Execution {
  readonly registers = new Registers();
  readonly op = new Operation();
  /** memory operand: what was read, or what is to be stored */
  readonly bytes = new Uint8Array(MEMORY_BYTES);
  readonly memory = new DataView(this.bytes.buffer);
  /** register operand of the register forms: ST(i) */
  i = 0;
  /** 66h prefix: the 16-bit forms of the environment */
  operand16 = false;
  /** status flags before, for FCMOVcc */
  rflags = 0;
  /** CF, PF, ZF after FCOMI and its like; -1 when RFLAGS stay */
  newFlags = -1;
  /** value for AX from FNSTSW; -1 when RAX stays */
  newAx = -1;
  /** condition codes (CONDITION bits) that the instruction writes, and their values; C1 is also Operation.c1 */
  conditionMask: number = FSW.c1;
  condition = 0;
  /** `bytes` are to be written to memory */
  stores = false;

  begin(): void {
    this.op.begin(this.registers.fcw);
    this.newFlags = -1;
    this.newAx = -1;
    this.conditionMask = FSW.c1;
    this.condition = 0;
    this.stores = false;
  }

  /** Sets the condition codes of `mask`, whatever exceptions there are. */
  setCondition(mask: number, bits: number): void {
    this.conditionMask = mask;
    this.condition = bits;
  }

  /** For instructions that touch C1 on a stack fault only. */
  keepC1(): void {
    if ((this.op.raised & FSW.sf) === 0) this.conditionMask = 0;
  }

  /** Raises a stack underflow when one of these registers is empty. */
  lacks(...indices: number[]): boolean {
    if (!indices.some((i) => this.registers.empty(i))) return false;
    this.op.raise(FSW.ie | FSW.sf);
    return true;
  }

  /** Pushes what `value` gives, or after a masked stack overflow the indefinite. */
  push(value: () => Float80): void {
    const { registers, op } = this;
    let pushed = INDEFINITE;
    if (registers.empty(7)) pushed = value();
    else {
      op.raise(FSW.ie | FSW.sf);
      op.c1 = true;
    }
    if (!op.stopped) registers.push(pushed);
  }

  /** Pushes what `value` makes of ST(source). An empty source is found before a full stack. */
  pushFrom(source: number, value: () => Float80): void {
    if (!this.lacks(source)) this.push(value);
    else if (!this.op.stopped) this.registers.push(INDEFINITE);
  }

  /** Replaces ST(target) by what `value` computes from the registers `sources`; then pops if asked. */
  replace(target: number, sources: readonly number[], value: () => Float80, pops = false): void {
    const { registers, op } = this;
    const result = this.lacks(...sources) ? INDEFINITE : value();
    if (op.stopped) return;
    registers.set(target, result);
    if (pops) registers.pop();
  }

  /** Stores ST(0) by `write`, or when it is empty the format's indefinite; then pops `pops` times. */
  store(write: (v: Float80) => void, indefinite: () => void, pops: number): void {
    const { registers, op } = this;
    if (this.lacks(0)) indefinite();
    else write(registers.get(0));
    if (op.storeStopped) return;
    this.stores = true;
    for (let n = 0; n < pops; n++) registers.pop();
  }
}
