// A client that speaks the wire protocol with a Connection, without what carries it.

import { XS } from '#abi/io/xs-wire.ts';
import { Connection } from '../connection.ts';
import type { Store } from '../store.ts';
import { decodeHeader, HEADER_SIZE, toBytes, toText } from '../wire.ts';

export class WireClient {
  readonly connection: Connection;
  readonly events: string[] = [];
  private nextRequest = 1;

  constructor(store: Store, domid: number) { this.connection = new Connection(store, domid); }

  /** One request; its answer's payload, an error as "!ENOENT". */
  call(type: keyof typeof XS, text: string, transactionId = 0): string {
    const requestId = this.nextRequest++;
    this.connection.handle({ type: XS[type], requestId, transactionId, payload: toBytes(text) });
    let answer: string | undefined;
    for (const m of this.messages()) {
      if (m.requestId === requestId) answer = m.type === XS.ERROR ? `!${m.text.slice(0, -1)}` : m.text;
    }
    if (answer === undefined) throw new Error('no answer');
    return answer;
  }

  /** The number of a new transaction. */
  begin(): number { return Number.parseInt(this.call('TRANSACTION_START', '\0'), 10); }

  /** Ends one: "OK\0", or an error. */
  end(transaction: number): string { return this.call('TRANSACTION_END', 'T\0', transaction); }

  takeEvents(): string[] {
    this.messages();
    return this.events.splice(0);
  }

  private messages(): { type: number; requestId: number; text: string }[] {
    const replies = [];
    for (let bytes; (bytes = this.connection.output); this.connection.sent()) {
      const { type, requestId } = decodeHeader(bytes);
      const text = toText(bytes.subarray(HEADER_SIZE));
      if (type === XS.WATCH_EVENT) this.events.push(text);
      else replies.push({ type, requestId, text });
    }
    return replies;
  }
}

/** A store with domains 1 to `domains`, each of which owns its directory. */
export function storeOf(store: Store, domains: number): Store {
  const dom0 = new WireClient(store, 0);
  for (let d = 1; d <= domains; d++) {
    dom0.call('MKDIR', `/local/domain/${d}\0`);
    dom0.call('SET_PERMS', `/local/domain/${d}\0n${d}\0`);
    store.introduceDomain(d);
  }
  dom0.connection.close();
  return store;
}
