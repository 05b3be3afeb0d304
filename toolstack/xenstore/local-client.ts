// The store as the toolstack and the back ends use it: strings, from within, with domain 0's privileges or another
// domain's. Errors are StoreErrors; a node that does not exist reads as undefined.

import { namesFrom } from './children.ts';
import { type Permissions, type Requester, requester } from './permissions.ts';
import type { Store } from './store.ts';
import { StoreError } from './store-error.ts';
import type { Transaction } from './transaction.ts';
import type { View } from './view.ts';
import type { Watcher } from './watch-table.ts';
import { toBytes, toText } from './wire.ts';

export class LocalClient {
  private readonly store: Store;
  private readonly who: Requester;
  private readonly transaction: Transaction | undefined;

  constructor(store: Store, domid = 0, transaction?: Transaction) {
    this.store = store;
    this.who = requester(domid);
    this.transaction = transaction;
  }

  read(path: string): string | undefined {
    return this.unlessMissing((view) => toText(view.read(path)));
  }
  /** Names of the children; none when the node does not exist. */
  directory(path: string): readonly string[] {
    return this.unlessMissing((view) => [...namesFrom(view.directory(path).children)]) ?? [];
  }
  /** @throws StoreError ENOENT */
  permissions(path: string): Permissions { return this.perform((view) => view.permissions(path)); }
  write(path: string, value: string): void { this.perform((view) => view.write(path, toBytes(value))); }
  mkdir(path: string): void { this.perform((view) => view.mkdir(path)); }
  /** Removes a node with all below it, if it is there. */
  rm(path: string): void { this.unlessMissing((view) => view.rm(path)); }
  setPermissions(path: string, perms: Permissions): void { this.perform((view) => view.setPermissions(path, perms)); }

  /** Calls `fire` now and on each change of the node or below it. Returns what ends the watch. */
  watch(path: string, fire: (path: string) => void): () => void {
    const watcher: Watcher = { who: this.who, path, fire };
    this.store.watch(watcher);
    return () => this.store.unwatch(watcher);
  }

  /** Runs `body` in a transaction, again and again until no other client came between. */
  atomically(body: (client: LocalClient) => void): void {
    for (;;) {
      const transaction = this.store.transaction(this.who);
      try {
        body(new LocalClient(this.store, this.who.domid, transaction));
      } catch (e) {
        transaction.end();
        throw e;
      }
      try {
        this.store.commit(transaction);
        return;
      } catch (e) {
        if (!(e instanceof StoreError && e.code === 'EAGAIN')) throw e;
      }
    }
  }

  private perform<T>(body: (view: View) => T): T { return this.store.perform(this.who, this.transaction, body); }

  private unlessMissing<T>(body: (view: View) => T): T | undefined {
    try {
      return this.perform(body);
    } catch (e) {
      if (e instanceof StoreError && e.code === 'ENOENT') return undefined;
      throw e;
    }
  }
}
