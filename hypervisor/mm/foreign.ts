// The domain-number arguments of the memory hypercalls. An unprivileged guest has only itself; pages of another domain's
// come by grants (foreign-frames.ts).

import { EPERM, ESRCH } from '#abi/errno.ts';
import { DOMID_IO, DOMID_SELF, DOMID_XEN } from '#abi/xen.ts';
import type { Domain } from '../domain.ts';
import { exists } from '../domid.ts';

/**
 * Whose pages an mmu_update, mmuext_op or update_va_mapping_otherdomain is about.
 * @param foreignDom the low half names the owner of the pages; in mmu_update the high half, when not zero, the owner
 * of the tables plus one
 * @returns 0 when it is all the caller's own, -EPERM for one that exists, -ESRCH for one that does not (as Xen has
 * it, a domain may not name itself by number here)
 */
export function checkPageOwner(foreignDom: number, domain: Domain): number {
  const tables = foreignDom >>> 16;
  if (tables !== 0 && tables - 1 !== domain.domid) return exists(domain, tables - 1) ? -EPERM : -ESRCH;
  const pages = foreignDom & 0xffff;
  if (pages === DOMID_SELF) return 0;
  if (pages === domain.domid) return -ESRCH;
  return exists(domain, pages) || pages === DOMID_IO || pages === DOMID_XEN ? -EPERM : -ESRCH;
}
