// What an instruction does with general registers and flags, found by writing it once for nobody: descriptions say what they read and
// write as they are written. It is the same for all instructions of one specification, but for the numbers of the registers.

import type { Place } from '../isa/env.ts';
import { Flags, flagsInContext } from '../isa/flags.ts';
import type { Row } from '../isa/row.ts';
import type { Expr } from '../wasm/expr.ts';
import { Fn, type Label } from '../wasm/fn.ts';
import { HANDLER } from './imports.ts';
import { keyOf, type HandlerSpec } from './handler-spec.ts';
import { emitInstruction, InterpEnv, type Calls, type Shape } from './interp-env.ts';
import { REC } from './record.ts';

/** General registers, and behind them the flags, as bits. */
export const REGISTERS = 16, FLAGS = 1 << REGISTERS;

export interface Effects {
  /** read, or not written as a whole, or not always */
  readonly reads: number;
  readonly writes: number;
  /** written as a whole, whatever they were */
  readonly kills: number;
  /** a round of it may see what another one has written */
  readonly isRepeated: boolean;
}
export const NOTHING: Effects = { reads: 0, writes: 0, kills: 0, isRepeated: false };

/** Registers by number, those that a record's field names by FIELD and the field's offset; the flags are number REGISTERS. */
interface Found { readonly reads: number[]; readonly writes: number[]; readonly kills: number[]; readonly isRepeated: boolean }
const FIELD = 32;

const found = new Map<number, Found>();

/** @param dv where the record is @param calls any module's */
export function effectsOf(spec: HandlerSpec, dv: DataView, record: number, calls: Calls): Effects {
  const key = keyOf(spec);
  let known = found.get(key);
  if (!known) found.set(key, known = find(spec, calls));
  const bitOf = (r: number): number => {
    if (r < FIELD) return 1 << r;
    const n = dv.getUint16(record + r - FIELD, true) >>> 3;
    return n < REGISTERS ? 1 << n : 0; // what an address without a register names lies behind them
  };
  const bits = (registers: readonly number[]): number => registers.reduce((all, r) => all | bitOf(r), 0);
  const writes = bits(known.writes), reads = bits(known.reads), kills = bits(known.kills) & ~reads;
  return { reads: reads | writes & ~kills, writes, kills, isRepeated: known.isRepeated };
}

function find(spec: HandlerSpec, calls: Calls): Found {
  const fn = new LoopNotingFn(HANDLER.params, HANDLER.result);
  const reads = new Set<number>(), writes = new Set<number>(), kills = new Set<number>();
  const registers: Noting = {
    read(n) { if (!kills.has(n)) reads.add(n); },
    write(n, whole) {
      writes.add(n);
      if (whole && fn.nesting === 0) kills.add(n);
      else this.read(n);
    },
  };
  const inContext = flagsInContext(fn, fn.param(0));
  const word = (get: () => Expr) => (): Expr => { registers.read(REGISTERS); return get(); };
  const flags = new Flags(fn, calls, spec.dead, { op: word(inContext.op), res: word(inContext.res), a: word(inContext.a), set: () => registers.write(REGISTERS, true) }, true);
  emitInstruction(spec, (row, shape, instructions) => new Probe(fn, row, shape, flags, calls, instructions, registers));
  return { reads: [...reads], writes: [...writes], kills: fn.hasLoop ? [] : [...kills], isRepeated: fn.hasLoop };
}
/** @param whole all of it, whatever it was */
interface Noting { read(n: number): void; write(n: number, whole: boolean): void }

class LoopNotingFn extends Fn {
  hasLoop = false;
  override loop(body: (label: Label) => void): void {
    this.hasLoop = true;
    super.loop(body);
  }
}

/** An instruction that is written to see what it does. */
class Probe extends InterpEnv {
  private readonly registers: Noting;

  constructor(fn: Fn, row: Row, shape: Shape, flags: Flags, calls: Calls, instructions: number, registers: Noting) {
    super(fn, row, shape, flags, calls, 0, instructions);
    this.registers = registers;
  }
  protected override registerPlace(offset: number, general: boolean): Place {
    return general ? { kind: 'general', n: FIELD + offset, high: false } : super.registerPlace(offset, general);
  }
  protected override fixedPlace(offset: number): Place { return { kind: 'general', n: offset >>> 3, high: false }; }
  protected override readGeneral(n: number, high: boolean, bits: number): Expr {
    this.registers.read(n);
    return super.readGeneral(n, high, bits);
  }
  protected override writeGeneral(n: number, _high: boolean, bits: number, _value: Expr): void { this.registers.write(n, bits >= 32); }
  protected override offsetExpr(): Expr {
    this.registers.read(FIELD + REC.base);
    if (this.form === 'x') this.registers.read(FIELD + REC.index);
    return super.offsetExpr();
  }
}
