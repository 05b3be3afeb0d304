// One client of the store, above whatever carries its messages: its watches, its transactions, its queue of replies
// and events. What it sends is hostile; what it gets are the errors of the protocol.

import { XS } from '#abi/io/xs-wire.ts';
import { canonicalPath, domainPath, isSpecial } from './path.ts';
import type { Requester } from './permissions.ts';
import { QUOTA } from './quota.ts';
import { REQUESTS } from './requests.ts';
import { StoreError } from './store-error.ts';
import { type Store, type Transaction, type Watcher } from './store.ts';
import { encode, fits, HEADER_SIZE, type Message, toList } from './wire.ts';
import type { View } from './view.ts';

interface Outgoing { readonly bytes: Uint8Array; readonly reply: boolean }

export class Connection {
  readonly store: Store;
  readonly who: Requester;
  /** called when something was put into an empty queue, and when the client is cut off */
  onOutput: () => void = () => {};
  /** The client let more replies and events pile up than it may: its queue is dropped, it gets nothing any more. */
  cutOff = false;
  private readonly watches = new Map<string, Watcher>();
  private readonly transactions = new Map<number, Transaction>();
  private nextTransaction = 1;
  private readonly queue: Outgoing[] = [];
  /** events in the queue, so that the same one does not wait there twice */
  private readonly queuedEvents = new Set<string>();
  private queuedBytes = 0;
  private replies = 0;

  constructor(store: Store, domid: number) {
    this.store = store;
    this.who = { domid, privileged: domid === 0 };
  }

  /** Handles one request: its reply is in the queue afterwards, and the events that it caused behind it. */
  handle(request: Message): void {
    this.store.settle(() => {
      const { type, requestId, transactionId } = request;
      const reply = (kind: number, payload: Uint8Array): void => this.send(encode({ type: kind, requestId, transactionId, payload }), true);
      try {
        const payload = this.answer(request);
        if (!fits(payload.length)) throw new StoreError('E2BIG');
        reply(type, payload);
      } catch (e) {
        if (!(e instanceof StoreError)) throw e;
        reply(XS.ERROR, toList([e.code]));
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

  startTransaction(): number {
    if (!this.who.privileged && this.transactions.size >= QUOTA.transactionsPerDomain) throw new StoreError('ENOSPC');
    while (this.nextTransaction === 0 || this.transactions.has(this.nextTransaction)) this.nextTransaction = (this.nextTransaction + 1) >>> 0;
    const id = this.nextTransaction;
    this.nextTransaction = (id + 1) >>> 0;
    this.transactions.set(id, this.store.transaction());
    return id;
  }

  endTransaction(id: number, commit: boolean): void {
    const transaction = this.transactions.get(id);
    if (!transaction) throw new StoreError('ENOENT');
    this.transactions.delete(id);
    if (commit && !this.store.commit(transaction)) throw new StoreError('EAGAIN');
  }

  /** @param path as the client wrote it: events name nodes in the same form, absolute or relative */
  addWatch(path: string, token: string): void {
    const key = `${path}\0${token}`;
    if (this.watches.has(key)) throw new StoreError('EEXIST');
    if (!this.who.privileged && this.watches.size >= QUOTA.watchesPerDomain) throw new StoreError('E2BIG');
    const prefix = path.startsWith('/') || isSpecial(path) ? 0 : domainPath(this.who.domid).length + 1;
    const watcher: Watcher = {
      who: this.who,
      path: isSpecial(path) ? path : canonicalPath(path, this.who.domid),
      fire: (changed) => this.sendEvent(changed.slice(prefix), token),
    };
    this.watches.set(key, watcher);
    this.store.watch(watcher);
  }

  removeWatch(path: string, token: string): void {
    const key = `${path}\0${token}`;
    const watcher = this.watches.get(key);
    if (!watcher) throw new StoreError('ENOENT');
    this.watches.delete(key);
    this.store.unwatch(watcher);
  }

  /** Forgets all watches and transactions. */
  reset(): void {
    for (const watcher of this.watches.values()) this.store.unwatch(watcher);
    this.watches.clear();
    this.transactions.clear();
  }

  private sendEvent(path: string, token: string): void {
    const key = `${path}\0${token}`;
    const payload = toList([path, token]);
    if (this.queuedEvents.has(key) || !fits(payload.length)) return;
    this.queuedEvents.add(key);
    this.send(encode({ type: XS.WATCH_EVENT, requestId: 0, transactionId: 0, payload }), false);
  }

  private send(bytes: Uint8Array, reply: boolean): void {
    if (this.cutOff) return;
    if (!this.who.privileged && this.queuedBytes + bytes.length > QUOTA.outputBytes) {
      this.cutOff = true;
      this.queue.length = 0;
      this.queuedEvents.clear();
      this.reset();
      this.onOutput();
      return;
    }
    this.queue.push({ bytes, reply });
    this.queuedBytes += bytes.length;
    if (reply) this.replies++;
    if (this.queue.length === 1) this.onOutput();
  }

  /** The message at the head of the queue. */
  get output(): Uint8Array | undefined { return this.queue[0]?.bytes; }

  /** Takes the message at the head off the queue: it is on its way. */
  sent(): void {
    const message = this.queue.shift();
    if (!message) return;
    this.queuedBytes -= message.bytes.length;
    if (message.reply) this.replies--;
    else this.queuedEvents.delete(toKey(message.bytes));
  }

  /** May the client send further requests, or must it read replies first? */
  get accepting(): boolean { return this.who.privileged || this.replies < QUOTA.repliesOutstanding; }
}

/** Path and token of an event, as queuedEvents holds them. */
function toKey(event: Uint8Array): string {
  let key = '';
  for (let i = HEADER_SIZE; i < event.length - 1; i++) key += String.fromCharCode(event[i] as number);
  return key;
}
