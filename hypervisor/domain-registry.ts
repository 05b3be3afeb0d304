// The domains of this machine by number, as far as one may reach another: a grant names its granter by domid.
//
// A domain that was destroyed stays here for as long as another one maps pages of its (foreign-frames.ts): its number
// is not free, and its memory is there.

import { assert } from '#base/assert.ts';
import type { Capsule } from '#base/capsule.ts';
import type { Mm } from './mm/mm.ts';

/** What a domain needs to know of another. All of it is caches over the shared capsule. */
export interface Peer {
  readonly domid: number;
  readonly capsule: Capsule;
  readonly mm: Mm;
}

export class DomainRegistry {
  private readonly byDomid = new Map<number, Peer>();

  /** The number must be free. */
  add(peer: Peer): void {
    assert(!this.byDomid.has(peer.domid), 'a domain number is given once at a time');
    this.byDomid.set(peer.domid, peer);
  }
  remove(domid: number): void { this.byDomid.delete(domid); }
  get(domid: number): Peer | undefined { return this.byDomid.get(domid); }
  all(): Peer[] { return [...this.byDomid.values()]; }
}
