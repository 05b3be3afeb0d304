// The rows that test cases are made for: the instruction table, with each x87 escape opcode taken apart into the
// instructions that it holds, less the rows that a check in ring 3 of a real system cannot cover.

import { rowOf } from '../fpu/table.ts';
import { ROWS } from '../isa/table.ts';
import type { TestedRow } from './encoding.ts';

/** Row reasons that do not hold here: the cases bring the descriptors that the operating system gives its processes. */
const COVERED = /^(loads a segment register|depends on the system’s descriptors|needs a code segment of the system|slow path|asks the debugger)$/;
const OPERAND_OF_SIZE: Readonly<Record<number, string>> = { 2: 'Mw', 4: 'Md', 8: 'Mq', 10: 'Mt' };

/** A row without vectors, and why. */
export interface ExcludedRow {
  readonly row: TestedRow;
  readonly reason: string;
}

/** Takes a row for one of D8..DF apart: eight memory forms, and the register forms by name. */
function expandEscape(row: TestedRow): TestedRow[] {
  const byte = Number.parseInt(row.opcode.slice(0, 2), 16);
  const text = row.opcode.slice(0, 2);
  const rows: TestedRow[] = [];
  for (let digit = 0; digit < 8; digit++) {
    const x87 = rowOf(byte, digit << 3);
    rows.push({ name: x87?.name ?? 'UD', opcode: `${text} /${digit}`, operands: [OPERAND_OF_SIZE[x87?.size[0] ?? 4] ?? 'M'] });
  }
  for (let first = 0xc0; first < 0x100; first += 8) {
    const group = Array.from({ length: 8 }, (_, i) => rowOf(byte, first + i)?.name ?? 'UD');
    const hex = (modrm: number): string => modrm.toString(16).toUpperCase();
    if (new Set(group).size === 1) rows.push({ name: group[0] as string, opcode: `${text} ${hex(first)}+i`, operands: [] });
    else for (const [i, name] of group.entries()) rows.push({ name, opcode: `${text} ${hex(first + i)}`, operands: [] });
  }
  return rows;
}

const all: readonly TestedRow[] = (ROWS as readonly TestedRow[]).flatMap((row) => (row.operands[0] === 'Ex87' ? expandEscape(row) : [row]));
const isExcluded = (row: TestedRow): boolean => row.unchecked !== undefined && !COVERED.test(row.unchecked);

/** Rows that get test cases. */
export const TESTED_ROWS: readonly TestedRow[] = all.filter((row) => !isExcluded(row));
/** Rows that get none. */
export const EXCLUDED_ROWS: readonly ExcludedRow[] = all.filter(isExcluded).map((row) => ({ row, reason: row.unchecked as string }));
