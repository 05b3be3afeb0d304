// The shape of one row of the instruction table. A row reads like the manual's: opcode string and operand codes are
// verbatim from the Intel SDM (vol. 2, "Instruction Format" and appendix A), the meaning is a function that emits
// WebAssembly for abstract operands and is written once for every engine.

import type { Env } from './env.ts';

/** Flags as RFLAGS bits, for masks of undefined flags. */
export interface Row {
  readonly name: string;
  /**
   * Prefix and opcode bytes as the manual writes them: `66 0F 38 00 /r`, `80 /0 ib`, `50+r`, `NP 0F 10 /r`. NP: none
   * of 66, F2, F3 may stand before it; no prefix in the string: they keep their ordinary meaning.
   */
  readonly opcode: string;
  /** Operand codes of appendix A (`Ev`, `Gv`, `Ib`, `Vps`, `Wsd` …) or fixed registers (`AL`, `rAX`, `CL`, `DX`, `1`). */
  readonly operands: readonly string[];
  /** What it does. Everything that may fault comes before anything that changes state. */
  readonly sem: (e: Env) => void;
  /** LOCK is legal when the first operand is memory. */
  readonly lock?: boolean;
  /** operand size: `b` byte; `v` by prefix (default); `d64` 64 bits by default in 64-bit mode (push, pop, near branches); `y` never 16 bits */
  readonly size?: 'b' | 'v' | 'd64' | 'y';
  /** legal in 64-bit mode only, or outside it only */
  readonly mode?: '64' | 'not64';
  /** takes REP prefixes: `rep` repeats, `repz` compares ZF too */
  readonly rep?: 'rep' | 'repz';
  /** ends a block: control never falls through to the next record by itself */
  readonly ends?: boolean;
  /** a conditional near jump: its condition code, for fusing with the instruction before it */
  readonly cc?: number;
  /** may be the first half of a fused compare-and-branch */
  readonly fuses?: boolean;
  /** what happens to the status flags: 'w' all six written, none read; 'r' some read; 'p' some written, the others kept, none read for the result; absent: untouched */
  readonly flags?: 'w' | 'r' | 'p';
  /** mask of flags that the manual leaves undefined (FLAG bits), for checks against silicon */
  readonly undefinedFlags?: number;
  /** why a check against silicon in ring 3 makes no sense (privileged, not deterministic …) */
  readonly unchecked?: string;
}
