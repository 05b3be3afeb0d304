// The core of Xen's guest interface as data: what public/xen.h, public/arch-x86/xen.h and xen-x86_64.h declare.
// Names are Xen's. Interfaces of single hypercalls (event channels, grants, memory, …) have files of their own.

import { cLayout, type CLayout } from './c-layout.ts';
import { struct } from '#base/struct.ts';

/** Hypercall numbers. */
export const HYPERVISOR = {
  set_trap_table: 0, mmu_update: 1, set_gdt: 2, stack_switch: 3, set_callbacks: 4, fpu_taskswitch: 5, sched_op_compat: 6, platform_op: 7,
  set_debugreg: 8, get_debugreg: 9, update_descriptor: 10, memory_op: 12, multicall: 13, update_va_mapping: 14, set_timer_op: 15,
  event_channel_op_compat: 16, xen_version: 17, console_io: 18, physdev_op_compat: 19, grant_table_op: 20, vm_assist: 21,
  update_va_mapping_otherdomain: 22, iret: 23, vcpu_op: 24, set_segment_base: 25, mmuext_op: 26, xsm_op: 27, nmi_op: 28, sched_op: 29,
  callback_op: 30, xenoprof_op: 31, event_channel_op: 32, physdev_op: 33, hvm_op: 34, sysctl: 35, domctl: 36, kexec_op: 37, tmem_op: 38,
  argo_op: 39, xenpmu_op: 40, dm_op: 41, hypfs_op: 42, arch_0: 48, arch_1: 49,
} as const;

/** Domain numbers at and above this are not domains. */
export const DOMID_FIRST_RESERVED = 0x7ff0;
export const DOMID_SELF = 0x7ff0, DOMID_IO = 0x7ff1, DOMID_XEN = 0x7ff2, DOMID_COW = 0x7ff3, DOMID_INVALID = 0x7ff4, DOMID_IDLE = 0x7fff;
export const DOMID_MASK = 0x7fff;

export const VIRQ = {
  TIMER: 0, DEBUG: 1, CONSOLE: 2, DOM_EXC: 3, TBUF: 4, DEBUGGER: 6, XENOPROF: 7, CON_RING: 8, PCPU_STATE: 9, MEM_EVENT: 10, ARGO: 11,
  ENOMEM: 12, XENPMU: 13, ARCH_0: 16, ARCH_1: 17, ARCH_2: 18, ARCH_3: 19, ARCH_4: 20, ARCH_5: 21, ARCH_6: 22, ARCH_7: 23,
} as const;
export const NR_VIRQS = 24;

/** Bit numbers of XENVER_get_features (public/features.h). */
export const XENFEAT_writable_page_tables = 0, XENFEAT_writable_descriptor_tables = 1, XENFEAT_auto_translated_physmap = 2,
  XENFEAT_supervisor_mode_kernel = 3, XENFEAT_pae_pgdir_above_4gb = 4, XENFEAT_mmu_pt_update_preserve_ad = 5, XENFEAT_highmem_assist = 6,
  XENFEAT_gnttab_map_avail_bits = 7, XENFEAT_hvm_callback_vector = 8, XENFEAT_hvm_safe_pvclock = 9, XENFEAT_hvm_pirqs = 10,
  XENFEAT_dom0 = 11, XENFEAT_grant_map_identity = 12, XENFEAT_memory_op_vnode_supported = 13, XENFEAT_ARM_SMCCC_supported = 14,
  XENFEAT_linux_rsdp_unrestricted = 15, XENFEAT_not_direct_mapped = 16, XENFEAT_direct_mapped = 17;

export const VMASST_CMD_enable = 0, VMASST_CMD_disable = 1;
/** Bit numbers of a domain's vm_assist bitmap. */
export const VMASST_TYPE_4gb_segments = 0, VMASST_TYPE_4gb_segments_notify = 1, VMASST_TYPE_writable_pagetables = 2,
  VMASST_TYPE_pae_extended_cr3 = 3, VMASST_TYPE_architectural_iopl = 4, VMASST_TYPE_runstate_update_flag = 5, VMASST_TYPE_m2p_strict = 32;

/** Xen's descriptors, at the end of every GDT. */
export const FLAT_RING3_CS32 = 0xe023, FLAT_RING3_CS64 = 0xe033, FLAT_RING3_DS32 = 0xe02b, FLAT_RING3_DS64 = 0, FLAT_RING3_SS32 = 0xe02b, FLAT_RING3_SS64 = 0xe02b;
export const FLAT_KERNEL_CS = FLAT_RING3_CS64, FLAT_KERNEL_DS = FLAT_RING3_DS64, FLAT_KERNEL_SS = FLAT_RING3_SS64;
export const FIRST_RESERVED_GDT_PAGE = 14, FIRST_RESERVED_GDT_BYTE = 14 * 4096, FIRST_RESERVED_GDT_ENTRY = (14 * 4096) / 8;

/** Xen's window of the address space; the machine-to-physical table is at its start. */
export const HYPERVISOR_VIRT_START = 0xffff_8000_0000_0000n, HYPERVISOR_VIRT_END = 0xffff_8800_0000_0000n;
export const MACH2PHYS_VIRT_START = 0xffff_8000_0000_0000n, MACH2PHYS_VIRT_END = 0xffff_8040_0000_0000n;

export const XEN_LEGACY_MAX_VCPUS = 32;
/** Two-level event channels. */
export const EVTCHN_2L_NR_CHANNELS = 4096;

/** Arguments of set_segment_base. */
export const SEGBASE_FS = 0, SEGBASE_GS_USER = 1, SEGBASE_GS_KERNEL = 2, SEGBASE_GS_USER_SEL = 3;

/** Bits of trap_info.flags: the level that may enter by INT n, and whether entry masks events. */
export const TI_DPL = 3, TI_IF = 4;

/** Bits of vcpu_guest_context.flags, and of iret_context.flags. */
export const VGCF_i387_valid = 1 << 0, VGCF_in_kernel = 1 << 2, VGCF_failsafe_disables_events = 1 << 3, VGCF_syscall_disables_events = 1 << 4,
  VGCF_online = 1 << 5, VGCF_in_syscall = 1 << 8;

export const CALLBACKTYPE_event = 0, CALLBACKTYPE_failsafe = 1, CALLBACKTYPE_syscall = 2, CALLBACKTYPE_sysenter_deprecated = 3, CALLBACKTYPE_nmi = 4,
  CALLBACKTYPE_sysenter = 5, CALLBACKTYPE_syscall32 = 7;
export const CALLBACKF_mask_events = 1;
export const CALLBACKOP_register = 0, CALLBACKOP_unregister = 1;
export const XENNMI_register_callback = 0, XENNMI_unregister_callback = 1;

/** Why a domain stopped (public/sched.h). */
export const SHUTDOWN = { poweroff: 0, reboot: 1, suspend: 2, crash: 3, watchdog: 4, soft_reset: 5 } as const;

export const SIF_PRIVILEGED = 1 << 0, SIF_INITDOMAIN = 1 << 1, SIF_MULTIBOOT_MOD = 1 << 2, SIF_MOD_START_PFN = 1 << 3, SIF_VIRT_P2M_4TOOLS = 1 << 4;
export const MAX_GUEST_CMDLINE = 1024;

export const XEN_PVCLOCK_TSC_STABLE_BIT = 1, XEN_PVCLOCK_GUEST_STOPPED = 2;

export const trap_info = struct('trap_info', 16, { vector: 'u8', flags: 'u8', cs: 'u16', address: 'u64' });

/** General registers as hypercalls and the crash dump have them; not the encoding's order. */
export const cpu_user_regs = struct('cpu_user_regs', 200, {
  r15: 'u64', r14: 'u64', r13: 'u64', r12: 'u64', rbp: 'u64', rbx: 'u64', r11: 'u64', r10: 'u64', r9: 'u64', r8: 'u64', rax: 'u64',
  rcx: 'u64', rdx: 'u64', rsi: 'u64', rdi: 'u64', error_code: 'u32', entry_vector: 'u32', rip: 'u64', cs: 'u16', _pad0: 'u16',
  saved_upcall_mask: 'u8', _pad1: ['u8', 3], rflags: 'u64', rsp: 'u64', ss: 'u16', _pad2: ['u16', 3], es: 'u16', _pad3: ['u16', 3],
  ds: 'u16', _pad4: ['u16', 3], fs: 'u16', _pad5: ['u16', 3], gs: 'u16', _pad6: ['u16', 3],
});

/** What VCPUOP_initialise takes. ctrlreg[1] is the user page table's base, ctrlreg[3] the kernel's (mfn << 12). */
export const vcpu_guest_context = struct('vcpu_guest_context', 5168, {
  fpu_ctxt: ['u8', 512], flags: 'u64', user_regs: cpu_user_regs, trap_ctxt: [trap_info, 256], ldt_base: 'u64', ldt_ents: 'u64',
  gdt_frames: ['u64', 16], gdt_ents: 'u64', kernel_ss: 'u64', kernel_sp: 'u64', ctrlreg: ['u64', 8], debugreg: ['u64', 8],
  event_callback_eip: 'u64', failsafe_callback_eip: 'u64', syscall_callback_eip: 'u64', vm_assist: 'u64',
  fs_base: 'u64', gs_base_kernel: 'u64', gs_base_user: 'u64',
});

/** Top of the kernel stack at HYPERVISOR_iret. */
export const iret_context = struct('iret_context', 72, { rax: 'u64', r11: 'u64', rcx: 'u64', flags: 'u64', rip: 'u64', cs: 'u64', rflags: 'u64', rsp: 'u64', ss: 'u64' });

export const multicall_entry = struct('multicall_entry', 64, { op: 'u64', result: 'u64', args: ['u64', 6] });

export const callback_register = struct('callback_register', 16, { type: 'u16', flags: 'u16', address: 'u64' });
export const callback_unregister = struct('callback_unregister', 4, { type: 'u16', _unused: 'u16' });
export const xennmi_callback = struct('xennmi_callback', 16, { handler_address: 'u64', pad: 'u64' });

/** Seqlock: `version` is odd while an update is under way. tsc_shift is signed. */
export const vcpu_time_info = struct('vcpu_time_info', 32, {
  version: 'u32', pad0: 'u32', tsc_timestamp: 'u64', system_time: 'u64', tsc_to_system_mul: 'u32', tsc_shift: 'u8', flags: 'u8', pad1: ['u8', 2],
});
export const arch_vcpu_info = struct('arch_vcpu_info', 16, { cr2: 'u64', pad: 'u64' });
export const vcpu_info = struct('vcpu_info', 64, {
  evtchn_upcall_pending: 'u8', evtchn_upcall_mask: 'u8', evtchn_pending_sel: 'u64', arch: arch_vcpu_info, time: vcpu_time_info,
});
export const arch_shared_info = struct('arch_shared_info', 48, {
  max_pfn: 'u64', pfn_to_mfn_frame_list_list: 'u64', nmi_reason: 'u64', p2m_cr3: 'u64', p2m_vaddr: 'u64', p2m_generation: 'u64',
});
export const shared_info = struct('shared_info', 3136, {
  vcpu_info: [vcpu_info, XEN_LEGACY_MAX_VCPUS], evtchn_pending: ['u64', 64], evtchn_mask: ['u64', 64],
  wc_version: 'u32', wc_sec: 'u32', wc_nsec: 'u32', wc_sec_hi: 'u32', arch: arch_shared_info,
});

/** What the domain builder leaves for the guest; rsi points to it at entry. */
export const start_info = struct('start_info', 1168, {
  magic: ['u8', 32], nr_pages: 'u64', shared_info: 'u64', flags: 'u32', store_mfn: 'u64', store_evtchn: 'u32',
  console_mfn: 'u64', console_evtchn: 'u32', pt_base: 'u64', nr_pt_frames: 'u64', mfn_list: 'u64', mod_start: 'u64', mod_len: 'u64',
  cmd_line: ['u8', MAX_GUEST_CMDLINE], first_p2m_pfn: 'u64', nr_p2m_frames: 'u64',
});

export const C_LAYOUTS: readonly CLayout[] = [
  cLayout('xen.h', 'struct trap_info', trap_info),
  cLayout('xen.h', 'struct cpu_user_regs', cpu_user_regs),
  cLayout('xen.h', 'struct vcpu_guest_context', vcpu_guest_context),
  cLayout('xen.h', 'struct iret_context', iret_context),
  cLayout('xen.h', 'struct multicall_entry', multicall_entry),
  cLayout('xen.h', 'struct vcpu_time_info', vcpu_time_info),
  cLayout('xen.h', 'struct arch_vcpu_info', arch_vcpu_info),
  cLayout('xen.h', 'struct vcpu_info', vcpu_info),
  cLayout('xen.h', 'struct arch_shared_info', arch_shared_info),
  cLayout('xen.h', 'struct shared_info', shared_info),
  cLayout('xen.h', 'struct start_info', start_info, { console_mfn: 'console.domU.mfn', console_evtchn: 'console.domU.evtchn' }),
  cLayout('callback.h', 'struct callback_register', callback_register),
  cLayout('callback.h', 'struct callback_unregister', callback_unregister),
  cLayout('nmi.h', 'struct xennmi_callback', xennmi_callback),
];
