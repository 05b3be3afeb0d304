// Regions as another thread gets them: numbers. Records are read where they lie, in the domain's memory; should one change
// meanwhile, its region is thrown away (hot-code.ts). Regions share modules: their code lies closer together then, and a
// processor's caches for instructions and their addresses hold more of it.

import { Wasm, type WasmModule } from '#base/webassembly.ts';
import { RegionModule } from './compiler.ts';
import { keyOf, specOf } from './handler-spec.ts';
import { newContext, type Block, type Node, type Region, type Step } from './region.ts';

export interface RegionJob {
  readonly id: number;
  readonly memory: SharedArrayBuffer;
  /** the regions, one behind the other */
  readonly words: Int32Array;
}
export interface CompiledRegions {
  readonly id: number;
  readonly module: WasmModule;
  /** slots that the module fills: not those of regions that could not be compiled */
  readonly slots: readonly number[];
  /** bytes of the module */
  readonly size: number;
}
/** Compiles regions of one machine while its guest goes on. */
export interface RegionCompiler {
  /** false once the other thread has failed: nothing more will come from it */
  readonly alive: boolean;
  compile(job: RegionJob): void;
  /** Regions that are ready. Costs little when there are none. */
  take(): CompiledRegions | undefined;
  /** The machine is gone. */
  close(): void;
}

const GOTO = -1, UNAVAILABLE = -2, NONE = -1;

/** @param slot of the handler table, where the function will be @param words gets the numbers */
export function encodeRegion({ nodes, entry }: Region, slot: number, words: number[]): void {
  words.push(slot, nodes.length);
  const index = new Map(nodes.map((node, i) => [node, i]));
  const link = (node: Node | undefined): void => { words.push(node ? index.get(node) ?? NONE : NONE); };
  const address = (va: number): void => { words.push(va >>> 0, Math.floor(va / 0x1_0000_0000)); };
  link(entry);
  for (const node of nodes) {
    const { block, steps } = node;
    address(block.start);
    words.push(block.mfn, block.secondMfn, node.retired, node.leavesTo === undefined ? 0 : 1);
    address(node.leavesTo ?? 0);
    link(node.next);
    link(node.returnTo);
    words.push(node.computed.length);
    for (const to of node.computed) link(to);
    words.push(steps.length);
    steps.forEach(({ record, spec }, i) => {
      words.push(record, spec === 'goto' ? GOTO : spec === 'unavailable' ? UNAVAILABLE : keyOf(spec));
      link(node.jumps.get(i));
    });
  }
}
function decodeRegion(words: Int32Array, from: number): { region: Region; slot: number; end: number } {
  let at = from;
  const next = (): number => words[at++] as number;
  const address = (): number => (next() >>> 0) + next() * 0x1_0000_0000;
  const slot = next();
  const nodes = Array.from({ length: next() }, (): Node => ({
    block: EMPTY, context: NO_CONTEXT, steps: [], jumps: new Map(), next: undefined, retired: 0, leavesTo: undefined, returnTo: undefined, computed: [],
  }));
  const link = (): Node | undefined => nodes[next()];
  const entry = link() as Node;
  for (const node of nodes) {
    const block = { ...EMPTY, start: address(), mfn: next(), secondMfn: next() };
    node.block = block;
    node.retired = next();
    const leaves = next() !== 0;
    const leavesTo = address();
    node.leavesTo = leaves ? leavesTo : undefined;
    node.next = link();
    node.returnTo = link();
    node.computed = Array.from({ length: next() }, () => link() as Node);
    node.steps = Array.from({ length: next() }, (_, i): Step => {
      const record = next() >>> 0;
      const key = next();
      const to = link();
      if (to) node.jumps.set(i, to);
      return { record, spec: key === GOTO ? 'goto' : key === UNAVAILABLE ? 'unavailable' : specOf(key), jump: undefined };
    });
  }
  return { region: { nodes, entry }, slot, end: at };
}
const NO_CONTEXT = newContext(0, undefined);
const EMPTY: Block = { record: 0, start: 0, mfn: -1, secondMfn: -1, steps: [], heat: 0, compiled: false };

/** The other thread's part. */
export function compileJob({ id, memory, words }: RegionJob): CompiledRegions {
  const module = new RegionModule(new DataView(memory));
  const slots: number[] = [];
  for (let at = 0; at < words.length;) {
    const { region, slot, end } = decodeRegion(words, at);
    at = end;
    try {
      module.add(region, slot);
      slots.push(slot);
    } catch {
      // its records are no longer what they were: nobody waits for it
    }
  }
  const bytes = module.bytes();
  return { id, module: new Wasm.Module(bytes), slots, size: bytes.length };
}
