// GNTTABOP_transfer: a frame of the caller's becomes the property of a domain that accepts one. Memories are separate, so
// what moves is the contents: the caller's frame is freed, the other domain gets one of its own free frames, with the contents
// in it before it is the domain's: its guest, on another thread, might make it a page table.
//
// As public/grant_table.h has it, the page is lost to the caller unless the status is bad_page.

import { GNTST, gnttab_transfer, GTF_accept_transfer, GTF_transfer_committed, GTF_transfer_completed } from '#abi/grant-table.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import type { Peer } from './domain-registry.ts';
import type { Domain } from './domain.ts';
import { headerWord, nrGrantEntries, readFrame, withGrants, writeFrame } from './grant-entry.ts';
import { peerOf } from './domid.ts';
import { GuestStruct } from './guest-struct.ts';
import { nameFrames, stealPage, take } from './mm/reservation.ts';
import { reclaimFrames, scrub } from './mm/page-type.ts';
import { withFreePages } from './mm/pages-lock.ts';
import type { Vcpu } from './vcpu.ts';

export const transferArg = new GuestStruct(gnttab_transfer);

/** The transfer that `transferArg` asks for. @returns GNTST */
export function grantTransfer(v: Vcpu): number {
  const { domain } = v;
  const { mfn, domid, ref } = transferArg.view;
  const frame = Number(mfn);
  if (!withFreePages(domain.mm, () => takeAway(domain, frame))) return GNTST.bad_page;
  domain.mm.freed.add(frame);
  const to = peerOf(domain, domid);
  if (to) return give(domain.domid, to, ref);
  return domid === 0 ? GNTST.general_error : GNTST.bad_domain; // Domain-0 is there, but accepts none
}
const contents = new Uint8Array(PAGE_SIZE);

/** Frees a frame, with its `contents` kept here. False when it is in use, or not the domain's. */
function takeAway({ mm, capsule }: Domain, frame: number): boolean {
  if (!stealPage(mm, frame)) return false;
  const at = capsule.frame(frame);
  contents.set(capsule.u8.subarray(at, at + PAGE_SIZE));
  scrub(mm, frame);
  return true;
}

/** Gives a frame with `contents` to a domain that accepts it from `domid`. */
function give(domid: number, to: Peer, ref: number): number {
  if (to.mm.state.dying !== 0) return GNTST.general_error;
  reclaimFrames(to.mm);
  if (to.mm.state.tot_pages >= to.mm.state.max_pages) return GNTST.general_error;
  const c = to.capsule;
  const fill = (mfn: number): void => {
    c.u8.set(contents, c.frame(mfn));
    to.mm.machine.frameWritten(mfn);
    nameFrames(to.mm, mfn, BigInt(readFrame(c, ref)), 0);
  };
  return withGrants(c, () => {
    const mine = commit(to, ref, domid) ? withFreePages(to.mm, () => take(to.mm, 0, fill)) : -1;
    if (mine < 0) return GNTST.general_error;
    writeFrame(c, ref, mine);
    Atomics.or(c.u32, headerWord(c, ref), GTF_transfer_completed);
    return GNTST.okay;
  });
}

/** Marks an entry that accepts a frame as one that will get it. @returns false when it does not accept */
function commit(to: Peer, ref: number, domid: number): boolean {
  const c = to.capsule;
  if (ref >= nrGrantEntries(c)) return false;
  const accepts = (GTF_accept_transfer | domid << 16) >>> 0;
  // whatever else it says, or comes to say meanwhile, it does not accept
  return Atomics.compareExchange(c.u32, headerWord(c, ref), accepts, (accepts | GTF_transfer_committed) >>> 0) === accepts;
}
