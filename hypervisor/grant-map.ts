// Mapping grants into a domain's address space: GNTTABOP_map_grant_ref, _unmap_grant_ref and _unmap_and_replace.
//
// A mapping has a handle and pins the grant. An L1 entry that maps it holds references on the frame, as other entries do,
// and so does a mapping for devices. A guest that overwrites such an entry by itself drops the entry's references; the
// handle and the pin stay until the domain ends, as in Xen. A frame of the domain's own is mapped by its number, one of
// another domain's by the number that it gets in mm/foreign-frames.ts.

import {
  GNTMAP_application_map, GNTMAP_contains_pte, GNTMAP_device_map, GNTMAP_guest_avail0, GNTMAP_host_map, GNTMAP_readonly, GNTST,
  gnttab_map_grant_ref, gnttab_unmap_and_replace, gnttab_unmap_grant_ref,
} from '#abi/grant-table.ts';
import { PTE, PTE_HI } from '#abi/mmu.ts';
import { assert } from '#base/assert.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import type { Peer } from './domain-registry.ts';
import type { Domain } from './domain.ts';
import { PIN, pinForMapping, unpinMapping } from './grant-active.ts';
import { refusalOfDomain0 } from './grant-claim.ts';
import { findMapping, forgetMapping, hasFreeHandle, type Mapping, noteMapping, nrHandles } from './grant-handles.ts';
import { peerOf } from './domid.ts';
import { getReadableFrame, getWritableFrame, putReadableFrame, putWritableFrame } from './guest-frame.ts';
import { GuestStruct } from './guest-struct.ts';
import { adjustedL1Hi, adjustedL1Lo, putPageFromL1e } from './mm/entry.ts';
import { holdDomain, releaseDomain } from './mm/foreign-frames.ts';
import { giveL1Entry, takeL1Entry } from './mm/update-entry.ts';
import { findL1Table, slotOf } from './mm/walk.ts';
import type { Vcpu } from './vcpu.ts';

export const mapArg = new GuestStruct(gnttab_map_grant_ref);
export const unmapArg = new GuestStruct(gnttab_unmap_grant_ref);
export const unmapReplaceArg = new GuestStruct(gnttab_unmap_and_replace);

const KINDS = GNTMAP_device_map | GNTMAP_host_map;
/** Flags that a handle keeps. */
const KEPT_FLAGS = 0xffff;

/** What a mapping adds to the pin word. */
function pinsOf(flags: number): number {
  const readonly = (flags & GNTMAP_readonly) !== 0;
  const host = (flags & GNTMAP_host_map) === 0 ? 0 : readonly ? PIN.hostRead : PIN.hostWrite;
  const device = (flags & GNTMAP_device_map) === 0 ? 0 : readonly ? PIN.deviceRead : PIN.deviceWrite;
  return host + device;
}

/** map_grant_ref of `mapArg`: fills in its results. @returns GNTST */
export function mapGrantRef(v: Vcpu): number {
  const { domain } = v;
  const { flags, ref, dom } = mapArg.view;
  if ((flags & KINDS) === 0) return GNTST.bad_gntref;
  const granter = peerOf(domain, dom);
  if (granter === undefined && dom !== 0) return GNTST.bad_domain;
  if (!hasFreeHandle(domain.capsule)) return GNTST.no_device_space;
  if (granter === undefined) return refusalOfDomain0(ref);
  const readonly = (flags & GNTMAP_readonly) !== 0;
  const granted = pinForMapping(granter, ref, { domid: domain.domid, readonly, mapping: true }, pinsOf(flags));
  if (granted < 0) return granted;
  const frame = establish(v, granter, granted);
  if (frame < 0) {
    unpinMapping(granter, ref, pinsOf(flags), readonly);
    return frame;
  }
  const held = holdDomain(granter);
  assert(held, 'a domain with frames in use elsewhere is there');
  mapArg.view.handle = noteMapping(domain.capsule, flags & KEPT_FLAGS, dom, ref, frame);
  mapArg.view.dev_bus_addr = BigInt(frame) * BigInt(PAGE_SIZE);
  return GNTST.okay;
}

/** Takes the references of the mapping, and makes its L1 entry. @returns the frame's number in this domain, or GNTST */
function establish(v: Vcpu, granter: Peer, granted: number): number {
  const { domain } = v;
  const { host_addr, flags } = mapArg.view;
  const write = (flags & GNTMAP_readonly) === 0;
  let frame: number = GNTST.general_error;
  if (flags & GNTMAP_device_map) {
    frame = hold(domain, granter, granted, write);
    if (frame < 0) return frame;
  }
  if (flags & GNTMAP_host_map) {
    const at = l1Slot(v, host_addr, (flags & GNTMAP_contains_pte) !== 0);
    const host = hold(domain, granter, granted, write);
    if (host < 0 || !at) {
      if (host >= 0) drop(domain, host, write);
      if (flags & GNTMAP_device_map) drop(domain, frame, write);
      return host < 0 ? host : GNTST.general_error;
    }
    frame = host;
    giveL1Entry(domain.mm, at.table, at.slot, entryLo(frame, flags), entryHi(flags));
  }
  return frame;
}

/** A reference of a mapping. @returns the frame's number in this domain, or GNTST: no_device_space without a number for it */
function hold(domain: Domain, granter: Peer, granted: number, write: boolean): number {
  if (granter.domid === domain.domid) return (write ? getWritableFrame(domain, granted) : getReadableFrame(domain, granted)) ? granted : GNTST.general_error;
  const frame = domain.mm.foreign.hold(granter, granted, write);
  return frame >= 0 || frame === GNTST.no_device_space ? frame : GNTST.general_error;
}
function drop(domain: Domain, frame: number, write: boolean): void {
  if (frame >= domain.mm.total) domain.mm.foreign.drop(frame, write);
  else if (write) putWritableFrame(domain, frame);
  else putReadableFrame(domain, frame);
}

interface L1Slot { readonly table: number; readonly slot: number }

/** The L1 entry that a host_addr names: by a linear address, or by the entry's own machine address. */
function l1Slot(v: Vcpu, address: bigint, containsPte: boolean): L1Slot | undefined {
  const { mm } = v.domain;
  const lo = Number(address & 0xffff_ffffn);
  const hi = Number(address >> 32n);
  if (!containsPte) {
    const table = findL1Table(mm, v.state.guest_table, lo, hi);
    return table >= 0 && mm.frames.isTable(table, 1) ? { table, slot: slotOf(1, lo, hi) } : undefined;
  }
  const table = Number(address / BigInt(PAGE_SIZE));
  return lo % 8 === 0 && mm.frames.isOwned(table) && mm.frames.isTable(table, 1) ? { table, slot: (lo & 4095) >>> 3 } : undefined;
}

/** The entry that maps a grant, with the bits that the guest wants in it for itself; nobody executes what is there. */
function entryLo(frame: number, flags: number): number { return adjustedL1Lo((frame * PAGE_SIZE + entryFlags(flags)) >>> 0, PTE_HI.NX); }
function entryHi(flags: number): number { return adjustedL1Hi(entryFlags(flags), PTE_HI.NX); }
function entryFlags(flags: number): number {
  let lo: number = PTE.PRESENT | PTE.ACCESSED | PTE.DIRTY;
  if ((flags & GNTMAP_readonly) === 0) lo |= PTE.RW;
  if (flags & GNTMAP_application_map) lo |= PTE.USER;
  return lo | ((flags >>> GNTMAP_guest_avail0) << 9) & PTE.AVAIL;
}

/** unmap_grant_ref of `unmapArg`. @returns GNTST */
export function unmapGrantRef(v: Vcpu): number {
  const { host_addr, dev_bus_addr, handle } = unmapArg.view;
  return unmap(v, handle, host_addr, dev_bus_addr, 0n);
}

/** unmap_and_replace of `unmapReplaceArg`: the entry under new_addr takes the mapping's place. @returns GNTST */
export function unmapAndReplace(v: Vcpu): number {
  const { host_addr, new_addr, handle } = unmapReplaceArg.view;
  return unmap(v, handle, host_addr, 0n, new_addr);
}

/** @param newAddr 0 for nothing in its place */
function unmap(v: Vcpu, handle: number, hostAddr: bigint, devBusAddr: bigint, newAddr: bigint): number {
  const { domain } = v;
  const mapping = findMapping(domain.capsule, handle);
  if (mapping === undefined) return GNTST.bad_handle;
  const { flags, frame } = mapping;
  if (devBusAddr !== 0n && devBusAddr !== BigInt(frame) * BigInt(PAGE_SIZE)) return GNTST.general_error;
  let done = 0;
  if (hostAddr !== 0n && flags & GNTMAP_host_map) {
    if (!unmapHost(v, hostAddr, flags, frame, newAddr)) return GNTST.general_error;
    done |= GNTMAP_host_map;
  }
  if (devBusAddr !== 0n && flags & GNTMAP_device_map) {
    drop(domain, frame, (flags & GNTMAP_readonly) === 0);
    done |= GNTMAP_device_map;
  }
  if (done !== 0) finish(domain, handle, mapping, done);
  return GNTST.okay;
}

/** Takes off the pins of kinds of mapping that are undone, and frees a handle that has no others. */
function finish(domain: Domain, handle: number, mapping: Mapping, kinds: number): void {
  const { flags, ref, domid } = mapping;
  const readonly = flags & GNTMAP_readonly;
  const granter = peerOf(domain, domid);
  assert(granter !== undefined, 'a domain whose grant is mapped is known');
  mapping.flags = flags & ~kinds;
  unpinMapping(granter, ref, pinsOf(readonly | kinds), readonly !== 0);
  if ((flags & ~kinds & KINDS) !== 0) return;
  forgetMapping(domain.capsule, handle);
  releaseDomain(granter);
}

/** Takes the entry away that maps a grant, and puts another in its place. On failure that one is gone all the same, as in Xen. */
function unmapHost(v: Vcpu, hostAddr: bigint, flags: number, frame: number, newAddr: bigint): boolean {
  const { mm } = v.domain;
  const containsPte = (flags & GNTMAP_contains_pte) !== 0;
  let stolen = { lo: 0, hi: 0 };
  if (newAddr !== 0n) {
    const from = containsPte ? undefined : l1Slot(v, newAddr, false);
    if (!from) return false;
    stolen = takeL1Entry(mm, from.table, from.slot);
  }
  const at = l1Slot(v, hostAddr, containsPte);
  if (!at || !mapsGrant(mm.u32[mm.entry(at.table, at.slot)] as number, frame, flags)) {
    putPageFromL1e(mm, stolen.lo);
    return false;
  }
  giveL1Entry(mm, at.table, at.slot, stolen.lo, stolen.hi);
  return true;
}

function mapsGrant(entry: number, frame: number, flags: number): boolean {
  const wanted = PTE.PRESENT | (flags & GNTMAP_readonly ? 0 : PTE.RW);
  return entry >>> 12 === frame && (entry & (PTE.PRESENT | PTE.RW)) === wanted;
}

/** Gives up every mapping of a domain that will not run again; what its L1 entries hold goes with them. */
export function releaseMappings(domain: Domain): void {
  for (let handle = 0; handle < nrHandles(domain.capsule); handle++) {
    const mapping = findMapping(domain.capsule, handle);
    if (mapping === undefined) continue;
    const { flags, frame } = mapping;
    if (flags & GNTMAP_device_map) drop(domain, frame, (flags & GNTMAP_readonly) === 0);
    finish(domain, handle, mapping, flags & KINDS);
  }
}
