// Sizes of memory as people write them: 256M, 1G, 262144K; a bare number is in MiB, as in xl.cfg(5).

import { UsageError } from './usage-error.ts';

const KIB: Readonly<Record<string, number>> = { K: 1, '': 1024, M: 1024, G: 1024 * 1024 };
/** A domain lies in one memory of 4 GiB, beside what the hypervisor keeps of it. */
const MAX_MIB = 4096;

/**
 * The size in MiB (not always whole: a page is 4 KiB).
 * @throws UsageError when it is none, or none that a domain can have
 */
export function parseMemorySize(text: string): number {
  const [, digits = '', unit = ''] = /^(\d+(?:\.\d+)?)([KMG]?)(?:i?B)?$/i.exec(text) ?? [];
  if (digits === '') throw new UsageError(`--memory ${text}: not a size; sizes look like 256M, 1G or 262144K`);
  const kib = Number(digits) * (KIB[unit.toUpperCase()] as number);
  if (kib % 4 !== 0) throw new UsageError(`--memory ${text}: not a whole number of 4 KiB pages`);
  if (kib < 1024) throw new UsageError(`--memory ${text}: too little; a domain has 1M at least, and what its kernel needs`);
  if (kib >= MAX_MIB * 1024) throw new UsageError(`--memory ${text}: too much; a domain has less than ${MAX_MIB / 1024}G`);
  return kib / 1024;
}
