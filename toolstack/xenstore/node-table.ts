// The nodes of the store by absolute path, and the same table as a transaction sees it. Nodes are never changed, only
// replaced; each replacement takes a new generation number, by which a transaction notices that it was overtaken.

import type { Permissions } from './permissions.ts';

export interface StoreNode {
  readonly value: Uint8Array;
  readonly perms: Permissions;
  /** leaf names, in the order of their creation */
  readonly children: readonly string[];
  readonly generation: number;
}

export interface NodeTable {
  get(path: string): StoreNode | undefined;
  /** Stores a node under a new generation, or removes it. */
  set(path: string, node: Omit<StoreNode, 'generation'> | undefined): void;
  /** nodes that a domain owns */
  entries(domid: number): number;
  /** nodes that a transaction has looked at or changed; 0 for the store itself */
  readonly touched: number;
}

const owner = (node: StoreNode | undefined): number | undefined => node?.perms[0].domid;

export class BaseTable implements NodeTable {
  private readonly nodes = new Map<string, StoreNode>();
  private readonly owned = new Map<number, number>();
  private generation = 0;
  readonly touched = 0;

  get(path: string): StoreNode | undefined { return this.nodes.get(path); }

  set(path: string, node: Omit<StoreNode, 'generation'> | undefined): void {
    this.count(owner(this.nodes.get(path)), -1);
    if (!node) { this.nodes.delete(path); return; }
    this.nodes.set(path, { ...node, generation: ++this.generation });
    this.count(node.perms[0].domid, 1);
  }

  entries(domid: number): number { return this.owned.get(domid) ?? 0; }

  private count(domid: number | undefined, by: number): void {
    if (domid === undefined) return;
    const n = this.entries(domid) + by;
    if (n === 0) this.owned.delete(domid);
    else this.owned.set(domid, n);
  }
}

/** What a transaction read and wrote. Nothing reaches the base before `commit`. */
export class TransactionTable implements NodeTable {
  private readonly base: BaseTable;
  /** generation of each node when it was first looked at; 0: there was none */
  private readonly seen = new Map<string, number>();
  private readonly written = new Map<string, StoreNode | undefined>();
  private readonly owned = new Map<number, number>();

  constructor(base: BaseTable) { this.base = base; }

  get touched(): number { return this.seen.size; }

  get(path: string): StoreNode | undefined {
    if (this.written.has(path)) return this.written.get(path);
    const node = this.base.get(path);
    if (!this.seen.has(path)) this.seen.set(path, node?.generation ?? 0);
    return node;
  }

  set(path: string, node: Omit<StoreNode, 'generation'> | undefined): void {
    const before = owner(this.get(path));
    if (before !== undefined) this.owned.set(before, (this.owned.get(before) ?? 0) - 1);
    if (node) this.owned.set(node.perms[0].domid, (this.owned.get(node.perms[0].domid) ?? 0) + 1);
    this.written.set(path, node && { ...node, generation: 0 });
  }

  entries(domid: number): number { return this.base.entries(domid) + (this.owned.get(domid) ?? 0); }

  /** Writes everything to the base; false, with nothing written, when another client changed what this one saw. */
  commit(): boolean {
    for (const [path, generation] of this.seen) if ((this.base.get(path)?.generation ?? 0) !== generation) return false;
    for (const [path, node] of this.written) if (node || this.base.get(path)) this.base.set(path, node);
    return true;
  }
}
