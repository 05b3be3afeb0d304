// The machine of a domain that runs on another thread, or does not run any more: what this thread may do to it.

import type { Capsule } from '#base/capsule.ts';
import { Cpu } from './cpu.ts';
import { FrameFlags } from './engine/frame-flags.ts';
import { siblingsAt } from './engine/interpreter.ts';
import { machinesOf, Siblings } from './engine/siblings.ts';
import type { Machine } from './machine.ts';

/** Nothing but `capsule`, `cpus`, `frameWritten`, `dropped` and `settle` is there: who runs the domain has its translations. @param vcpus none are needed to reach its memory */
export function distantMachine(capsule: Capsule, vcpus = 0): Machine {
  const flags = new FrameFlags(capsule);
  const siblings = machinesOf(capsule) > 1 ? new Siblings(capsule, capsule.scratch + siblingsAt(capsule.totalFrames)) : undefined;
  const machine: Pick<Machine, 'capsule' | 'cpus' | 'frameWritten' | 'dropped' | 'settle' | 'finishAccesses'> = {
    capsule, cpus: Array.from({ length: vcpus }, (_, id) => new Cpu(capsule, id)), frameWritten: (mfn) => flags.noteWritten(mfn), dropped: -1, settle: (upTo) => siblings?.settle(upTo), finishAccesses: () => {},
  };
  return machine as Machine;
}
