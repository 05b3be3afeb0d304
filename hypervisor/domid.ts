// Which domain a guest means by a domain number. A DomU may name itself; Domain-0 and the others exist but are none of its
// business, unless a grant or a channel says so.

import { EPERM, ESRCH } from '#abi/errno.ts';
import { DOMID_SELF } from '#abi/xen.ts';
import type { Peer } from './domain-registry.ts';
import type { Domain } from './domain.ts';

/** The number that a guest gives, which may be DOMID_SELF, as a domain's own. */
export function resolveDomid(domain: Domain, domid: number): number { return domid === DOMID_SELF ? domain.domid : domid; }

/** The domain itself or another one; undefined for one that is not there, and for Domain-0, which is in no table. */
export function peerOf(domain: Domain, domid: number): Peer | undefined { return domid === domain.domid ? domain : domain.peers.get(domid); }

export function isSelf(domain: Domain, domid: number): boolean { return domid === DOMID_SELF || domid === domain.domid; }

/** True for a domain's number that is in use. */
export function exists(domain: Domain, domid: number): boolean { return domid === 0 || peerOf(domain, domid) !== undefined; }

/** 0 when `domid` names the calling domain; -EPERM for another one, -ESRCH for one that does not exist. */
export function checkTarget(domain: Domain, domid: number): number {
  if (isSelf(domain, domid)) return 0;
  return exists(domain, domid) ? -EPERM : -ESRCH;
}
