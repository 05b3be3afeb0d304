// The engines that test cases run on.

import { Interpreter, scratchSize } from '../engine/interpreter.ts';
import { setMachines } from '../engine/siblings.ts';
import type { CpuUnderTest } from './check.ts';
import { FRAMES, MachineUnderTest } from './machine-under-test.ts';

/** One of each engine. */
export function engines(): CpuUnderTest[] {
  return [
    new MachineUnderTest('interpreter', (capsule, hooks) => new Interpreter(capsule, 1, hooks, { compileAfter: 0 }), scratchSize(FRAMES)),
    new MachineUnderTest('compiler', (capsule, hooks) => new Interpreter(capsule, 1, hooks, { compileAfter: 1 }), scratchSize(FRAMES)),
  ];
}

/** The same, with siblings: what changes memory as one does it by atomic operations. */
export function enginesWithSiblings(): CpuUnderTest[] {
  return [['interpreter', 0], ['compiler', 1]].map(([name, compileAfter]) => new MachineUnderTest(`${name} with siblings`, (capsule, hooks) => {
    setMachines(capsule, 2);
    return new Interpreter(capsule, 1, hooks, { compileAfter: compileAfter as number });
  }, scratchSize(FRAMES, 2)));
}

/** The same, with their data in another machine's memory. */
export function enginesWithForeignData(): CpuUnderTest[] {
  return [
    new MachineUnderTest('interpreter with foreign data', (capsule, hooks) => new Interpreter(capsule, 1, hooks, { compileAfter: 0 }), scratchSize(FRAMES), true),
    new MachineUnderTest('compiler with foreign data', (capsule, hooks) => new Interpreter(capsule, 1, hooks, { compileAfter: 1 }), scratchSize(FRAMES), true),
  ];
}
