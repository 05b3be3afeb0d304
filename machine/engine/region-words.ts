// Regions as numbers: all that a region's code depends on, its records among them. What differs from machine to machine although
// the guest's code is the same is not there: where records lie, which frames they are of, at which address a program is. The
// function imports that. So the same words make the same function, and domains share it (region-cache.ts).

import { PAGE_SIZE } from '#base/capsule.ts';
import { keyOf, specOf } from './handler-spec.ts';
import { codePage, REC } from './record.ts';
import { newContext, pageOfNode, type Block, type Node, type Region, type Step } from './region.ts';

/** What the function of a region imports beside its slot. */
export interface RegionNumbers {
  /** where the blocks' first records are */
  readonly blocks: readonly number[];
  /** where jumps make sure that code lies: pages as in MMU.code, or their frames alone where code may be mapped elsewhere */
  readonly pages: readonly bigint[];
}

/** Where user addresses end. */
const USER_END = 2 ** 47;
/** A program may be started again elsewhere, so its code counts from its page. A kernel's knows where it is. */
export const moves = (page: number): boolean => page >= 0 && page < USER_END;

const GOTO = -1, UNAVAILABLE = -2, NONE = -1;
/** Words of a record. Before them is its handler's key; in place of the link is a node. */
const RECORD_WORDS = REC.size / 4, LINK = REC.link / 4;
/** Bits of a record's words that are the region's: not the handler's slot, nor what is noted while it is executed. */
const MASKS = Array.from({ length: RECORD_WORDS }, (_, w) => (w === REC.handler / 4 ? 0xffff_0000 : w === REC.near / 4 ? ~(0xff << 8 * (REC.passed & 3)) : 0xffff_ffff));
const FRAME_BITS = (1n << 20n) - 1n;

/** @param u32 the machine's memory, where the records are */
export function encodeRegion({ nodes, entry }: Region, u32: Uint32Array): { words: Int32Array; numbers: RegionNumbers } {
  const first = pageOfNode(entry);
  const origin = moves(first) ? first : 0;
  const blocks = new Map<number, number>(), pages = new Map<bigint, number>(), index = new Map(nodes.map((node, i) => [node, i]));
  const words: number[] = [];
  const address = (va: number): void => { words.push(va >>> 0, Math.floor(va / 0x1_0000_0000)); };
  const page = (va: number, mfn: number): number => (mfn < 0 ? NONE : numberOf(codePage(BigInt(va), mfn), pages));
  const link = (node: Node | undefined): number => (node ? index.get(node) ?? NONE : NONE);
  for (const node of nodes) {
    const { block, steps } = node;
    address(block.start - origin);
    words.push(numberOf(block.record, blocks), page(block.start, block.mfn), page(block.start + PAGE_SIZE, block.secondMfn));
    words.push(node.retired, node.leavesTo === undefined ? 0 : 1);
    address(node.leavesTo === undefined ? 0 : node.leavesTo - origin);
    words.push(link(node.next), link(node.returnTo), link(node.after), node.computed.length, ...node.computed.map(link), steps.length);
    steps.forEach(({ record, spec }, i) => {
      words.push(spec === 'goto' ? GOTO : spec === 'unavailable' ? UNAVAILABLE : keyOf(spec));
      MASKS.forEach((mask, w) => { words.push(w === LINK ? link(node.jumps.get(i)) : (u32[record / 4 + w] as number) & mask); });
    });
  }
  return {
    words: Int32Array.from([blocks.size, pages.size, nodes.length, link(entry), ...words]),
    numbers: { blocks: [...blocks.keys()], pages: [...pages.keys()].map((p) => (moves(first) ? p & FRAME_BITS : p)) },
  };
}
/** Numbers what is met, in the order in which it is. */
function numberOf<T>(one: T, known: Map<T, number>): number {
  const n = known.get(one) ?? known.size;
  known.set(one, n);
  return n;
}
/** How many blocks and pages a region imports. */
export const importsOf = (words: Int32Array): { blocks: number; pages: number } => ({ blocks: words[0] as number, pages: words[1] as number });

/** In what is returned blocks' records and frames are numbers of what is imported; a step's record is where it lies in the words, in bytes. */
export function decodeRegion(words: Int32Array): Region {
  let at = 2;
  const next = (): number => words[at++] as number;
  const address = (): number => (next() >>> 0) + next() * 0x1_0000_0000;
  const nodes = Array.from({ length: next() }, (): Node => ({
    block: EMPTY, context: NO_CONTEXT, steps: [], jumps: new Map(), next: undefined, retired: 0, leavesTo: undefined, returnTo: undefined, after: undefined, computed: [],
  }));
  const link = (): Node | undefined => nodes[next()];
  const entry = link() as Node;
  for (const node of nodes) {
    node.block = { ...EMPTY, start: address(), record: next(), mfn: next(), secondMfn: next() };
    node.retired = next();
    const leaves = next() !== 0;
    const leavesTo = address();
    node.leavesTo = leaves ? leavesTo : undefined;
    node.next = link();
    node.returnTo = link();
    node.after = link();
    node.computed = Array.from({ length: next() }, () => link() as Node);
    node.steps = Array.from({ length: next() }, (_, i): Step => {
      const key = words[at++] as number;
      const to = nodes[words[at + LINK] as number];
      if (to) node.jumps.set(i, to);
      const record = at * 4;
      at += RECORD_WORDS;
      return { record, spec: key === GOTO ? 'goto' : key === UNAVAILABLE ? 'unavailable' : specOf(key), jump: undefined };
    });
  }
  return { nodes, entry };
}
const NO_CONTEXT = newContext(0, undefined);
const EMPTY: Block = { record: 0, start: 0, mfn: -1, secondMfn: -1, steps: [], heat: 0 };
