// GNTTABOP_copy: bytes from one page to another, each named by a frame of the caller's or by a grant reference.

import { GNTCOPY_dest_gref, GNTCOPY_source_gref, GNTST, gnttab_copy } from '#abi/grant-table.ts';
import { DOMID_SELF } from '#abi/xen.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import type { Peer } from './domain-registry.ts';
import type { Domain } from './domain.ts';
import { peerOf, resolveDomid } from './domid.ts';
import { Claim } from './grant-claim.ts';
import { GuestStruct } from './guest-struct.ts';
import type { Vcpu } from './vcpu.ts';

export const copyArg = new GuestStruct(gnttab_copy);

/** The copy that `copyArg` asks for. @returns GNTST, or RETRY: nothing was done */
export function grantCopy(v: Vcpu): number {
  const { domain } = v;
  const { source_domid, dest_domid } = copyArg.view;
  const source = granterOf(domain, source_domid);
  const dest = granterOf(domain, dest_domid);
  if (source === undefined || dest === undefined) return GNTST.bad_domain;
  const from = new Claim(domain.peers, true);
  const to = new Claim(domain.peers, false);
  const result = copyBetween(domain, source, from, dest, to);
  to.release();
  from.release();
  return result;
}

/** Whose page one side is; null for Domain-0, undefined for a domain that is not there. */
function granterOf(domain: Domain, domid: number): Peer | null | undefined {
  return peerOf(domain, resolveDomid(domain, domid)) ?? (domid === 0 ? null : undefined);
}

function copyBetween(domain: Domain, source: Peer | null, from: Claim, dest: Peer | null, to: Claim): number {
  const { source_u, source_domid, source_offset, dest_u, dest_domid, dest_offset, len, flags } = copyArg.view;
  let rc = claim(domain, from, source, source_domid, source_u, (flags & GNTCOPY_source_gref) !== 0);
  if (rc === GNTST.okay) rc = claim(domain, to, dest, dest_domid, dest_u, (flags & GNTCOPY_dest_gref) !== 0);
  if (rc !== GNTST.okay) return rc;
  if (source_offset + len > PAGE_SIZE || dest_offset + len > PAGE_SIZE) return GNTST.bad_copy_arg;
  if (!isWithin(from, source_offset, len) || !isWithin(to, dest_offset, len)) return GNTST.general_error;
  const [a, b] = [from.owner as Peer, to.owner as Peer];
  const at = a.capsule.frame(from.frame) + source_offset;
  b.capsule.u8.set(a.capsule.u8.subarray(at, at + len), b.capsule.frame(to.frame) + dest_offset);
  b.mm.machine.frameWritten(to.frame);
  return GNTST.okay;
}

/** Frames may be named only of the caller itself, as DOMID_SELF. */
function claim(domain: Domain, side: Claim, granter: Peer | null, domid: number, u: bigint, isRef: boolean): number {
  if (isRef) return side.byGrant(granter, Number(u & 0xffff_ffffn), domain.domid);
  return domid === DOMID_SELF ? side.byFrame(domain, Number(u)) : GNTST.permission_denied;
}
const isWithin = (side: Claim, offset: number, length: number): boolean => offset >= side.start && offset + length <= side.start + side.length;
