// Which blocks become one function. A region begins at a hot block and takes in, the hottest first, what its jumps lead to
// and what has been executed before: loops, small callees (once for each call site, so that their returns have one place to
// go), code on other pages. What was never executed has no record yet and stays outside.
//
// A large region that control comes back in is cut down to what lies on such ways: the rest is left once, so it may as well
// be a region of its own.

import { PAGE_SIZE } from '#base/capsule.ts';
import type { Row } from '../isa/row.ts';
import { ROWS } from '../isa/table.ts';
import type { HandlerSpec } from './handler-spec.ts';
import { REC } from './record.ts';

/** Most records and blocks of a region; deepest nesting of calls in it, and most records of a callee. */
const MAX_RECORDS = 500, MAX_NODES = 160, MAX_DEPTH = 1, MAX_CALLEE = 8;
/** Most records of one that is not cut down. */
const MAX_WHOLE = 250;

/** A record in a block, with what its handler was made for. */
export interface Step {
  readonly record: number;
  readonly spec: HandlerSpec | 'goto' | 'unavailable';
  /** where its relative jump leads: so far from the page; and how many bits of the address count, 16, 32 or 64 */
  readonly jump: { readonly distance: number; readonly bits: number } | undefined;
}
/**
 * A call that the region goes into: where it returns to, what it was called from, and the nodes in it by their addresses: the
 * same code may be mapped at two. The outermost context is no call.
 */
interface Context { readonly returnTo: number; readonly parent: Context | undefined; readonly depth: number; readonly nodes: Map<number, Node>; readonly calls: Map<number, Context> }

interface Place { readonly block: Block; readonly context: Context }

/** A block in a region. */
export interface Node {
  block: Block;
  readonly context: Context;
  /** its records, up to where another block of the region goes on */
  steps: readonly Step[];
  /** by position in `steps`, where a relative jump stays inside */
  readonly jumps: Map<number, Node>;
  /** where control falls through to, when `steps` ends early */
  next: Node | undefined;
  /** instructions of the block before that, jumps that decoding has followed among them */
  retired: number;
  /** where it goes when `steps` ends at a conditional jump that was always taken; outside the region */
  leavesTo: number | undefined;
  /** where the RET at its end returns to, if the region called it */
  returnTo: Node | undefined;
  /** where what it leaves for returns to: of the call at its end, if that is not gone into, or of the call that it was come by, if it ends with a jump */
  after: Node | undefined;
  /** places that the computed jump at its end was seen to go to */
  computed: Node[];
}
/** A decoded block as regions see it. */
export interface Block {
  readonly record: number;
  readonly start: number;
  readonly mfn: number;
  /** frame of the page that its only instruction reaches into, or -1 */
  readonly secondMfn: number;
  readonly steps: readonly Step[];
  /** how often it was executed, as far as that was counted */
  readonly heat: number;
}
export interface Region { readonly nodes: readonly Node[]; readonly entry: Node }

/** What the blocks know. */
export interface BlockSource {
  /** the executed block that begins at an address, as it is mapped now; undefined when there is none */
  blockAt(address: number): Block | undefined;
  /** targets that a computed jump was seen to take, as distances from its page */
  targetsOf(record: number): readonly number[];
}

const rowOf = (step: Step): Row | undefined => (typeof step.spec === 'string' ? undefined : ROWS[step.spec.row]);
const isConditional = (step: Step): boolean => step.jump !== undefined && typeof step.spec !== 'string' && (step.spec.fused >= 0 || !rowOf(step)?.ends);
const isCall = (step: Step): boolean => rowOf(step)?.name === 'CALL';
const pageOf = (va: number): number => va - (va & PAGE_SIZE - 1);
/** Address of the page that a node begins in. */
export const pageOfNode = (node: Node): number => pageOf(node.block.start);
/** Whether a jump from a node to another has to make sure that the code still lies where it did. */
export const needsCheck = (from: Node, to: Node): boolean => to.block.secondMfn >= 0 || pageOfNode(from) !== pageOfNode(to);

export class RegionBuilder {
  private readonly source: BlockSource;
  private readonly dv: DataView;
  private outermost = newContext(0, undefined);
  private readonly nodes: Node[] = [];
  private readonly known = new Map<number, Block | undefined>();
  private records = 0;
  private least = 0;
  /** by the addresses that functions begin at */
  private readonly small = new Map<number, boolean>();

  constructor(source: BlockSource, dv: DataView) {
    this.source = source;
    this.dv = dv;
  }

  /**
   * @param seed the hot block
   * @param least executions that a block needs to be taken in
   */
  build(seed: Block, least: number): Region {
    this.least = least;
    const region = this.grow(seed, MAX_RECORDS);
    if (this.records <= MAX_WHOLE) return region;
    const cycle = cycleOf(region);
    if (cycle) return { nodes: cycle, entry: region.entry };
    this.forget();
    return this.grow(seed, MAX_WHOLE);
  }
  private forget(): void {
    this.nodes.length = 0;
    this.outermost = newContext(0, undefined);
    this.records = 0;
  }
  private grow(seed: Block, most: number): Region {
    this.known.set(seed.start, seed);
    const entry = this.add(seed, this.outermost);
    const queue: Node[] = [entry];
    while (queue.length > 0) {
      let best = 0;
      for (let i = 1; i < queue.length; i++) if ((queue[i] as Node).block.heat > (queue[best] as Node).block.heat) best = i;
      const node = queue.splice(best, 1)[0] as Node;
      for (const { block, context } of this.leadsTo(node)) {
        if (block.heat < this.least || context.nodes.has(block.start)) continue;
        if (this.nodes.length >= MAX_NODES || this.records + block.steps.length > most) continue;
        queue.push(this.add(block, context));
      }
    }
    for (const node of this.nodes) this.cut(node);
    for (const node of this.nodes) this.connect(node);
    return { nodes: reachable(entry), entry };
  }

  /** A block's steps, up to a conditional jump that was always taken. */
  private executedSteps({ steps }: Block): readonly Step[] {
    const end = steps.findIndex((step) => isConditional(step) && this.dv.getUint8(step.record + REC.passed) === 0) + 1;
    return end === 0 ? steps : steps.slice(0, end);
  }
  private add(block: Block, context: Context): Node {
    const steps = this.executedSteps(block), last = steps.at(-1) as Step;
    const node: Node = {
      block, context, steps, jumps: new Map(), next: undefined, retired: 0, leavesTo: isConditional(last) && this.dv.getUint8(last.record + REC.passed) === 0 ? this.nextRip(block, last) : undefined, returnTo: undefined, after: undefined, computed: [],
    };
    this.nodes.push(node);
    context.nodes.set(block.start, node);
    this.records += steps.length;
    return node;
  }
  private find(address: number): Block | undefined {
    let block = this.known.get(address);
    if (block === undefined && !this.known.has(address)) this.known.set(address, block = this.source.blockAt(address));
    return block;
  }
  private rip(block: Block, step: Step): number { return pageOf(block.start) + this.dv.getUint16(step.record + REC.offset, true); }
  private nextRip(block: Block, step: Step): number { return this.rip(block, step) + this.dv.getUint8(step.record + REC.length); }

  /** Has a function so few records, as far as it is executed, that each call of it may have its own? */
  private isSmall(entry: Block): boolean {
    let small = this.small.get(entry.start);
    if (small === undefined) this.small.set(entry.start, small = this.recordsOf(entry, MAX_CALLEE) <= MAX_CALLEE);
    return small;
  }
  /** Records of a function without those that it calls; some number above `most` when there are more. */
  private recordsOf(entry: Block, most: number): number {
    const blocks = new Set([entry]);
    let records = 0;
    for (const block of blocks) {
      const steps = this.executedSteps(block);
      records += steps.length;
      if (records > most) break;
      for (const step of steps) {
        const to = step.jump && !isCall(step) ? this.find(pageOf(block.start) + step.jump.distance) : undefined;
        if (to && to.heat >= this.least) blocks.add(to);
      }
    }
    return records;
  }
  /** The context of what a call leads to; undefined when it is not to be followed. */
  private inside(node: Node, step: Step): Context | undefined {
    const returnTo = this.nextRip(node.block, step);
    const known = node.context.calls.get(returnTo);
    if (known) return known;
    if (node.context.depth === MAX_DEPTH || this.find(returnTo) === undefined) return undefined;
    for (let c: Context | undefined = node.context; c; c = c.parent) if (c.returnTo === returnTo) return undefined;
    const context = newContext(returnTo, node.context);
    node.context.calls.set(returnTo, context);
    return context;
  }
  /** Where a node's jump at a step leads. */
  private target(node: Node, step: Step): Place | undefined {
    if (step.jump === undefined) return undefined;
    const whole = pageOfNode(node) + step.jump.distance;
    const target = step.jump.bits === 64 ? whole : step.jump.bits === 32 ? whole >>> 0 : whole & 0xffff;
    const block = this.find(target);
    if (!block) return undefined;
    if (!isCall(step)) return { block, context: node.context };
    const context = this.isSmall(block) ? this.inside(node, step) : undefined;
    return context && { block, context };
  }
  /** The block behind a call that the region does not go into. In the page of the call: nothing else is known to lie where it did. */
  private behindCall(node: Node): Block | undefined {
    const last = node.steps.at(-1) as Step;
    if (!isCall(last)) return undefined;
    const returnTo = this.nextRip(node.block, last);
    const block = pageOf(returnTo) === pageOfNode(node) ? this.find(returnTo) : undefined;
    return block && block.secondMfn < 0 ? block : undefined;
  }
  /** Where a block's context returns to, if it may do so at its end: by a RET, or by one of what it jumps to. */
  private returned(node: Node, by: 'RET' | 'JMP'): Place | undefined {
    const { parent, returnTo } = node.context;
    const block = parent && rowOf(node.steps.at(-1) as Step)?.name === by ? this.find(returnTo) : undefined;
    return block && parent && { block, context: parent };
  }
  /** Where a block's context goes on when what it leaves for at its end has returned. */
  private afterwards(node: Node): Place | undefined {
    const behind = this.behindCall(node);
    return behind ? { block: behind, context: node.context } : this.returned(node, 'JMP');
  }
  private *leadsTo(node: Node): Iterable<Place> {
    for (const step of node.steps) {
      const t = this.target(node, step);
      if (t) yield t;
    }
    const staysInside = this.target(node, node.steps.at(-1) as Step) !== undefined;
    const r = this.returned(node, 'RET') ?? (staysInside ? undefined : this.afterwards(node));
    if (r) yield r;
    for (const address of this.computedTargets(node)) {
      const block = this.find(address);
      if (block) yield { block, context: node.context };
    }
  }
  /** A computed call is not followed: nothing tells its return. */
  private computedTargets(node: Node): readonly number[] {
    const last = node.steps.at(-1) as Step;
    if (rowOf(last)?.name !== 'JMP' || last.jump !== undefined) return [];
    return this.source.targetsOf(last.record).map((distance) => pageOfNode(node) + distance);
  }

  /** Ends a node's steps where another node of its context begins. */
  private cut(node: Node): void {
    for (let i = 1; i < node.steps.length; i++) {
      const rip = this.rip(node.block, node.steps[i] as Step);
      const block = this.known.get(rip);
      const next = block && node.context.nodes.get(block.start);
      if (!next || needsCheck(node, next)) continue;
      node.retired = this.dv.getUint8((node.steps[i] as Step).record + REC.icount);
      node.steps = node.steps.slice(0, i);
      node.next = next;
      node.leavesTo = undefined;
      return;
    }
  }
  private connect(node: Node): void {
    node.steps.forEach((step, i) => {
      const t = this.target(node, step);
      const to = t && t.context.nodes.get(t.block.start);
      if (to) node.jumps.set(i, to);
    });
    if (node.next) return;
    const at = (place: Place | undefined): Node | undefined => place && place.context.nodes.get(place.block.start);
    node.returnTo = at(this.returned(node, 'RET'));
    if (!node.jumps.has(node.steps.length - 1)) node.after = at(this.afterwards(node));
    for (const address of this.computedTargets(node)) {
      const block = this.known.get(address);
      const to = block && node.context.nodes.get(block.start);
      if (to) node.computed.push(to);
    }
  }
}
export const newContext = (returnTo: number, parent: Context | undefined): Context => ({ returnTo, parent, depth: parent ? parent.depth + 1 : 0, nodes: new Map(), calls: new Map() });

/** Where control can go from a node inside the region. */
export function successors(node: Node): Node[] {
  const all = [...node.jumps.values(), ...node.computed];
  if (node.next) all.push(node.next);
  if (node.returnTo) all.push(node.returnTo);
  if (node.after) all.push(node.after);
  return all;
}
/** The nodes from which control can come back to the entry, with the edges to others taken out; undefined when there are none. */
function cycleOf({ nodes, entry }: Region): Node[] | undefined {
  const into = new Map<Node, Node[]>(nodes.map((n) => [n, []]));
  for (const n of nodes) for (const to of successors(n)) into.get(to)?.push(n);
  if (into.get(entry)?.length === 0) return undefined;
  const kept = new Set<Node>([entry]);
  for (const n of kept) {
    for (const from of into.get(n) ?? []) kept.add(from);
    if (n.next) kept.add(n.next); // a block that ends early because this one goes on
  }
  for (const n of kept) {
    for (const [at, to] of n.jumps) if (!kept.has(to)) n.jumps.delete(at);
    if (n.returnTo && !kept.has(n.returnTo)) n.returnTo = undefined;
    if (n.after && !kept.has(n.after)) n.after = undefined;
    n.computed = n.computed.filter((to) => kept.has(to));
  }
  return reachable(entry);
}
function reachable(entry: Node): Node[] {
  const seen = new Set<Node>([entry]);
  for (const node of seen) for (const next of successors(node)) seen.add(next);
  return [...seen];
}
