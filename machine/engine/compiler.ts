// Makes one WebAssembly function of a region, from the same instruction descriptions as the interpreter's handlers.

import { Flags } from '../isa/flags.ts';
import { ROWS } from '../isa/table.ts';
import { i32, sub, type Expr } from '../wasm/expr.ts';
import { Fn, type Label } from '../wasm/fn.ts';
import { addressOf, CompiledEnv, type Site } from './compiled-env.ts';
import { Frame, type Imported } from './compiled-frame.ts';
import { handlerModule } from './handler-module.ts';
import { HANDLER } from './imports.ts';
import { emitInstruction, instructionsOf, JMP, JUMP, type Calls } from './interp-env.ts';
import type { PageKnowledge } from './known-pages.ts';
import type { VectorKnowledge } from './known-vectors.ts';
import { livenessOf, type Liveness } from './liveness.ts';
import { REC } from './record.ts';
import { pageOfNode, successors, type Node, type Region, type Step } from './region.ts';
import { decodeRegion, importsOf } from './region-words.ts';
import { Structure } from './structure.ts';

/** A module that puts the functions of regions into slots of the handler table. */
export class RegionModule {
  private readonly module = handlerModule('regions');

  /**
   * Its function imports a number for its slot, one for each block and one for each page. Only that is added when this throws.
   * @param words a region (region-words.ts)
   */
  add(words: Int32Array): void {
    const { m, calls, type } = this.module;
    const { blocks, pages } = importsOf(words);
    const numbers = (count: number, of: 'i32' | 'i64'): Expr[] => Array.from({ length: count }, () => m.importNumber(of));
    const slot = m.importNumber('i32');
    const imported = { blocks: numbers(blocks, 'i32'), pages: numbers(pages, 'i64') };
    const fn = new Fn(HANDLER.params, HANDLER.result);
    emitRegion(decodeRegion(words), fn, calls, type, new DataView(words.buffer, words.byteOffset, words.byteLength), imported);
    m.place(slot, m.add(fn));
  }
  bytes(): Uint8Array { return this.module.m.bytes(); }
}

/** Writes the body of a region's function, (cpu, record) → exit code. */
function emitRegion(region: Region, fn: Fn, calls: Calls, handlerType: number, dv: DataView, imported: Imported): void {
  const frame = new Frame(fn, calls, handlerType, dv, pageOfNode(region.entry), imported);
  const ways = new Map<Node, number>();
  for (const node of region.nodes) for (const to of successors(node)) ways.set(to, (ways.get(to) ?? 0) + 1);
  /** what is known of flags and pages where a block begins that is reached from one place only */
  const inherited = new Map<Node, { readonly flags: unknown; readonly pages: PageKnowledge; readonly vectors: VectorKnowledge }>();
  const inUse = new Set<number>();
  const liveness = livenessOf(region, dv, calls);
  const livenessAt = (node: Node): Liveness => liveness.get(node) as Liveness;
  const needed = (node: Node): number => livenessAt(node).needed;
  frame.wrap(needed(region.entry), () => {
    fn.scope();
    const structure = new Structure<Node>(fn, successors, (node) => {
      const flags = new Flags(fn, calls, false, frame.flagWords, true);
      flags.inherit(inherited.get(node)?.flags);
      const here = livenessAt(node);
      frame.begin(here);
      frame.pages.begin(inherited.get(node)?.pages);
      frame.vectors.begin(inherited.get(node)?.vectors);
      const go = (to: Node): void => {
        if (ways.get(to) === 1 && to !== region.entry && to !== node.after) {
          inherited.set(to, { flags: flags.knowledge, pages: frame.pages.knowledge, vectors: frame.vectors.knowledge });
          flags.localsInUse(inUse);
        }
        structure.go(to);
      };
      node.steps.forEach((step, at) => {
        frame.step(here, at);
        emitStep(step, frame, flags, { node, at, record: step.record, go, needed });
        const keep = new Set(inUse);
        flags.localsInUse(keep);
        fn.scope(keep);
      });
      const last = node.steps.at(-1) as Step;
      // another block of the region goes on here: what was executed so far is paid for
      if (node.next) bare(frame, flags, { node, at: -1, record: last.record, go, needed }).fallInto(node.next, node.retired);
      else if (node.leavesTo !== undefined) fallOut(node.leavesTo, last, addressOf({ node, at: node.steps.length - 1 }, frame), frame);
    });
    structure.emit(region.nodes, region.entry);
  });
}

function emitStep(step: Step, frame: Frame, flags: Flags, site: Site): void {
  const { spec } = step;
  if (spec === 'goto') { bare(frame, flags, site).jumpRelative(); return; }
  if (spec === 'unavailable') { bare(frame, flags, site).raise(7); return; }
  flags.dead = spec.dead;
  const emit = (redone?: Label): CompiledEnv =>
    emitInstruction(spec, (row, shape, instructions) => new CompiledEnv(frame, row, shape, flags, instructions, redone ? { ...site, redone } : site));
  const isWatched = frame.dv.getUint8(step.record + REC.watched) !== 0 && spec.fused < 0 && !ROWS[spec.row]?.ends;
  let env: CompiledEnv | undefined;
  if (isWatched) frame.fn.block((redone) => { env = emit(redone); });
  else env = emit();
  if (env && !env.row.ends) env.leaveIfStale();
}
/** For what is not an instruction. */
const bare = (frame: Frame, flags: Flags, site: Site): CompiledEnv => new CompiledEnv(frame, JMP, JUMP, flags, 0, site);

/** What comes now was never executed before. */
function fallOut(to: number, last: Step, record: Expr, frame: Frame): void {
  frame.budget.set(sub(frame.budget.get, i32(retiredWith(last, frame))));
  frame.fn.store(8, record, i32(1), REC.passed);
  frame.sayJump('resume', record, frame.linear(to));
}
/** Instructions of a block up to and with a step. */
const retiredWith = ({ record, spec }: Step, frame: Frame): number => frame.dv.getUint8(record + REC.icount) + (typeof spec === 'string' ? 0 : instructionsOf(spec));
