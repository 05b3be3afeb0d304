// The domain-number arguments of the memory hypercalls. An unprivileged guest has only itself.

import { EPERM, ESRCH } from '#abi/errno.ts';
import { DOMID_IO, DOMID_SELF, DOMID_XEN } from '#abi/xen.ts';

/**
 * Whose pages an mmu_update, mmuext_op or update_va_mapping_otherdomain is about.
 * @param foreignDom the low half names the owner of the pages; in mmu_update the high half, when not zero, the owner
 * of the tables plus one
 * @returns 0 when it is all the caller's own, -EPERM for one that exists, -ESRCH for one that does not (as Xen has
 * it, a domain may not name itself by number here)
 */
export function checkPageOwner(foreignDom: number, domid: number): number {
  const tables = foreignDom >>> 16;
  if (tables !== 0 && tables - 1 !== domid) return tables - 1 === 0 ? -EPERM : -ESRCH;
  const pages = foreignDom & 0xffff;
  if (pages === DOMID_SELF) return 0;
  return pages === 0 || pages === DOMID_IO || pages === DOMID_XEN ? -EPERM : -ESRCH;
}
