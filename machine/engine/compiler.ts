// Makes one WebAssembly function of a region, from the same instruction descriptions as the interpreter's handlers.

import { assert } from '#base/assert.ts';
import { EXIT, CPU, NO_ERROR_CODE } from '../cpu-state.ts';
import { ENTRIES, type Entry } from '../decode/opcode-map.ts';
import { Flags } from '../isa/flags.ts';
import { i32, i64, sub } from '../wasm/expr.ts';
import type { Fn } from '../wasm/fn.ts';
import { CompiledEnv, Frame, type Site } from './compiled-env.ts';
import type { Calls, Shape } from './interp-env.ts';
import { INNER, REC } from './record.ts';
import { successors, type Node, type Region, type Step } from './region.ts';
import { Structure } from './structure.ts';

const JUMP: Shape = { opSize: 64, addrSize: 64, mode64: true, rep: '', form: 'r' };
const JMP = (ENTRIES.find((e) => e.row.name === 'JMP') as Entry).row;

/** Writes the body of a region's function, (cpu, record) → exit code. */
export function emitRegion(region: Region, fn: Fn, calls: Calls, handlerType: number, dv: DataView): void {
  const frame = new Frame(fn, calls, handlerType, dv);
  const ways = new Map<Node, number>();
  for (const node of region.nodes) for (const to of successors(node)) ways.set(to, (ways.get(to) ?? 0) + 1);
  /** what is known of the flags where a block begins that is reached from one place only */
  const inherited = new Map<Node, unknown>();
  const inUse = new Set<number>();
  frame.wrap(() => {
    fn.scope();
    const structure = new Structure<Node>(fn, successors, (node) => {
      const flags = new Flags(fn, calls, false, frame.flagWords, true);
      flags.inherit(inherited.get(node));
      const go = (to: Node): void => {
        if (ways.get(to) === 1 && to !== region.entry) {
          inherited.set(to, flags.knowledge);
          flags.localsInUse(inUse);
        }
        structure.go(to);
      };
      node.steps.forEach((step, at) => {
        emitStep(step, frame, flags, { node, at, record: step.record, go });
        const keep = new Set(inUse);
        flags.localsInUse(keep);
        fn.scope(keep);
      });
      if (node.next) {
        fallThrough(node, frame, flags, { node, at: -1, record: (node.steps.at(-1) as Step).record, go });
      } else if (node.leavesTo !== undefined) {
        const last = node.steps.at(-1) as Step;
        fallOut(node.leavesTo, last, frame);
      }
    });
    structure.emit(region.nodes, region.entry);
  });
}

function emitStep(step: Step, frame: Frame, flags: Flags, site: Site): void {
  const { fn } = frame;
  const { spec } = step;
  if (spec === 'goto') { new CompiledEnv(frame, JMP, JUMP, flags, 0, site).jumpRelative(); return; }
  if (spec === 'unavailable') {
    fn.store(32, fn.param(0), i32(7), CPU.exitInfo);
    fn.store(32, fn.param(0), i32(NO_ERROR_CODE | 0), CPU.errorCode);
    frame.sayLeave(i32(step.record), i32(EXIT.exception), i32(0));
    return;
  }
  const entry = ENTRIES[spec.row];
  assert(entry !== undefined, 'a row of the table');
  flags.dead = spec.dead;
  const instructions = spec.fused >= 0 ? 2 : 1;
  const env = new CompiledEnv(frame, entry.row, spec, flags, instructions, site);
  frame.codeChanged.set(i32(0));
  entry.row.sem(env);
  if (spec.fused >= 0) {
    const jump = ENTRIES[spec.fused];
    assert(jump !== undefined, 'a row of the table');
    jump.row.sem(new CompiledEnv(frame, jump.row, { ...spec, opSize: 64, form: 'r' }, flags, instructions, site));
  }
  if (!entry.row.ends && env.stores) env.leaveIfStale();
}

/** Another block of the region goes on here: what was executed so far is paid for, without a look at the slice. */
function fallThrough(node: Node, frame: Frame, flags: Flags, site: Site): void {
  new CompiledEnv(frame, JMP, JUMP, flags, 0, site).fallInto(node.next as Node, node.retired);
}
/** What comes now was never executed. */
function fallOut(to: bigint, last: Step, frame: Frame): void {
  frame.budget.set(sub(frame.budget.get, i32(retiredWith(last, frame))));
  frame.sayAway(i64(to), INNER.lookup);
}
/** Instructions of a block up to and with a step. */
const retiredWith = ({ record, spec }: Step, frame: Frame): number => frame.dv.getUint8(record + REC.icount) + (typeof spec === 'string' ? 0 : spec.fused >= 0 ? 2 : 1);
