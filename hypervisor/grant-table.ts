// HYPERVISOR_grant_table_op (public/grant_table.h), version 1 tables only, as a Xen with max_version 1 answers.
// The rules of access are in grant-active.ts.
//
// Operations on arrays go on after an element that failed: its status says so. Only an address that cannot be read
// or written ends the call.

import { EFAULT, EINVAL, ENOSYS, EPERM } from '#abi/errno.ts';
import {
  GNTST, GNTTAB_CACHE_CLEAN, GNTTAB_CACHE_INVAL, GNTTAB_CACHE_SOURCE_GREF, GNTTABOP, gnttab_cache_flush, gnttab_get_status_frames,
  gnttab_get_version, gnttab_query_size, gnttab_set_version, gnttab_setup_table, gnttab_swap_grant_ref, gnttab_transfer,
} from '#abi/grant-table.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import type { Domain } from './domain.ts';
import { checkTarget } from './domid.ts';
import { growGrantTable, isGrantPinned, nrGrantEntries, nrGrantFrames, swapEntries } from './grant-active.ts';
import { copyArg, grantCopy } from './grant-copy.ts';
import { mapArg, mapGrantRef, unmapAndReplace, unmapArg, unmapGrantRef, unmapReplaceArg } from './grant-map.ts';
import { copyToGuest } from './guest-access.ts';
import { GuestStruct } from './guest-struct.ts';
import { CONTINUE, type Hypercall, type HypercallArgs } from './hypercall.ts';
import { XEN_FRAME } from './layout.ts';
import type { Vcpu } from './vcpu.ts';
import { add, result as address } from './words.ts';

const setupArg = new GuestStruct(gnttab_setup_table);
const queryArg = new GuestStruct(gnttab_query_size);
const setVersionArg = new GuestStruct(gnttab_set_version);
const getVersionArg = new GuestStruct(gnttab_get_version);
const statusFramesArg = new GuestStruct(gnttab_get_status_frames);
const swapArg = new GuestStruct(gnttab_swap_grant_ref);
const transferArg = new GuestStruct(gnttab_transfer);
const flushArg = new GuestStruct(gnttab_cache_flush);

/** An argument whose status field takes a GNTST. */
interface Element { readonly size: number; readonly view: { status: number }; read(v: Vcpu, lo: number, hi: number): boolean; write(v: Vcpu, lo: number, hi: number): boolean }

/** (cmd, args, count): 0 or a negated errno; how an element fared is in its status. */
export const do_grant_table_op: Hypercall = (v, a) => {
  const count = a.int(2);
  if (count < 0) return -EINVAL;
  switch (a.lo(0)) {
    case GNTTABOP.map_grant_ref: return forEach(v, a, count, mapArg, mapGrantRef);
    case GNTTABOP.unmap_grant_ref: return forEach(v, a, count, unmapArg, unmapGrantRef);
    case GNTTABOP.unmap_and_replace: return forEach(v, a, count, unmapReplaceArg, unmapAndReplace);
    case GNTTABOP.setup_table: return count === 1 ? forEach(v, a, 1, setupArg, setupTable) : -EINVAL;
    case GNTTABOP.transfer: return forEach(v, a, count, transferArg, () => GNTST.bad_page); // no frame leaves its domain
    case GNTTABOP.copy: return forEach(v, a, count, copyArg, (self) => grantCopy(self.domain));
    case GNTTABOP.query_size: return count === 1 ? forEach(v, a, 1, queryArg, querySize) : -EINVAL;
    case GNTTABOP.set_version: return setVersion(v, a);
    case GNTTABOP.get_status_frames: return count === 1 ? forEach(v, a, 1, statusFramesArg, getStatusFrames) : -EINVAL;
    case GNTTABOP.get_version: return getVersion(v, a);
    case GNTTABOP.swap_grant_ref: return forEach(v, a, count, swapArg, swapGrantRef);
    case GNTTABOP.cache_flush: return cacheFlush(v, a, count);
    default: return -ENOSYS;
  }
};

/** Elements in one go; the rest of a longer array is a continuation. */
const BATCH = 64;

function forEach(v: Vcpu, a: HypercallArgs, count: number, arg: Element, op: (v: Vcpu) => number): number {
  for (let i = 0; i < count; i++) {
    if (i === BATCH) return continueWith(a, count - i);
    if (!arg.read(v, a.lo(1), a.hi(1))) return -EFAULT;
    arg.view.status = op(v) & 0xffff;
    if (!arg.write(v, a.lo(1), a.hi(1))) return -EFAULT;
    nextElement(a, arg.size);
  }
  return 0;
}

function nextElement(a: HypercallArgs, size: number): void {
  add(a.lo(1), a.hi(1), size);
  a.set(1, address.lo, address.hi);
}
function continueWith(a: HypercallArgs, count: number): number {
  a.set(2, count, 0);
  return CONTINUE;
}

/** GNTST of naming a domain whose table one wants to see. */
function targetStatus(domain: Domain, dom: number): number {
  const refused = checkTarget(domain, dom);
  return refused === 0 ? GNTST.okay : refused === -EPERM ? GNTST.permission_denied : GNTST.bad_domain;
}

const frameNumber = new BigUint64Array(1);
const frameNumberBytes = new Uint8Array(frameNumber.buffer);

function setupTable(v: Vcpu): number {
  const { dom, nr_frames, frame_list } = setupArg.view;
  const refused = targetStatus(v.domain, dom);
  if (refused) return refused;
  if (nr_frames > XEN_FRAME.grantFrames) return GNTST.general_error;
  growGrantTable(v.domain, nr_frames);
  let lo = Number(frame_list & 0xffff_ffffn);
  let hi = Number(frame_list >> 32n);
  for (let i = 0; i < nr_frames; i++) {
    frameNumber[0] = BigInt(XEN_FRAME.grantTable + i);
    if (!copyToGuest(v, lo, hi, frameNumberBytes, 0, 8)) return GNTST.bad_virt_addr;
    add(lo, hi, 8);
    lo = address.lo;
    hi = address.hi;
  }
  return GNTST.okay;
}

function querySize(v: Vcpu): number {
  const refused = targetStatus(v.domain, queryArg.view.dom);
  if (refused) return refused;
  queryArg.view.nr_frames = nrGrantFrames(v.domain);
  queryArg.view.max_nr_frames = XEN_FRAME.grantFrames;
  return GNTST.okay;
}

/** There is version 1 and no other: asking for 2 is answered as before there was a choice. */
function setVersion(v: Vcpu, a: HypercallArgs): number {
  if (!setVersionArg.read(v, a.lo(1), a.hi(1))) return -EFAULT;
  const wanted = setVersionArg.view.version;
  setVersionArg.view.version = 1;
  if (!setVersionArg.write(v, a.lo(1), a.hi(1))) return -EFAULT;
  return wanted === 1 ? 0 : wanted === 2 ? -ENOSYS : -EINVAL;
}

function getVersion(v: Vcpu, a: HypercallArgs): number {
  if (!getVersionArg.read(v, a.lo(1), a.hi(1))) return -EFAULT;
  const refused = checkTarget(v.domain, getVersionArg.view.dom);
  if (refused) return refused;
  getVersionArg.view.version = 1;
  return getVersionArg.write(v, a.lo(1), a.hi(1)) ? 0 : -EFAULT;
}

/** Version 1 tables have no status frames: only the request for none succeeds. */
function getStatusFrames(v: Vcpu): number {
  const refused = targetStatus(v.domain, statusFramesArg.view.dom);
  if (refused) return refused;
  return statusFramesArg.view.nr_frames === 0 ? GNTST.okay : GNTST.general_error;
}

function swapGrantRef(v: Vcpu): number {
  const { ref_a: a, ref_b: b } = swapArg.view;
  const entries = nrGrantEntries(v.domain);
  if (a >= entries || b >= entries) return GNTST.bad_gntref;
  if (a === b) return GNTST.okay;
  if (isGrantPinned(v.domain, a) || isGrantPinned(v.domain, b)) return GNTST.eagain;
  swapEntries(v.domain, a, b);
  return GNTST.okay;
}

/** Caches are coherent: nothing to do for a page that may be flushed, which is one mapped from another domain. */
function cacheFlush(v: Vcpu, a: HypercallArgs, count: number): number {
  for (let i = 0; i < count; i++) {
    if (i === BATCH) return continueWith(a, count - i);
    if (!flushArg.read(v, a.lo(1), a.hi(1))) return -EFAULT;
    const { offset, length, op } = flushArg.view;
    if (offset >= PAGE_SIZE || offset + length > PAGE_SIZE) return -EINVAL;
    if (op & ~(GNTTAB_CACHE_CLEAN | GNTTAB_CACHE_INVAL | GNTTAB_CACHE_SOURCE_GREF)) return -EINVAL;
    const nothing = length === 0 || (op & ~GNTTAB_CACHE_SOURCE_GREF) === 0;
    if (!nothing) return -EPERM; // no grant of another domain is mapped
    nextElement(a, flushArg.size);
  }
  return 0;
}
