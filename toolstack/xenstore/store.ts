// The store: one table of nodes, the watches on it, and the domains that are known to it (docs/misc/xenstore.txt).
// It belongs to the toolstack, not to a domain; guests reach it through a Connection, the toolstack and the back ends
// through a LocalClient.
//
// Watch events are delivered after the operation that caused them is complete and answered, in order; what a receiver
// does in turn joins the end of the queue.

import { BaseTable, type NodeTable, TransactionTable } from './node-table.ts';
import { INTRODUCE_DOMAIN, isSpecial, isWithin, parentPath, RELEASE_DOMAIN } from './path.ts';
import { permits, type Requester } from './permissions.ts';
import { type Change, View } from './view.ts';

export interface Watcher {
  readonly who: Requester;
  /** absolute path, or the name of a special event */
  readonly path: string;
  /** @param path absolute path of the node that changed */
  fire(path: string): void;
}

export class Store {
  private readonly base = new BaseTable();
  private readonly watchers = new Set<Watcher>();
  private readonly domains = new Set<number>([0]);
  private readonly events: (() => void)[] = [];
  private depth = 0;

  constructor() {
    this.base.set('/', { value: new Uint8Array(0), perms: [{ domid: 0, read: false, write: false }], children: [] });
    this.perform({ domid: 0, privileged: true }, undefined, (view) => {
      for (const path of ['/tool/xenstored', '/local/domain']) view.mkdir(path);
    });
  }

  /**
   * Runs operations for a requester. Their watches fire when `body` has returned, unless they are a transaction's.
   * @throws StoreError what the operation throws
   */
  perform<T>(who: Requester, transaction: Transaction | undefined, body: (view: View) => T): T {
    if (transaction) return body(new View(transaction.table, who, transaction.changes));
    const changes: Change[] = [];
    return this.settle(() => {
      try {
        return body(new View(this.base, who, changes));
      } finally {
        this.queue(changes, this.base);
      }
    });
  }

  transaction(): Transaction { return new Transaction(this.base); }

  /** Makes a transaction's changes real; false when another client's came between. */
  commit(transaction: Transaction): boolean {
    return this.settle(() => {
      if (!transaction.table.commit()) return false;
      this.queue(transaction.changes, this.base);
      return true;
    });
  }

  /** Adds a watch; it fires once at the start (simplifies clients, as the protocol says). */
  watch(watcher: Watcher): void {
    this.watchers.add(watcher);
    this.settle(() => this.events.push(() => this.deliver(watcher, watcher.path)));
  }

  unwatch(watcher: Watcher): void { this.watchers.delete(watcher); }

  introduceDomain(domid: number): void {
    this.domains.add(domid);
    this.fireSpecial(INTRODUCE_DOMAIN);
  }

  releaseDomain(domid: number): void {
    this.domains.delete(domid);
    this.fireSpecial(RELEASE_DOMAIN);
  }

  isIntroduced(domid: number): boolean { return this.domains.has(domid); }

  /** Runs `body`; the outermost one delivers the events that came up. */
  settle<T>(body: () => T): T {
    this.depth++;
    try {
      return body();
    } finally {
      if (this.depth === 1) for (let event; (event = this.events.shift());) event();
      this.depth--;
    }
  }

  private fireSpecial(name: string): void {
    this.settle(() => {
      for (const w of this.watchers) if (w.path === name && w.who.privileged) this.events.push(() => this.deliver(w, name));
    });
  }

  private queue(changes: readonly Change[], table: NodeTable): void {
    for (const change of changes) {
      const parent = table.get(parentPath(change.path));
      for (const w of this.watchers) {
        if (isSpecial(w.path) || !(change.exact ? w.path === change.path : isWithin(change.path, w.path))) continue;
        const allowed = permits(change.node.perms, w.who, 'read') || (change.oldPerms && permits(change.oldPerms, w.who, 'read')) || (parent && permits(parent.perms, w.who, 'read'));
        if (allowed) this.events.push(() => this.deliver(w, change.path));
      }
    }
  }

  private deliver(watcher: Watcher, path: string): void {
    if (this.watchers.has(watcher)) watcher.fire(path);
  }
}

/** A client's transaction: sees the store as it was when it looked, and its own changes. */
export class Transaction {
  readonly table: TransactionTable;
  readonly changes: Change[] = [];
  constructor(base: BaseTable) { this.table = new TransactionTable(base); }
}
