// mmuext_op: pins, base tables, TLB and cache flushes, the LDT, and page clears and copies.
//
// The flushes have nothing to drop: a cached translation dies with its entry (links.ts). Those of other vCPUs wait until it has
// died there too. Their arguments are checked as Xen checks them.

import { EACCES, EFAULT, EINVAL, ENOSYS, EOPNOTSUPP } from '#abi/errno.ts';
import { MMUEXT, mmuext_op } from '#abi/mmu.ts';
import { copyFromGuest } from '../guest-access.ts';
import type { Hypercall } from '../hypercall.ts';
import type { Vcpu } from '../vcpu.ts';
import { setLdt } from './gdt.ts';
import { newGuestCr3, newUserBase } from './domain-mm.ts';
import { PGT_pinned, PGT_type_shift, PGT_writable_page } from './frame-table.ts';
import type { Mm } from './mm.ts';
import { eachOperation } from './mmu-update.ts';
import { getPageAndType, putPage, putPageAndType } from './page-type.ts';

const bytes = new Uint8Array(mmuext_op.size);
const words = new Uint32Array(bytes.buffer);
const vcpuMask = new Uint8Array(8);
const ARG1 = mmuext_op.offset.arg1 / 4, ARG2 = mmuext_op.offset.arg2 / 4;

/** mmuext_op(op, count, success_count, domid) */
export const do_mmuext_op: Hypercall = (v, a) => eachOperation(v, a, mmuext_op.size, operationAt);

function operationAt(v: Vcpu, vaLo: number, vaHi: number): number {
  if (!copyFromGuest(v, vaLo, vaHi, bytes, 0, bytes.length)) return -EFAULT;
  return operation(v, words[0] as number, words[ARG1] as number, words[ARG1 + 1] as number, words[ARG2] as number, words[ARG2 + 1] as number);
}

function operation(v: Vcpu, cmd: number, lo: number, hi: number, lo2: number, hi2: number): number {
  const { mm } = v.domain;
  const mfn = hi === 0 ? lo : mm.total; // a number above 2^32 is no frame's
  switch (cmd) {
    case MMUEXT.PIN_L1_TABLE: case MMUEXT.PIN_L2_TABLE: case MMUEXT.PIN_L3_TABLE: case MMUEXT.PIN_L4_TABLE:
      return pin(mm, mfn, cmd - MMUEXT.PIN_L1_TABLE + 1);
    case MMUEXT.UNPIN_TABLE: return unpin(mm, mfn);
    case MMUEXT.NEW_BASEPTR: return newGuestCr3(v, mfn);
    case MMUEXT.NEW_USER_BASEPTR: return newUserBase(v, mfn);
    case MMUEXT.TLB_FLUSH_LOCAL: case MMUEXT.INVLPG_LOCAL: return 0;
    case MMUEXT.TLB_FLUSH_ALL: case MMUEXT.INVLPG_ALL: return flushed(mm);
    case MMUEXT.TLB_FLUSH_MULTI: case MMUEXT.INVLPG_MULTI: return vcpuMaskReadable(v, lo2, hi2) ? flushed(mm) : -EINVAL;
    case MMUEXT.FLUSH_CACHE: return -EACCES; // no domain has devices
    case MMUEXT.FLUSH_CACHE_GLOBAL: return -EINVAL;
    case MMUEXT.SET_LDT: return setLdt(v, lo, hi, lo2);
    case MMUEXT.CLEAR_PAGE: return clearPage(mm, mfn);
    case MMUEXT.COPY_PAGE: return copyPage(mm, mfn, hi2 === 0 ? lo2 : mm.total);
    case MMUEXT.MARK_SUPER: case MMUEXT.UNMARK_SUPER: return -EOPNOTSUPP;
    default: return -ENOSYS;
  }
}

/** True when a bitmap with a bit for each vCPU of the domain can be read at a guest address. */
export function vcpuMaskReadable(v: Vcpu, vaLo: number, vaHi: number): boolean {
  return copyFromGuest(v, vaLo, vaHi, vcpuMask, 0, vcpuMask.length);
}

/** What has died has died on all vCPUs, when the guest's call for that is over. */
export function flushed(mm: Mm): 0 {
  mm.machine.settle(mm.machine.dropped);
  return 0;
}

function pin(mm: Mm, mfn: number, level: number): number {
  const rc = getPageAndType(mm, mfn, level << PGT_type_shift);
  if (rc !== 0) return rc;
  const word = mm.frames.type(mfn);
  if ((word & PGT_pinned) !== 0) {
    putPageAndType(mm, mfn);
    return -EINVAL;
  }
  mm.frames.setType(mfn, word | PGT_pinned);
  return 0;
}

function unpin(mm: Mm, mfn: number): number {
  if (!mm.frames.getPage(mfn)) return -EINVAL;
  const word = mm.frames.type(mfn);
  if ((word & PGT_pinned) !== 0) {
    mm.frames.setType(mfn, word & ~PGT_pinned);
    putPageAndType(mm, mfn);
  }
  putPage(mm, mfn);
  return (word & PGT_pinned) !== 0 ? 0 : -EINVAL;
}

function clearPage(mm: Mm, mfn: number): number {
  if (getPageAndType(mm, mfn, PGT_writable_page) !== 0) return -EINVAL;
  mm.work += 64;
  mm.u32.fill(0, mm.entry(mfn, 0), mm.entry(mfn + 1, 0));
  mm.machine.frameWritten(mfn);
  putPageAndType(mm, mfn);
  return 0;
}

function copyPage(mm: Mm, to: number, from: number): number {
  if (!mm.frames.getPage(from)) return -EINVAL;
  const rc = getPageAndType(mm, to, PGT_writable_page);
  if (rc === 0) {
    mm.work += 64;
    mm.u32.copyWithin(mm.entry(to, 0), mm.entry(from, 0), mm.entry(from + 1, 0));
    mm.machine.frameWritten(to);
    putPageAndType(mm, to);
  }
  putPage(mm, from);
  return rc === 0 ? 0 : -EINVAL;
}
