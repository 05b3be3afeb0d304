// mmu_update: a batch of changes to page-table entries and to the machine-to-physical table.

import { EFAULT, EINVAL, ENOSYS } from '#abi/errno.ts';
import { MMU_MACHPHYS_UPDATE, MMU_PT_UPDATE_PRESERVE_AD, MMU_UPDATE_PREEMPTED, mmu_update } from '#abi/mmu.ts';
import { copyFromGuest, copyToGuest, guestPointer } from '../guest-access.ts';
import { CONTINUE, type Hypercall, type HypercallArgs } from '../hypercall.ts';
import type { Vcpu } from '../vcpu.ts';
import { checkPageOwner } from './foreign.ts';
import { PGT_count_mask, PGT_seg_desc_page, PGT_type_mask, PGT_type_shift, PGT_validated, PGT_writable_page } from './frame-table.ts';
import { setM2p } from './m2p.ts';
import { type Mm, WORK_LIMIT } from './mm.ts';
import { getPageType, putPage, putPageType } from './page-type.ts';
import { setL1Entry, setTableEntry } from './update-entry.ts';

const REQUEST = mmu_update.size;
/** What an operation counts for at the least (Mm.work). */
const OPERATION = 32;
const doneBytes = new Uint8Array(4);
const doneWord = new Uint32Array(doneBytes.buffer);

/** mmu_update(req, count, success_count, domid) */
export const do_mmu_update: Hypercall = (v, a) => eachOperation(v, a, REQUEST, updateAt);

/** One operation of a batch, read from its guest address. @returns 0 or a negated errno */
type Operation = (v: Vcpu, vaLo: number, vaHi: number) => number;

/**
 * The form that mmu_update and mmuext_op share: an array of operations, its length, where to say how many succeeded,
 * and whose pages it is about. The first failure ends it. A batch that is much work goes on in a continuation.
 */
export function eachOperation(v: Vcpu, a: HypercallArgs, size: number, operation: Operation): number {
  const count = (a.lo(1) & ~MMU_UPDATE_PREEMPTED) >>> 0;
  let rc = checkPageOwner(a.lo(3), v.domain);
  let done = 0;
  const { mm } = v.domain;
  const enough = mm.work + WORK_LIMIT;
  while (rc === 0 && done < count && mm.work < enough) {
    rc = operation(v, a.lo(0), a.hi(0));
    if (rc !== 0) break;
    done++;
    mm.work += OPERATION;
    const next = a.lo(0) + size;
    a.set(0, next >>> 0, next > 0xffff_ffff ? (a.hi(0) + 1) >>> 0 : a.hi(0));
  }
  storeDone(v, a, done);
  if (rc !== 0 || done === count) return rc;
  a.set(1, (count - done | MMU_UPDATE_PREEMPTED) >>> 0, 0);
  return CONTINUE;
}

/** Writes how many operations succeeded, where the guest asked for it; a continued call adds to what it wrote before. */
function storeDone(v: Vcpu, a: HypercallArgs, done: number): void {
  if (a.lo(2) === 0 && a.hi(2) === 0) return;
  doneWord[0] = 0;
  if ((a.lo(1) & MMU_UPDATE_PREEMPTED) !== 0) copyFromGuest(v, a.lo(2), a.hi(2), doneBytes, 0, 4);
  doneWord[0] = (doneWord[0] as number) + done;
  copyToGuest(v, a.lo(2), a.hi(2), doneBytes, 0, 4);
}

/** Reads the request at a guest address, once, and carries it out. */
function updateAt(v: Vcpu, vaLo: number, vaHi: number): number {
  const at = (vaLo & 3) === 0 ? guestPointer(v, vaLo, vaHi, REQUEST, false) : -1;
  if (at < 0) return updateCopied(v, vaLo, vaHi);
  const { mm } = v.domain;
  const i = at >>> 2;
  return update(mm, mm.u32[i] as number, mm.u32[i + 1] as number, mm.u32[i + 2] as number, mm.u32[i + 3] as number);
}

/** The same for a request that does not lie in one piece of the domain's memory. */
function updateCopied(v: Vcpu, vaLo: number, vaHi: number): number {
  if (!copyFromGuest(v, vaLo, vaHi, requestBytes, 0, REQUEST)) return -EFAULT;
  return update(v.domain.mm, request[0] as number, request[1] as number, request[2] as number, request[3] as number);
}
const requestBytes = new Uint8Array(REQUEST);
const request = new Uint32Array(requestBytes.buffer);

function update(mm: Mm, ptrLo: number, ptrHi: number, valLo: number, valHi: number): number {
  const command = ptrLo & 7;
  if (command > 3) return -ENOSYS;
  const mfn = ptrHi === 0 ? ptrLo >>> 12 : mm.total;
  if (!mm.frames.getPage(mfn)) return -EINVAL;
  let rc = 0;
  if (command === MMU_MACHPHYS_UPDATE) setM2p(mm, mfn, valLo, valHi);
  else rc = updateEntry(mm, mfn, (ptrLo & 4095) >>> 3, valLo, valHi, command === MMU_PT_UPDATE_PRESERVE_AD);
  putPage(mm, mfn);
  return rc;
}

/** An 8-byte store to a frame of the domain's: checked when it is a page table, refused when it holds descriptors. */
function updateEntry(mm: Mm, mfn: number, slot: number, lo: number, hi: number, preserveAd: boolean): number {
  const word = mm.frames.type(mfn);
  const type = word & PGT_type_mask;
  if ((word & PGT_validated) !== 0 && (word & PGT_count_mask) !== 0 && type !== PGT_writable_page) {
    if (type === PGT_seg_desc_page) return -EINVAL;
    const level = type >>> PGT_type_shift;
    return level === 1 ? setL1Entry(mm, mfn, slot, lo, hi, preserveAd) : setTableEntry(mm, level, mfn, slot, lo, hi, preserveAd);
  }
  return storeToWritable(mm, mfn, slot, lo, hi);
}

function storeToWritable(mm: Mm, mfn: number, slot: number, lo: number, hi: number): number {
  const rc = getPageType(mm, mfn, PGT_writable_page);
  if (rc !== 0) return rc;
  const i = mm.entry(mfn, slot);
  mm.u32[i] = lo;
  mm.u32[i + 1] = hi;
  mm.machine.frameWritten(mfn);
  putPageType(mm, mfn);
  return 0;
}
