// The guest's end of a xenstore ring, for tests: sends requests, collects replies and events, and can misbehave.

import { xenstore_domain_interface as layout, XENSTORE_RING_SIZE, XS } from '#abi/io/xs-wire.ts';
import { Capsule } from '#base/capsule.ts';
import { serveRing, type RingServer } from '../ring.ts';
import type { Store } from '../store.ts';
import { decodeHeader, encode, HEADER_SIZE, toBytes, toText } from '../wire.ts';

export interface Answer { type: number; requestId: number; transactionId: number; text: string }

export class RingGuest {
  readonly capsule = new Capsule(4, 1, 0x1_0000);
  readonly ring: number = this.capsule.frame(2);
  readonly server: RingServer;
  notified = 0;
  private readonly received: number[] = [];
  private nextRequest = 1;

  constructor(store: Store, domid: number) {
    this.server = serveRing(store, domid, this.capsule, this.ring, () => { this.notified++; });
  }

  get(field: 'req_cons' | 'req_prod' | 'rsp_cons' | 'rsp_prod' | 'error' | 'server_features'): number { return this.capsule.u32[(this.ring + layout.offset[field]) >>> 2] as number; }
  set(field: 'req_cons' | 'req_prod' | 'rsp_cons' | 'rsp_prod', value: number): void { this.capsule.u32[(this.ring + layout.offset[field]) >>> 2] = value; }

  /** Writes bytes into the request ring, signalling whenever it is full and at the end. */
  put(bytes: Uint8Array): void {
    for (const b of bytes) {
      if ((this.get('req_prod') - this.get('req_cons')) >>> 0 >= XENSTORE_RING_SIZE) this.server.onEvent();
      this.place(b);
    }
    this.server.onEvent();
  }

  /** Writes a byte into the request ring, and tells nobody. */
  place(byte: number): void {
    const prod = this.get('req_prod');
    this.capsule.u8[this.ring + layout.offset.req + (prod % XENSTORE_RING_SIZE)] = byte;
    this.set('req_prod', (prod + 1) >>> 0);
  }

  /** Sends a request without looking at answers. Returns its number. */
  send(type: number, text: string, transactionId = 0): number {
    const requestId = this.nextRequest++;
    this.put(encode({ type, requestId, transactionId, payload: toBytes(text) }));
    return requestId;
  }

  /** All messages that have come, as the guest reads them out of the ring. */
  messages(): Answer[] {
    for (;;) {
      const cons = this.get('rsp_cons'), n = (this.get('rsp_prod') - cons) >>> 0;
      if (n === 0) break;
      for (let i = 0; i < n; i++) this.received.push(this.capsule.u8[this.ring + layout.offset.rsp + ((cons + i) >>> 0) % XENSTORE_RING_SIZE] as number);
      this.set('rsp_cons', (cons + n) >>> 0);
      this.server.onEvent();
    }
    const list: Answer[] = [];
    while (this.received.length >= HEADER_SIZE) {
      const { type, requestId, transactionId, length } = decodeHeader(Uint8Array.from(this.received.slice(0, HEADER_SIZE)));
      if (this.received.length < HEADER_SIZE + length) break;
      const bytes = this.received.splice(0, HEADER_SIZE + length).slice(HEADER_SIZE);
      list.push({ type, requestId, transactionId, text: toText(Uint8Array.from(bytes)) });
    }
    return list;
  }

  /** One request, its answer's payload; an error as "!ENOENT". Events that come with it go to `events`. */
  call(type: number, text: string, transactionId = 0): string {
    const id = this.send(type, text, transactionId);
    let result: string | undefined;
    for (const m of this.messages()) {
      if (m.type === XS.WATCH_EVENT) this.events.push(m.text);
      else if (m.requestId === id) result = m.type === XS.ERROR ? `!${m.text.slice(0, -1)}` : m.text;
    }
    if (result === undefined) throw new Error('no answer');
    return result;
  }
  readonly events: string[] = [];

  takeEvents(): string[] {
    for (const m of this.messages()) if (m.type === XS.WATCH_EVENT) this.events.push(m.text);
    return this.events.splice(0);
  }
}
