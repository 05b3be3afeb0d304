// A client's transaction. It sees each node as it was when it first looked at it, and its own changes; nothing of them
// reaches the store before `commit`, which refuses when a node that the transaction has looked at, or found missing,
// was replaced meanwhile. So committed transactions are as if they had run one after the other. What it holds is
// charged to its client, at the latest version's size and with the old nodes that it keeps alive.

import { type Change, Changes } from './changes.ts';
import { type BaseTable, type NewNode, nodeMemory, type NodeTable, type StoreNode } from './node-table.ts';
import { upward } from './path.ts';
import type { Requester } from './permissions.ts';
import { QUOTA } from './quota.ts';
import { StoreError } from './store-error.ts';
import { OVERHEAD, type Usage } from './usage.ts';

interface Entry {
  readonly seen: StoreNode | undefined;
  now: StoreNode | undefined;
  written: boolean;
}

export class Transaction implements NodeTable {
  readonly who: Requester;
  readonly changes = new Changes();
  private readonly base: BaseTable;
  private readonly usage: Usage;
  private readonly entries = new Map<string, Entry>();
  /** by how much the number of nodes of each owner grows */
  private readonly grown = new Map<number, number>();
  private memory = 0;
  private failed = false;

  /** @throws StoreError ENOSPC: the client has too many open */
  constructor(base: BaseTable, who: Requester) {
    this.base = base;
    this.who = who;
    this.usage = base.usage.of(who.domid);
    if (!who.privileged && this.usage.transactions >= QUOTA.transactionsPerDomain) throw new StoreError('ENOSPC');
    this.usage.transactions++;
  }

  /** @throws StoreError ENOSPC, ENOMEM: it looks at too much; it cannot be committed any more */
  get(path: string): StoreNode | undefined { return this.entry(path).now; }

  set(path: string, node: NewNode | undefined, writer: number): StoreNode | undefined {
    const entry = this.entry(path);
    this.count(entry.now, -1);
    this.count(node, 1);
    this.charge(this.growth(path, node));
    entry.now = node && { ...node, generation: entry.seen?.generation ?? 0, writer };
    entry.written = true;
    return entry.now;
  }

  owned(domid: number): number { return this.base.owned(domid) + (this.grown.get(domid) ?? 0); }
  payer(): Usage { return this.usage; }
  /** What it has seen it keeps: the first change of a node costs all of the new one. */
  growth(path: string, node: NewNode | undefined): number {
    const entry = this.entries.get(path);
    return nodeMemory(path, node) - (entry?.written ? nodeMemory(path, entry.now) : 0);
  }
  nextKey(): number { return this.base.nextKey(); }

  /**
   * Ends it and makes its changes real. Returns them, but for nodes that it made and removed again.
   * @param conflict called with each domain that came between; then nothing is written
   * @throws StoreError EAGAIN: others came between; ENOMEM: it has gone beyond a quota; ENOSPC: there are too many nodes by now
   */
  commit(conflict: (writer: number) => void): [string, Change][] {
    this.end();
    if (this.failed) throw new StoreError('ENOMEM');
    const writers = new Set<number>();
    let overtaken = false;
    for (const [path, { seen }] of this.entries) {
      const node = this.base.get(path);
      if (node === seen) continue;
      overtaken = true;
      writers.add(this.lastWriter(path));
    }
    for (const writer of writers) conflict(writer);
    if (overtaken) throw new StoreError('EAGAIN');
    const { domid, privileged } = this.who;
    if (!privileged && (this.grown.get(domid) ?? 0) > 0 && this.owned(domid) > QUOTA.nodesPerDomain) throw new StoreError('ENOSPC');
    for (const [path, { seen, now, written }] of this.entries) if (written && (seen || now)) this.base.set(path, now, domid);
    return [...this.changes].filter(([path]) => this.entries.get(path)?.seen ?? this.entries.get(path)?.now);
  }

  /** Who replaced a node, or removed it from one above it. */
  private lastWriter(path: string): number {
    for (const at of upward(path)) {
      const node = this.base.get(at);
      if (node) return node.writer;
    }
    return 0;
  }

  /** Ends it; its changes are forgotten. */
  end(): void {
    this.usage.transactions--;
    this.usage.memory -= this.memory;
  }

  private entry(path: string): Entry {
    let entry = this.entries.get(path);
    if (entry) return entry;
    const seen = this.base.get(path);
    const memory = nodeMemory(path, seen) || path.length + OVERHEAD;
    if (!this.who.privileged) {
      if (this.entries.size >= QUOTA.nodesPerTransaction) this.fail('ENOSPC');
      if (this.usage.memory + memory > QUOTA.memory) this.fail('ENOMEM');
    }
    this.charge(memory);
    this.entries.set(path, entry = { seen, now: seen, written: false });
    return entry;
  }

  private fail(code: 'ENOSPC' | 'ENOMEM'): never {
    this.failed = true;
    throw new StoreError(code);
  }

  private count(node: NewNode | undefined, by: number): void {
    if (!node) return;
    const { domid } = node.perms[0];
    this.grown.set(domid, (this.grown.get(domid) ?? 0) + by);
  }

  private charge(memory: number): void {
    this.memory += memory;
    this.usage.memory += memory;
  }
}
