// Grants of one domain that are in use: what was granted when it was taken into use, and how often it is used.
//
// The guest's entry says what may be used (grant-entry.ts); what is in use stands here, where the guest cannot reach it:
// an entry that is changed meanwhile does not move a mapping. A pin is no reference on the frame. Those are held by what
// uses it: an L1 entry, a device mapping, a copy (mm/foreign-frames.ts).
//
// All but pinForMapping and unpinMapping are called with the table's lock.

import { GNTST, GTF_reading, GTF_writing } from '#abi/grant-table.ts';
import { type Capsule, PAGE_SIZE } from '#base/capsule.ts';
import { struct } from '#base/struct.ts';
import type { Peer } from './domain-registry.ts';
import { clearStatus, markedFlags, markInUse, nrGrantEntries, readFrame, readHeader, type Request, withGrants } from './grant-entry.ts';
import { XEN_FRAME } from './layout.ts';

/** Counts of a pin word, a byte each; a count of 128 or more does not grow. */
export const PIN = { hostWrite: 1, hostRead: 0x100, deviceWrite: 0x1_0000, deviceRead: 0x100_0000 } as const;
const WRITES = 0x00ff_00ff;

/** At XEN_FRAME.grantActive, by reference. Nothing but `pin` says anything while that is 0. */
export const active_grant = struct('active_grant', 24, {
  pin: 'u32',
  frame: 'u32', // granted, of trans_domid
  trans_ref: 'u32', // the grant that a transitive one leads to, or itself
  domid: 'u16', // who uses it
  trans_domid: 'u16', // whose frame it is: the granter's own, or that of the domain that granted it to the granter
  start: 'u16', // bytes [start, start + length) of the page may be copied
  length: 'u16',
  sub_page: 'u32', // 1: it cannot be mapped
});
const WORDS = active_grant.size / 4;

const activeWord = (c: Capsule, ref: number): number => (c.frame(XEN_FRAME.grantActive) >>> 2) + ref * WORDS;
export function pinOf(c: Capsule, ref: number): number { return c.u32[activeWord(c, ref)] as number; }
type Active = ReturnType<typeof active_grant.on>;
const views = new WeakMap<Capsule, Active>();
/** The entry; the view is used again by the next call for the same domain. */
export function activeOf(c: Capsule, ref: number): Active {
  let view = views.get(c);
  if (!view) views.set(c, view = active_grant.on(c.buffer));
  return view.at(activeWord(c, ref) * 4) as Active;
}
/** The granted frame, for who has it pinned. */
export function activeFrame(c: Capsule, ref: number): number { return c.u32[activeWord(c, ref) + (active_grant.offset.frame >>> 2)] as number; }

export const isWritten = (pin: number): boolean => (pin & WRITES) !== 0;
/** True when one of the counts that `increment` adds to is full. */
export const wouldOverflow = (pin: number, increment: number): boolean => (pin & (increment << 7)) !== 0;

/** Adds to the pins. */
export function addPins(c: Capsule, ref: number, increment: number): void {
  const at = activeWord(c, ref);
  c.u32[at] = ((c.u32[at] as number) + increment) >>> 0;
}
/** Takes pins off, and the marks off the guest's entry that they were the last to need. */
export function dropPins(c: Capsule, ref: number, increment: number, readonly: boolean): void {
  const at = activeWord(c, ref);
  c.u32[at] = ((c.u32[at] as number) - increment) >>> 0;
  unmark(c, ref, readonly);
}
/** Takes the marks off the guest's entry that no pin needs. @param readonly GTF_writing stays as it is */
export function unmark(c: Capsule, ref: number, readonly: boolean): void {
  const pin = pinOf(c, ref);
  const flags = (!readonly && !isWritten(pin) ? GTF_writing : 0) | (pin === 0 ? GTF_reading : 0);
  if (flags !== 0) clearStatus(c, ref, flags);
}

/**
 * Pins a grant for mapping it.
 * @param increment of the pin word
 * @returns the frame, the granter's own number for it; or a GNTST error (negative): bad_gntref beyond the table,
 *   bad_page for a frame that is not the granter's, general_error for all else
 */
export function pinForMapping(granter: Peer, ref: number, request: Request, increment: number): number {
  const c = granter.capsule;
  return withGrants(c, () => (ref < nrGrantEntries(c) ? pinLocked(granter, ref, request, increment) : GNTST.bad_gntref));
}

function pinLocked(granter: Peer, ref: number, request: Request, increment: number): number {
  const c = granter.capsule;
  const active = activeOf(c, ref);
  const { pin } = active;
  if (pin !== 0 && (active.domid !== request.domid || wouldOverflow(pin, increment) || active.sub_page !== 0)) return GNTST.general_error;
  if (pin === 0 || (!request.readonly && !isWritten(pin))) {
    const refused = markInUse(c, ref, request, pin !== 0);
    if (refused !== GNTST.okay) return refused;
  }
  if (pin === 0) {
    const frame = readFrame(c, ref);
    if (granter.mm.state.dying !== 0 || !granter.mm.frames.isOwned(frame)) {
      unmark(c, ref, request.readonly);
      return GNTST.bad_page;
    }
    noteActive(active, { domid: request.domid, frame, start: 0, length: PAGE_SIZE, transDomid: granter.domid, transRef: ref, subPage: false });
  }
  addPins(c, ref, increment);
  return active.frame;
}

/** What a grant that is pinned first gives. */
export interface Given {
  readonly domid: number;
  readonly frame: number;
  readonly start: number;
  readonly length: number;
  readonly transDomid: number;
  readonly transRef: number;
  readonly subPage: boolean;
}
export function noteActive(active: Active, given: Given): void {
  active.domid = given.domid;
  active.start = given.start;
  active.length = given.length;
  active.trans_domid = given.transDomid;
  active.trans_ref = given.transRef;
  active.frame = given.frame;
  active.sub_page = given.subPage ? 1 : 0;
}

/** Undoes one pinForMapping. */
export function unpinMapping(granter: Peer, ref: number, increment: number, readonly: boolean): void {
  withGrants(granter.capsule, () => dropPins(granter.capsule, ref, increment, readonly));
}

/** A grant that is in use, and what the guest's entry says of it now. */
export interface PinnedGrant {
  readonly ref: number;
  readonly domid: number;
  readonly readers: number;
  readonly writers: number;
  readonly frame: number;
  readonly shared: { readonly flags: number; readonly domid: number; readonly frame: number };
}
/** The grants that are in use, for who looks at the domain. */
export function pinnedGrants(c: Capsule): PinnedGrant[] {
  return Array.from({ length: nrGrantEntries(c) }, (_, ref) => ref).filter((ref) => pinOf(c, ref) !== 0).map((ref) => {
    const { domid, pin, frame } = activeOf(c, ref);
    const header = readHeader(c, ref);
    return {
      ref, domid, frame, readers: (pin >>> 8 & 0xff) + (pin >>> 24), writers: (pin & 0xff) + (pin >>> 16 & 0xff),
      shared: { flags: header & 0xffff | markedFlags(c, ref), domid: header >>> 16, frame: readFrame(c, ref) },
    };
  });
}
