// The store: one table of nodes, the watches on it, and the domains that are known to it (docs/misc/xenstore.txt).
// It belongs to the toolstack, not to a domain; guests reach it through a Connection, the toolstack and the back ends
// through a LocalClient.
//
// Watch events are delivered after the operation that caused them is complete and answered, in order; what a receiver
// does in turn joins the end of the queue.

import { type Change, Changes } from './changes.ts';
import { Conflicts, type Pace } from './conflicts.ts';
import { BaseTable } from './node-table.ts';
import type { Cause } from './outbox.ts';
import { INTRODUCE_DOMAIN, parentPath, RELEASE_DOMAIN } from './path.ts';
import { type Permissions, type Requester, requester } from './permissions.ts';
import { Queue } from './queue.ts';
import { StoreError } from './store-error.ts';
import { Transaction } from './transaction.ts';
import type { Usage } from './usage.ts';
import { View } from './view.ts';
import { type Watcher, WatchTable } from './watch-table.ts';

/** A client as the store knows it: what ends with its domain. */
export interface Client {
  readonly who: Requester;
  reset(): void;
  close(): void;
}

const DOM0 = requester(0);
const PRIVATE: Permissions = [{ domid: 0, read: false, write: false }];

export class Store {
  readonly conflicts: Conflicts;
  readonly pace: Pace | undefined;
  readonly nodes: BaseTable = new BaseTable(PRIVATE);
  readonly watches: WatchTable = new WatchTable();
  /** domains that were introduced, and whether their shutdown was told */
  private readonly domains = new Map([[0, { down: false }]]);
  private readonly clients = new Map<number, Set<Client>>();
  private readonly events = new Queue<{ watcher: Watcher; path: string; cause: Cause | undefined }>();
  /** whose request is being handled */
  private cause: Cause | undefined;
  private depth = 0;

  /** @param pace what a store needs that serves several domains: without it, one may keep another's transactions from ending, and fill domain 0's queues */
  constructor(pace?: Pace) {
    this.pace = pace;
    this.conflicts = new Conflicts(pace);
    for (const name of [INTRODUCE_DOMAIN, RELEASE_DOMAIN]) this.nodes.set(name, { value: new Uint8Array(0), perms: PRIVATE, children: undefined, key: 0 }, 0);
    this.perform(DOM0, undefined, (view) => {
      for (const path of ['/tool/xenstored', '/local/domain']) view.mkdir(path);
    });
  }

  /**
   * Runs operations for a requester. Their watches fire when `body` has returned, unless they are a transaction's.
   * @throws StoreError what the operation throws
   */
  perform<T>(who: Requester, transaction: Transaction | undefined, body: (view: View) => T): T {
    if (transaction) return body(new View(transaction, who, transaction.changes));
    const changes = new Changes();
    return this.settle(() => {
      try {
        return body(new View(this.nodes, who, changes));
      } finally {
        this.queue(changes);
      }
    });
  }

  /** @throws StoreError ENOSPC */
  transaction(who: Requester): Transaction { return new Transaction(this.nodes, who); }

  /**
   * Makes a transaction's changes real.
   * @throws StoreError EAGAIN when another client came between; what Transaction.commit throws
   */
  commit(transaction: Transaction): void {
    this.settle(() => {
      const { domid } = transaction.who;
      this.queue(transaction.commit((writer) => { if (writer !== domid) this.conflicts.caused(writer); }));
    });
  }

  /** Adds a watch; it fires once at the start (simplifies clients, as the protocol says), unless it is not new to its client. */
  watch(watcher: Watcher, isNew = true): void {
    this.watches.add(watcher);
    if (isNew) this.settle(() => this.events.push({ watcher, path: watcher.path, cause: undefined }));
  }

  unwatch(watcher: Watcher): void { this.watches.remove(watcher); }

  usageOf(domid: number): Usage { return this.nodes.usage.of(domid); }

  /** A client has come. What belongs to it ends with its domain. */
  connect(client: Client): void {
    const { domid } = client.who;
    const clients = this.clients.get(domid);
    if (clients) clients.add(client);
    else this.clients.set(domid, new Set([client]));
  }

  disconnect(client: Client): void {
    const clients = this.clients.get(client.who.domid);
    clients?.delete(client);
    if (clients?.size === 0) this.clients.delete(client.who.domid);
  }

  introduceDomain(domid: number): void {
    this.domains.set(domid, { down: false });
    this.fireSpecial(INTRODUCE_DOMAIN);
  }

  /** A domain that was introduced is again: its clients begin anew. */
  reintroduceDomain(domid: number): void { for (const client of this.clients.get(domid) ?? []) client.reset(); }

  /** Ends a domain's connections and takes it out of the store: its watches and transactions, its nodes, its rights. */
  releaseDomain(domid: number): void {
    this.settle(() => {
      for (const agent of [domid, ...this.watches.agentsOf(domid)]) {
        for (const { who } of this.clients.get(agent) ?? []) this.watches.setTarget(who, undefined);
      }
      for (const client of this.clients.get(domid) ?? []) client.close(); // each takes itself off the set
      this.perform(DOM0, undefined, (view) => { for (const path of this.nodes.mentioning(domid)) view.forget(path, domid); });
      this.nodes.usage.release(domid);
      this.conflicts.release(domid);
      this.domains.delete(domid);
      this.fireSpecial(RELEASE_DOMAIN);
    });
  }

  /** The domain has shut down or crashed: told once, until `resumeDomain`. */
  shutdownDomain(domid: number): void {
    const domain = this.domains.get(domid);
    if (!domain || domain.down) return;
    domain.down = true;
    this.fireSpecial(RELEASE_DOMAIN);
  }

  resumeDomain(domid: number): void { (this.domains.get(domid) ?? { down: false }).down = false; }

  isIntroduced(domid: number): boolean { return this.domains.has(domid); }

  /**
   * Gives a domain another's rights beside its own.
   * @throws StoreError ENOENT: one of them is not connected
   */
  setTarget(domid: number, target: number): void {
    const clients = this.clients.get(domid);
    if (!clients || !this.isIntroduced(domid) || !this.isIntroduced(target)) throw new StoreError('ENOENT');
    for (const { who } of clients) this.watches.setTarget(who, target);
  }

  /** Runs `body`; the outermost one delivers the events that came up. */
  settle<T>(body: () => T): T {
    this.depth++;
    try {
      return body();
    } finally {
      try {
        if (this.depth === 1) this.deliver();
      } finally {
        this.depth--;
      }
    }
  }

  /** The same, for a request of a client: the events that it causes know whose they are. */
  settleFor(client: Client & Cause, body: () => void): void {
    this.settle(() => {
      const before = this.cause;
      this.cause = client.who.privileged ? undefined : client;
      try {
        body();
      } finally {
        this.cause = before;
      }
    });
  }

  private deliver(): void {
    for (let event; (event = this.events.shift());) if (this.watches.has(event.watcher)) event.watcher.fire(event.path, event.cause);
  }

  private fireSpecial(name: string): void { this.settle(() => this.queueOne(name, { perms: this.nodes.get(name)?.perms ?? PRIVATE, exact: true })); }

  private queue(changes: Iterable<[string, Change]>): void { for (const [path, change] of changes) this.queueOne(path, change); }

  private queueOne(path: string, { perms, oldPerms, parentPerms, exact }: Change): void {
    const parent = parentPerms ?? this.nodes.get(parentPath(path))?.perms;
    const visibleBy = [perms, oldPerms, parent].filter((p) => p !== undefined);
    for (const watcher of this.watches.matching(path, exact, visibleBy)) this.events.push({ watcher, path, cause: this.cause });
  }
}
