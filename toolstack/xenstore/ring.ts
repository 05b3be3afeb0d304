// A guest's connection to the store over its shared page (public/io/xs_wire.h; docs/misc/xenstore-ring.txt). The page
// is the guest's to scribble on: indices are read once and checked, bytes are copied out before they are looked at.
// Indices that make no sense, and messages longer than allowed, end the connection: the page's error field says why,
// and the ring is not touched again. That is what xenstored does.

import {
  xenstore_domain_interface as layout, XENSTORE_CONNECTED, XENSTORE_ERROR_COMM, XENSTORE_ERROR_NONE, XENSTORE_ERROR_PROTO, XENSTORE_ERROR_RINGIDX,
  XENSTORE_RING_SIZE, XENSTORE_SERVER_FEATURE_ERROR,
} from '#abi/io/xs-wire.ts';
import type { Capsule } from '#base/capsule.ts';
import { Connection } from './connection.ts';
import type { Store } from './store.ts';
import { Decoder } from './wire.ts';

const MASK = XENSTORE_RING_SIZE - 1;

export interface RingServer {
  /** To be called when the guest has signalled its event channel. */
  onEvent(): void;
  /** One of XENSTORE_ERROR_*: why the connection has ended; 0 while it lives. */
  readonly error: number;
  readonly connection: Connection;
  /** No message is on its way, in either direction. */
  readonly isIdle: boolean;
  /** Ends the connection: the domain is gone. */
  close(): void;
}

/**
 * Serves the store to a domain.
 * @param ring capsule offset of the shared page
 * @param notify signals the guest's event channel
 */
export function serveRing(store: Store, domid: number, capsule: Capsule, ring: number, notify: () => void): RingServer {
  return new Ring(store, domid, capsule, ring, notify);
}

class Ring implements RingServer {
  readonly connection: Connection;
  error: number = XENSTORE_ERROR_NONE;
  private readonly capsule: Capsule;
  private readonly base: number;
  private readonly notify: () => void;
  private readonly decoder = new Decoder();
  /** bytes of the message at the head of the queue that are in the ring already */
  private written = 0;
  private serving = false;

  constructor(store: Store, domid: number, capsule: Capsule, base: number, notify: () => void) {
    this.capsule = capsule;
    this.base = base;
    this.notify = notify;
    this.connection = new Connection(store, domid);
    this.connection.onOutput = () => { if (!this.serving) this.onEvent(); };
    this.store32(layout.offset.server_features, XENSTORE_SERVER_FEATURE_ERROR);
    this.store32(layout.offset.error, XENSTORE_ERROR_NONE);
    this.store32(layout.offset.connection, XENSTORE_CONNECTED);
  }

  onEvent(): void {
    if (this.error !== XENSTORE_ERROR_NONE || this.serving) return;
    this.serving = true;
    let moved = this.flush();
    while (this.error === XENSTORE_ERROR_NONE && this.connection.accepting && this.receive()) {
      moved = true;
      this.flush();
    }
    if (this.connection.closed) this.fail(XENSTORE_ERROR_COMM);
    this.serving = false;
    if (moved || this.error !== XENSTORE_ERROR_NONE) this.notify();
  }

  get isIdle(): boolean {
    const { req_cons, req_prod, rsp_cons, rsp_prod } = layout.offset;
    return this.error === XENSTORE_ERROR_NONE && this.decoder.isBetween && this.load(req_cons) === this.load(req_prod) && this.load(rsp_cons) === this.load(rsp_prod) && this.connection.output === undefined;
  }

  close(): void {
    this.error = XENSTORE_ERROR_COMM;
    this.connection.close();
  }

  private load(offset: number): number { return Atomics.load(this.capsule.u32, (this.base + offset) >>> 2); }
  private store32(offset: number, value: number): void { Atomics.store(this.capsule.u32, (this.base + offset) >>> 2, value); }

  private fail(why: number): void {
    if (this.error !== XENSTORE_ERROR_NONE) return;
    this.error = why;
    this.store32(layout.offset.error, why);
    this.connection.close();
  }

  /** Takes bytes from the request ring; handles the message that they complete. False when there are none. */
  private receive(): boolean {
    const cons = this.load(layout.offset.req_cons), prod = this.load(layout.offset.req_prod);
    const available = (prod - cons) >>> 0;
    if (available > XENSTORE_RING_SIZE) { this.fail(XENSTORE_ERROR_RINGIDX); return false; }
    if (available === 0) return false;
    const n = Math.min(available, this.decoder.wants, XENSTORE_RING_SIZE - (cons & MASK));
    const from = this.base + layout.offset.req + (cons & MASK);
    const message = this.decoder.take(this.capsule.u8.subarray(from, from + n));
    this.store32(layout.offset.req_cons, (cons + n) >>> 0);
    if (this.decoder.failed) this.fail(XENSTORE_ERROR_PROTO);
    else if (message) this.connection.handle(message);
    return true;
  }

  /** Puts waiting messages into the response ring as far as there is room. True when it put anything. */
  private flush(): boolean {
    let moved = false;
    for (let message; this.error === XENSTORE_ERROR_NONE && (message = this.connection.output);) {
      const cons = this.load(layout.offset.rsp_cons), prod = this.load(layout.offset.rsp_prod);
      const used = (prod - cons) >>> 0;
      if (used > XENSTORE_RING_SIZE) { this.fail(XENSTORE_ERROR_RINGIDX); break; }
      const n = Math.min(XENSTORE_RING_SIZE - used, message.length - this.written, XENSTORE_RING_SIZE - (prod & MASK));
      if (n === 0) break;
      this.capsule.u8.set(message.subarray(this.written, this.written + n), this.base + layout.offset.rsp + (prod & MASK));
      this.store32(layout.offset.rsp_prod, (prod + n) >>> 0);
      this.written += n;
      moved = true;
      if (this.written === message.length) {
        this.written = 0;
        this.connection.sent();
      }
    }
    return moved;
  }
}
