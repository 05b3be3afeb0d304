// The grant table that a guest shares with Xen: entries, and in version 2 a status word beside each.
//
// The guest writes the entries at any time, and it is hostile: a word is read once, and what is granted is noted in
// grant-active.ts, out of its reach. Xen writes GTF_reading and GTF_writing while a grant is in use: in version 1 to the
// entry, by compare-exchange with the flags and domid that it has checked; in version 2 to the status word, after which
// it looks at the entry again. So a guest that follows public/grant_table.h and finds the flags clear knows that a grant
// that it takes back is not in use.
//
// Another domain's hypercall reads and marks entries too, perhaps on another thread. What is more than one atomic
// operation is done under the table's lock; nobody holds two.

import {
  GRANT_STATUS_SIZE, GNTST, GTF_permit_access, GTF_reading, GTF_readonly, GTF_sub_page, GTF_transitive, GTF_type_mask, GTF_writing, grant_entry_v1,
  grant_full_page, grant_sub_page, grant_transitive,
} from '#abi/grant-table.ts';
import { assert } from '#base/assert.ts';
import { type Capsule, PAGE_SIZE } from '#base/capsule.ts';
import { withLock } from '#base/spin-lock.ts';
import { struct } from '#base/struct.ts';
import type { Domain } from './domain.ts';
import { DOMAIN_STATE, XEN_FRAME } from './layout.ts';

/** Domain-wide state at DOMAIN_STATE.grantTable. */
export const grant_table = struct('grant_table', 32, {
  version: 'u32',
  frames: 'u32', // of entries, shared with the guest
  status_frames: 'u32', // of status words; 0 in version 1
  lock: 'u32', // 1: somebody changes entries or active entries
  handles: 'u32', // handles (grant-handles.ts) that were ever in use
  free_first: 'u32', // the free ones among them: handle + 1 of the first and the last
  free_last: 'u32',
  reserved: 'u32',
});
const STATE = DOMAIN_STATE.grantTable >>> 2;
const VERSION = STATE + (grant_table.offset.version >>> 2), FRAMES = STATE + (grant_table.offset.frames >>> 2);
const STATUS_FRAMES = STATE + (grant_table.offset.status_frames >>> 2), LOCK = STATE + (grant_table.offset.lock >>> 2);

const V1 = grant_entry_v1.size, V2 = grant_full_page.size;
/** Entries of a table of so many frames. */
const entriesOf = (frames: number, version: number): number => frames * PAGE_SIZE / (version === 1 ? V1 : V2);
const statusFramesFor = (frames: number): number => Math.ceil(entriesOf(frames, 2) * GRANT_STATUS_SIZE / PAGE_SIZE);

export function grantVersion(c: Capsule): number { return c.u32[VERSION] as number; }
export function nrGrantFrames(c: Capsule): number { return c.u32[FRAMES] as number; }
export function nrStatusFrames(c: Capsule): number { return c.u32[STATUS_FRAMES] as number; }
/** References [0, this) exist. */
export function nrGrantEntries(c: Capsule): number { return entriesOf(nrGrantFrames(c), grantVersion(c)); }

/** An empty table of one frame, version 1. */
export function initGrantTable(domain: Domain): void {
  domain.capsule.u32[VERSION] = 1;
  growGrantTable(domain, 1);
}

/** Makes the table larger; it never shrinks. New frames are empty and shared with the guest. */
export function growGrantTable(domain: Domain, frames: number): void {
  const { capsule, mm } = domain;
  assert(frames <= XEN_FRAME.grantFrames, 'the grant table fits Xen\'s frames');
  for (let i = nrGrantFrames(capsule); i < frames; i++) mm.frames.shareXenFrame(XEN_FRAME.grantTable + i);
  capsule.u32[FRAMES] = Math.max(frames, nrGrantFrames(capsule));
  if (grantVersion(capsule) === 2) growStatus(domain);
}

function growStatus({ capsule, mm }: Domain): void {
  const wanted = statusFramesFor(nrGrantFrames(capsule));
  for (let i = nrStatusFrames(capsule); i < wanted; i++) {
    capsule.u8.fill(0, capsule.frame(XEN_FRAME.grantStatus + i), capsule.frame(XEN_FRAME.grantStatus + i) + PAGE_SIZE);
    mm.frames.shareXenFrame(XEN_FRAME.grantStatus + i);
  }
  capsule.u32[STATUS_FRAMES] = wanted;
}

/**
 * Takes the status frames from the guest, or gives them to it, and notes the version.
 * @returns false when the guest has one of them mapped; then nothing is changed
 */
export function switchVersion(domain: Domain, version: number): boolean {
  const { capsule, mm } = domain;
  if (version === 1) {
    const n = nrStatusFrames(capsule);
    for (let i = 0; i < n; i++) {
      if (mm.frames.unshareXenFrame(XEN_FRAME.grantStatus + i)) continue;
      while (i-- > 0) mm.frames.shareXenFrame(XEN_FRAME.grantStatus + i);
      return false;
    }
    capsule.u32[STATUS_FRAMES] = 0;
  } else growStatus(domain);
  Atomics.store(capsule.u32, VERSION, version);
  return true;
}

/** Does something with the lock of a domain's grant table. */
export function withGrants<T>(c: Capsule, body: () => T): T { return withLock(c.u32, LOCK, body); }

// ---- entries; the reference exists

function entryOffset(c: Capsule, ref: number): number { return c.frame(XEN_FRAME.grantTable) + ref * (grantVersion(c) === 1 ? V1 : V2); }
/** Index in u32 of the entry's first word: flags, then domid in the upper half. */
export function headerWord(c: Capsule, ref: number): number { return entryOffset(c, ref) >>> 2; }
export function readHeader(c: Capsule, ref: number): number { return Atomics.load(c.u32, headerWord(c, ref)); }

/** The frame of a full or sub page entry; above 2^53 not exact, and no frame's number. */
export function readFrame(c: Capsule, ref: number): number {
  const at = entryOffset(c, ref) >>> 2;
  if (grantVersion(c) === 1) return c.u32[at + (grant_entry_v1.offset.frame >>> 2)] as number;
  const lo = at + (grant_full_page.offset.frame >>> 2);
  return (c.u32[lo + 1] as number) * 0x1_0000_0000 + (c.u32[lo] as number);
}
export function writeFrame(c: Capsule, ref: number, frame: number): void {
  const at = entryOffset(c, ref) >>> 2;
  if (grantVersion(c) === 1) c.u32[at + (grant_entry_v1.offset.frame >>> 2)] = frame;
  else c.u64[(at + (grant_full_page.offset.frame >>> 2)) >>> 1] = BigInt(frame);
}
/** The bytes that a version 2 entry is about: `page_off` in the low half, `length` in the upper. */
export function readSubPage(c: Capsule, ref: number): number { return c.u32[(entryOffset(c, ref) + grant_sub_page.offset.page_off) >>> 2] as number; }
/** What a transitive entry leads to: a domain, and a reference in its table. */
export function readTransDomid(c: Capsule, ref: number): number { return c.u16[(entryOffset(c, ref) + grant_transitive.offset.trans_domid) >>> 1] as number; }
export function readTransRef(c: Capsule, ref: number): number { return c.u32[(entryOffset(c, ref) + grant_transitive.offset.gref) >>> 2] as number; }

/** Index in u16 of the word that has GTF_reading and GTF_writing. */
function statusWord(c: Capsule, ref: number): number {
  if (grantVersion(c) === 1) return entryOffset(c, ref) >>> 1;
  return (c.frame(XEN_FRAME.grantStatus) + ref * GRANT_STATUS_SIZE) >>> 1;
}
/** The word with GTF_reading and GTF_writing; in version 1 with the other flags. */
export function markedFlags(c: Capsule, ref: number): number { return Atomics.load(c.u16, statusWord(c, ref)); }
/** Sets GTF_reading, GTF_writing or both. */
export function setMarks(c: Capsule, ref: number, flags: number): void { Atomics.or(c.u16, statusWord(c, ref), flags); }
/** Clears GTF_reading, GTF_writing or both. */
export function clearStatus(c: Capsule, ref: number, flags: number): void { Atomics.and(c.u16, statusWord(c, ref), ~flags & 0xffff); }

/** Exchanges two entries, with their status words. Neither is in use. @returns the frames that were written */
export function swapEntries(c: Capsule, a: number, b: number): number[] {
  const size = grantVersion(c) === 1 ? V1 : V2;
  const [i, j] = [entryOffset(c, a), entryOffset(c, b)];
  const entry = c.u8.slice(i, i + size);
  c.u8.copyWithin(i, j, j + size);
  c.u8.set(entry, j);
  const written = [i, j].map((at) => Math.floor((at - c.frames) / PAGE_SIZE));
  if (size === V1) return written;
  const [s, t] = [statusWord(c, a), statusWord(c, b)];
  [c.u16[s], c.u16[t]] = [c.u16[t] as number, c.u16[s] as number];
  return written;
}

// ---- marking an entry as in use

/** Somebody who asks for a grant: who, for what, and whether somebody has the entry in use already. */
export interface Request {
  readonly domid: number;
  readonly readonly: boolean;
  /** to map it, not only to copy: a whole page of the granter's own */
  readonly mapping: boolean;
}
/** As often an entry that changes between look and exchange is looked at again. */
const TRIES = 5;

/**
 * Checks that an entry grants what is asked for, and marks it as read or as read and written.
 * @param pinned the entry is in use: type and domid were checked, and hold
 * @returns GNTST: okay or general_error; then the marks are as before, but for those of an entry that changed meanwhile
 */
export function markInUse(c: Capsule, ref: number, request: Request, pinned: boolean): number {
  return grantVersion(c) === 1 ? markV1(c, ref, request, pinned) : markV2(c, ref, request, pinned);
}

function markV1(c: Capsule, ref: number, { domid, readonly, mapping }: Request, pinned: boolean): number {
  const word = headerWord(c, ref);
  const mask = mapping ? GTF_type_mask | GTF_sub_page : GTF_type_mask;
  let seen = Atomics.load(c.u32, word);
  for (let tries = 0; tries < TRIES; tries++) {
    if (!pinned && ((seen & mask) !== GTF_permit_access || seen >>> 16 !== domid)) return GNTST.general_error;
    if (!readonly && (seen & GTF_readonly) !== 0) return GNTST.general_error;
    const found = Atomics.compareExchange(c.u32, word, seen, (seen | marks(readonly)) >>> 0);
    if (found === seen) return GNTST.okay;
    seen = found;
  }
  return GNTST.general_error;
}

function markV2(c: Capsule, ref: number, request: Request, pinned: boolean): number {
  const before = readHeader(c, ref);
  if (!pinned && !isGranted(before, request)) return GNTST.general_error;
  if (!request.readonly && (before & GTF_readonly) !== 0) return GNTST.general_error;
  setMarks(c, ref, marks(request.readonly));
  const after = readHeader(c, ref);
  const revoked = (!request.readonly && (after & GTF_readonly) !== 0) || (!pinned && !isGranted(after, request));
  if (!revoked) return GNTST.okay;
  clearStatus(c, ref, pinned ? GTF_writing : GTF_reading | GTF_writing);
  return GNTST.general_error;
}

function isGranted(header: number, { domid, mapping }: Request): boolean {
  if (header >>> 16 !== domid) return false;
  const type = header & GTF_type_mask;
  if (mapping) return type === GTF_permit_access && (header & GTF_sub_page) === 0;
  return type === GTF_permit_access || type === GTF_transitive;
}

const marks = (readonly: boolean): number => (readonly ? GTF_reading : GTF_reading | GTF_writing);
