// Descriptor tables of a vCPU. The GDT is up to 14 of the guest's frames, followed by one page of Xen's that has the
// flat selectors 0xe023, 0xe02b and 0xe033 in it. The LDT is a linear address range of the guest kernel's, looked up
// through its page tables each time.
//
// Every frame that descriptors are read from is of type PGT_seg_desc_page (descriptor.ts): a GDT frame while it is in
// the table, an LDT frame at each look-up (so an LDT in a page that is mapped writable does not work, as under Xen).

import { EFAULT, EINVAL } from '#abi/errno.ts';
import { PTE, PTE_HI } from '#abi/mmu.ts';
import { FIRST_RESERVED_GDT_BYTE, FIRST_RESERVED_GDT_ENTRY, FIRST_RESERVED_GDT_PAGE, FLAT_RING3_CS32, FLAT_RING3_CS64, FLAT_RING3_DS32 } from '#abi/xen.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import { struct } from '#base/struct.ts';
import { CPU } from '#machine/cpu-state.ts';
import { copyFromGuest, guestAddressOk } from '../guest-access.ts';
import type { Hypercall } from '../hypercall.ts';
import { VCPU_STATE } from '../layout.ts';
import type { Vcpu } from '../vcpu.ts';
import { checkDescriptor } from './descriptor.ts';
import { PGT_seg_desc_page, PGT_type_mask, PGT_writable_page } from './frame-table.ts';
import { XEN_GDT_FRAME } from './m2p.ts';
import type { Mm } from './mm.ts';
import { getPageAndType, getPageType, putPage, putPageAndType } from './page-type.ts';
import { findL1Table, slotOf } from './walk.ts';

/** Descriptor tables of one vCPU, at VCPU_STATE.mm. */
export const vcpu_mm = struct('vcpu_mm', 80, {
  ldt_base: 'u64', ldt_ents: 'u32', gdt_ents: 'u32',
  gdt_frames: ['u32', FIRST_RESERVED_GDT_PAGE], // 0: none
  reserved: ['u32', 2],
});
const OFFSET = vcpu_mm.offset;

function wordOf(v: Vcpu, offset: number): number { return (v.cpu.base + VCPU_STATE.mm + offset) >>> 2; }
function gdtFrame(v: Vcpu, page: number): number { return v.domain.mm.u32[wordOf(v, OFFSET.gdt_frames) + page] as number; }

/** Writes Xen's page of every GDT. */
export function initXenGdt(mm: Mm): void {
  const put = (selector: number, hi: number): void => {
    const i = mm.entry(XEN_GDT_FRAME, (selector - FIRST_RESERVED_GDT_BYTE) >>> 3);
    mm.u32[i] = 0x0000_ffff;
    mm.u32[i + 1] = hi;
  };
  put(0xe008, 0x00af_9b00); // ring 0 code, for the guest to see but not to use
  put(0xe010, 0x00cf_9300); // ring 0 data
  put(FLAT_RING3_CS32, 0x00cf_fb00);
  put(FLAT_RING3_DS32, 0x00cf_f300);
  put(FLAT_RING3_CS64, 0x00af_fb00);
}

/**
 * Replaces a vCPU's GDT.
 * @param frames one for each 512 entries
 * @returns 0, or -EINVAL: too many entries, or a frame that cannot be a descriptor page; then nothing is changed
 */
export function setGdt(v: Vcpu, frames: ArrayLike<number>, entries: number): number {
  const { mm } = v.domain;
  if (entries > FIRST_RESERVED_GDT_ENTRY) return -EINVAL;
  const pages = Math.ceil(entries / 512);
  for (let i = 0; i < pages; i++) {
    if (getPageAndType(mm, frames[i] as number, PGT_seg_desc_page) === 0) continue;
    while (--i >= 0) putPageAndType(mm, frames[i] as number);
    return -EINVAL;
  }
  destroyGdt(v);
  mm.u32[wordOf(v, OFFSET.gdt_ents)] = entries;
  for (let i = 0; i < pages; i++) mm.u32[wordOf(v, OFFSET.gdt_frames) + i] = frames[i] as number;
  return 0;
}

/** Takes a vCPU's GDT away; Xen's page stays. */
export function destroyGdt(v: Vcpu): void {
  const { mm } = v.domain;
  mm.u32[wordOf(v, OFFSET.gdt_ents)] = 0;
  for (let page = 0; page < FIRST_RESERVED_GDT_PAGE; page++) {
    const mfn = gdtFrame(v, page);
    if (mfn === 0) continue;
    mm.u32[wordOf(v, OFFSET.gdt_frames) + page] = 0;
    putPageAndType(mm, mfn);
  }
}

/**
 * Sets a vCPU's LDT.
 * @param entries 0 for none; the address does not count then
 * @returns 0 or -EINVAL
 */
export function setLdt(v: Vcpu, baseLo: number, baseHi: number, entries: number): number {
  const { mm } = v.domain;
  if (entries !== 0 && ((baseLo & (PAGE_SIZE - 1)) !== 0 || !guestAddressOk(baseHi) || entries > 8192)) return -EINVAL;
  const base = wordOf(v, OFFSET.ldt_base);
  mm.u32[base] = entries === 0 ? 0 : baseLo;
  mm.u32[base + 1] = entries === 0 ? 0 : baseHi;
  mm.u32[wordOf(v, OFFSET.ldt_ents)] = entries;
  return 0;
}

/**
 * Where the descriptor of a selector lies, for loads of segment registers (MachineHooks.descriptor).
 * @returns capsule offset of its 8 bytes; -1 when there is none; -2 when the LDT's page is not there or cannot be a
 * descriptor page: Xen then lets the guest see a page fault on its own LDT, whose address is set here
 */
export function descriptorOffset(v: Vcpu, selector: number): number {
  if ((selector & 4) !== 0) return ldtOffset(v, selector >>> 3);
  const at = selector & 0xfff8;
  if (at >= FIRST_RESERVED_GDT_BYTE + PAGE_SIZE) return -1;
  const mfn = at >= FIRST_RESERVED_GDT_BYTE ? XEN_GDT_FRAME : gdtFrame(v, at >>> 12);
  return mfn === 0 ? -1 : v.domain.capsule.frame(mfn) + (at & 4095);
}

function ldtOffset(v: Vcpu, index: number): number {
  const { mm } = v.domain;
  if (index >= (mm.u32[wordOf(v, OFFSET.ldt_ents)] as number) || v.state.guest_table === 0) return -1;
  const base = wordOf(v, OFFSET.ldt_base);
  const sum = (mm.u32[base] as number) + index * 8;
  const lo = sum >>> 0;
  const hi = ((mm.u32[base + 1] as number) + (sum > 0xffff_ffff ? 1 : 0)) >>> 0;
  const mfn = ldtFrame(mm, v.state.guest_table, lo, hi);
  if (mfn >= 0) return v.domain.capsule.frame(mfn) + (lo & 4095);
  v.cpu.setField32(CPU.cr2, lo);
  v.cpu.setField32(CPU.cr2 + 4, hi);
  return -2;
}

/** The frame that holds this part of the LDT, checked to be a descriptor page; -1 when it is none. */
function ldtFrame(mm: Mm, table: number, lo: number, hi: number): number {
  const l1 = findL1Table(mm, table, lo, hi);
  if (l1 < 0) return -1;
  const i = mm.entry(l1, slotOf(1, lo, hi));
  const entry = mm.u32[i] as number;
  const mfn = entry >>> 12;
  if ((entry & PTE.PRESENT) === 0 || ((mm.u32[i + 1] as number) & PTE_HI.FRAME) !== 0) return -1;
  if (getPageAndType(mm, mfn, PGT_seg_desc_page) !== 0) return -1;
  putPageAndType(mm, mfn);
  return mfn;
}

const frameList = new Uint8Array(FIRST_RESERVED_GDT_PAGE * 8);
const frameWords = new Uint32Array(frameList.buffer);
const frameNumbers = new Float64Array(FIRST_RESERVED_GDT_PAGE);

/** set_gdt(frame_list, entries) */
export const do_set_gdt: Hypercall = (v, a) => {
  const entries = a.lo(1);
  if (entries > FIRST_RESERVED_GDT_ENTRY) return -EINVAL;
  const pages = Math.ceil(entries / 512);
  if (!copyFromGuest(v, a.lo(0), a.hi(0), frameList, 0, pages * 8)) return -EFAULT;
  for (let i = 0; i < pages; i++) frameNumbers[i] = (frameWords[i * 2 + 1] as number) * 0x1_0000_0000 + (frameWords[i * 2] as number);
  return setGdt(v, frameNumbers, entries);
};

/** update_descriptor(pa, desc): one descriptor in a descriptor page or in a page that may be written. */
export const do_update_descriptor: Hypercall = (v, a) => {
  const { mm, machine } = v.domain;
  const address = a.num(0);
  const mfn = Math.floor(address / PAGE_SIZE);
  const hi = checkDescriptor(a.lo(1), a.hi(1));
  if (hi < 0 || address % 8 !== 0 || !mm.frames.getPage(mfn)) return -EINVAL;
  const holdsDescriptors = (mm.frames.type(mfn) & PGT_type_mask) === PGT_seg_desc_page;
  const rc = getPageType(mm, mfn, holdsDescriptors ? PGT_seg_desc_page : PGT_writable_page);
  if (rc !== 0) {
    putPage(mm, mfn);
    return rc;
  }
  const i = mm.entry(mfn, (address % PAGE_SIZE) / 8);
  mm.u32[i] = a.lo(1);
  mm.u32[i + 1] = hi;
  machine.frameWritten(mfn);
  putPageAndType(mm, mfn);
  return 0;
};
