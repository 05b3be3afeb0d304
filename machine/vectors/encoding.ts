// The opcode string of an instruction row, taken apart. Notation of the Intel SDM vol. 2, 3.1.1.1.

/** The part of a row of the instruction table that test cases depend on (isa/row.ts has the rest). */
export interface TestedRow {
  readonly name: string;
  readonly opcode: string;
  readonly operands: readonly string[];
  readonly lock?: boolean;
  readonly size?: 'b' | 'v' | 'd64' | 'y';
  readonly mode?: '64' | 'not64';
  readonly rep?: 'rep' | 'repz';
  readonly ends?: boolean;
  readonly flags?: 'w' | 'r' | 'p';
  readonly undefinedFlags?: number;
  readonly unchecked?: string;
}

/** A row's identity in recorded vectors: survives reordering of the table. */
export const rowKey = (row: TestedRow): string => `${row.name} ${row.opcode} ${row.operands.join(',')}${row.mode ? ` (${row.mode})` : ''}`;

export interface Encoding {
  /** mandatory prefixes (66, F2, F3), in order */
  readonly prefixes: readonly number[];
  /** 66, F2 and F3 may not stand before it: they would make it another instruction */
  readonly bare: boolean;
  readonly rexW: boolean;
  readonly opcode: readonly number[];
  /** the low three bits of the last opcode byte are a register number */
  readonly plusRegister: boolean;
  /** 'r': a ModRM byte with a register operand; 0..7: with this number in its place; undefined: none */
  readonly modrm: 'r' | number | undefined;
  /** sizes in bytes of immediates that the string names (ib, iw, id, io) */
  readonly immediates: readonly number[];
}

const MANDATORY: Record<string, number> = { '66': 0x66, F2: 0xf2, F3: 0xf3 };
const IMMEDIATE: Record<string, number> = { ib: 1, iw: 2, id: 4, io: 8 };

/** Takes an opcode string apart. @throws Error for a token that it does not know */
export function parseOpcode(text: string): Encoding {
  const prefixes: number[] = [];
  const opcode: number[] = [];
  const immediates: number[] = [];
  let bare = false;
  let rexW = false;
  let plusRegister = false;
  let modrm: 'r' | number | undefined;
  for (const token of text.trim().split(/\s+/)) {
    const mandatory = MANDATORY[token.toUpperCase()];
    const immediate = IMMEDIATE[token];
    const plain = /^([0-9A-F]{2})(\+[a-z]+)?$/.exec(token);
    if (opcode.length === 0 && mandatory !== undefined) prefixes.push(mandatory);
    else if (token === 'NP' || token === 'NFx') bare = true;
    else if (/^REX\.?W/.test(token)) rexW = true;
    else if (immediate !== undefined) immediates.push(immediate);
    else if (token === '/r') modrm = 'r';
    else if (/^\/[0-7]$/.test(token)) modrm = Number(token[1]);
    else if (plain) {
      opcode.push(Number.parseInt(plain[1] as string, 16));
      plusRegister ||= plain[2] !== undefined;
    } else if (!['+', 'i', 'cb', 'cw', 'cd', 'cp', 'iv', 'iz', 'mo'].includes(token)) throw new Error(`opcode token ${token} in "${text}"`);
  }
  return { prefixes, bare: bare || prefixes.length > 0, rexW, opcode, plusRegister, modrm, immediates };
}
