// Writable-page-table emulation: a store by the guest kernel to a page table that it has mapped read-only is carried
// out as an update of that entry, as if it had made the hypercall. Only L1 tables, only aligned stores, and only when
// the guest has turned VMASST_TYPE_writable_pagetables on; everything else is the page fault that it looks like.

import { PTE } from '#abi/mmu.ts';
import { VMASST_TYPE_writable_pagetables } from '#abi/xen.ts';
import { STORE } from '#machine/machine.ts';
import { guestAddressOk } from '../guest-access.ts';
import type { Vcpu } from '../vcpu.ts';
import { CHANGED, setL1Entry } from './update-entry.ts';
import { findL1Table, slotOf } from './walk.ts';

/** True when a store by the guest kernel to this frame may be emulated (MachineHooks.storeWatched). */
export function ptwrWatches(v: Vcpu, mfn: number): boolean {
  return v.kernelMode && v.domain.mm.vmAssist(VMASST_TYPE_writable_pagetables) && v.domain.mm.frames.isTable(mfn, 1);
}

/**
 * A store that was refused because its page is present but read-only (MachineHooks.storeDenied).
 * @param size in bytes: 1, 2, 4 or 8; smaller stores change a part of the entry
 * @param was what a locked instruction has read there
 * @returns STORE
 */
export function ptwrStore(v: Vcpu, vaLo: number, vaHi: number, size: number, lo: number, hi: number, was?: { readonly lo: number; readonly hi: number }): number {
  const { mm } = v.domain;
  if ((vaLo & (size - 1)) !== 0) return STORE.refused;
  if (!guestAddressOk(vaHi)) return STORE.refused;
  const mapping = findL1Table(mm, v.state.guest_table, vaLo, vaHi);
  if (mapping < 0) return STORE.refused;
  const pte = mm.u32[mm.entry(mapping, slotOf(1, vaLo, vaHi))] as number;
  const table = pte >>> 12;
  if ((pte & (PTE.PRESENT | PTE.RW)) !== PTE.PRESENT || table >= mm.total || !ptwrWatches(v, table)) return STORE.refused;
  const slot = (vaLo & 4095) >>> 3;
  const i = mm.entry(table, slot);
  const oldLo = mm.u32[i] as number, oldHi = mm.u32[i + 1] as number;
  if (size === 8) {
    if (was && (was.lo !== oldLo || was.hi !== oldHi)) return STORE.changed;
    return outcome(setL1Entry(mm, table, slot, lo, hi, false, was?.lo));
  }
  const shift = (vaLo & 3) * 8;
  const mask = size === 4 ? 0xffff_ffff : ((1 << (size * 8)) - 1) << shift;
  const half = (vaLo & 4) >>> 2;
  const old = half === 0 ? oldLo : oldHi;
  if (was && ((old ^ (was.lo << shift)) & mask) !== 0) return STORE.changed;
  const merged = ((old & ~mask) | ((lo << shift) & mask)) >>> 0;
  // what is not stored to stays, whatever the processor marks in it meanwhile
  return outcome(half === 0 ? setL1Entry(mm, table, slot, merged, oldHi, false, was && oldLo) : setL1Entry(mm, table, slot, oldLo, merged, true));
}
function outcome(rc: number): number { return rc === 0 ? STORE.done : rc === CHANGED ? STORE.changed : STORE.refused; }
