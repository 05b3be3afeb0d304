// How much memory the domain has: extents of 2^order frames given back, taken again, or exchanged. A domain can have
// no more frames than its capsule was made with; what it gave back is cleared, and the host's (freed-frames.ts), until it
// takes it again: the lowest free frames first.

import { EFAULT, EINVAL, ENOMEM, EPERM } from '#abi/errno.ts';
import { xen_memory_exchange, xen_memory_reservation, XENMEM } from '#abi/memory.ts';
import { checkTarget, isSelf } from '../domid.ts';
import { copyFromGuest, copyToGuest } from '../guest-access.ts';
import { GuestStruct } from '../guest-struct.ts';
import type { Vcpu } from '../vcpu.ts';
import { OWNER, PGC_allocated, PGT_count_mask } from './frame-table.ts';
import { setM2p } from './m2p.ts';
import { type Mm, WORK_LIMIT } from './mm.ts';
import { leaveDomain, putPage, reclaimFrames, scrub } from './page-type.ts';
import { withFreePages } from './pages-lock.ts';

/** Extents of an unprivileged domain are 2 MiB at most. */
const DOMU_MAX_ORDER = 9;
const MAX_EXTENTS = 0xffff_ffff >>> 6;
const INVALID_GPFN = 0xffff_ffff_ffff_ffffn;

const reservation = new GuestStruct(xen_memory_reservation);
const exchange = new GuestStruct(xen_memory_exchange);
const exchangeIn = xen_memory_reservation.on(exchange.bytes.buffer).at(xen_memory_exchange.offset.in);
const exchangeOut = xen_memory_reservation.on(exchange.bytes.buffer).at(xen_memory_exchange.offset.out);
const extentBytes = new Uint8Array(8);
const extent = new BigUint64Array(extentBytes.buffer);

/**
 * increase_reservation, decrease_reservation and populate_physmap.
 * @param start the first extent that is not done yet, in a continuation
 * @returns how many extents were done, before the first that failed, never an error; UNFINISHED with nextExtent set
 */
export function changeReservation(v: Vcpu, cmd: number, start: number, vaLo: number, vaHi: number): number {
  if (!reservation.read(v, vaLo, vaHi)) return start;
  const { extent_start: list, nr_extents: count, extent_order: order, domid } = reservation.view;
  if (count > BigInt(MAX_EXTENTS) || order > DOMU_MAX_ORDER || !isSelf(v.domain, domid)) return start;
  const one = cmd === XENMEM.decrease_reservation ? decrease : cmd === XENMEM.populate_physmap ? populate : increase;
  const { mm } = v.domain;
  const enough = mm.work + WORK_LIMIT;
  let i = start;
  for (; i < Number(count) && mm.work < enough; i++) {
    mm.work += EXTENT << order;
    if (!one(v, list, i, order)) {
      mm.freed.giveBack();
      return i;
    }
  }
  mm.freed.giveBack();
  if (i >= Number(count)) return i;
  unfinished.nextExtent = i;
  return UNFINISHED;
}

/** There is more to do than one hypercall may: it goes on at `unfinished.nextExtent`, or where nr_exchanged says. */
export const UNFINISHED: number = Number.MIN_SAFE_INTEGER;
export const unfinished = { nextExtent: 0 };
/** What a frame of an extent counts for at the least (Mm.work). */
const EXTENT = 32;

function readExtent(v: Vcpu, list: bigint, i: number): bigint | undefined {
  const at = list + BigInt(i * 8);
  return copyFromGuest(v, Number(at & 0xffff_ffffn), Number(at >> 32n), extentBytes, 0, 8) ? extent[0] : undefined;
}

function writeExtent(v: Vcpu, list: bigint, i: number, value: number): boolean {
  const at = list + BigInt(i * 8);
  extent[0] = BigInt(value);
  return copyToGuest(v, Number(at & 0xffff_ffffn), Number(at >> 32n), extentBytes, 0, 8);
}

function increase(v: Vcpu, list: bigint, i: number, order: number): boolean {
  const mfn = allocate(v.domain.mm, order);
  return mfn >= 0 && (list === 0n || writeExtent(v, list, i, mfn));
}

function populate(v: Vcpu, list: bigint, i: number, order: number): boolean {
  const gpfn = readExtent(v, list, i);
  if (gpfn === undefined) return false;
  const mfn = allocate(v.domain.mm, order);
  if (mfn < 0) return false;
  nameFrames(v.domain.mm, mfn, gpfn, order);
  return writeExtent(v, list, i, mfn);
}

function decrease(v: Vcpu, list: bigint, i: number, order: number): boolean {
  const first = readExtent(v, list, i);
  if (first === undefined || first >= BigInt(v.domain.mm.total)) return false;
  for (let j = 0; j < 1 << order; j++) if (!removePage(v.domain.mm, Number(first) + j)) return false;
  return true;
}

/** The domain gives a frame back. It is free as soon as nothing maps it any more. */
function removePage(mm: Mm, mfn: number): boolean {
  const { frames } = mm;
  if (!frames.getPage(mfn)) return false;
  const removable = !frames.isSpecial(mfn);
  if (removable && frames.clearAllocated(mfn)) putPage(mm, mfn);
  putPage(mm, mfn);
  return removable;
}

export function nameFrames(mm: Mm, mfn: number, gpfn: bigint, order: number): void {
  for (let j = 0; j < 1 << order; j++) {
    const pfn = (gpfn + BigInt(j)) & INVALID_GPFN;
    setM2p(mm, mfn + j, Number(pfn & 0xffff_ffffn), Number(pfn >> 32n));
  }
}

/** Gives 2^order adjoining free frames to the domain. @returns the first, or -1 */
function allocate(mm: Mm, order: number): number {
  reclaimFrames(mm);
  return withFreePages(mm, () => take(mm, order));
}

/**
 * The same with the lock of free pages, which may be done on any thread.
 * @param prepare is called with the first frame before it is the domain's
 */
export function take(mm: Mm, order: number, prepare?: (mfn: number) => void): number {
  const size = 1 << order;
  if (mm.state.tot_pages + size > mm.state.max_pages) return -1;
  const mfn = findFree(mm, order);
  if (mfn < 0) return -1;
  prepare?.(mfn);
  for (let j = 0; j < size; j++) mm.frames.giveToDomain(mfn + j);
  mm.state.tot_pages += size;
  if (order === 0) mm.state.free_hint = mfn + 1;
  return mfn;
}

function findFree(mm: Mm, order: number): number {
  const size = 1 << order;
  const start = Math.max(mm.state.free_hint, mm.capsule.xenFrames);
  search: for (let mfn = Math.ceil(start / size) * size; mfn + size <= mm.total; mfn += size) {
    for (let j = 0; j < size; j++) if (mm.frames.owner(mfn + j) !== OWNER.nobody) continue search;
    return mfn;
  }
  return -1;
}

/**
 * XENMEM_exchange: frames of the domain's that nothing maps for others, which may be larger extents.
 * @returns 0 when all were exchanged; a negated errno, or UNFINISHED: nr_exchanged tells how many input extents were
 */
export function exchangeReservation(v: Vcpu, vaLo: number, vaHi: number): number {
  if (!exchange.read(v, vaLo, vaHi)) return -EFAULT;
  const { nr_extents: inCount, extent_order: inOrder, domid } = exchangeIn;
  const { nr_extents: outCount, extent_order: outOrder } = exchangeOut;
  if (inOrder > DOMU_MAX_ORDER || outOrder > DOMU_MAX_ORDER) return -EPERM;
  const bad = inCount > BigInt(MAX_EXTENTS) || exchange.view.nr_exchanged > inCount || domid !== exchangeOut.domid
    || inCount << BigInt(inOrder) !== outCount << BigInt(outOrder);
  if (bad) return -EINVAL;
  if (exchange.view.nr_exchanged === inCount) return 0;
  const target = checkTarget(v.domain, domid);
  if (target !== 0) return target;
  const rc = exchangeChunks(v, Number(inCount), inOrder, outOrder);
  return exchange.write(v, vaLo, vaHi) ? rc : -EFAULT;
}

/** In chunks that are one extent on the coarser side. */
function exchangeChunks(v: Vcpu, inCount: number, inOrder: number, outOrder: number): number {
  const inChunk = 1 << Math.max(0, outOrder - inOrder);
  const outChunk = 1 << Math.max(0, inOrder - outOrder);
  const first = Math.ceil(Number(exchange.view.nr_exchanged) / inChunk);
  const { mm } = v.domain;
  const enough = mm.work + WORK_LIMIT;
  for (let chunk = first; chunk * inChunk < inCount; chunk++) {
    if (mm.work >= enough) return UNFINISHED;
    mm.work += (EXTENT * inChunk) << inOrder;
    reclaimFrames(mm);
    const rc = withFreePages(mm, () => exchangeChunk(v, chunk, inChunk, inOrder, outChunk, outOrder)); // nobody may take what it frees
    if (rc !== 0) return rc;
    exchange.view.nr_exchanged = BigInt((chunk + 1) * inChunk);
  }
  return 0;
}

function exchangeChunk(v: Vcpu, chunk: number, inChunk: number, inOrder: number, outChunk: number, outOrder: number): number {
  const { mm } = v.domain;
  const stolen: number[] = [];
  let rc = 0;
  for (let i = 0; i < inChunk && rc === 0; i++) rc = steal(v, chunk * inChunk + i, inOrder, stolen);
  if (rc === 0 && findFree(mm, Math.max(inOrder, outOrder)) < 0) rc = -ENOMEM;
  if (rc !== 0) {
    for (const mfn of stolen) mm.frames.giveToDomain(mfn);
    mm.state.tot_pages += stolen.length;
    return rc;
  }
  for (const mfn of stolen) scrub(mm, mfn);
  for (let i = 0; i < outChunk; i++) {
    const index = chunk * outChunk + i;
    const gpfn = readExtent(v, exchangeOut.extent_start, index);
    const mfn = take(mm, outOrder);
    if (gpfn === undefined || mfn < 0) return -EFAULT;
    nameFrames(mm, mfn, gpfn, outOrder);
    if (!writeExtent(v, exchangeOut.extent_start, index, mfn)) return -EFAULT;
  }
  return 0;
}

/** Takes the frames of one input extent out of the domain, contents kept. They must be used by nothing. */
function steal(v: Vcpu, index: number, order: number, stolen: number[]): number {
  const { mm } = v.domain;
  const first = readExtent(v, exchangeIn.extent_start, index);
  if (first === undefined) return -EFAULT;
  if (first >= BigInt(mm.total)) return -EINVAL;
  for (let mfn = Number(first); mfn < Number(first) + (1 << order); mfn++) {
    if (!stealPage(mm, mfn)) return -EINVAL;
    stolen.push(mfn);
  }
  return 0;
}

/** Takes a frame that is used by nothing out of the domain, contents kept. With the lock of free pages. False when it is not such a frame. */
export function stealPage(mm: Mm, mfn: number): boolean {
  const { frames } = mm;
  const idle = frames.isValid(mfn) && frames.owner(mfn) === OWNER.domain && !frames.isSpecial(mfn)
    && (frames.type(mfn) & PGT_count_mask) === 0 && frames.changeCount(mfn, PGC_allocated | 1, 0);
  if (idle) {
    mm.machine.settle(mm.machine.dropped);
    leaveDomain(mm, mfn);
  }
  return idle;
}
