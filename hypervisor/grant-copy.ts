// GNTTABOP_copy: bytes from one page to another, each named by a frame of the caller's or by a grant reference.

import { GNTCOPY_dest_gref, GNTCOPY_source_gref, GNTST, gnttab_copy } from '#abi/grant-table.ts';
import { DOMID_SELF } from '#abi/xen.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import type { Peer } from './domain-registry.ts';
import type { Domain } from './domain.ts';
import { peerOf } from './grant-peer.ts';
import { Claim } from './grant-claim.ts';
import { GuestStruct } from './guest-struct.ts';
import type { Vcpu } from './vcpu.ts';

export const copyArg = new GuestStruct(gnttab_copy);

/** The copy that `copyArg` asks for. @returns GNTST, or RETRY: nothing was done */
export function grantCopy(v: Vcpu): number {
  const { domain } = v;
  const { source_domid, dest_domid, flags } = copyArg.view;
  const source = granterOf(domain, source_domid, (flags & GNTCOPY_source_gref) !== 0);
  if (typeof source === 'number') return source;
  const dest = granterOf(domain, dest_domid, (flags & GNTCOPY_dest_gref) !== 0);
  if (typeof dest === 'number') return dest;
  const from = new Claim(domain.mm.peers, true);
  const to = new Claim(domain.mm.peers, false);
  const result = copyBetween(domain, source, from, dest, to);
  to.release();
  from.release();
  return result;
}

/** Whose page one side is; null for Domain-0. Frames may be named only of the caller itself. @returns or GNTST */
function granterOf(domain: Domain, domid: number, isRef: boolean): Peer | null | number {
  if (!isRef && domid !== DOMID_SELF) return GNTST.permission_denied;
  return peerOf(domain, domid === DOMID_SELF ? domain.domid : domid) ?? (domid === 0 ? null : GNTST.bad_domain);
}

function copyBetween(domain: Domain, source: Peer | null, from: Claim, dest: Peer | null, to: Claim): number {
  const { source_u, source_offset, dest_u, dest_offset, len, flags } = copyArg.view;
  let rc = claim(domain, from, source, source_u, (flags & GNTCOPY_source_gref) !== 0);
  if (rc === GNTST.okay) rc = claim(domain, to, dest, dest_u, (flags & GNTCOPY_dest_gref) !== 0);
  if (rc !== GNTST.okay) return rc;
  if (source_offset + len > PAGE_SIZE || dest_offset + len > PAGE_SIZE) return GNTST.bad_copy_arg;
  if (!isWithin(from, source_offset, len) || !isWithin(to, dest_offset, len)) return GNTST.general_error;
  const [a, b] = [from.owner as Peer, to.owner as Peer];
  const at = a.capsule.frame(from.frame) + source_offset;
  b.capsule.u8.set(a.capsule.u8.subarray(at, at + len), b.capsule.frame(to.frame) + dest_offset);
  b.mm.machine.frameWritten(to.frame);
  return GNTST.okay;
}

function claim(domain: Domain, side: Claim, granter: Peer | null, u: bigint, isRef: boolean): number {
  return isRef ? side.byGrant(granter, Number(u & 0xffff_ffffn), domain.domid) : side.byFrame(domain, Number(u));
}
const isWithin = (side: Claim, offset: number, length: number): boolean => offset >= side.start && offset + length <= side.start + side.length;
