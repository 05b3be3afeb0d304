// A domain's memory from its beginning to its end: ownership of the frames, the tables that the builder wrote, base
// tables of vCPUs, and giving everything back.

import { EINVAL } from '#abi/errno.ts';
import { E820_RAM } from '#abi/memory.ts';
import { VMASST_TYPE_m2p_strict } from '#abi/xen.ts';
import { assert } from '#base/assert.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import type { Domain } from '../domain.ts';
import { XEN_FRAME } from '../layout.ts';
import type { Vcpu } from '../vcpu.ts';
import type { Mm } from './mm.ts';
import { E820_TABLE } from './mm-state.ts';
import { OWNER, PGT_count_mask, PGT_l4_page_table, PGT_pinned, PGT_type_mask, PGT_type_shift } from './frame-table.ts';
import { destroyGdt, initXenGdt } from './gdt.ts';
import { fillRoMpt, initM2p, setM2p, zapRoMpt } from './m2p.ts';
import { getPageAndType, putPageAndType } from './page-type.ts';

/** What libxl lets a PV domain have beyond its target, in frames (LIBXL_MAXMEM_CONSTANT, 1 MiB). */
export const SPARE_FRAMES = 256;

/**
 * Makes a fresh capsule's memory the domain's: the first RAM frames are its own, shared info is shared with it, the m2p is
 * built with mfn = xenFrames + pfn, and the memory map says that all RAM starts at 0. Frames that it may take later are free;
 * the memory map has them too, which tells the guest how large it may become.
 * @param pages frames that it begins with
 */
export function initMemory(domain: Domain, pages: number = domain.capsule.guestFrames): void {
  const { mm, capsule } = domain;
  assert(pages <= capsule.guestFrames, 'the capsule has that much memory');
  for (let mfn = 0; mfn < capsule.xenFrames; mfn++) mm.frames.keepForXen(mfn);
  mm.frames.shareXenFrame(XEN_FRAME.sharedInfo);
  initM2p(mm);
  initXenGdt(mm);
  for (let pfn = 0; pfn < pages; pfn++) {
    mm.frames.giveToDomain(capsule.xenFrames + pfn);
    setM2p(mm, capsule.xenFrames + pfn, pfn, 0);
  }
  mm.state.tot_pages = pages;
  mm.state.max_pages = Math.min(pages + SPARE_FRAMES, capsule.guestFrames); // no more than there are
  mm.state.free_hint = capsule.xenFrames;
  mm.state.nr_e820 = 1;
  capsule.dv.setBigUint64(E820_TABLE, 0n, true);
  capsule.dv.setBigUint64(E820_TABLE + 8, BigInt(capsule.guestFrames) * BigInt(PAGE_SIZE), true);
  capsule.dv.setUint32(E820_TABLE + 16, E820_RAM, true);
}

/**
 * Takes the tables that the domain builder wrote into use: validates and pins the L4 table and makes it the base of
 * vCPU 0, in kernel mode.
 * @returns 0, or a negated errno when the tables break the rules
 */
export function adoptInitialTables(domain: Domain, l4: number): number {
  const { mm } = domain;
  const rc = getPageAndType(mm, l4, PGT_l4_page_table);
  if (rc !== 0) return rc;
  mm.frames.setType(l4, mm.frames.type(l4) | PGT_pinned);
  return setBases(domain.vcpus[0] as Vcpu, l4, 0);
}

/**
 * Gives a vCPU that does not run its base tables (the builder, VCPUOP_initialise), and kernel mode.
 * @param user frame of the user base table, 0 for none
 * @returns 0, or a negated errno; then nothing is changed
 */
export function setBases(v: Vcpu, kernel: number, user: number): number {
  const { mm } = v.domain;
  const rc = getPageAndType(mm, kernel, PGT_l4_page_table);
  if (rc !== 0) return rc;
  if (user !== 0 && getPageAndType(mm, user, PGT_l4_page_table) !== 0) {
    putPageAndType(mm, kernel);
    return -EINVAL;
  }
  const oldKernel = v.state.guest_table;
  const oldUser = v.state.guest_table_user;
  if (!mm.vmAssist(VMASST_TYPE_m2p_strict)) fillRoMpt(mm, kernel);
  v.state.guest_table = kernel;
  v.state.guest_table_user = user;
  mm.machine.setBase(v.cpu, kernel, true);
  if (oldKernel !== 0) putPageAndType(mm, oldKernel);
  if (oldUser !== 0) putPageAndType(mm, oldUser);
  return 0;
}

/** MMUEXT_NEW_BASEPTR: a new kernel base for the running vCPU. @returns 0 or -EINVAL */
export function newGuestCr3(v: Vcpu, mfn: number): number {
  const { mm } = v.domain;
  const old = v.state.guest_table;
  if (old === mfn) {
    mm.machine.setBase(v.cpu, mfn, true);
    return 0;
  }
  const rc = getPageAndType(mm, mfn, PGT_l4_page_table);
  if (rc !== 0) return rc;
  if (!mm.vmAssist(VMASST_TYPE_m2p_strict)) fillRoMpt(mm, mfn);
  v.state.guest_table = mfn;
  mm.machine.setBase(v.cpu, mfn, true);
  if (old !== 0) putPageAndType(mm, old);
  return 0;
}

/** MMUEXT_NEW_USER_BASEPTR: the tables of user mode, 0 for none. @returns 0 or -EINVAL */
export function newUserBase(v: Vcpu, mfn: number): number {
  const { mm } = v.domain;
  const old = v.state.guest_table_user;
  if (old === mfn) return 0;
  if (mfn !== 0) {
    const rc = getPageAndType(mm, mfn, PGT_l4_page_table);
    if (rc !== 0) return rc;
    if (mm.vmAssist(VMASST_TYPE_m2p_strict)) zapRoMpt(mm, mfn);
  }
  v.state.guest_table_user = mfn;
  if (old !== 0) putPageAndType(mm, old);
  return 0;
}

/**
 * Drops every reference that a domain which will not run again holds on its own frames: bases, descriptor tables,
 * pins. What is left is one reference for each frame that it owns.
 */
export function relinquishMemory(domain: Domain): void {
  const { mm } = domain;
  for (const v of domain.vcpus) {
    destroyGdt(v);
    const { guest_table: kernel, guest_table_user: user } = v.state;
    v.state.guest_table = 0;
    v.state.guest_table_user = 0;
    if (kernel !== 0) putPageAndType(mm, kernel);
    if (user !== 0) putPageAndType(mm, user);
  }
  for (let level = 4; level > 0; level--) unpinAll(mm, level);
  assert(mm.linearEntries === 0, 'no linear page table outlives its users');
}

function unpinAll(mm: Mm, level: number): void {
  for (let mfn = 0; mfn < mm.total; mfn++) {
    if (mm.frames.owner(mfn) !== OWNER.domain) continue;
    const word = mm.frames.type(mfn);
    if ((word & PGT_type_mask) >>> PGT_type_shift !== level || (word & PGT_pinned) === 0) continue;
    assert((word & PGT_count_mask) !== 0, 'a pinned frame is in use');
    mm.frames.setType(mfn, word & ~PGT_pinned);
    putPageAndType(mm, mfn);
  }
}
