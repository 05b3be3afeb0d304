// Claims: one page that GNTTABOP_copy reads or writes, for the time of the copy.
//
// A claim on a grant pins the granter's entry. Where that is transitive, it says that the granter lets somebody use what
// a third domain granted to it: the grant there is claimed too, as if the granter asked, and must not be transitive
// itself. So there is no chain and no loop, and locks are taken one after the other, never two at once. Between them the
// first entry may be changed by others: then nothing is claimed, and the whole copy is to be tried again.

import { GNTST, GTF_sub_page, GTF_transitive, GTF_type_mask } from '#abi/grant-table.ts';
import { assert } from '#base/assert.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import type { Peer, Peers } from './domain-registry.ts';
import { activeOf, addPins, dropPins, isWritten, noteActive, PIN, pinOf, unmark, wouldOverflow } from './grant-active.ts';
import {
  grantVersion, markInUse, nrGrantEntries, readFrame, readHeader, readSubPage, readTransDomid, readTransRef, withGrants,
} from './grant-entry.ts';
import { dropFrame, holdFrame } from './mm/foreign-frames.ts';

/** The entry changed meanwhile: nothing was claimed, try again. No GNTST. */
export const RETRY = 1;

/** Xen keeps 15 bits of the first byte's offset. */
const START_MASK = 0x7fff;

/** References that exist in Domain-0's table, which has one frame and grants nothing. */
const DOMAIN_0_ENTRIES = 512;
/** What Domain-0 answers to who asks for a grant of its. @returns GNTST */
export const refusalOfDomain0 = (ref: number): number => (ref < DOMAIN_0_ENTRIES ? GNTST.general_error : GNTST.bad_gntref);

/** A third domain's grant that a marked entry leads to; and how the entry was pinned. */
interface Transitive { readonly third: Peer | null; readonly transDomid: number; readonly transRef: number; readonly pin: number }

export class Claim {
  /** whose frame it is; undefined when nothing is claimed */
  owner: Peer | undefined;
  frame = 0;
  /** bytes [start, start + length) of the page are granted */
  start = 0;
  length = 0;
  private readonly peers: Peers;
  private readonly readonly: boolean;
  private granter: Peer | undefined;
  private ref = 0;

  constructor(peers: Peers, readonly: boolean) {
    this.peers = peers;
    this.readonly = readonly;
  }

  /** Claims a frame of the caller's own. @returns GNTST: okay, bad_page, or general_error for a table that was to be written */
  byFrame(self: Peer, mfn: number): number {
    const refused = holdFrame(self, mfn, !this.readonly);
    if (refused !== GNTST.okay) return refused;
    this.owner = self;
    this.frame = mfn;
    this.start = 0;
    this.length = PAGE_SIZE;
    return GNTST.okay;
  }

  /**
   * Claims a grant.
   * @param granter null for Domain-0
   * @param domid who asks
   * @returns GNTST, or RETRY
   */
  byGrant(granter: Peer | null, ref: number, domid: number): number { return this.acquire(granter, ref, domid, true); }

  private acquire(granter: Peer | null, ref: number, domid: number, transitivity: boolean): number {
    if (granter === null) return refusalOfDomain0(ref);
    const c = granter.capsule;
    const found = withGrants(c, () => {
      if (ref >= nrGrantEntries(c)) return GNTST.bad_gntref;
      const pin = pinOf(c, ref);
      if (pin !== 0 && (activeOf(c, ref).domid !== domid || wouldOverflow(pin, this.increment))) return GNTST.general_error;
      const transitive = grantVersion(c) === 2 && (readHeader(c, ref) & GTF_type_mask) === GTF_transitive;
      return transitive ? this.markTransitive(granter, ref, domid, pin, transitivity) : this.acquireOwn(granter, ref, domid, pin);
    });
    return typeof found === 'number' ? found : this.acquireThird(granter, ref, domid, found);
  }
  private get increment(): number { return this.readonly ? PIN.hostRead : PIN.hostWrite; }

  /** A page of the granter's own. With its lock. */
  private acquireOwn(granter: Peer, ref: number, domid: number, pin: number): number {
    const c = granter.capsule;
    const refused = this.mark(granter, ref, domid, pin);
    if (refused !== GNTST.okay) return refused;
    const { frame, trans_domid: owner } = activeOf(c, ref);
    this.frame = pin === 0 ? readFrame(c, ref) : frame;
    const held = granter.mm.state.dying === 0 && (pin === 0 || owner === granter.domid) ? holdFrame(granter, this.frame, !this.readonly)
      : pin === 0 ? GNTST.bad_page : GNTST.bad_domain;
    if (held !== GNTST.okay) {
      unmark(c, ref, this.readonly);
      return held;
    }
    this.owner = granter;
    if (pin === 0) {
      const subPage = grantVersion(c) === 2 && (readHeader(c, ref) & GTF_sub_page) !== 0;
      const bytes = subPage ? readSubPage(c, ref) : PAGE_SIZE * 0x1_0000;
      this.note(granter, ref, domid, bytes & START_MASK, bytes >>> 16, granter.domid, ref, subPage);
    }
    this.pin(granter, ref);
    return GNTST.okay;
  }

  /** What a third domain granted to the granter: the entry is marked. With its lock. @returns GNTST, or the third domain's grant */
  private markTransitive(granter: Peer, ref: number, domid: number, pin: number, transitivity: boolean): number | Transitive {
    const c = granter.capsule;
    const refused = this.mark(granter, ref, domid, pin);
    if (refused !== GNTST.okay) return refused;
    const transDomid = readTransDomid(c, ref);
    const transRef = readTransRef(c, ref);
    const third = transDomid === 0 ? null : this.peers.get(transDomid);
    if (transitivity && transDomid !== granter.domid && third !== undefined) return { third, transDomid, transRef, pin };
    unmark(c, ref, this.readonly);
    return GNTST.general_error;
  }
  /** That grant: claimed with its owner's lock alone, so the entry may have changed meanwhile. */
  private acquireThird(granter: Peer, ref: number, domid: number, { third, transDomid, transRef, pin }: Transitive): number {
    const c = granter.capsule;
    const refused = this.acquire(third, transRef, granter.domid, false);
    const changed = withGrants(c, () => {
      const isOther = refused === GNTST.okay && this.hasChanged(c, ref, domid, pin, transDomid, transRef);
      if (refused !== GNTST.okay || isOther) unmark(c, ref, false);
      else {
        if (pin === 0) this.note(granter, ref, domid, this.start, this.length, transDomid, transRef, true);
        this.pin(granter, ref);
      }
      return isOther;
    });
    if (!changed) return refused;
    this.release();
    return RETRY;
  }
  /** True when somebody else pinned or unpinned the entry while the lock was not held, or pinned something else before. */
  private hasChanged(c: Peer['capsule'], ref: number, domid: number, pin: number, transDomid: number, transRef: number): boolean {
    if (grantVersion(c) !== 2 || pinOf(c, ref) !== pin) return true;
    if (pin === 0) return false;
    const a = activeOf(c, ref);
    return a.domid !== domid || a.frame !== this.frame || a.start !== this.start || a.length !== this.length || a.trans_domid !== transDomid
      || a.trans_ref !== transRef || a.sub_page === 0;
  }

  /** Marks the entry, unless it is marked for as much already. */
  private mark(granter: Peer, ref: number, domid: number, pin: number): number {
    if (pin !== 0 && (this.readonly || isWritten(pin))) return GNTST.okay;
    return markInUse(granter.capsule, ref, { domid, readonly: this.readonly, mapping: false }, pin !== 0);
  }
  private note(granter: Peer, ref: number, domid: number, start: number, length: number, transDomid: number, transRef: number, subPage: boolean): void {
    noteActive(activeOf(granter.capsule, ref), { domid, frame: this.frame, start, length, transDomid, transRef, subPage });
  }
  private pin(granter: Peer, ref: number): void {
    addPins(granter.capsule, ref, this.increment);
    const active = activeOf(granter.capsule, ref);
    this.start = active.start;
    this.length = active.length;
    this.granter = granter;
    this.ref = ref;
  }

  /** Gives up what is claimed. */
  release(): void {
    if (this.owner === undefined) return;
    dropFrame(this.owner, this.frame, !this.readonly);
    this.owner = undefined;
    let { granter, ref } = this;
    while (granter !== undefined) {
      const { domid, capsule: c }: Peer = granter;
      const { trans_domid, trans_ref } = withGrants(c, () => {
        const { trans_domid: nextDomid, trans_ref: nextRef } = activeOf(c, ref);
        dropPins(c, ref, this.increment, this.readonly);
        return { trans_domid: nextDomid, trans_ref: nextRef };
      });
      granter = trans_domid === domid ? undefined : this.peers.get(trans_domid);
      assert(granter !== undefined || trans_domid === domid, 'a domain with a grant in use is known');
      ref = trans_ref;
    }
    this.granter = undefined;
  }
}
