// One vCPU's register file, seen from TypeScript: a view over its context in the capsule (cpu-state.ts).

import type { Capsule } from '#base/capsule.ts';
import { CPU, MODE } from './cpu-state.ts';

/** 64-bit values come as bigint where it is not hot, as a pair of unsigned 32-bit halves where it is. */
export class Cpu {
  readonly id: number;
  /** capsule offset of the context */
  readonly base: number;
  readonly capsule: Capsule;
  private readonly w32: number;
  private readonly w64: number;

  constructor(capsule: Capsule, id: number) {
    this.capsule = capsule;
    this.id = id;
    this.base = capsule.vcpu(id);
    this.w32 = this.base >>> 2;
    this.w64 = this.base >>> 3;
  }

  /** Low half of register `r`, unsigned. */
  lo(r: number): number { return this.capsule.u32[this.w32 + r * 2] as number; }
  /** High half of register `r`, unsigned. */
  hi(r: number): number { return this.capsule.u32[this.w32 + r * 2 + 1] as number; }
  get(r: number): bigint { return this.capsule.u64[this.w64 + r] as bigint; }
  set(r: number, value: bigint): void { this.capsule.u64[this.w64 + r] = BigInt.asUintN(64, value); }
  setPair(r: number, lo: number, hi: number): void { this.capsule.u32[this.w32 + r * 2] = lo; this.capsule.u32[this.w32 + r * 2 + 1] = hi; }
  /** Sets a register to a sign-extended 32-bit number, as hypercall results are. */
  setInt(r: number, value: number): void { this.setPair(r, value, value < 0 ? 0xffff_ffff : 0); }

  /** A 64-bit field of the context by its offset in CPU. */
  field64(offset: number): bigint { return this.capsule.u64[this.w64 + (offset >>> 3)] as bigint; }
  setField64(offset: number, value: bigint): void { this.capsule.u64[this.w64 + (offset >>> 3)] = BigInt.asUintN(64, value); }
  /** A 32-bit field of the context by its offset in CPU. */
  field32(offset: number): number { return this.capsule.u32[this.w32 + (offset >>> 2)] as number; }
  setField32(offset: number, value: number): void { this.capsule.u32[this.w32 + (offset >>> 2)] = value; }

  get rip(): bigint { return this.field64(CPU.rip); }
  set rip(value: bigint) { this.setField64(CPU.rip, value); }
  selector(seg: number): number { return this.capsule.u16[(this.base + CPU.selector >>> 1) + seg] as number; }
  /** Sets a selector alone; its segment is taken to allow reads and writes of 4 GiB. */
  setSelector(seg: number, value: number): void {
    this.capsule.u16[(this.base + CPU.selector >>> 1) + seg] = value;
    this.setSegRights(seg, 0);
    this.setSegLimit(seg, 0xffff_ffff);
  }
  segLimit(seg: number): number { return ~this.field32(CPU.segShort + seg * 4) >>> 0; }
  /** @param limit offset of the last byte */
  setSegLimit(seg: number, limit: number): void { this.setField32(CPU.segShort + seg * 4, ~limit); }
  segRights(seg: number): number { return this.capsule.u8[this.base + CPU.segRights + seg] as number; }
  /** @param denied SEG_DENIES bits */
  setSegRights(seg: number, denied: number): void { this.capsule.u8[this.base + CPU.segRights + seg] = denied; }
  segBase(seg: number): bigint { return this.field64(CPU.segBase + seg * 8); }
  setSegBase(seg: number, value: bigint): void { this.setField64(CPU.segBase + seg * 8, value); }
  get kernelMode(): boolean { return (this.field32(CPU.mode) & MODE.kernel) !== 0; }
  get compat(): boolean { return (this.field32(CPU.mode) & MODE.compat32) !== 0; }
}
