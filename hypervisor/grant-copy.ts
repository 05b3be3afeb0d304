// GNTTABOP_copy: bytes from one page to another, each named by a frame of the caller's or by a grant reference.

import { GNTCOPY_dest_gref, GNTCOPY_source_gref, GNTST, gnttab_copy } from '#abi/grant-table.ts';
import { DOMID_SELF } from '#abi/xen.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import type { Domain } from './domain.ts';
import { grantPage } from './grant-active.ts';
import { getReadableFrame, getWritableFrame, putReadableFrame, putWritableFrame } from './guest-frame.ts';
import { GuestStruct } from './guest-struct.ts';

export const copyArg = new GuestStruct(gnttab_copy);

/** The copy that `copyArg` asks for. @returns GNTST */
export function grantCopy(domain: Domain): number {
  const { source_u, source_domid, source_offset, dest_u, dest_domid, dest_offset, len, flags } = copyArg.view;
  const source = page(domain, source_u, source_domid, (flags & GNTCOPY_source_gref) !== 0, false);
  if (source < 0) return source;
  const dest = page(domain, dest_u, dest_domid, (flags & GNTCOPY_dest_gref) !== 0, true);
  if (dest < 0) return dest;
  if (source_offset + len > PAGE_SIZE || dest_offset + len > PAGE_SIZE) return GNTST.bad_copy_arg;
  domain.capsule.u8.copyWithin(dest + dest_offset, source + source_offset, source + source_offset + len);
  domain.machine.frameWritten((dest - domain.capsule.frame(0)) / PAGE_SIZE);
  return GNTST.okay;
}

/** Capsule offset of one of the two pages, or a GNTST error. Frames may be named only of the caller itself. */
function page(domain: Domain, u: bigint, domid: number, isRef: boolean, write: boolean): number {
  if (!isRef && domid !== DOMID_SELF) return GNTST.permission_denied;
  if (domid !== DOMID_SELF && domid !== domain.domid) return GNTST.bad_domain;
  if (isRef) return grantPage(domain, Number(u & 0xffff_ffffn), write, domain.domid);
  const mfn = Number(u);
  if (!getReadableFrame(domain, mfn)) return GNTST.bad_page;
  putReadableFrame(domain, mfn);
  if (write) {
    if (!getWritableFrame(domain, mfn)) return GNTST.general_error;
    putWritableFrame(domain, mfn);
  }
  return domain.capsule.frame(mfn);
}
