// Which registers a region has to have in locals, and which of them differ from the context. A call of what lies outside puts what
// differs back, and takes what is needed later anew: nothing else is stored or loaded, and on a way out only what differs.
//
// Invariant: what differs from the context is in locals, on each way that control may have taken. So what may differ where a node begins
// is needed there.

import { effectsOf, NOTHING, type Effects } from './effects.ts';
import type { Calls } from './interp-env.ts';
import type { Node, Region } from './region.ts';

/** Registers as bits (effects.ts). */
export interface Liveness {
  /** needed where the node begins */
  readonly needed: number;
  /** they may differ from the context where it begins */
  readonly differing: number;
  /** by step */
  readonly effects: readonly Effects[];
  /** by step, what is needed behind it */
  readonly neededBehind: readonly number[];
}
interface State { needed: number; differing: number; readonly effects: readonly Effects[]; readonly neededBehind: number[] }

/** @param dv where the records are */
export function livenessOf({ nodes }: Region, dv: DataView, calls: Calls): ReadonlyMap<Node, Liveness> {
  const states = new Map<Node, State>(nodes.map((node) => {
    const effects = node.steps.map(({ spec, record }) => (typeof spec === 'string' ? NOTHING : effectsOf(spec, dv, record, calls)));
    return [node, { needed: 0, differing: 0, effects, neededBehind: effects.map(() => 0) }];
  }));
  const of = (node: Node): State => states.get(node) as State;
  settle(nodes, (node) => passOn(node, of));
  settle(nodes.toReversed(), (node) => ask(node, of));
  return states;
}
/** Looks at all again until nothing changes. @param look says whether it has changed anything */
function settle(nodes: readonly Node[], look: (node: Node) => boolean): void {
  for (let changed = true; changed;) {
    changed = false;
    for (const node of nodes) if (look(node)) changed = true;
  }
}
/** What may differ where a node's jumps lead. */
function passOn(node: Node, of: (node: Node) => State): boolean {
  let { differing } = of(node), changed = false;
  const pass = (to: Node | undefined): void => {
    if (!to || (of(to).differing | differing) === of(to).differing) return;
    of(to).differing |= differing;
    changed = true;
  };
  of(node).effects.forEach(({ writes }, i) => {
    differing |= writes;
    pass(node.jumps.get(i));
  });
  for (const to of [node.next, node.returnTo, ...node.computed]) pass(to);
  return changed;
}
/** What is needed where a node begins, by what is where its jumps lead. Behind a call everything is taken anew. */
function ask(node: Node, of: (node: Node) => State): boolean {
  const state = of(node);
  let needed = [node.next, node.returnTo, ...node.computed].reduce((all, to) => (to ? all | of(to).needed : all), 0);
  for (let i = state.effects.length - 1; i >= 0; i--) {
    const { reads, kills } = state.effects[i] as Effects;
    const to = node.jumps.get(i);
    if (to) needed |= of(to).needed;
    state.neededBehind[i] = needed;
    needed = needed & ~kills | reads;
  }
  needed |= state.differing;
  const changed = needed !== state.needed;
  state.needed = needed;
  return changed;
}
