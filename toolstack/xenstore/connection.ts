// One client of the store, above whatever carries its messages: its watches, its transactions, its queue of replies
// and events. What it sends is hostile; what it gets are the errors of the protocol.

import { XS } from '#abi/io/xs-wire.ts';
import { type Cause, Outbox } from './outbox.ts';
import { absolutePath, canonicalOrSpecial, domainPath, isSpecial } from './path.ts';
import { type Requester, requester } from './permissions.ts';
import { QUOTA } from './quota.ts';
import { REQUESTS } from './requests.ts';
import { StoreError } from './store-error.ts';
import type { Store } from './store.ts';
import type { Transaction } from './transaction.ts';
import { OVERHEAD } from './usage.ts';
import type { View } from './view.ts';
import type { Watcher } from './watch-table.ts';
import { fits, type Message, toList } from './wire.ts';

/** As a client asked for a watch. */
export interface WatchRequest {
  readonly asked: string;
  readonly token: string;
}

export class Connection implements Cause {
  readonly store: Store;
  readonly who: Requester;
  /** called when something was put into an empty queue, when the client may send again, and when it is cut off */
  onOutput: () => void = () => {};
  /** The client is gone, or it let more replies and events pile up than it may: it gets nothing any more. */
  closed = false;
  undelivered = 0;
  private readonly watches = new Map<string, Watcher & WatchRequest>();
  private readonly transactions = new Map<number, Transaction>();
  private nextTransaction = 1;
  private readonly outbox = new Outbox();
  /** messages that the client has taken */
  private taken = 0;
  /** is its progress looked at, for others wait for it? */
  private timed = false;

  constructor(store: Store, domid: number) {
    this.store = store;
    this.who = requester(domid);
    store.connect(this);
  }

  /** Handles one request: its reply is in the queue afterwards, and the events that it caused behind it. */
  handle(request: Message): void {
    this.store.settleFor(this, () => {
      const { type, requestId, transactionId } = request;
      try {
        const payload = this.answer(request);
        if (!fits(payload.length)) throw new StoreError('E2BIG');
        this.send(() => this.outbox.reply({ type, requestId, transactionId, payload }));
      } catch (e) {
        if (!(e instanceof StoreError)) throw e;
        this.send(() => this.outbox.reply({ type: XS.ERROR, requestId, transactionId, payload: toList([e.code]) }));
      }
    });
  }

  private answer({ type, transactionId, payload }: Message): Uint8Array {
    const kind = REQUESTS[type];
    if (!kind) throw new StoreError('ENOSYS');
    if (kind.privileged && !this.who.privileged) throw new StoreError('EACCES');
    if (!kind.noTransaction && transactionId !== 0 && !this.transactions.has(transactionId)) throw new StoreError('ENOENT');
    return kind.handle({ connection: this, transactionId, payload });
  }

  /** Runs operations in the client's transaction of this number; 0 is none. */
  perform<T>(transactionId: number, body: (view: View) => T): T {
    return this.store.perform(this.who, this.transactions.get(transactionId), body);
  }

  /** @throws StoreError ENOSPC */
  startTransaction(): number {
    const transaction = this.store.transaction(this.who);
    while (this.nextTransaction === 0 || this.transactions.has(this.nextTransaction)) this.nextTransaction = (this.nextTransaction + 1) >>> 0;
    const id = this.nextTransaction;
    this.nextTransaction = (id + 1) >>> 0;
    this.transactions.set(id, transaction);
    return id;
  }

  /** @throws StoreError ENOENT, and what Transaction.commit throws */
  endTransaction(id: number, commit: boolean): void {
    const transaction = this.transactions.get(id);
    if (!transaction) throw new StoreError('ENOENT');
    this.transactions.delete(id);
    if (commit) this.store.commit(transaction);
    else transaction.end();
  }

  /**
   * @param path as the client wrote it: events name nodes in the same form, absolute or relative
   * @param isNew it has its first event to come
   * @throws StoreError EINVAL, EEXIST, E2BIG, ENOMEM
   */
  addWatch(path: string, token: string, isNew = true): void {
    const at = canonicalOrSpecial(path, this.who);
    const key = `${at}\0${token}`;
    if (this.watches.has(key)) throw new StoreError('EEXIST');
    const usage = this.store.usageOf(this.who.domid), memory = watchMemory(at, token);
    if (!this.who.privileged && usage.watches >= QUOTA.watchesPerDomain) throw new StoreError('E2BIG');
    if (!this.who.privileged && usage.memory + memory > QUOTA.memory) throw new StoreError('ENOMEM');
    const prefix = path.startsWith('/') || isSpecial(path) ? 0 : domainPath(this.who.domid).length + 1;
    const watcher = { who: this.who, path: at, asked: path, token, fire: (changed: string, cause?: Cause) => this.notify(isSpecial(changed) ? changed : changed.slice(prefix), token, cause) };
    this.watches.set(key, watcher);
    usage.watches++;
    usage.memory += memory;
    this.store.watch(watcher, isNew);
  }

  /** Its watches, in the order in which they were added. */
  get watched(): WatchRequest[] { return [...this.watches.values()].map(({ asked, token }) => ({ asked, token })); }
  get hasTransactions(): boolean { return this.transactions.size > 0; }

  /** @throws StoreError ENOENT */
  removeWatch(path: string, token: string): void {
    const key = `${absolutePath(path, this.who)}\0${token}`;
    const watcher = this.watches.get(key);
    if (!watcher) throw new StoreError('ENOENT');
    this.watches.delete(key);
    this.forget(watcher, key);
  }

  /** Forgets all watches and transactions. */
  reset(): void {
    for (const [key, watcher] of this.watches) this.forget(watcher, key);
    this.watches.clear();
    for (const transaction of this.transactions.values()) transaction.end();
    this.transactions.clear();
  }

  /** The client is gone, or has to go. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.reset();
    this.outbox.clear();
    this.store.disconnect(this);
    this.onOutput();
  }

  private forget(watcher: Watcher, key: string): void {
    const usage = this.store.usageOf(this.who.domid);
    usage.watches--;
    usage.memory -= watchMemory(watcher.path, key.slice(watcher.path.length + 1));
    this.store.unwatch(watcher);
  }

  /**
   * Only domain 0's queues are protected from who fills them: another client's end with itself. Who fills them waits, and
   * so must not be kept waiting.
   */
  private notify(path: string, token: string, cause: Cause | undefined): void {
    const held = this.who.privileged && cause !== this ? cause : undefined;
    this.send(() => this.outbox.event(path, token, held));
    const { pace } = this.store;
    if (!held || held.undelivered < QUOTA.undeliveredEvents || this.timed || !pace) return;
    this.timed = true;
    const { taken } = this;
    pace.later(QUOTA.eventTimeout, () => {
      this.timed = false;
      if (taken === this.taken && this.outbox.length > 0) this.close();
    });
  }

  delivered(): void { if (this.undelivered === QUOTA.undeliveredEvents - 1) this.onOutput(); }

  private send(put: () => void): void {
    if (this.closed) return;
    const before = this.outbox.length;
    put();
    if (this.outbox.bytes > (this.who.privileged ? QUOTA.privilegedOutputBytes : QUOTA.outputBytes)) this.close();
    else if (before === 0 && this.outbox.length > 0) this.onOutput();
  }

  /** The message at the head of the queue. */
  get output(): Uint8Array | undefined { return this.outbox.first; }

  /** Takes the message at the head off the queue: it is on its way. */
  sent(): void {
    this.taken++;
    this.outbox.shift();
  }

  /** May the client send further requests, or must it read replies, or wait, first? */
  get accepting(): boolean {
    if (this.closed || this.outbox.replies >= QUOTA.repliesOutstanding) return false;
    if (this.store.pace && this.undelivered >= QUOTA.undeliveredEvents) return false;
    return !this.store.conflicts.mustWait(this.who.domid, () => this.onOutput());
  }
}

function watchMemory(path: string, token: string): number { return path.length + token.length + OVERHEAD; }
