// The domains of this machine by number, as far as one may reach another: a grant names its granter by domid, a channel the
// domain at its other end.
//
// A domain can be found before it runs for the first time. One that was destroyed (domain-destroy.ts) has no channels any more,
// but stays here for as long as another one maps pages of its (foreign-frames.ts): its number is not free, and its memory
// is there. Domain-0 is not among them.
//
// Domains may run on different threads. Each thread has such a registry then, which knows all domains of the machine
// (toolstack/lifecycle/cpu-peers.ts).

import { assert } from '#base/assert.ts';
import type { Capsule } from '#base/capsule.ts';
import type { PortTable } from './event-table.ts';
import type { Mm } from './mm/mm.ts';

/** What a domain needs to know of another. All of it but `notify` is caches over the shared capsule. */
export interface Peer {
  readonly domid: number;
  readonly capsule: Capsule;
  readonly mm: Mm;
  readonly events: PortTable;
  /**
   * An event of domain `from` for a port of this one. Somebody calls `deliver` (event-peer.ts) with it on the thread of this
   * domain, in the order of the events of one sender, unless one of the two is moved to another thread.
   */
  notify(port: number, from: number): void;
}

/** The domains that one can reach. */
export interface Peers {
  /** Lets a domain of this thread see the others, and them it. The number must be free. */
  add(domain: Peer): void;
  /** Forgets a domain that is gone. */
  remove(domid: number): void;
  get(domid: number): Peer | undefined;
  all(): Peer[];
}

/** All on one thread, where counts need no atomic stores. */
export class DomainRegistry implements Peers {
  private readonly byDomid = new Map<number, Peer>();

  add(peer: Peer): void {
    assert(!this.byDomid.has(peer.domid), 'a domain number is given once at a time');
    this.byDomid.set(peer.domid, peer);
    if (peer.mm.peers !== this) peer.mm.peers = this; // in a registry of its own it stays alone (FrameTable.shared)
  }
  remove(domid: number): void { this.byDomid.delete(domid); }
  get(domid: number): Peer | undefined { return this.byDomid.get(domid); }
  all(): Peer[] { return [...this.byDomid.values()]; }
}
