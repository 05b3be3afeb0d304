// The engines that test cases run on.

import { Interpreter, scratchSize } from '../engine/interpreter.ts';
import type { CpuUnderTest } from './check.ts';
import { FRAMES, MachineUnderTest } from './machine-under-test.ts';

/** One of each engine. */
export function engines(): CpuUnderTest[] {
  return [
    new MachineUnderTest('interpreter', (capsule, hooks) => new Interpreter(capsule, 1, hooks, { compileAfter: 0 }), scratchSize(FRAMES)),
    new MachineUnderTest('compiler', (capsule, hooks) => new Interpreter(capsule, 1, hooks, { compileAfter: 1 }), scratchSize(FRAMES)),
  ];
}

/** The same, with their data in another machine's memory. */
export function enginesWithForeignData(): CpuUnderTest[] {
  return [
    new MachineUnderTest('interpreter with foreign data', (capsule, hooks) => new Interpreter(capsule, 1, hooks, { compileAfter: 0 }), scratchSize(FRAMES), true),
    new MachineUnderTest('compiler with foreign data', (capsule, hooks) => new Interpreter(capsule, 1, hooks, { compileAfter: 1 }), scratchSize(FRAMES), true),
  ];
}
