// Which status flags the Intel SDM leaves undefined after an instruction: the row says it for the worst case, shifts
// and rotates depend on the count.

import type { TestedRow } from './encoding.ts';
import { FLAG } from './layout.ts';

/**
 * @param count the shift or rotate count as encoded, when the instruction has one
 * @param bits operand size
 */
export function undefinedFlags(row: TestedRow, count: number | undefined, bits: number): number {
  const declared = row.undefinedFlags ?? 0;
  if (count === undefined || !/^(SH|SA|RO|RC)[LR]D?$/.test(row.name)) return declared;
  const masked = count & (bits === 64 ? 63 : 31);
  if (masked === 0) return 0;
  if (/^R/.test(row.name)) return masked === 1 ? 0 : FLAG.of;
  const carry = masked >= bits && !/^SAR|D$/.test(row.name) ? FLAG.cf : 0;
  return FLAG.af | (masked === 1 ? 0 : FLAG.of) | carry;
}
