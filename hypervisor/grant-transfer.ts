// GNTTABOP_transfer: a frame of the caller's becomes the property of a domain that accepts one. Memories are separate, so
// what moves is the contents: the caller's frame is freed, the other domain gets one of its own free frames.
//
// As public/grant_table.h has it, the page is lost to the caller unless the status is bad_page.

import { GNTST, gnttab_transfer, GTF_accept_transfer, GTF_transfer_committed, GTF_transfer_completed } from '#abi/grant-table.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import type { Peer } from './domain-registry.ts';
import { headerWord, lockGrants, nrGrantEntries, readFrame, unlockGrants, writeFrame } from './grant-entry.ts';
import { peerOf } from './grant-peer.ts';
import { GuestStruct } from './guest-struct.ts';
import { allocate, nameFrames, stealPage } from './mm/reservation.ts';
import { scrub } from './mm/page-type.ts';
import type { Vcpu } from './vcpu.ts';

export const transferArg = new GuestStruct(gnttab_transfer);

/** The transfer that `transferArg` asks for. @returns GNTST */
export function grantTransfer(v: Vcpu): number {
  const { domain } = v;
  const { mfn, domid, ref } = transferArg.view;
  const frame = Number(mfn);
  if (!stealPage(domain.mm, frame)) return GNTST.bad_page;
  const at = domain.capsule.frame(frame);
  contents.set(domain.capsule.u8.subarray(at, at + PAGE_SIZE));
  scrub(domain.mm, frame);
  const to = peerOf(domain, domid);
  if (to) return give(domain.domid, to, ref);
  return domid === 0 ? GNTST.general_error : GNTST.bad_domain; // Domain-0 is there, but accepts none
}
const contents = new Uint8Array(PAGE_SIZE);

/** Gives a frame with `contents` to a domain that accepts it from `domid`. */
function give(domid: number, to: Peer, ref: number): number {
  if (to.mm.state.dying !== 0 || to.mm.state.tot_pages >= to.mm.state.max_pages) return GNTST.general_error;
  const c = to.capsule;
  lockGrants(c);
  const accepted = commit(to, ref, domid);
  const mine = accepted ? allocate(to.mm, 0) : -1;
  if (mine >= 0) {
    c.u8.set(contents, c.frame(mine));
    to.mm.machine.frameWritten(mine);
    nameFrames(to.mm, mine, BigInt(readFrame(c, ref)), 0);
    writeFrame(c, ref, mine);
    Atomics.or(c.u32, headerWord(c, ref), GTF_transfer_completed);
  }
  unlockGrants(c);
  return mine >= 0 ? GNTST.okay : GNTST.general_error;
}

/** Marks an entry that accepts a frame as one that will get it. @returns false when it does not accept */
function commit(to: Peer, ref: number, domid: number): boolean {
  const c = to.capsule;
  if (ref >= nrGrantEntries(c)) return false;
  const accepts = (GTF_accept_transfer | domid << 16) >>> 0;
  // whatever else it says, or comes to say meanwhile, it does not accept
  return Atomics.compareExchange(c.u32, headerWord(c, ref), accepts, (accepts | GTF_transfer_committed) >>> 0) === accepts;
}
