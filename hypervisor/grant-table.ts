// HYPERVISOR_grant_table_op (public/grant_table.h) as Xen 4.17 answers it: the operations, and those that are about a table as
// a whole. Entries are grant-entry.ts's, their use grant-active.ts's; each operation on a grant has a file.
//
// Operations on arrays go on after an element that failed: its status says so. Only an address that cannot be read
// or written ends the call.

import { EFAULT, EINVAL, ENOSYS, EPERM } from '#abi/errno.ts';
import { GNTST, GNTTABOP, gnttab_get_status_frames, gnttab_get_version, gnttab_query_size, gnttab_setup_table, gnttab_swap_grant_ref } from '#abi/grant-table.ts';
import type { Domain } from './domain.ts';
import { checkTarget } from './domid.ts';
import { pinOf } from './grant-active.ts';
import { RETRY } from './grant-claim.ts';
import { copyArg, grantCopy } from './grant-copy.ts';
import { grantVersion, growGrantTable, nrGrantEntries, nrGrantFrames, nrStatusFrames, swapEntries, withGrants } from './grant-entry.ts';
import { cacheFlush, FLUSH_SIZE } from './grant-flush.ts';
import { mapArg, mapGrantRef, unmapAndReplace, unmapArg, unmapGrantRef, unmapReplaceArg } from './grant-map.ts';
import { grantTransfer, transferArg } from './grant-transfer.ts';
import { setVersion } from './grant-version.ts';
import { copyToGuest, guestAddressOk } from './guest-access.ts';
import { GuestStruct } from './guest-struct.ts';
import { CONTINUE, type Hypercall, type HypercallArgs } from './hypercall.ts';
import { XEN_FRAME } from './layout.ts';
import type { Vcpu } from './vcpu.ts';
import { add, result as address } from './words.ts';

const setupArg = new GuestStruct(gnttab_setup_table);
const queryArg = new GuestStruct(gnttab_query_size);
const getVersionArg = new GuestStruct(gnttab_get_version);
const statusFramesArg = new GuestStruct(gnttab_get_status_frames);
const swapArg = new GuestStruct(gnttab_swap_grant_ref);

/** An argument whose status field takes a GNTST. */
interface Element { readonly size: number; readonly view: { status: number }; read(v: Vcpu, lo: number, hi: number): boolean; write(v: Vcpu, lo: number, hi: number): boolean }

/** Bits of cmd above the command are where a cache flush goes on. */
const CMD_BITS = 12, CMD_MASK = (1 << CMD_BITS) - 1;

/** (cmd, args, count): 0 or a negated errno; how an element fared is in its status. */
export const do_grant_table_op: Hypercall = (v, a) => {
  const count = a.int(2);
  const cmd = a.lo(0) & CMD_MASK;
  if (count < 0 || (cmd !== GNTTABOP.cache_flush && a.lo(0) !== cmd)) return -EINVAL;
  switch (cmd) {
    case GNTTABOP.map_grant_ref: return forEach(v, a, count, mapArg, mapGrantRef);
    case GNTTABOP.unmap_grant_ref: return forEach(v, a, count, unmapArg, unmapGrantRef);
    case GNTTABOP.unmap_and_replace: return forEach(v, a, count, unmapReplaceArg, unmapAndReplace);
    case GNTTABOP.setup_table: return setupTable(v, a, count);
    case GNTTABOP.transfer: return forEach(v, a, count, transferArg, grantTransfer);
    case GNTTABOP.copy: return forEach(v, a, count, copyArg, grantCopy);
    case GNTTABOP.query_size: return one(v, a, count, queryArg, querySize);
    case GNTTABOP.set_version: return setVersion(v, a.lo(1), a.hi(1));
    case GNTTABOP.get_status_frames: return one(v, a, count, statusFramesArg, getStatusFrames);
    case GNTTABOP.get_version: return getVersion(v, a);
    case GNTTABOP.swap_grant_ref: return forEach(v, a, count, swapArg, swapGrantRef);
    case GNTTABOP.cache_flush: return cacheFlushes(v, a, count, a.lo(0) & ~CMD_MASK);
    default: return -ENOSYS;
  }
};

/** Elements in one go; the rest of a longer array is a continuation. */
const BATCH = 64;

/** True for an array that may be there: Xen looks at its address and its length before it reads the first element. */
function arrayOk(a: HypercallArgs, count: number, size: number): boolean {
  return count < Math.floor(0xffff_ffff / size) && guestAddressOk(a.hi(1));
}

/** @param op returns a GNTST, or RETRY: nothing was done, the element's turn comes again */
function forEach(v: Vcpu, a: HypercallArgs, count: number, arg: Element, op: (v: Vcpu) => number): number {
  if (!arrayOk(a, count, arg.size)) return -EFAULT;
  for (let i = 0; i < count; i++) {
    if (i === BATCH) return continueWith(a, count - i);
    if (!arg.read(v, a.lo(1), a.hi(1))) return -EFAULT;
    const status = op(v);
    if (status === RETRY) return continueWith(a, count - i);
    arg.view.status = status & 0xffff;
    if (!arg.write(v, a.lo(1), a.hi(1))) return -EFAULT;
    nextElement(a, arg.size);
  }
  return 0;
}

/** An operation that takes one element and no more. */
function one(v: Vcpu, a: HypercallArgs, count: number, arg: Element, op: (v: Vcpu) => number): number {
  return count === 1 ? forEach(v, a, 1, arg, op) : -EINVAL;
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

/** Writes frame numbers from `first` on to the guest's list. @returns GNTST: bad_virt_addr when one could not be written */
function listFrames(v: Vcpu, list: bigint, first: number, n: number): number {
  let status: number = GNTST.okay;
  let lo = Number(list & 0xffff_ffffn);
  let hi = Number(list >> 32n);
  for (let i = 0; i < n; i++) {
    frameNumber[0] = BigInt(first + i);
    if (!copyToGuest(v, lo, hi, frameNumberBytes, 0, 8)) status = GNTST.bad_virt_addr;
    add(lo, hi, 8);
    lo = address.lo;
    hi = address.hi;
  }
  return status;
}

function setupTable(v: Vcpu, a: HypercallArgs, count: number): number {
  if (count !== 1) return -EINVAL;
  if (!setupArg.read(v, a.lo(1), a.hi(1)) || !guestAddressOk(Number(setupArg.view.frame_list >> 32n))) return -EFAULT;
  setupArg.view.status = growAndList(v) & 0xffff;
  return setupArg.write(v, a.lo(1), a.hi(1)) ? 0 : -EFAULT;
}

/** @returns GNTST */
function growAndList(v: Vcpu): number {
  const { dom, nr_frames, frame_list } = setupArg.view;
  const refused = targetStatus(v.domain, dom);
  if (refused) return refused;
  if (nr_frames > XEN_FRAME.grantFrames) return GNTST.general_error;
  withGrants(v.domain.capsule, () => growGrantTable(v.domain, nr_frames));
  return listFrames(v, frame_list, XEN_FRAME.grantTable, nr_frames);
}

function querySize(v: Vcpu): number {
  const refused = targetStatus(v.domain, queryArg.view.dom);
  if (refused) return refused;
  queryArg.view.nr_frames = nrGrantFrames(v.domain.capsule);
  queryArg.view.max_nr_frames = XEN_FRAME.grantFrames;
  return GNTST.okay;
}

function getVersion(v: Vcpu, a: HypercallArgs): number {
  if (!getVersionArg.read(v, a.lo(1), a.hi(1))) return -EFAULT;
  const refused = checkTarget(v.domain, getVersionArg.view.dom);
  if (refused) return refused;
  getVersionArg.view.version = grantVersion(v.domain.capsule);
  return getVersionArg.write(v, a.lo(1), a.hi(1)) ? 0 : -EFAULT;
}

/** Version 1 tables have no status frames: only the request for none succeeds. */
function getStatusFrames(v: Vcpu): number {
  const { dom, nr_frames, frame_list } = statusFramesArg.view;
  const refused = targetStatus(v.domain, dom);
  if (refused) return refused;
  return nr_frames > nrStatusFrames(v.domain.capsule) ? GNTST.general_error : listFrames(v, frame_list, XEN_FRAME.grantStatus, nr_frames);
}

function swapGrantRef(v: Vcpu): number {
  const { ref_a: a, ref_b: b } = swapArg.view;
  return withGrants(v.domain.capsule, () => swap(v.domain, a, b));
}
function swap({ capsule, machine }: Domain, a: number, b: number): number {
  const entries = nrGrantEntries(capsule);
  if (a >= entries || b >= entries) return GNTST.bad_gntref;
  if (a === b) return GNTST.okay;
  if (pinOf(capsule, a) !== 0 || pinOf(capsule, b) !== 0) return GNTST.eagain;
  for (const frame of swapEntries(capsule, a, b)) machine.frameWritten(frame);
  return GNTST.okay;
}

/** @param firstRef of the first element, where a search for its grant goes on */
function cacheFlushes(v: Vcpu, a: HypercallArgs, count: number, firstRef: number): number {
  if (!arrayOk(a, count, FLUSH_SIZE)) return -EFAULT;
  for (let i = 0; i < count; i++) {
    if (i === BATCH) {
      a.set(0, GNTTABOP.cache_flush, 0);
      return continueWith(a, count - i);
    }
    const rc = cacheFlush(v, a.lo(1), a.hi(1), i === 0 ? firstRef : 0);
    if (rc !== 0) return rc;
    nextElement(a, FLUSH_SIZE);
  }
  return 0;
}
