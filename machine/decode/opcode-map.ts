// The opcode map, made from the instruction table: for each opcode the rows that it may mean, most specific first.

import { assert } from '#base/assert.ts';
import type { Row } from '../isa/row.ts';
import { ROWS } from '../isa/table.ts';

export type Immediate = 'ib' | 'iw' | 'iz' | 'iv' | 'cb' | 'cd' | 'cp' | 'iw ib' | 'moffs';

/** How modrm.reg or modrm.rm names a register: general (without REX some bytes are AH to BH), vector, MMX, segment; number: control, debug. */
export type RegisterKind = '' | 'byte' | 'general' | 'vector' | 'mmx' | 'segment' | 'number';

/** A row with its opcode string taken apart, and what decoding asks of each row: rows have many shapes, these have one. */
export interface Entry {
  readonly row: Row;
  /** position in ROWS */
  readonly number: number;
  /** 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A */
  readonly map: number;
  readonly opcode: number;
  /** mandatory prefix; 0 for NP, undefined when prefixes keep their ordinary meaning */
  readonly prefix: number | undefined;
  readonly modrm: boolean;
  /** opcode extension in modrm.reg */
  readonly digit: number | undefined;
  /** a whole modrm byte that is part of the opcode */
  readonly exact: number | undefined;
  /** low three bits of the opcode name a register */
  readonly plusR: boolean;
  /** what modrm.rm must be */
  readonly rm: 'any' | 'reg' | 'mem';
  readonly immediate: Immediate | undefined;
  readonly mode: '64' | 'not64' | undefined;
  readonly size: 'b' | 'v' | 'd64' | 'y';
  readonly rep: 'rep' | 'repz' | undefined;
  readonly flags: 'w' | 'r' | 'p' | undefined;
  readonly lock: boolean;
  /** it is locked without a prefix */
  readonly locksItself: boolean;
  readonly fuses: boolean;
  readonly ends: boolean;
  /** a condition code, or -1 */
  readonly cc: number;
  /** JMP of any kind; a jump by a displacement; such a one that may not be taken */
  readonly isJmp: boolean;
  readonly relative: boolean;
  readonly conditional: boolean;
  /** registers in modrm.reg and modrm.rm */
  readonly reg: RegisterKind;
  readonly rmReg: RegisterKind;
  /** modrm.rm is a register whatever modrm.mod says: MOV to and from control and debug registers */
  readonly rmAlways: boolean;
  /** the first operand where it matters: a segment register, one of the x87 rows, memory at rBX + AL, memory at rDI */
  readonly first: '' | 'Sw' | 'Ex87' | 'Mxlat' | 'BD' | 'Zb';
}

const REG_KINDS: Readonly<Record<string, RegisterKind>> = { V: 'vector', P: 'mmx', S: 'segment', C: 'number', D: 'number' };
const RM_KINDS: Readonly<Record<string, RegisterKind>> = { W: 'vector', U: 'vector', Q: 'mmx', N: 'mmx' };
/** The last operand that modrm.reg, or modrm.rm, is for. */
function kindOf(operands: readonly string[], general: string, kinds: Readonly<Record<string, RegisterKind>>): RegisterKind {
  const all = operands.map((o): RegisterKind => (general.includes(o[0] as string) ? (o[1] === 'b' ? 'byte' : 'general') : kinds[o[0] as string] ?? ''));
  return all.findLast((kind) => kind !== '') ?? '';
}
const FIRST = ['Sw', 'Ex87', 'Mxlat', 'Zb'] as const;

function parse(row: Row, number: number): Entry {
  const tokens = row.opcode.split(' ');
  let prefix: number | undefined;
  if (tokens[0] === 'NP') { prefix = 0; tokens.shift(); }
  else if (['66', 'F2', 'F3'].includes(tokens[0] as string) && tokens.length > 1 && /^[0-9A-F]{2}/.test(tokens[1] as string)) prefix = parseInt(tokens.shift() as string, 16);
  const bytes: number[] = [];
  let plusR = false;
  while (tokens.length && /^[0-9A-F]{2}(\+r)?$/.test(tokens[0] as string)) {
    const t = tokens.shift() as string;
    plusR ||= t.endsWith('+r');
    bytes.push(parseInt(t, 16));
  }
  let map = 0;
  if (bytes[0] === 0x0f && bytes.length > 1) {
    bytes.shift();
    map = 1;
    const second = bytes[0] as number;
    if (bytes.length > 1 && (second === 0x38 || second === 0x3a)) { bytes.shift(); map = second === 0x38 ? 2 : 3; }
  }
  const opcode = bytes.shift();
  assert(opcode !== undefined && bytes.length <= 1, `opcode string ${row.opcode}`);
  const exact = bytes[0];
  const slash = tokens[0]?.startsWith('/') ? (tokens.shift() as string).slice(1) : undefined;
  const letters = row.operands.map((o) => o[0]);
  const rest = tokens.join(' ');
  const immediate = row.operands.some((o) => o[0] === 'O') ? 'moffs' : rest === '' ? undefined : (rest as Immediate);
  return {
    row, number, map, opcode, prefix, exact, plusR, immediate,
    modrm: slash !== undefined || exact !== undefined,
    digit: slash !== undefined && slash !== 'r' ? Number(slash) : undefined,
    rm: letters.some((l) => l === 'U' || l === 'N' || l === 'R') ? 'reg' : letters.includes('M') && slash !== undefined ? 'mem' : 'any',
    mode: row.mode, size: row.size ?? 'v', rep: row.rep, flags: row.flags, lock: row.lock ?? false, locksItself: row.name === 'XCHG', fuses: row.fuses ?? false, ends: row.ends ?? false, cc: row.cc ?? -1,
    isJmp: row.name === 'JMP', relative: letters[0] === 'J', conditional: letters[0] === 'J' && !row.ends,
    reg: kindOf(row.operands, 'G', REG_KINDS), rmReg: kindOf(row.operands, 'ER', RM_KINDS), rmAlways: letters.includes('R'),
    first: FIRST.find((o) => o === row.operands[0]) ?? (row.operands[0]?.startsWith('BD') ? 'BD' : ''),
  };
}

export const ENTRIES: readonly Entry[] = ROWS.map(parse);

const weight = (e: Entry): number => (e.exact !== undefined ? 8 : 0) + (e.prefix ? 4 : e.prefix === 0 ? 2 : 0) + (e.digit !== undefined ? 1 : 0);
/** The rows that an opcode may mean. */
export interface Candidates {
  readonly entries: readonly Entry[];
  /** some of them have a modrm byte */
  readonly modrm: boolean;
}
const MAPS: readonly Candidates[] = [0, 1, 2, 3].flatMap((map) => {
  const own = ENTRIES.filter((e) => e.map === map);
  return Array.from({ length: 256 }, (_, opcode) => {
    const entries = own.filter((e) => (e.plusR ? (opcode & 0xf8) === e.opcode : opcode === e.opcode)).sort((a, b) => weight(b) - weight(a));
    return { entries, modrm: entries.some((e) => e.modrm) };
  });
});

/** @param map as in Entry */
export const candidates = (map: number, opcode: number): Candidates => MAPS[map << 8 | opcode] as Candidates;
