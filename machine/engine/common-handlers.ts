// The handlers that most guests need: made together, once for a process, instead of one by one as guests come upon them.
// A wrong list costs time, nothing else. `node bench/record-handlers.ts` writes common-handlers.json anew: for each row of
// the instruction table (name and opcode) the variants that were met, as in "64rd" or "32m+4s":
//   operand size, form, then d: flags dead; z, n: REP, REPNE; a: 32-bit addresses in 64-bit mode; c: compatibility mode;
//   +N: fused with the jump on condition code N, s short or n near

import { ENTRIES } from '../decode/opcode-map.ts';
import type { Bits } from '../isa/env.ts';
import list from './common-handlers.json' with { type: 'json' };
import type { HandlerSpec } from './handler-spec.ts';

const TOKEN = /^(\d+)([rmx])(d?)([zn]?)(a?)(c?)(?:\+(\d+)([sn]))?$/;

/** Rows of conditional jumps, by condition code and displacement. */
const JUMPS = new Map(ENTRIES.filter((e) => e.cc >= 0).map((e) => [`${e.cc}${e.row.operands[0] === 'Jb' ? 's' : 'n'}`, e.number]));

/** Text of a variant. */
export function variantText(spec: HandlerSpec): string {
  const fused = ENTRIES[spec.fused]?.row;
  return `${spec.opSize}${spec.form}${spec.dead ? 'd' : ''}${spec.rep === 'rep' ? 'z' : spec.rep === 'repnz' ? 'n' : ''}${spec.mode64 && spec.addrSize === 32 ? 'a' : ''}`
    + `${spec.mode64 ? '' : 'c'}${fused ? `+${fused.cc}${fused.operands[0] === 'Jb' ? 's' : 'n'}` : ''}`;
}
/** Name of a row in the list. */
export const rowText = (spec: HandlerSpec): string => { const row = ENTRIES[spec.row]?.row; return `${row?.name} ${row?.opcode}`; };

function parse(row: number, text: string): HandlerSpec | undefined {
  const m = TOKEN.exec(text);
  if (!m) return undefined;
  const fused = m[7] === undefined ? -1 : JUMPS.get(`${m[7]}${m[8]}`) ?? -1;
  const mode64 = m[6] === '';
  return {
    row, opSize: Number(m[1]) as Bits, form: m[2] as 'r', dead: m[3] !== '', rep: m[4] === 'z' ? 'rep' : m[4] === 'n' ? 'repnz' : '',
    addrSize: mode64 && m[5] === '' ? 64 : 32, mode64, fused,
  };
}

let parsed: readonly HandlerSpec[] | undefined;
/** All variants of the list whose rows the table still has. */
export function commonHandlers(): readonly HandlerSpec[] { return parsed ??= parseList(); }
function parseList(): HandlerSpec[] {
  const rows = new Map(ENTRIES.map((e, i) => [`${e.row.name} ${e.row.opcode}`, i]));
  return Object.entries(list as Record<string, string>).flatMap(([name, variants]) => {
    const row = rows.get(name);
    return row === undefined ? [] : variants.split(' ').flatMap((v) => parse(row, v) ?? []);
  });
}
