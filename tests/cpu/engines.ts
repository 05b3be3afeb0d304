// The engines that test cases run on.

import type { CpuUnderTest } from '#machine/vectors/check.ts';

/** One of each engine. */
export function engines(): CpuUnderTest[] {
  return [];
}
