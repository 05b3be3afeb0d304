// Which domain a guest means by a domain number. A DomU is alone with Domain-0 here: it may name itself, Domain-0
// exists but is none of its business, and nobody else exists.

import { EPERM, ESRCH } from '#abi/errno.ts';
import { DOMID_SELF } from '#abi/xen.ts';
import type { Domain } from './domain.ts';

export function isSelf(domain: Domain, domid: number): boolean { return domid === DOMID_SELF || domid === domain.domid; }

/** 0 when `domid` names the calling domain; -EPERM for Domain-0, -ESRCH for who does not exist. */
export function checkTarget(domain: Domain, domid: number): number {
  if (isSelf(domain, domid)) return 0;
  return domid === 0 ? -EPERM : -ESRCH;
}
