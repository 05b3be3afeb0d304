// Pushes and pops that follow each other in a block, as at a function's beginning and end: one look at the stack's page serves
// for all of them.

import { REG } from '../cpu-state.ts';
import { ROWS } from '../isa/table.ts';
import { REC } from './record.ts';
import type { Step } from './region.ts';

export interface StackGroup {
  /** what is accessed, in bytes from where rsp points when the group begins: from lo up to hi */
  readonly lo: number;
  readonly hi: number;
  /** position of its last access in the block's steps */
  readonly until: number;
}
/** What one instruction does to the stack, from rsp before it. */
interface StackUse { readonly touches: readonly [number, number] | undefined; readonly moves: number }

const SLOT = 8;
const PUSHED: StackUse = { touches: [-SLOT, 0], moves: -SLOT };
const POPPED: StackUse = { touches: [0, SLOT], moves: SLOT };
const NOTHING: StackUse = { touches: undefined, moves: 0 };
/** Instructions that use the stack in another way. */
const OTHERS: ReadonlySet<string> = new Set(['PUSH', 'POP', 'PUSHF', 'POPF', 'LEAVE', 'ENTER', 'RETF', 'IRET', 'CALLF', 'JMPF', 'INT', 'INT1', 'INT3', 'SYSCALL', 'SYSENTER']);
/** Most bytes: a group that lies across two pages is executed by the interpreter. */
const MAX_SPAN = 128;

/** The group that begins with an access at a step; undefined when it is the only one. */
export function stackGroup(steps: readonly Step[], at: number, dv: DataView): StackGroup | undefined {
  let rsp = 0, lo = 0, hi = 0, until = at, accesses = 0;
  for (let i = at; i < steps.length; i++) {
    const use = stackUse(steps[i] as Step, dv);
    if (!use) break;
    if (use.touches) {
      const [low, high] = [Math.min(lo, rsp + use.touches[0]), Math.max(hi, rsp + use.touches[1])];
      if (high - low > MAX_SPAN) break;
      [lo, hi, until] = [low, high, i];
      accesses++;
    }
    rsp += use.moves;
  }
  return accesses < 2 ? undefined : { lo, hi, until };
}

/** Undefined where it cannot be told, or is not plain. */
function stackUse({ record, spec }: Step, dv: DataView): StackUse | undefined {
  if (spec === 'goto') return NOTHING;
  if (spec === 'unavailable' || !spec.mode64) return undefined;
  const row = ROWS[spec.row];
  if (!row) return undefined;
  const operand = row.operands[0] ?? '';
  const named = [REC.r1, REC.r2].some((field) => dv.getUint16(record + field, true) === REG.rsp * 8);
  if (row.name === 'CALL') return named ? undefined : PUSHED;
  if (row.name === 'RET') return POPPED;
  const isPlain = spec.opSize === 64 && !named;
  if (row.name === 'PUSH' && isPlain && operand !== '') return PUSHED;
  if (row.name === 'POP' && isPlain && operand === 'Zv') return POPPED;
  if (OTHERS.has(row.name)) return undefined;
  if (!named) return NOTHING;
  const isAdjustment = (row.name === 'ADD' || row.name === 'SUB') && spec.opSize === 64 && spec.form === 'r' && operand === 'Ev' && row.operands[1]?.[0] === 'I';
  if (!isAdjustment) return undefined;
  const by = dv.getInt32(record + REC.imm, true);
  return { touches: undefined, moves: row.name === 'ADD' ? by : -by };
}
