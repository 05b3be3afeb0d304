// The engines that test cases run on.

import { Interpreter, scratchSize } from '#machine/engine/interpreter.ts';
import type { CpuUnderTest } from '#machine/vectors/check.ts';
import { FRAMES, MachineUnderTest } from '#machine/vectors/machine-under-test.ts';

/** One of each engine. */
export function engines(): CpuUnderTest[] {
  return [new MachineUnderTest('interpreter', (capsule, hooks) => new Interpreter(capsule, 1, hooks), scratchSize(FRAMES))];
}
