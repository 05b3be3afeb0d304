// A region as another thread gets it: numbers. Records are read where they lie, in the domain's memory; should one change
// meanwhile, its region is thrown away (hot-code.ts).

import { Wasm, type WasmModule } from '#base/webassembly.ts';
import { regionModule } from './compiler.ts';
import { keyOf, specOf } from './handler-spec.ts';
import type { Block, Node, Region, Step } from './region.ts';

export interface RegionJob {
  readonly id: number;
  readonly memory: SharedArrayBuffer;
  readonly words: Int32Array;
}
export interface CompiledRegion {
  readonly id: number;
  /** undefined when it could not be compiled */
  readonly module: WasmModule | undefined;
  /** bytes of the module */
  readonly size: number;
}
/** Compiles regions while the guest goes on. */
export interface RegionCompiler {
  /** false once the other thread has failed: nothing more will come from it */
  readonly alive: boolean;
  compile(job: RegionJob): void;
  /** A region that is ready. Costs little when there is none. */
  take(): CompiledRegion | undefined;
}

const GOTO = -1, UNAVAILABLE = -2, NONE = -1;

/** @param slot of the handler table, where the function will be */
export function encodeRegion({ nodes, entry }: Region, slot: number): Int32Array {
  const words: number[] = [slot, nodes.length];
  const index = new Map(nodes.map((node, i) => [node, i]));
  const link = (node: Node | undefined): void => { words.push(node ? index.get(node) ?? NONE : NONE); };
  const address = (va: bigint): void => { words.push(Number(va & 0xffff_ffffn), Number(va >> 32n)); };
  link(entry);
  for (const node of nodes) {
    const { block, steps } = node;
    address(block.start);
    words.push(block.mfn, block.secondMfn, node.retired, node.leavesTo === undefined ? 0 : 1);
    address(node.leavesTo ?? 0n);
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
  return Int32Array.from(words);
}
function decodeRegion(words: Int32Array): { region: Region; slot: number } {
  let at = 0;
  const next = (): number => words[at++] as number;
  const address = (): bigint => BigInt(next() >>> 0) | BigInt(next() >>> 0) << 32n;
  const slot = next();
  const nodes = Array.from({ length: next() }, (): Node => ({
    block: EMPTY, context: undefined, steps: [], jumps: new Map(), next: undefined, retired: 0, leavesTo: undefined, returnTo: undefined, computed: [],
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
  return { region: { nodes, entry }, slot };
}
const EMPTY: Block = { record: 0, start: 0n, mfn: -1, secondMfn: -1, steps: [], heat: 0 };

/** The other thread's part. */
export function compileJob({ id, memory, words }: RegionJob): CompiledRegion {
  try {
    const { region, slot } = decodeRegion(words);
    const bytes = regionModule(region, slot, new DataView(memory));
    return { id, module: new Wasm.Module(bytes), size: bytes.length };
  } catch {
    return { id, module: undefined, size: 0 }; // its records are no longer what they were: nobody waits for it
  }
}
