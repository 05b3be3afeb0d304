// The replies and events that wait for a client to read them, encoded, in order. An event that waits already is not
// put there again: it says the same.

import { XS } from '#abi/io/xs-wire.ts';
import { Queue } from './queue.ts';
import { encode, fits, type Message, toList } from './wire.ts';

/** Whose request caused an event. */
export interface Cause {
  /** events that it caused and that wait */
  undelivered: number;
  /** called when one of them is on its way, or dropped */
  delivered(): void;
}

interface Outgoing {
  readonly bytes: Uint8Array;
  /** of an event */
  readonly key?: string;
  readonly cause?: Cause | undefined;
}

export class Outbox {
  private readonly queue = new Queue<Outgoing>();
  private readonly events = new Set<string>();
  /** bytes that wait */
  bytes = 0;
  /** replies that wait */
  replies = 0;

  get length(): number { return this.queue.length; }
  get first(): Uint8Array | undefined { return this.queue.first?.bytes; }

  reply(message: Message): void {
    this.replies++;
    this.push({ bytes: encode(message) });
  }

  event(path: string, token: string, cause: Cause | undefined): void {
    const payload = toList([path, token]);
    const key = `${path}\0${token}`;
    if (this.events.has(key) || !fits(payload.length)) return;
    this.events.add(key);
    this.push({ bytes: encode({ type: XS.WATCH_EVENT, requestId: 0, transactionId: 0, payload }), key, cause });
    if (cause) cause.undelivered++;
  }

  /** Takes the first message off. */
  shift(): void {
    const message = this.queue.shift();
    if (!message) return;
    this.bytes -= message.bytes.length;
    if (message.key === undefined) this.replies--;
    else this.events.delete(message.key);
    if (!message.cause) return;
    message.cause.undelivered--;
    message.cause.delivered();
  }

  clear(): void { while (this.length > 0) this.shift(); }

  private push(message: Outgoing): void {
    this.queue.push(message);
    this.bytes += message.bytes.length;
  }
}
