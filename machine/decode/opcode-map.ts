// The opcode map, made from the instruction table: for each opcode the rows that it may mean, most specific first.

import { assert } from '#base/assert.ts';
import type { Row } from '../isa/row.ts';
import { ROWS } from '../isa/table.ts';

export type Immediate = 'ib' | 'iw' | 'iz' | 'iv' | 'cb' | 'cd' | 'cp' | 'iw ib' | 'moffs';

/** A row with its opcode string taken apart. */
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
}

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
  };
}

export const ENTRIES: readonly Entry[] = ROWS.map(parse);

const weight = (e: Entry): number => (e.exact !== undefined ? 8 : 0) + (e.prefix ? 4 : e.prefix === 0 ? 2 : 0) + (e.digit !== undefined ? 1 : 0);
const MAPS: readonly (readonly Entry[])[][] = [0, 1, 2, 3].map((map) => Array.from({ length: 256 }, (_, opcode) =>
  ENTRIES.filter((e) => e.map === map && (e.plusR ? (opcode & 0xf8) === e.opcode : opcode === e.opcode)).sort((a, b) => weight(b) - weight(a))));

/** The rows that an opcode may mean. */
export const candidates = (map: number, opcode: number): readonly Entry[] => (MAPS[map] as readonly (readonly Entry[])[])[opcode] as readonly Entry[];
