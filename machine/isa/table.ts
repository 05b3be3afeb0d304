// The instruction table: every family's rows, in one list. Row numbers are positions in it.

import { alu } from './alu.ts';
import { bit } from './bit.ts';
import { branch } from './branch.ts';
import { mov_ } from './mov.ts';
import { muldiv } from './muldiv.ts';
import type { Row } from './row.ts';
import { shift_ } from './shift.ts';
import { stack } from './stack.ts';
import { string } from './string.ts';
import { system } from './system.ts';

export const ROWS: readonly Row[] = [...alu, ...mov_, ...shift_, ...muldiv, ...bit, ...stack, ...branch, ...string, ...system];
