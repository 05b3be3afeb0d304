// The domain that a grant operation names by number.

import type { Peer } from './domain-registry.ts';
import type { Domain } from './domain.ts';

/** The domain itself or another one; undefined for one that is not there, and for Domain-0, which grants nothing. */
export function peerOf(domain: Domain, domid: number): Peer | undefined {
  return domid === domain.domid ? domain : domain.peers.get(domid);
}
