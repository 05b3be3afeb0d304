// Page tables as a PV guest hands them to Xen: commands of mmu_update, mmuext_op and update_va_mapping
// (public/xen.h), and the bits of an entry (Intel SDM vol. 3, 4.5; Xen's use of the bits that software may have).

import { struct } from '#base/struct.ts';
import { cLayout, type CLayout } from './c-layout.ts';

/** Low two bits of mmu_update.ptr. */
export const MMU_NORMAL_PT_UPDATE = 0, MMU_MACHPHYS_UPDATE = 1, MMU_PT_UPDATE_PRESERVE_AD = 2, MMU_PT_UPDATE_NO_TRANSLATE = 3;
/** Bit of `count` that Xen sets when it continues a preempted call. */
export const MMU_UPDATE_PREEMPTED = 0x8000_0000;

export const MMUEXT = {
  PIN_L1_TABLE: 0, PIN_L2_TABLE: 1, PIN_L3_TABLE: 2, PIN_L4_TABLE: 3, UNPIN_TABLE: 4, NEW_BASEPTR: 5, TLB_FLUSH_LOCAL: 6,
  INVLPG_LOCAL: 7, TLB_FLUSH_MULTI: 8, INVLPG_MULTI: 9, TLB_FLUSH_ALL: 10, INVLPG_ALL: 11, FLUSH_CACHE: 12, SET_LDT: 13,
  NEW_USER_BASEPTR: 15, CLEAR_PAGE: 16, COPY_PAGE: 17, FLUSH_CACHE_GLOBAL: 18, MARK_SUPER: 19, UNMARK_SUPER: 20,
} as const;

/** Flags of update_va_mapping: what to flush, and (MULTI) a pointer to a vCPU bitmap or ALL. */
export const UVMF_NONE = 0, UVMF_TLB_FLUSH = 1, UVMF_INVLPG = 2, UVMF_FLUSHTYPE_MASK = 3, UVMF_LOCAL = 0, UVMF_MULTI = 0, UVMF_ALL = 4;

/** Bits in the low half of an entry. */
export const PTE = {
  PRESENT: 0x001, RW: 0x002, USER: 0x004, PWT: 0x008, PCD: 0x010, ACCESSED: 0x020, DIRTY: 0x040,
  PSE: 0x080, // in L2 and L3
  PAT: 0x080, // in L1
  GLOBAL: 0x100, AVAIL: 0xe00,
} as const;
/** Bits in the high half of an entry. */
export const PTE_HI = {
  FRAME: 0x000f_ffff, // bits 51:32 of the frame's address
  GUEST_KERNEL: 0x0010_0000, // bit 52: Xen's mark for an entry that the guest wrote without USER
  AVAIL: 0x7ff0_0000, // bits 62:52
  NX: 0x8000_0000,
} as const;

/** Entries in the machine-to-physical table for frames that have no pfn: all ones. */
export const INVALID_M2P_ENTRY = 0xffff_ffff_ffff_ffffn;
/** Slots of an L4 table that belong to Xen: [256, 272). */
export const ROOT_PAGETABLE_FIRST_XEN_SLOT = 256, ROOT_PAGETABLE_LAST_XEN_SLOT = 271;

export const mmu_update = struct('mmu_update', 16, { ptr: 'u64', val: 'u64' });
/** arg1: mfn or linear_addr; arg2: nr_ents, vcpumask or src_mfn. */
export const mmuext_op = struct('mmuext_op', 24, { cmd: 'u32', arg1: 'u64', arg2: 'u64' });

export const C_LAYOUTS: readonly CLayout[] = [
  cLayout('xen.h', 'struct mmu_update', mmu_update),
  cLayout('xen.h', 'struct mmuext_op', mmuext_op),
];
