// update_va_mapping: one L1 entry, named by the linear address that it maps. The flush that the guest asks for along
// with it has nothing to drop (links.ts), but to be waited for on other vCPUs; an unreadable vCPU bitmap is still an error.

import { EFAULT, EINVAL } from '#abi/errno.ts';
import { UVMF_ALL, UVMF_FLUSHTYPE_MASK } from '#abi/mmu.ts';
import { guestAddressOk } from '../guest-access.ts';
import type { Hypercall, HypercallArgs } from '../hypercall.ts';
import type { Vcpu } from '../vcpu.ts';
import { checkPageOwner } from './foreign.ts';
import { flushed, vcpuMaskReadable } from './mmuext-op.ts';
import { setL1Entry } from './update-entry.ts';
import { findL1Table, slotOf } from './walk.ts';

/** update_va_mapping(va, val, flags) */
export const do_update_va_mapping: Hypercall = (v, a) => updateVaMapping(v, a);

/** update_va_mapping_otherdomain(va, val, flags, domid) */
export const do_update_va_mapping_otherdomain: Hypercall = (v, a) => {
  const rc = checkPageOwner(a.lo(3) & 0xffff, v.domain);
  return rc === 0 ? updateVaMapping(v, a) : rc;
};

function updateVaMapping(v: Vcpu, a: HypercallArgs): number {
  const rc = setEntryOf(v, a.lo(0), a.hi(0), a.lo(1), a.hi(1));
  if (rc !== 0 || (a.lo(2) & UVMF_FLUSHTYPE_MASK) === 0) return rc;
  const bitmap = (a.lo(2) & ~UVMF_FLUSHTYPE_MASK) >>> 0;
  if (bitmap === 0 && a.hi(2) === 0) return 0; // on this vCPU alone
  if (bitmap === UVMF_ALL && a.hi(2) === 0) return flushed(v.domain.mm);
  return vcpuMaskReadable(v, bitmap, a.hi(2)) ? flushed(v.domain.mm) : -EFAULT;
}

/** Sets the L1 entry that maps an address under the running vCPU's kernel tables. */
function setEntryOf(v: Vcpu, vaLo: number, vaHi: number, lo: number, hi: number): number {
  const { mm } = v.domain;
  if (!guestAddressOk(vaHi)) return -EINVAL;
  const table = findL1Table(mm, v.state.guest_table, vaLo, vaHi);
  if (table < 0 || !mm.frames.isTable(table, 1)) return -EINVAL;
  return setL1Entry(mm, table, slotOf(1, vaLo, vaHi), lo, hi, false);
}
