// The x87 instruction table: D8 to DF with every ModRM byte. An encoding without a row raises #UD.

import { arithmeticMemoryRows, arithmeticRegisterRows } from './family-arithmetic.ts';
import { compareMemoryRows, compareRegisterRows } from './family-compare.ts';
import { controlMemoryRows, controlRegisterRows } from './family-control.ts';
import { transcendentalRows } from './family-transcendental.ts';
import { transferMemoryRows, transferRegisterRows } from './family-transfer.ts';
import { assert } from '#base/assert.ts';
import type { Row } from './row.ts';

const ROWS: (Row | undefined)[] = Array.from({ length: 8 * 256 });

function place(opcode: number, modrm: number, row: Row): void {
  const at = (opcode & 7) << 8 | modrm;
  assert(ROWS[at] === undefined, `one row for ${opcode.toString(16)} ${modrm.toString(16)}`);
  ROWS[at] = row;
}

for (const [key, row] of [...arithmeticRegisterRows, ...compareRegisterRows, ...transferRegisterRows, ...transcendentalRows, ...controlRegisterRows]) {
  place(key >>> 8, key & 0xff, row);
}
for (const [key, row] of [...arithmeticMemoryRows, ...compareMemoryRows, ...transferMemoryRows, ...controlMemoryRows]) {
  for (let rest = 0; rest < 24; rest++) place(key >>> 8, (rest >>> 3) << 6 | (key & 7) << 3 | (rest & 7), row);
}

/** The row of an encoding; undefined where there is none. */
export const rowOf = (opcode: number, modrm: number): Row | undefined => ROWS[(opcode & 7) << 8 | modrm & 0xff];
