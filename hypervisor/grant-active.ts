// Grants of one domain that are in use: the only way from outside a domain to its memory.
//
// The guest writes its grant table (version 1 entries, in Xen's frames) at any time; it is hostile input. An entry is
// read once, as one word of flags and domid, and checked: the type is permit_access, the domid is the one who asks,
// a write needs an entry that is not read-only, and the frame must be the guest's: for a write a frame that may be
// written, never a page table.
//
// While a grant is pinned, Xen's flags GTF_reading and GTF_writing are set in the entry, and what was granted is kept
// here, out of the guest's reach: later changes of the entry do not move a mapping. Each pin holds references on the
// frame, so a frame that a back end may write to cannot become a page table meanwhile.

import { GNTST, GTF_permit_access, GTF_reading, GTF_readonly, GTF_type_mask, GTF_writing, grant_entry_v1 } from '#abi/grant-table.ts';
import { assert } from '#base/assert.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import { struct } from '#base/struct.ts';
import type { Domain } from './domain.ts';
import { getReadableFrame, getWritableFrame, putReadableFrame, putWritableFrame } from './guest-frame.ts';
import { DOMAIN_STATE, XEN_FRAME } from './layout.ts';

export const ENTRIES_PER_FRAME: number = PAGE_SIZE / grant_entry_v1.size;
const MAX_ENTRIES = XEN_FRAME.grantFrames * ENTRIES_PER_FRAME;
/** As in Xen, a pin count is eight bits. */
const MAX_PINS = 255;

/** A pinned grant, at DOMAIN_STATE.grants + 8 × reference. */
const active_grant = struct('active_grant', 8, { domid: 'u16', readers: 'u8', writers: 'u8', frame: 'u32' });
const grant_table = struct('grant_table', 4, { nrFrames: 'u32' });
type Active = ReturnType<typeof active_grant.on>;

const actives = new WeakMap<Domain, Active>();
function activeOf(domain: Domain, ref: number): Active {
  let view = actives.get(domain);
  if (!view) actives.set(domain, view = active_grant.on(domain.capsule.buffer));
  return view.at(DOMAIN_STATE.grants + ref * active_grant.size) as Active;
}

const NR_FRAMES = (DOMAIN_STATE.grantTable + grant_table.offset.nrFrames) >>> 2;
/** Frames that the grant table has now. */
export function nrGrantFrames(domain: Domain): number { return domain.capsule.u32[NR_FRAMES] as number; }
/** Makes the table larger; it never shrinks. */
export function growGrantTable(domain: Domain, frames: number): void {
  assert(frames <= XEN_FRAME.grantFrames, 'the grant table fits Xen\'s frames');
  domain.capsule.u32[NR_FRAMES] = Math.max(frames, nrGrantFrames(domain));
}
/** References [0, this) exist. */
export function nrGrantEntries(domain: Domain): number { return nrGrantFrames(domain) * ENTRIES_PER_FRAME; }

/** An empty table of one frame. */
export function initGrantTable(domain: Domain): void {
  domain.capsule.u8.fill(0, DOMAIN_STATE.grants, DOMAIN_STATE.grants + MAX_ENTRIES * active_grant.size);
  domain.capsule.u32[NR_FRAMES] = 1;
}

const entryWord = (domain: Domain, ref: number): number => (domain.capsule.frame(XEN_FRAME.grantTable) + ref * grant_entry_v1.size) >>> 2;

/** Grants a frame for the guest before it runs (the domain builder, for the console and xenstore pages). */
export function seedGrant(domain: Domain, ref: number, domid: number, frame: number): void {
  assert(ref < nrGrantEntries(domain), 'the reference exists');
  const word = entryWord(domain, ref);
  domain.capsule.u32[word + 1] = frame;
  domain.capsule.u32[word] = GTF_permit_access | (domid << 16);
}

/** What the guest's entry grants to `domid`: a frame number, or a GNTST error. */
function grantedFrame(domain: Domain, ref: number, domid: number, write: boolean): number {
  if (ref >= nrGrantEntries(domain)) return GNTST.bad_gntref;
  const word = entryWord(domain, ref);
  const flags = Atomics.load(domain.capsule.u32, word);
  if ((flags & GTF_type_mask) !== GTF_permit_access || flags >>> 16 !== domid) return GNTST.general_error;
  if (write && flags & GTF_readonly) return GNTST.general_error;
  return domain.capsule.u32[word + 1] as number;
}

/**
 * Access to a granted page for as long as the guest does not run: nothing is pinned.
 * @param ref grant reference
 * @param write false for reading only
 * @param domid the domain that was granted access; Domain-0 for its back ends
 * @returns capsule offset of the page, or a GNTST error (negative). Who writes calls machine.frameWritten
 */
export function grantPage(domain: Domain, ref: number, write: boolean, domid = 0): number {
  const frame = grantedFrame(domain, ref, domid, write);
  if (frame < 0) return frame;
  if (!getFrame(domain, frame, write)) return GNTST.general_error;
  putFrame(domain, frame, write);
  return domain.capsule.frame(frame);
}

/**
 * Pins a grant: access until `unpinGrant`, whatever the guest does.
 * @returns capsule offset of the page, or a GNTST error (negative)
 */
export function pinGrant(domain: Domain, ref: number, write: boolean, domid = 0): number {
  const granted = grantedFrame(domain, ref, domid, write);
  if (granted < 0) return granted;
  const active = activeOf(domain, ref);
  const pinned = active.readers + active.writers !== 0;
  if (pinned && active.domid !== domid) return GNTST.general_error;
  if ((write ? active.writers : active.readers) === MAX_PINS) return GNTST.no_space;
  const frame = pinned ? active.frame : granted;
  if (!getFrame(domain, frame, write)) return GNTST.general_error;
  active.domid = domid;
  active.frame = frame;
  if (write) active.writers++;
  else active.readers++;
  Atomics.or(domain.capsule.u32, entryWord(domain, ref), write ? GTF_reading | GTF_writing : GTF_reading);
  return domain.capsule.frame(frame);
}

/** Undoes one pinGrant with the same `write`. */
export function unpinGrant(domain: Domain, ref: number, write: boolean): void {
  const active = activeOf(domain, ref);
  assert((write ? active.writers : active.readers) > 0, 'a grant is unpinned as often as it was pinned');
  if (write) active.writers--;
  else active.readers--;
  const clear = (active.writers === 0 ? GTF_writing : 0) | (active.writers + active.readers === 0 ? GTF_reading : 0);
  Atomics.and(domain.capsule.u32, entryWord(domain, ref), ~clear >>> 0);
  putFrame(domain, active.frame, write);
}

/** True while somebody has the grant pinned. */
export function isGrantPinned(domain: Domain, ref: number): boolean {
  const active = activeOf(domain, ref);
  return active.readers + active.writers !== 0;
}

/** Exchanges two entries of the guest's table. Neither may be pinned. */
export function swapEntries(domain: Domain, a: number, b: number): void {
  const { u32 } = domain.capsule;
  const i = entryWord(domain, a);
  const j = entryWord(domain, b);
  for (const k of [0, 1]) [u32[i + k], u32[j + k]] = [u32[j + k] as number, u32[i + k] as number];
}

function getFrame(domain: Domain, frame: number, write: boolean): boolean { return write ? getWritableFrame(domain, frame) : getReadableFrame(domain, frame); }
function putFrame(domain: Domain, frame: number, write: boolean): void {
  if (write) putWritableFrame(domain, frame);
  else putReadableFrame(domain, frame);
}
