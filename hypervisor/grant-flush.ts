// GNTTABOP_cache_flush. Caches are coherent, so there is nothing to do; only whether the caller may ask is checked.

import { EFAULT, EILSEQ, EINVAL, EOPNOTSUPP, EPERM } from '#abi/errno.ts';
import { gnttab_cache_flush, GNTTAB_CACHE_CLEAN, GNTTAB_CACHE_INVAL } from '#abi/grant-table.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import type { Domain } from './domain.ts';
import { activeOf, pinOf } from './grant-active.ts';
import { nrGrantEntries, withGrants } from './grant-entry.ts';
import { GuestStruct } from './guest-struct.ts';
import type { Vcpu } from './vcpu.ts';

const arg = new GuestStruct(gnttab_cache_flush);
export const FLUSH_SIZE: number = arg.size;

/**
 * One element of the array.
 * @param firstRef where a continued search in the granter's table goes on
 * @returns 0; -EFAULT; -EINVAL for a range that is not within a page, another operation, or a page that is no memory or not
 * granted; -EPERM for one that is nobody's; -EOPNOTSUPP for invalidating without writing back; -EILSEQ for a search where there is none
 */
export function cacheFlush(v: Vcpu, lo: number, hi: number, firstRef: number): number {
  if (!arg.read(v, lo, hi)) return -EFAULT;
  const { a, offset, length, op } = arg.view;
  if (offset >= PAGE_SIZE || offset + length > PAGE_SIZE || op & ~(GNTTAB_CACHE_CLEAN | GNTTAB_CACHE_INVAL)) return -EINVAL;
  if (length === 0 || op === 0) return firstRef === 0 ? 0 : -EILSEQ;
  const refused = checkPage(v.domain, Number(a / BigInt(PAGE_SIZE)), firstRef);
  return refused !== 0 ? refused : op === GNTTAB_CACHE_INVAL ? -EOPNOTSUPP : 0;
}

function checkPage(domain: Domain, frame: number, firstRef: number): number {
  const { mm } = domain;
  if (mm.frames.isValid(frame)) return mm.frames.isOwned(frame) ? 0 : -EPERM;
  return mm.foreign.has(frame) && isGranted(domain, frame, firstRef) ? 0 : -EINVAL;
}

/** True when a grant of another domain's frame to this one is in use. */
function isGranted(domain: Domain, frame: number, firstRef: number): boolean {
  const { capsule: c, mfn } = domain.mm.foreign.find(frame);
  return withGrants(c, () => {
    const n = nrGrantEntries(c);
    for (let ref = firstRef; ref < n; ref++) {
      if (pinOf(c, ref) === 0) continue;
      const active = activeOf(c, ref);
      if (active.domid === domain.domid && active.frame === mfn) return true;
    }
    return false;
  });
}
