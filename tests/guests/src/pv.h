// The PV interface as the test guests need it: numbers and structures of Xen's public headers (MIT), and what lib.c
// offers. Names are Xen's.

#ifndef PV_H
#define PV_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

// ---- hypercalls (xen.h)

enum {
    HYPERVISOR_set_trap_table, HYPERVISOR_mmu_update, HYPERVISOR_set_gdt, HYPERVISOR_stack_switch, HYPERVISOR_set_callbacks,
    HYPERVISOR_fpu_taskswitch, HYPERVISOR_sched_op_compat, HYPERVISOR_platform_op, HYPERVISOR_set_debugreg,
    HYPERVISOR_get_debugreg, HYPERVISOR_update_descriptor, HYPERVISOR_memory_op = 12, HYPERVISOR_multicall,
    HYPERVISOR_update_va_mapping, HYPERVISOR_set_timer_op, HYPERVISOR_xen_version = 17, HYPERVISOR_console_io,
    HYPERVISOR_grant_table_op = 20, HYPERVISOR_vm_assist, HYPERVISOR_update_va_mapping_otherdomain, HYPERVISOR_iret,
    HYPERVISOR_vcpu_op, HYPERVISOR_set_segment_base, HYPERVISOR_mmuext_op, HYPERVISOR_xsm_op, HYPERVISOR_nmi_op,
    HYPERVISOR_sched_op, HYPERVISOR_callback_op, HYPERVISOR_xenoprof_op, HYPERVISOR_event_channel_op,
    HYPERVISOR_physdev_op, HYPERVISOR_hvm_op, HYPERVISOR_sysctl, HYPERVISOR_domctl, HYPERVISOR_kexec_op,
    HYPERVISOR_tmem_op, HYPERVISOR_argo_op, HYPERVISOR_xenpmu_op, HYPERVISOR_dm_op, HYPERVISOR_hypfs_op
};

enum {
    EPERM = 1, ENOENT = 2, ESRCH = 3, ENXIO = 6, ENOMEM = 12, EACCES = 13, EFAULT = 14, EBUSY = 16, EEXIST = 17,
    ENODEV = 19, EINVAL = 22, ENOSPC = 28, ENOSYS = 38, ETIME = 62, EOPNOTSUPP = 95
};

#define DOMID_SELF 0x7ff0
#define FLAT_RING3_CS32 0xe023
#define FLAT_RING3_CS64 0xe033
#define FLAT_RING3_DS32 0xe02b
#define FLAT_KERNEL_CS 0xe030 // as kernel mode is told apart in a frame: RPL 0

// ---- page tables

#define PAGE_SIZE 4096UL
#define PTE_P 1UL
#define PTE_RW 2UL
#define PTE_US 4UL
#define PTE_PWT 8UL
#define PTE_PCD 0x10UL
#define PTE_A 0x20UL
#define PTE_D 0x40UL
#define PTE_PSE 0x80UL
#define PTE_G 0x100UL
#define PTE_NX (1UL << 63)
#define PTE_FRAME 0xffffffffff000UL
#define RW (PTE_P | PTE_RW | PTE_A | PTE_D)
#define RO (PTE_P | PTE_A | PTE_D)

struct mmu_update { u64 ptr, val; };
enum { MMU_NORMAL_PT_UPDATE, MMU_MACHPHYS_UPDATE, MMU_PT_UPDATE_PRESERVE_AD };
struct mmuext_op { u32 cmd; u64 arg1, arg2; };
enum {
    MMUEXT_PIN_L1_TABLE, MMUEXT_PIN_L2_TABLE, MMUEXT_PIN_L3_TABLE, MMUEXT_PIN_L4_TABLE, MMUEXT_UNPIN_TABLE,
    MMUEXT_NEW_BASEPTR, MMUEXT_TLB_FLUSH_LOCAL, MMUEXT_INVLPG_LOCAL, MMUEXT_TLB_FLUSH_MULTI, MMUEXT_INVLPG_MULTI,
    MMUEXT_TLB_FLUSH_ALL, MMUEXT_INVLPG_ALL, MMUEXT_FLUSH_CACHE, MMUEXT_SET_LDT, MMUEXT_NEW_USER_BASEPTR = 15,
    MMUEXT_CLEAR_PAGE, MMUEXT_COPY_PAGE, MMUEXT_FLUSH_CACHE_GLOBAL, MMUEXT_MARK_SUPER, MMUEXT_UNMARK_SUPER
};
#define UVMF_INVLPG 2

#define VMASST_writable_pagetables 2
#define VMASST_architectural_iopl 4
#define VMASST_m2p_strict 32

// ---- traps and callbacks

struct trap_info { u8 vector, flags; u16 cs; u64 address; };
#define TI_IF 4
enum {
    CALLBACKTYPE_event, CALLBACKTYPE_failsafe, CALLBACKTYPE_syscall, CALLBACKTYPE_nmi = 4, CALLBACKTYPE_sysenter
};
#define CALLBACKF_mask_events 1
struct callback_register { u16 type, flags; u64 address; };
enum { SEGBASE_FS, SEGBASE_GS_USER, SEGBASE_GS_KERNEL, SEGBASE_GS_USER_SEL };
struct multicall_entry { u64 op; long result; u64 args[6]; };

// ---- events and time

struct vcpu_time_info { u32 version, pad0; u64 tsc_timestamp, system_time; u32 tsc_to_system_mul; signed char tsc_shift; u8 flags, pad1[2]; };
struct vcpu_info { u8 evtchn_upcall_pending, evtchn_upcall_mask; u64 evtchn_pending_sel, cr2, pad; struct vcpu_time_info time; };
struct shared_info {
    struct vcpu_info vcpu_info[32];
    u64 evtchn_pending[64], evtchn_mask[64];
    u32 wc_version, wc_sec, wc_nsec, wc_sec_hi;
    u64 max_pfn, pfn_to_mfn_frame_list_list, nmi_reason, p2m_cr3, p2m_vaddr, p2m_generation;
};
enum {
    EVTCHNOP_bind_interdomain, EVTCHNOP_bind_virq, EVTCHNOP_bind_pirq, EVTCHNOP_close, EVTCHNOP_send, EVTCHNOP_status,
    EVTCHNOP_alloc_unbound, EVTCHNOP_bind_ipi, EVTCHNOP_bind_vcpu, EVTCHNOP_unmask, EVTCHNOP_reset,
    EVTCHNOP_init_control, EVTCHNOP_expand_array, EVTCHNOP_set_priority
};
enum { VIRQ_TIMER, VIRQ_DEBUG, VIRQ_CONSOLE };
struct evtchn_bind_virq { u32 virq, vcpu, port; };
struct evtchn_bind_ipi { u32 vcpu, port; };
struct evtchn_alloc_unbound { u16 dom, remote_dom; u32 port; };
struct evtchn_bind_interdomain { u16 remote_dom; u32 remote_port, local_port; };
struct evtchn_status { u16 dom; u32 port, status, vcpu, u[2]; };
struct evtchn_bind_vcpu { u32 port, vcpu; };
struct evtchn_init_control { u64 control_gfn; u32 offset, vcpu; u8 link_bits, pad[7]; };
struct evtchn_set_priority { u32 port, priority; };

enum { SCHEDOP_yield, SCHEDOP_block, SCHEDOP_shutdown, SCHEDOP_poll, SCHEDOP_remote_shutdown, SCHEDOP_shutdown_code, SCHEDOP_watchdog, SCHEDOP_pin_override };
enum { SHUTDOWN_poweroff, SHUTDOWN_reboot, SHUTDOWN_suspend, SHUTDOWN_crash, SHUTDOWN_watchdog };
struct sched_poll { u32 *ports; u32 nr_ports; u64 timeout; };

enum {
    VCPUOP_initialise, VCPUOP_up, VCPUOP_down, VCPUOP_is_up, VCPUOP_get_runstate_info, VCPUOP_register_runstate_memory_area,
    VCPUOP_set_periodic_timer, VCPUOP_stop_periodic_timer, VCPUOP_set_singleshot_timer, VCPUOP_stop_singleshot_timer,
    VCPUOP_register_vcpu_info, VCPUOP_send_nmi, VCPUOP_get_physid, VCPUOP_register_vcpu_time_memory_area
};
struct vcpu_set_singleshot_timer { u64 timeout_abs_ns; u32 flags; };
#define VCPU_SSHOTTMR_future 1
struct vcpu_set_periodic_timer { u64 period_ns; };
struct vcpu_register_vcpu_info { u64 mfn; u32 offset, rsvd; };
struct vcpu_runstate_info { int state; u64 state_entry_time, time[4]; };
struct cpu_user_regs {
    u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    u32 error_code, entry_vector;
    u64 rip;
    u16 cs, pad0;
    u8 saved_upcall_mask, pad1[3];
    u64 rflags, rsp, ss, es, ds, fs, gs;
};
struct vcpu_guest_context {
    u8 fpu_ctxt[512];
    u64 flags;
    struct cpu_user_regs user_regs;
    struct trap_info trap_ctxt[256];
    u64 ldt_base, ldt_ents, gdt_frames[16], gdt_ents, kernel_ss, kernel_sp, ctrlreg[8], debugreg[8];
    u64 event_callback_eip, failsafe_callback_eip, syscall_callback_eip, vm_assist, fs_base, gs_base_kernel, gs_base_user;
};
#define VGCF_in_kernel 4
#define VGCF_in_syscall 0x100

// ---- memory, version, grants, physdev

enum {
    XENMEM_increase_reservation, XENMEM_decrease_reservation, XENMEM_maximum_ram_page, XENMEM_current_reservation,
    XENMEM_maximum_reservation, XENMEM_machphys_mfn_list, XENMEM_populate_physmap, XENMEM_add_to_physmap,
    XENMEM_memory_map = 9, XENMEM_machine_memory_map, XENMEM_exchange, XENMEM_machphys_mapping, XENMEM_set_memory_map, XENMEM_maximum_gpfn
};
struct xen_memory_reservation { u64 *extent_start; u64 nr_extents; u32 extent_order, mem_flags; u16 domid; };
struct xen_memory_exchange { struct xen_memory_reservation in, out; u64 nr_exchanged; };
enum {
    XENVER_version, XENVER_extraversion, XENVER_compile_info, XENVER_capabilities, XENVER_changeset, XENVER_platform_parameters,
    XENVER_get_features, XENVER_pagesize, XENVER_guest_handle, XENVER_commandline, XENVER_build_id
};
enum {
    GNTTABOP_map_grant_ref, GNTTABOP_unmap_grant_ref, GNTTABOP_setup_table, GNTTABOP_dump_table, GNTTABOP_transfer, GNTTABOP_copy,
    GNTTABOP_query_size, GNTTABOP_unmap_and_replace, GNTTABOP_set_version, GNTTABOP_get_status_frames, GNTTABOP_get_version,
    GNTTABOP_swap_grant_ref, GNTTABOP_cache_flush
};
struct grant_entry_v1 { u16 flags, domid; u32 frame; };
union grant_entry_v2 {
    struct { u16 flags, domid; };
    struct { u16 flags, domid; u32 pad0; u64 frame; } full_page;
    struct { u16 flags, domid, page_off, length; u64 frame; } sub_page;
    struct { u16 flags, domid, trans_domid, pad0; u32 gref; } transitive;
    u64 words[2];
};
#define GTF_permit_access 1
#define GTF_accept_transfer 2
#define GTF_transitive 3
#define GTF_readonly 4
#define GTF_reading 8
#define GTF_writing 16
#define GTF_sub_page 256
#define GTF_transfer_committed 4
#define GTF_transfer_completed 8
struct gnttab_map_grant_ref { u64 host_addr; u32 flags, ref; u16 dom; short status; u32 handle; u64 dev_bus_addr; };
struct gnttab_unmap_grant_ref { u64 host_addr, dev_bus_addr; u32 handle; short status; };
struct gnttab_unmap_and_replace { u64 host_addr, new_addr; u32 handle; short status; };
struct gnttab_transfer { u64 mfn; u16 domid; u32 ref; short status; };
struct gnttab_set_version { u32 version; };
struct gnttab_get_version { u16 dom, pad; u32 version; };
struct gnttab_get_status_frames { u32 nr_frames; u16 dom; short status; u64 *frame_list; };
struct gnttab_swap_grant_ref { u32 ref_a, ref_b; short status; };
struct gnttab_cache_flush { u64 a; u16 offset, length; u32 op; };
struct gnttab_setup_table { u16 dom; u32 nr_frames; short status; u64 *frame_list; };
struct gnttab_query_size { u16 dom; u32 nr_frames, max_nr_frames; short status; };
struct gnttab_copy { u64 source; u16 source_domid, source_offset; u32 pad0; u64 dest; u16 dest_domid, dest_offset; u32 pad1; u16 len, flags; short status; };
#define GNTCOPY_source_gref 1
#define GNTCOPY_dest_gref 2
#define GNTMAP_device_map 1
#define GNTMAP_host_map 2
#define GNTMAP_readonly 4
#define GNTMAP_contains_pte 16
enum {
    PHYSDEVOP_set_iopl = 6, PHYSDEVOP_set_iobitmap = 7, PHYSDEVOP_map_pirq = 13
};
struct physdev_set_iobitmap { u8 *bitmap; u32 nr_ports; };

struct start_info {
    char magic[32];
    u64 nr_pages, shared_info;
    u32 flags;
    u64 store_mfn;
    u32 store_evtchn;
    u64 console_mfn;
    u32 console_evtchn;
    u64 pt_base, nr_pt_frames, mfn_list, mod_start, mod_len;
    char cmd_line[1024];
    u64 first_p2m_pfn, nr_p2m_frames;
};

// ---- the library

/** What trap entry leaves on the stack. `vector`: 0..255, or one of the entries below. */
struct frame {
    u64 r15, r14, r13, r12, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rax, vector, rcx, r11, error, rip;
    u32 cs, saved_mask;
    u64 rflags, rsp, ss;
};
enum { UPCALL = 0x100, SYSCALL = 0x101, SYSENTER = 0x102, FAILSAFE = 0x103 };

extern struct start_info *start_info;
extern struct shared_info *shared_info;
extern struct vcpu_info *vcpu0;
extern u64 *p2m;
/** The frame of the last guarded trap, and the fault address that Xen reported with it. */
extern struct frame fault;
extern u64 fault_cr2;
/** Called for traps outside of `guarded`, when set; returns to where the frame says. */
extern void (*on_trap)(struct frame *);

extern u8 trap_stubs[], trap_stubs_extra[], upcall_entry[], syscall_entry[], sysenter_entry[], failsafe_entry[], hypercall_page[];
extern u8 kernel_stack[], kernel_stack_top[], virt_base[], guest_end[];
extern u32 failsafe_selectors[2];
extern u64 guard_sp;

long hypercall(u64 number, ...);
/** Calls fn(arg). 1 when it trapped: `fault` has the frame, and events are masked as they were before. */
int guarded(void (*fn)(u64), u64 arg);
void enter(struct frame *) __attribute__((noreturn));

/** The guest's own part. */
void guest_main(const char *command_line);

void print(const char *format, ...); // %s %d %x (u64) %c
void ok(int good, const char *name, ...);
/** `got` must be `want`. */
void is(u64 got, u64 want, const char *name, ...);
void plan(void);                                      // prints how many checks there were
void stop(int reason) __attribute__((noreturn));      // shuts down
void finish(int reason) __attribute__((noreturn));    // both
int has_option(const char *word);

void *memset(void *, int, u64);
void *memcpy(void *, const void *, u64);
int strcmp(const char *, const char *);

/** A page of mapped, zeroed memory that nothing else uses. */
void *page(void);
u64 mfn_of(const void *va);
void *va_of_mfn(u64 mfn);
/** The entry that maps `va` at a level (1..4), through the read-only mapping of its table; 0 when there is no table. */
u64 *entry_of(const void *va, int level);
/** Its machine address. */
u64 entry_address(const void *va, int level);
u64 pte(const void *va, u64 flags);
long set_va(const void *va, u64 entry);
long update_entry(u64 machine_address, u64 entry);
long mmuext(u32 cmd, u64 arg1, u64 arg2);
long set_trap(u8 vector, u8 flags, const void *address);
void reset_traps(void);
long set_callback(u16 type, u16 flags, const void *address);

#define HERE(name) extern char name[]
/** A function in assembly whose address, and labels within, tests can name. rdi is its argument. */
#define SNIPPET(name, code) void name(u64); asm(".pushsection .text\n.balign 16\n.globl " #name "\n" #name ":\n" code "\nret\n.popsection")

#endif
