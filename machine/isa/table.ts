// The instruction table: every family's rows, in one list. Row numbers are positions in it.

import { alu } from './alu.ts';
import { bit } from './bit.ts';
import { branch } from './branch.ts';
import { mov_ } from './mov.ts';
import { muldiv } from './muldiv.ts';
import { mmx } from './mmx.ts';
import type { Row } from './row.ts';
import { shift_ } from './shift.ts';
import { sseConvert } from './sse-convert.ts';
import { sseFloat } from './sse-float.ts';
import { sseInt } from './sse-int.ts';
import { sseMove } from './sse-move.ts';
import { sseShuffle } from './sse-shuffle.ts';
import { sseString } from './sse-string.ts';
import { sse41 } from './sse41.ts';
import { stack } from './stack.ts';
import { string } from './string.ts';
import { system } from './system.ts';

export const ROWS: readonly Row[] = [
  ...alu, ...mov_, ...shift_, ...muldiv, ...bit, ...stack, ...branch, ...string, ...system,
  ...mmx, ...sseMove, ...sseFloat, ...sseInt, ...sseShuffle, ...sseConvert, ...sse41, ...sseString,
];
