// XMM registers whose values compiled code has at hand. They stay in the context, where every write goes at once: so nothing has to be
// put back where a region is left, which most regions that have a vector in them do often. What a block has read or written before
// need not be read again: a load of what was just stored waits for the store, and for longer if that was of a part of it.

import { CPU, FX } from '../cpu-state.ts';
import { load, type Expr, type Type } from '../wasm/expr.ts';
import type { Fn, Var } from '../wasm/fn.ts';
import { f32x4, f64x2, i32x4, i64x2 } from '../wasm/simd.ts';

const BYTES = 16, REGISTERS = 16;
const XMM = CPU.fxState + FX.xmm;
/** Lanes by the type of a scalar: its bits are the lowest ones. */
const LANES = { i32: i32x4, i64: i64x2, f32: f32x4, f64: f64x2 } as const;

/** Numbers of registers. */
export type VectorKnowledge = ReadonlySet<number>;

export class KnownVectors {
  private readonly fn: Fn;
  private readonly values = new Map<number, Var>();
  private held = new Set<number>();
  private nesting = 0;

  constructor(fn: Fn) { this.fn = fn; }
  /** The number of the register at an offset in the context; undefined where none is. */
  static numberAt(offset: number): number | undefined {
    const n = (offset - XMM) / BYTES;
    return Number.isInteger(n) && n >= 0 && n < REGISTERS ? n : undefined;
  }
  /** A block begins. @param knowledge what is known where it is come from, if that is one place */
  begin(knowledge: VectorKnowledge | undefined): void {
    this.held = new Set(knowledge);
    this.nesting = this.fn.nesting;
  }
  get knowledge(): VectorKnowledge { return new Set(this.held); }
  forget(): void { this.held.clear(); }
  /** The register is written where it lies. */
  drop(n: number): void { this.held.delete(n); }
  /** What is written here is executed whenever its block is. */
  private get isPlain(): boolean { return this.fn.nesting === this.nesting; }
  private value(n: number): Var {
    let v = this.values.get(n);
    if (!v) this.values.set(n, v = this.fn.lasting('v128'));
    return v;
  }
  private hold(n: number, value: Expr): Var {
    const v = this.value(n);
    v.set(value);
    this.held.add(n);
    return v;
  }

  /** The lowest bits of a register as a value of a type; it is to be pinned. */
  read(n: number, type: Type, bits: number): Expr {
    if (this.held.has(n)) return type === 'v128' ? this.value(n).get : LANES[type].extract(this.value(n).get, 0);
    if (type === 'v128' && this.isPlain) return this.hold(n, this.inContext(n)).get;
    return load(type, bits, this.fn.param(0), XMM + n * BYTES);
  }
  /** Writes the lowest bits of a register, the others stay. */
  write(n: number, bits: number, value: Expr): void {
    const { type } = value, cpu = this.fn.param(0), at = XMM + n * BYTES;
    if (!this.isPlain) {
      this.drop(n);
      this.fn.store(bits, cpu, value, at);
      return;
    }
    const pinned = this.fn.let(value);
    const whole = type === 'v128' ? pinned : LANES[type].replace(this.held.has(n) ? this.value(n).get : this.inContext(n), 0, pinned);
    this.fn.store(128, cpu, this.hold(n, whole).get, at);
  }
  private inContext(n: number): Expr { return load('v128', 128, this.fn.param(0), XMM + n * BYTES); }
}
