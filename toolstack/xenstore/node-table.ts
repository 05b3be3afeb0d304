// The nodes of the store by absolute path. A node is never changed, only replaced: whoever holds one, as a transaction
// does, sees by identity whether it is still there.
//
// The table keeps the counts of what each domain owns, and which nodes name a domain in their permissions, so that a
// domain that is gone takes its nodes and rights with it and a later one of the same number finds none.

import { append, bytesOf, type Children } from './children.ts';
import type { Permissions } from './permissions.ts';
import { QUOTA } from './quota.ts';
import { OVERHEAD, type Usage, UsageTable } from './usage.ts';

export interface StoreNode {
  readonly value: Uint8Array;
  readonly perms: Permissions;
  readonly children: Children;
  /** its place among its parent's children */
  readonly key: number;
  /** grows with every change of the store */
  readonly generation: number;
  /** the domain that made this change */
  readonly writer: number;
}

export type NewNode = Pick<StoreNode, 'value' | 'perms' | 'children' | 'key'>;

/** The store itself, or the store as a transaction sees it. */
export interface NodeTable {
  get(path: string): StoreNode | undefined;
  /** Stores a node, or removes it. */
  set(path: string, node: NewNode | undefined, writer: number): StoreNode | undefined;
  /** nodes that a domain owns */
  owned(domid: number): number;
  /** whose memory a node of this owner takes */
  payer(owner: number): Usage;
  /** by how many bytes the memory of who pays for this node grows if it is stored */
  growth(path: string, node: NewNode): number;
  nextKey(): number;
}

/** Bytes of a node as the quota of its size counts them. */
export function nodeSize({ value, perms, children }: NewNode): number {
  return QUOTA.nodeHeader + perms.length * 8 + value.length + bytesOf(children);
}

/** Bytes of a node and its path as the quota of memory counts them. */
export function nodeMemory(path: string, node: NewNode | undefined): number {
  return node ? nodeSize(node) + path.length + OVERHEAD : 0;
}

export class BaseTable implements NodeTable {
  readonly usage = new UsageTable();
  private readonly nodes = new Map<string, StoreNode>();
  private readonly mentions = new Map<number, Set<string>>();
  private generation = 0;
  private key = 0;

  constructor(root: Permissions) { this.set('/', { value: new Uint8Array(0), perms: root, children: undefined, key: 0 }, 0); }

  get(path: string): StoreNode | undefined { return this.nodes.get(path); }

  set(path: string, node: NewNode | undefined, writer: number): StoreNode | undefined {
    const before = this.nodes.get(path);
    if (before) this.account(path, before, -1);
    if (!node) {
      this.nodes.delete(path);
      return undefined;
    }
    const stored: StoreNode = { value: node.value, perms: node.perms, children: node.children, key: node.key, generation: ++this.generation, writer };
    this.nodes.set(path, stored);
    this.account(path, stored, 1);
    return stored;
  }

  owned(domid: number): number { return this.usage.of(domid).nodes; }
  payer(owner: number): Usage { return this.usage.of(owner); }
  growth(path: string, node: NewNode): number {
    const before = this.nodes.get(path);
    return nodeMemory(path, node) - (before?.perms[0].domid === node.perms[0].domid ? nodeMemory(path, before) : 0);
  }
  nextKey(): number { return ++this.key; }

  /** Paths of the nodes whose permissions name a domain, its own among them. */
  mentioning(domid: number): readonly string[] { return [...this.mentions.get(domid) ?? []]; }

  /** All nodes, for checks. */
  [Symbol.iterator](): MapIterator<[string, StoreNode]> { return this.nodes.entries(); }

  private account(path: string, node: StoreNode, sign: 1 | -1): void {
    const usage = this.usage.of(node.perms[0].domid);
    usage.nodes += sign;
    usage.memory += sign * nodeMemory(path, node);
    for (const { domid } of node.perms) {
      if (domid !== 0) this.mention(domid, path, sign === 1);
    }
  }

  private mention(domid: number, path: string, add: boolean): void {
    const paths = this.mentions.get(domid);
    if (add) {
      if (paths) paths.add(path);
      else this.mentions.set(domid, new Set([path]));
    } else if (paths?.delete(path) && paths.size === 0) this.mentions.delete(domid);
  }
}

/** The node with one more child. */
export function withChild(node: NewNode, key: number, leaf: string): NewNode {
  return { ...node, children: append(node.children, key, leaf) };
}
