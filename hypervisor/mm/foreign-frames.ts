// Frames of other domains in a domain's address space: the only way in which a guest's load or store reaches another
// guest's memory.
//
// Domains have separate memories, so a frame of another domain's gets a number here, in a window above all numbers that
// a domain's own frames can have. An L1 entry with such a number is made by GNTTABOP_map_grant_ref and by nobody else
// (getPageFromL1e refuses it). The machine caches no translation through it: each access comes to `find`, which looks up
// what the number stands for now. Code is not executed there.
//
// A number stands for one frame of one domain as long as references hold it: one for each L1 entry with it and one for
// each device mapping, with `write` where those permit writing. Each holds the same references on the frame in its
// owner's frame table: it cannot become a page table there while it is writable here, and when its owner gives it
// back or is destroyed, it lives until it is held no more.

import { GNTST } from '#abi/grant-table.ts';
import { assert } from '#base/assert.ts';
import type { Capsule } from '#base/capsule.ts';
import { struct } from '#base/struct.ts';
import type { ForeignMemory, Machine } from '#machine/machine.ts';
import type { Peer, Peers } from '../domain-registry.ts';
import { DOMAIN_STATE, XEN_FRAME } from '../layout.ts';
import { PGT_writable_page } from './frame-table.ts';
import type { Mm } from './mm.ts';
import { mm_state } from './mm-state.ts';
import { getPageType, putPageType } from './page-type.ts';

/** Above every frame number of a capsule, which has 4 GiB for more than frames. The last number of all is no frame's. */
export const FIRST_FOREIGN_FRAME = 0xf_c000;
export const NR_FOREIGN_FRAMES = 0x3fff;

export const foreign_frame = struct('foreign_frame', 16, { mfn: 'u32', domid: 'u16', reserved: 'u16', references: 'u32', writers: 'u32' });
const WORDS = foreign_frame.size / 4, DOMID = 1, REFERENCES = 2, WRITERS = 3;

const MM = DOMAIN_STATE.mm >>> 2;
const FOREIGN_REFS = MM + (mm_state.offset.foreign_refs >>> 2), LINGERING = MM + (mm_state.offset.lingering >>> 2);
const DYING = MM + (mm_state.offset.dying >>> 2);

/**
 * Takes references on a granted frame, for a domain that maps it or copies.
 * @param write true for one that may be written, which no table is
 * @returns GNTST: okay; bad_page when the domain does not own the frame, general_error when it is in use as a table
 */
export function holdFrame(owner: Peer, mfn: number, write: boolean): number {
  if (!holdDomain(owner)) return GNTST.bad_page;
  if (!owner.mm.frames.getPage(mfn)) {
    releaseDomain(owner);
    return GNTST.bad_page;
  }
  if (!write || getPageType(owner.mm, mfn, PGT_writable_page) === 0) return GNTST.okay;
  dropFrame(owner, mfn, false);
  return GNTST.general_error;
}

/** Drops what holdFrame took. A frame that nobody needs any more waits until frames are counted or given out (reclaimFrames). */
export function dropFrame(owner: Peer, mfn: number, write: boolean): void {
  const { mm, capsule } = owner;
  if (write) putPageType(mm, mfn);
  if (mm.frames.putPage(mfn)) Atomics.add(capsule.u32, LINGERING, 1);
  releaseDomain(owner);
}

/** foreign_refs of a domain that was destroyed and that nobody has anything of: nobody can any more. */
export const GONE = 0xffff_ffff;

/**
 * Something of a domain's is in use elsewhere: it stays known, destroyed or not, until releaseDomain was called as often.
 * False when it is gone.
 */
export function holdDomain({ capsule: { u32 } }: Peer): boolean {
  for (;;) {
    const refs = Atomics.load(u32, FOREIGN_REFS);
    if (refs === GONE) return false;
    if (Atomics.compareExchange(u32, FOREIGN_REFS, refs, refs + 1) === refs) return true;
  }
}
export function releaseDomain(owner: Peer): void {
  const { u32 } = owner.capsule;
  if (Atomics.sub(u32, FOREIGN_REFS, 1) !== 1 || Atomics.load(u32, DYING) === 0) return;
  if (Atomics.compareExchange(u32, FOREIGN_REFS, 0, GONE) === 0) owner.mm.peers.remove(owner.domid);
}

/** What a frame of the window stands for. */
interface Place { machine: Machine; capsule: Capsule; offset: number; mfn: number }

export class ForeignFrames implements ForeignMemory {
  private readonly mm: Mm;
  /** index in u32 of the first entry */
  private readonly base: number;
  /** entry by key, of what is held: a cache */
  private byKey: Map<number, number> | undefined;
  private hint = 0;
  private readonly place: Place;

  constructor(mm: Mm) {
    assert(mm.total <= FIRST_FOREIGN_FRAME, 'the window is above the frames');
    this.mm = mm;
    this.base = mm.capsule.frame(XEN_FRAME.foreign) >>> 2;
    this.place = { machine: mm.machine, capsule: mm.capsule, offset: 0, mfn: 0 };
  }

  private get u32(): Uint32Array<SharedArrayBuffer> { return this.mm.u32; }
  private get peers(): Peers { return this.mm.peers; }
  private entry(frame: number): number { return this.base + (frame - FIRST_FOREIGN_FRAME) * WORDS; }
  private isInWindow(frame: number): boolean { return frame >= FIRST_FOREIGN_FRAME && frame < FIRST_FOREIGN_FRAME + NR_FOREIGN_FRAMES; }
  private owner(at: number): Peer {
    const peer = this.peers.get(this.u32[at + DOMID] as number);
    assert(peer !== undefined, 'a domain with frames in use elsewhere is known');
    return peer;
  }

  /** True when the number stands for a frame now. */
  has(frame: number): boolean { return this.isInWindow(frame) && this.u32[this.entry(frame) + REFERENCES] !== 0; }
  /** The frame that a number in use stands for. The result is used again by the next call. */
  find(frame: number): Readonly<Place> {
    const at = this.entry(frame);
    assert(this.has(frame), 'a foreign frame is held while it is used');
    const { place } = this;
    const { capsule, mm } = this.owner(at);
    place.machine = mm.machine;
    place.capsule = capsule;
    place.mfn = this.u32[at] as number;
    place.offset = capsule.frame(place.mfn);
    return place;
  }

  /**
   * Takes a reference on a number for a frame of another domain's, and on the frame itself.
   * @returns the number; a GNTST error (negative): no_device_space when the window is full, else as holdFrame
   */
  hold(peer: Peer, mfn: number, write: boolean): number {
    const frame = this.numberFor(peer.domid, mfn);
    if (frame < 0) return GNTST.no_device_space;
    const refused = holdFrame(peer, mfn, write);
    if (refused !== GNTST.okay) return refused;
    const at = this.entry(frame);
    this.u32[at] = mfn;
    this.u32[at + DOMID] = peer.domid;
    this.u32[at + REFERENCES] = (this.u32[at + REFERENCES] as number) + 1;
    if (write) this.u32[at + WRITERS] = (this.u32[at + WRITERS] as number) + 1;
    this.index().set(key(peer.domid, mfn), frame);
    return frame;
  }
  /** Drops a reference that was taken with the same `write`. */
  drop(frame: number, write: boolean): void {
    assert(this.has(frame), 'a foreign frame is dropped as often as it was held');
    const at = this.entry(frame);
    const peer = this.owner(at);
    const mfn = this.u32[at] as number;
    this.mm.machine.finishAccesses();
    if (write) this.u32[at + WRITERS] = (this.u32[at + WRITERS] as number) - 1;
    const left = this.u32[at + REFERENCES] = (this.u32[at + REFERENCES] as number) - 1;
    if (left === 0) {
      this.index().delete(key(peer.domid, mfn));
      this.hint = Math.min(this.hint, frame - FIRST_FOREIGN_FRAME);
    }
    dropFrame(peer, mfn, write);
  }
  /** Another thread of the domain may have changed the entries: what is cached of them is made anew. */
  forget(): void {
    this.byKey = undefined;
    this.hint = 0;
  }
  /** Drops every reference, for a domain that will not run again. */
  dropAll(): void {
    for (const frame of this.index().values()) {
      while (this.has(frame)) this.drop(frame, this.u32[this.entry(frame) + WRITERS] !== 0);
    }
  }
  /** Numbers in use with the references that hold them, for audits. */
  held(): { readonly frame: number; readonly domid: number; readonly mfn: number; readonly references: number; readonly writers: number }[] {
    return [...this.index().values()].map((frame) => {
      const [mfn, domid, references, writers] = Array.from(this.u32.subarray(this.entry(frame), this.entry(frame) + WORDS)) as [number, number, number, number];
      return { frame, domid, mfn, references, writers };
    });
  }

  /** The number that stands for a frame already, or a free one; -1 when there is none. */
  private numberFor(domid: number, mfn: number): number {
    const known = this.index().get(key(domid, mfn));
    if (known !== undefined) return known;
    for (let i = this.hint; i < NR_FOREIGN_FRAMES; i++) {
      if (this.u32[this.base + i * WORDS + REFERENCES] !== 0) continue;
      this.hint = i;
      return FIRST_FOREIGN_FRAME + i;
    }
    return -1;
  }
  private index(): Map<number, number> {
    if (this.byKey) return this.byKey;
    const index = this.byKey = new Map<number, number>();
    for (let i = 0; i < NR_FOREIGN_FRAMES; i++) {
      const at = this.base + i * WORDS;
      if (this.u32[at + REFERENCES] !== 0) index.set(key(this.u32[at + DOMID] as number, this.u32[at] as number), FIRST_FOREIGN_FRAME + i);
    }
    return index;
  }
}

const key = (domid: number, mfn: number): number => domid * 2 ** 20 + mfn;
