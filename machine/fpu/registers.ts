// The x87 registers of one vCPU, as they lie in its FXSAVE area (Intel SDM vol. 1, table 10-2): ST(0) to ST(7) in
// stack order, one tag bit for each *physical* register (1: not empty), everything always current.
//
// Invariant: slot i holds ST(i), which is physical register (TOP + i) mod 8. Changing TOP therefore turns the slots,
// and the tags stay. MMX instructions have TOP = 0, so slot i is MMi for them.

import type { Cpu } from '../cpu.ts';
import { CPU, FX } from '../cpu-state.ts';
import { type Float80, load80, store80 } from './float80.ts';
import { FCW, FSW, summarise } from './words.ts';

const SLOT = 16;
const STACK = 8 * SLOT;
/** FXSAVE bytes of the x87 state: up to and without XMM0 (MXCSR lies among them) */
const X87_BYTES = FX.xmm;
const scratch = new Uint8Array(STACK);

export class Registers {
  private cpu!: Cpu;
  private view!: DataView;
  /** capsule offset of the FXSAVE area */
  private base = 0;

  attach(cpu: Cpu): this {
    this.cpu = cpu;
    this.view = cpu.capsule.dv;
    this.base = cpu.base + CPU.fxState;
    return this;
  }

  get fcw(): number { return this.view.getUint16(this.base + FX.fcw, true); }
  /** Writes the control word; the status word's summary follows. */
  set fcw(value: number) {
    this.view.setUint16(this.base + FX.fcw, value & FCW.writable | FCW.ones, true);
    this.view.setUint16(this.base + FX.fsw, summarise(this.fsw, this.fcw), true);
  }

  get fsw(): number { return this.view.getUint16(this.base + FX.fsw, true); }
  /** Writes the status word but for TOP, which `top` sets; es and b are made to fit. */
  set fsw(value: number) {
    const word = value & ~FSW.top | this.fsw & FSW.top;
    this.view.setUint16(this.base + FX.fsw, summarise(word, this.fcw), true);
  }

  get ftw(): number { return this.view.getUint8(this.base + FX.ftw); }
  set ftw(value: number) { this.view.setUint8(this.base + FX.ftw, value); }
  get fop(): number { return this.view.getUint16(this.base + FX.fop, true); }
  set fop(value: number) { this.view.setUint16(this.base + FX.fop, value & 0x7ff, true); }
  get fip(): bigint { return this.view.getBigUint64(this.base + FX.fip, true); }
  set fip(value: bigint) { this.view.setBigUint64(this.base + FX.fip, value, true); }
  get fdp(): bigint { return this.view.getBigUint64(this.base + FX.fdp, true); }
  set fdp(value: bigint) { this.view.setBigUint64(this.base + FX.fdp, value, true); }

  get top(): number { return (this.fsw & FSW.top) >>> 11; }
  set top(value: number) {
    const turn = (value - this.top & 7) * SLOT;
    if (turn === 0) return;
    const u8 = this.cpu.capsule.u8, stack = this.base + FX.st;
    scratch.set(u8.subarray(stack, stack + STACK));
    u8.set(scratch.subarray(turn), stack);
    u8.set(scratch.subarray(0, turn), stack + STACK - turn);
    this.view.setUint16(this.base + FX.fsw, this.fsw & ~FSW.top | (value & 7) << 11, true);
  }

  empty(i: number): boolean { return (this.ftw >>> (this.top + i & 7) & 1) === 0; }
  get(i: number): Float80 { return load80(this.view, this.base + FX.st + SLOT * i); }
  /** Writes ST(i); it is no longer empty. */
  set(i: number, value: Float80): void {
    store80(this.view, this.base + FX.st + SLOT * i, value);
    this.ftw |= 1 << (this.top + i & 7);
  }
  free(i: number): void { this.ftw &= ~(1 << (this.top + i & 7)); }

  push(value: Float80): void {
    this.top--;
    this.set(0, value);
  }
  pop(): void {
    this.free(0);
    this.top++;
  }

  /** Copies the x87 state out, or back in. 160 bytes. */
  copyTo(to: Uint8Array): void { to.set(this.cpu.capsule.u8.subarray(this.base, this.base + X87_BYTES)); }
  copyFrom(from: Uint8Array): void { this.cpu.capsule.u8.set(from, this.base); }
}
