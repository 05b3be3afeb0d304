// A graph of blocks written as WebAssembly's nested control structures: loops where the graph has loops with one way in,
// a loop around a dispatch where there are more ways in, blocks to jump forward out of. The strongly connected parts
// of the graph come in topological order, each nested within the structure of the part around it.

import { assert } from '#base/assert.ts';
import { i32 } from '../wasm/expr.ts';
import type { Fn, Label, Var } from '../wasm/fn.ts';

/** How to jump to a node: to a label, with the number that a dispatch behind it takes. */
interface Way { readonly label: Label; readonly state: number }

export class Structure<N> {
  private readonly fn: Fn;
  private readonly successors: (n: N) => readonly N[];
  private readonly write: (n: N) => void;
  private readonly state: Var;
  private readonly ways = new Map<N, Way>();
  private predecessors = new Map<N, N[]>();
  private entry: N | undefined;

  /** @param write writes a node's code; it leaves by `go` or out of the function, never by its end */
  constructor(fn: Fn, successors: (n: N) => readonly N[], write: (n: N) => void) {
    this.fn = fn;
    this.successors = successors;
    this.write = write;
    this.state = fn.var('i32');
  }

  /** Writes all nodes; control comes in at `entry` by falling into what is written. */
  emit(nodes: readonly N[], entry: N): void {
    this.entry = entry;
    this.predecessors = new Map(nodes.map((n) => [n, []]));
    for (const n of nodes) for (const to of this.successors(n)) this.predecessors.get(to)?.push(n);
    this.scope(nodes, [entry], new Set());
  }
  /** Jumps to a node from where code is being written. */
  go(to: N): void {
    const way = this.ways.get(to);
    assert(way !== undefined, 'a node that can be reached from here');
    if (way.state >= 0) this.state.set(i32(way.state));
    this.fn.br(way.label);
  }

  /** Nodes within one loop, or all. Edges to `closed` nodes go to loops that are open already. */
  private scope(nodes: readonly N[], entries: readonly N[], closed: ReadonlySet<N>): void {
    const parts = components(nodes, entries, this.successors, closed);
    const nest = (k: number): void => {
      const part = parts[k] as readonly N[];
      const heads = this.headsOf(part);
      if (k === 0) this.dispatch(part, entries);
      else {
        const before = heads.map((n) => this.ways.get(n));
        this.fn.block((label) => {
          this.setWays(heads, label);
          nest(k - 1);
        });
        heads.forEach((n, i) => (before[i] ? this.ways.set(n, before[i]) : this.ways.delete(n)));
      }
      this.part(part, heads, closed);
    };
    nest(parts.length - 1);
  }
  private setWays(heads: readonly N[], label: Label): void { heads.forEach((n, i) => this.ways.set(n, { label, state: heads.length > 1 ? i : -1 })); }
  /** At the beginning of a scope with several entries: on to the one that `state` names. */
  private dispatch(part: readonly N[], entries: readonly N[]): void {
    if (entries.length === 1) return;
    // the part that is written first has no label of its own: one that ends right before it
    this.fn.block((first) => {
      const labels = entries.map((n) => (part.includes(n) ? first : (this.ways.get(n) as Way).label));
      this.fn.brTable(labels, this.state.get);
    });
  }
  /** Where control comes into a part from outside. */
  private headsOf(part: readonly N[]): N[] {
    const inside = new Set(part);
    return part.filter((n) => n === this.entry || this.predecessors.get(n)?.some((p) => !inside.has(p)));
  }
  private part(part: readonly N[], heads: readonly N[], closed: ReadonlySet<N>): void {
    const only = part[0] as N;
    if (part.length === 1 && (closed.has(only) || !this.successors(only).includes(only))) { this.write(only); this.fn.unreachable(); return; }
    this.fn.loop((label) => {
      this.setWays(heads, label);
      this.scope(part, heads, new Set([...closed, ...heads]));
    });
    this.fn.unreachable();
  }
}

/** Strongly connected parts among `nodes` without the edges to `closed` ones, in topological order; Tarjan's algorithm. */
function components<N>(nodes: readonly N[], entries: readonly N[], successors: (n: N) => readonly N[], closed: ReadonlySet<N>): N[][] {
  const inside = new Set(nodes);
  const index = new Map<N, number>(), low = new Map<N, number>();
  const stack: N[] = [], onStack = new Set<N>(), parts: N[][] = [];
  const visit = (n: N): void => {
    index.set(n, index.size);
    low.set(n, index.get(n) as number);
    stack.push(n);
    onStack.add(n);
    for (const to of successors(n)) {
      if (!inside.has(to) || closed.has(to)) continue;
      if (!index.has(to)) {
        visit(to);
        low.set(n, Math.min(low.get(n) as number, low.get(to) as number));
      } else if (onStack.has(to)) low.set(n, Math.min(low.get(n) as number, index.get(to) as number));
    }
    if (low.get(n) !== index.get(n)) return;
    const part: N[] = [];
    let last: N;
    do {
      last = stack.pop() as N;
      onStack.delete(last);
      part.unshift(last);
    } while (last !== n);
    parts.unshift(part);
  };
  for (const n of [...entries, ...nodes]) if (!index.has(n)) visit(n);
  return parts;
}
