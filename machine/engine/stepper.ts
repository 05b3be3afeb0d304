// Guest code an instruction at a time, for the processor's own debugging aids: the trap flag, and the breakpoints of
// DR0..DR3 while DR7 enables any (SDM vol. 3, 17.2 and 17.3). What silicon does where the manual leaves it open:
//   - data breakpoints trap behind the instruction, in a repeated string instruction behind the round; a fault of the
//     same instruction wins, and what it touched before is forgotten
//   - an instruction breakpoint of the next instruction comes in the same #DB as a data breakpoint, but not in that of
//     a single step
//   - after MOV SS and POP SS one instruction runs before anything is reported, and its own breakpoint is passed over;
//     loading SS again in that instruction does not put it off further
//   - RF stays set between the rounds of a repeated instruction
// Breakpoints on I/O ports cannot be reached from ring 3. Addresses of accesses come from the MMU, which keeps watched
// pages out of the TLB.

import { CPU, EXIT, FLAG, NO_ERROR_CODE } from '../cpu-state.ts';
import type { Cpu } from '../cpu.ts';
import type { Mmu, Watch } from './mmu.ts';
import { INNER } from './record.ts';
import type { Segments } from './segments.ts';

/** What it needs of the engine. */
export interface Stepped {
  readonly mmu: Mmu;
  readonly segments: Segments;
  /**
   * Executes one instruction, or one round of a repeated one.
   * @returns INNER.step when it is done, INNER.again when rounds are left, or the EXIT code by which it left
   */
  one(cpu: Cpu): number;
}

const DR6_SINGLE_STEP = 0x4000;
const DR7_ENABLES = 0xff;
const EXECUTE = 0, WRITE = 1, ACCESS = 3; // DR7.R/W
const LENGTHS = [1, 2, 8, 4]; // by DR7.LEN

const dr7 = (cpu: Cpu): number => cpu.field32(CPU.dr + 7 * 8);
/** True when breakpoints are enabled. */
export const hasBreakpoints = (cpu: Cpu): boolean => (dr7(cpu) & DR7_ENABLES) !== 0;

interface Breakpoint { readonly bit: number; readonly kind: number; readonly at: bigint; readonly length: number }

function breakpoints(cpu: Cpu): Breakpoint[] {
  const control = dr7(cpu);
  return [0, 1, 2, 3].filter((i) => control >>> 2 * i & 3).map((i) => {
    const length = LENGTHS[control >>> 18 + 4 * i & 3] as number;
    const at = cpu.field64(CPU.dr + i * 8);
    return { bit: 1 << i, kind: control >>> 16 + 4 * i & 3, at: at & ~BigInt(length - 1), length };
  });
}

/**
 * Runs until something happens or `budget` instructions are done; the budget field of the context, 0 at first, goes
 * below 0 by one for each.
 * @returns an EXIT code
 */
export function runStepped(engine: Stepped, cpu: Cpu, budget: number): number {
  const all = breakpoints(cpu);
  const code = all.filter((b) => b.kind === EXECUTE && b.length === 1); // other lengths are undefined: they never match
  const data = all.filter((b) => b.kind === WRITE || b.kind === ACCESS).map((b): Watch => ({ bit: b.bit, at: b.at, end: b.at + BigInt(b.length), reads: b.kind === ACCESS }));
  engine.mmu.watch(cpu, data);
  try {
    return steps(engine, cpu, budget, code);
  } finally {
    engine.mmu.watch(cpu, []);
  }
}

function steps(engine: Stepped, cpu: Cpu, budget: number, code: readonly Breakpoint[]): number {
  const { mmu, segments } = engine;
  const here = (): number => code.reduce((bits, b) => (b.at === cpu.rip ? bits | b.bit : bits), 0);
  let shadow = false; // the instruction before this one loaded SS
  let pending = 0;
  for (;;) {
    const flags = cpu.field32(CPU.flags);
    if ((flags & FLAG.rf) === 0 && !shadow) {
      const bits = here();
      if (bits) return debugException(cpu, bits);
    }
    cpu.setField32(CPU.flags, flags & ~FLAG.rf);
    segments.stackLoaded = false;
    mmu.hits = 0;
    const outcome = engine.one(cpu);
    if (outcome < INNER.link) return outcome;
    if (outcome === INNER.again) cpu.setField32(CPU.flags, cpu.field32(CPU.flags) | FLAG.rf);
    pending |= mmu.hits;
    shadow = segments.stackLoaded && !shadow;
    if (shadow) continue;
    if (flags & FLAG.tf) return debugException(cpu, pending | DR6_SINGLE_STEP);
    if (pending) return debugException(cpu, outcome === INNER.again ? pending : pending | here());
    if ((cpu.field32(CPU.budget) | 0) <= -budget) return EXIT.budget;
  }
}

/** Sets the exit fields to #DB; DR6 gathers its causes. */
function debugException(cpu: Cpu, bits: number): number {
  const dr6 = CPU.dr + 6 * 8;
  cpu.setField32(dr6, cpu.field32(dr6) | bits);
  cpu.setField32(CPU.exitInfo, 1);
  cpu.setField32(CPU.errorCode, NO_ERROR_CODE);
  return EXIT.exception;
}
