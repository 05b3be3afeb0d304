// What a handler is made for, and that as one number.

import { ENTRIES } from '../decode/opcode-map.ts';
import type { Shape } from './interp-env.ts';

export interface HandlerSpec extends Shape {
  /** position in ROWS */
  readonly row: number;
  readonly dead: boolean;
  /** row of the conditional jump that is fused to it, or -1 */
  readonly fused: number;
}

const SIZES = [8, 16, 32, 64] as const, FORMS = ['r', 'm', 'x'] as const, PREFIXES = ['', 'rep', 'repnz', 'lock'] as const, ADDRESSES = [64, 32, 16] as const;
const MODE64 = 4, DEAD = 8;

/** A number for each variant of each row: fewer than 2^30 of them, so that looking one up allocates nothing. */
export function keyOf(spec: HandlerSpec): number {
  const size = spec.opSize === 8 ? 0 : spec.opSize === 16 ? 1 : spec.opSize === 32 ? 2 : 3;
  const form = spec.form === 'r' ? 0 : spec.form === 'm' ? 1 : 2;
  const rep = spec.rep === '' ? 0 : spec.rep === 'rep' ? 1 : spec.rep === 'repnz' ? 2 : 3;
  const flags = (spec.addrSize === 64 ? 0 : spec.addrSize === 32 ? 1 : 2) | (spec.mode64 ? MODE64 : 0) | (spec.dead ? DEAD : 0);
  return ((spec.row * (ENTRIES.length + 1) + spec.fused + 1) * 64 + (size | form << 2 | rep << 4)) * 16 + flags;
}
/** The variant that a number stands for. */
export function specOf(key: number): HandlerSpec {
  const rows = Math.floor(key / 1024);
  return {
    row: Math.floor(rows / (ENTRIES.length + 1)), fused: rows % (ENTRIES.length + 1) - 1,
    opSize: SIZES[key >>> 4 & 3] as 8, form: FORMS[key >>> 6 & 3] as 'r', rep: PREFIXES[key >>> 8 & 3] as '',
    addrSize: ADDRESSES[key & 3] as 64, mode64: (key & MODE64) !== 0, dead: (key & DEAD) !== 0,
  };
}
