// The main results and errors of each group of hypercalls. Runs in both builds: through the hypercall page, and with
// SYSCALL issued by the guest itself.

#include "pv.h"

#define CALL(want, name, ...) is(hypercall(HYPERVISOR_##name, __VA_ARGS__), want, #name "(" #__VA_ARGS__ ")")
static void *const NOWHERE = (void *)0x123456789000;
static void *const XEN = (void *)0xffff820000000000;
static void *const NON_CANONICAL = (void *)0x8000000000000000;

SNIPPET(registers_across_a_call,
    "push %rbx\n mov %rdi, %rbx\n mov $0x1111, %r12d\n mov $17, %eax\n xor %edi, %edi\n mov $0x2222, %esi\n mov $0x4444, %r10d\n"
    "syscall\nafter_syscall: mov %rcx, (%rbx)\n mov %r11, 8(%rbx)\n mov %rdi, 16(%rbx)\n mov %rsi, 24(%rbx)\n mov %r10, 32(%rbx)\n"
    "mov %rax, 40(%rbx)\n pop %rbx");
HERE(after_syscall);

static void abi(void) {
    u64 r[6];
    registers_across_a_call((u64)r);
    is(r[0], (u64)after_syscall, "rcx is the address behind SYSCALL");
    is(r[1] & 0x200, 0x200, "r11 has the interrupt flag set");
    is(r[5], 0x40011, "rax is the result");
    is(hypercall(63), -ENOSYS, "a number without a hypercall");
    is(hypercall(100), -ENOSYS, "a number beyond the table");
    is(hypercall(11), -ENOSYS, "a hole in the table");
}

static void version(void) {
    char text[1024];
    CALL(0x40011, xen_version, XENVER_version, 0);
    CALL(0, xen_version, XENVER_capabilities, text);
    CALL(-EFAULT, xen_version, XENVER_capabilities, NOWHERE);
    CALL(-EFAULT, xen_version, XENVER_capabilities, XEN);
    CALL(-EFAULT, xen_version, XENVER_capabilities, NON_CANONICAL);
    CALL(4096, xen_version, XENVER_pagesize, 0);
    CALL(-EINVAL, xen_version, XENVER_pagesize, text);
    CALL(-ENOSYS, xen_version, 99, 0);
    u32 features[2] = { 0, 0 };
    CALL(0, xen_version, XENVER_get_features, features);
    is(features[1] & ~0x10, 0x220e0, "features, but for pae_pgdir_above_4gb");
    features[0] = 1;
    CALL(-EINVAL, xen_version, XENVER_get_features, features);
    u64 start = 0;
    CALL(0, xen_version, XENVER_platform_parameters, &start);
    is(start, 0xffff800000000000, "where Xen begins");
    CALL(0, xen_version, XENVER_commandline, text);
    is(strcmp(text, "<denied>"), 0, "Xen's command line is not for a DomU");
}

static void privileged_groups(void) {
    u32 op[40] = { 1, 0 };
    CALL(-EFAULT, sysctl, NOWHERE);
    CALL(-EFAULT, domctl, NOWHERE);
    CALL(-EFAULT, platform_op, NOWHERE);
    CALL(-EACCES, sysctl, op);
    CALL(-EACCES, domctl, op);
    CALL(-EACCES, platform_op, op);
    op[1] = 0x15;
    CALL(-EPERM, sysctl, op);
    op[1] = 0x15;
    CALL(-EPERM, domctl, op);
    op[1] = 0x03000001;
    CALL(-EPERM, platform_op, op);
    CALL(-EPERM, kexec_op, 0, 0);
    CALL(-EPERM, hypfs_op, 0, 0);
    CALL(-ENOSYS, xsm_op, 0);
    CALL(-ENOSYS, tmem_op, 0);
    is(hypercall(HYPERVISOR_argo_op, 1, 0, 0, 0, 0), -ENOSYS, "argo_op");
    CALL(-EOPNOTSUPP, xenpmu_op, 0, 0);
}

static void traps(void) {
    struct trap_info table[3] = { { 0x90, 0, 0xe033, 0x1000 }, { 0x91, 0, 0xe033, 0x8000000000000000 } };
    CALL(-EINVAL, set_trap_table, table);
    CALL(-EFAULT, set_trap_table, NOWHERE);
    CALL(0, stack_switch, FLAT_RING3_DS32, kernel_stack_top);
    struct callback_register bad = { CALLBACKTYPE_event, 0, 0x8000000000000000 };
    CALL(-EINVAL, callback_op, 0, &bad);
    bad.type = 77;
    bad.address = 0x1000;
    CALL(-ENOSYS, callback_op, 0, &bad);
    CALL(-EFAULT, callback_op, 0, NOWHERE);
    CALL(-ENOSYS, callback_op, 9, &bad);
    bad.type = CALLBACKTYPE_event;
    CALL(-EINVAL, callback_op, 1, &bad);
    CALL(-ENOSYS, nmi_op, 9, 0);
    CALL(-EFAULT, nmi_op, 0, NOWHERE);
    CALL(0, nmi_op, 1, 0);
}

static void memory(void) {
    u16 self = DOMID_SELF, nobody = 77;
    is(hypercall(HYPERVISOR_memory_op, XENMEM_current_reservation, &self), start_info->nr_pages, "XENMEM_current_reservation");
    CALL(-ESRCH, memory_op, XENMEM_current_reservation, &nobody);
    CALL(-EFAULT, memory_op, XENMEM_current_reservation, NOWHERE);
    CALL(-ENOSYS, memory_op, 60, 0);
    CALL(-EPERM, memory_op, XENMEM_machine_memory_map, 0);
    ok(hypercall(HYPERVISOR_memory_op, XENMEM_maximum_ram_page, 0) > 0, "XENMEM_maximum_ram_page");
    CALL(-EINVAL, memory_op, XENMEM_maximum_ram_page | 1 << 6, 0);
    CALL(-EINVAL, memory_op, XENMEM_exchange | 1 << 6, 0);
    u64 mapping[3] = { 0 };
    CALL(0, memory_op, XENMEM_machphys_mapping, mapping);
    is(mapping[0], 0xffff800000000000, "the m2p begins where Xen begins");
    u64 mfn = mfn_of(page());
    struct xen_memory_reservation r = { &mfn, 1, 0, 0, DOMID_SELF };
    r.nr_extents = 0;
    CALL(0, memory_op, XENMEM_decrease_reservation, &r);
    r.nr_extents = 1UL << 60;
    CALL(0, memory_op, XENMEM_decrease_reservation, &r);
    r.nr_extents = 1;
    r.extent_order = 10;
    CALL(0, memory_op, XENMEM_decrease_reservation, &r);
    r.extent_order = 0;
    r.domid = 77;
    CALL(0, memory_op, XENMEM_decrease_reservation, &r);
    r.domid = DOMID_SELF;
    CALL(3, memory_op, XENMEM_decrease_reservation | 3 << 6, &r);
    CALL(3, memory_op, XENMEM_decrease_reservation | 3 << 6, NOWHERE);
    r.extent_start = NOWHERE;
    CALL(0, memory_op, XENMEM_decrease_reservation, &r);
    CALL(0, memory_op, XENMEM_decrease_reservation, NOWHERE);

    void *gone = page();
    mfn = mfn_of(gone);
    u64 pfn = ((u64)gone - (u64)virt_base) >> 12;
    is(set_va(gone, 0), 0, "unmapping a page");
    r.extent_start = &mfn;
    CALL(1, memory_op, XENMEM_decrease_reservation, &r);
    is(hypercall(HYPERVISOR_memory_op, XENMEM_current_reservation, &self), start_info->nr_pages - 1, "one page less");
    CALL(0, memory_op, XENMEM_decrease_reservation, &r);
    mfn = pfn;
    CALL(1, memory_op, XENMEM_populate_physmap, &r);
    is(hypercall(HYPERVISOR_memory_op, XENMEM_current_reservation, &self), start_info->nr_pages, "and back");
    p2m[pfn] = mfn;
    is(((u64 *)0xffff800000000000)[mfn], pfn, "the m2p knows the new frame");
    is(set_va(gone, mfn << 12 | RW), 0, "mapping the new frame");
    is(*(u64 *)gone, 0, "it is clean");
}

static void segments(void) {
    u64 value;
    CALL(0, set_segment_base, SEGBASE_FS, 0x123456789a);
    asm volatile("mov $0, %0" : "=r"(value));
    static u64 word = 0xfeedface;
    CALL(0, set_segment_base, SEGBASE_FS, (u64)&word - 16);
    asm volatile("mov %%fs:16, %0" : "=r"(value));
    is(value, 0xfeedface, "fs base");
    CALL(0, set_segment_base, SEGBASE_GS_KERNEL, (u64)&word + 16);
    asm volatile("mov %%gs:-16, %0" : "=r"(value));
    is(value, 0xfeedface, "gs base");
    CALL(0, set_segment_base, SEGBASE_GS_USER, 0x1000);
    asm volatile("mov %%gs:-16, %0" : "=r"(value));
    is(value, 0xfeedface, "the user's gs base is not the kernel's");
    CALL(-EINVAL, set_segment_base, SEGBASE_FS, NON_CANONICAL);
    CALL(-EINVAL, set_segment_base, SEGBASE_GS_USER, NON_CANONICAL);
    CALL(-EINVAL, set_segment_base, SEGBASE_GS_KERNEL, NON_CANONICAL);
    CALL(-EINVAL, set_segment_base, 4, 0);
    CALL(0, set_segment_base, SEGBASE_GS_USER_SEL, 0);
    CALL(0, set_segment_base, SEGBASE_GS_USER_SEL, 0x7fb);
}

static void debug_registers(void) {
    CALL(0, set_debugreg, 0, 0x123456);
    CALL(0x123456, get_debugreg, 0);
    CALL(0, set_debugreg, 0, 0);
    CALL(-EPERM, set_debugreg, 1, XEN);
    CALL(-EPERM, set_debugreg, 1, NON_CANONICAL);
    CALL(-ENODEV, set_debugreg, 8, 0);
    CALL(-ENODEV, get_debugreg, 8);
    CALL(-EINVAL, set_debugreg, 7, 1UL << 32);
    CALL(-EINVAL, set_debugreg, 6, 1UL << 32);
    CALL(-EPERM, set_debugreg, 7, 0x2000);
    CALL(0xffff0ff0, get_debugreg, 6);
    CALL(0x400, get_debugreg, 7);
}

static void multicall(void) {
    struct multicall_entry list[] = {
        { HYPERVISOR_xen_version, 1, { XENVER_version } },
        { 63, 1, {} },
        { HYPERVISOR_multicall, 1, {} },
        { HYPERVISOR_xen_version, 1, { XENVER_capabilities, (u64)NOWHERE } },
        { HYPERVISOR_set_segment_base, 1, { SEGBASE_FS, (u64)NON_CANONICAL } },
    };
    CALL(0, multicall, list, 5);
    is(list[0].result, 0x40011, "first result");
    is(list[1].result, -ENOSYS, "unknown number in a multicall");
    is(list[2].result, -EINVAL, "a multicall in a multicall");
    is(list[3].result, -EFAULT, "an error in a multicall");
    is(list[4].result, -EINVAL, "and the list goes on");
    CALL(0, multicall, list, 0);
    CALL(-EFAULT, multicall, NOWHERE, 1);
    CALL(-EFAULT, multicall, XEN, 1);
    char *end = page();
    char *beyond = page();
    memcpy(beyond - sizeof list[0], list, sizeof list[0]);
    set_va(beyond, 0);
    CALL(-EFAULT, multicall, beyond - sizeof list[0], 2);
    is(((struct multicall_entry *)(beyond - sizeof list[0]))->result, 0x40011, "what came before the fault was done");
    (void)end;
    struct multicall_entry *many = page();
    page();
    static struct multicall_entry long_list[600];
    for (int i = 0; i < 600; i++) long_list[i].op = HYPERVISOR_xen_version;
    CALL(0, multicall, long_list, 600);
    int good = 0;
    for (int i = 0; i < 600; i++) good += long_list[i].result == 0x40011;
    is(good, 600, "a long list");
    (void)many;
}

static void events(void) {
    struct evtchn_bind_virq virq = { VIRQ_TIMER, 0, 0 };
    CALL(0, event_channel_op, EVTCHNOP_bind_virq, &virq);
    CALL(-EEXIST, event_channel_op, EVTCHNOP_bind_virq, &virq);
    struct evtchn_bind_virq bad = { 24, 0, 0 };
    CALL(-EINVAL, event_channel_op, EVTCHNOP_bind_virq, &bad);
    bad = (struct evtchn_bind_virq){ VIRQ_DEBUG, 9, 0 };
    CALL(-ENOENT, event_channel_op, EVTCHNOP_bind_virq, &bad);
    struct evtchn_bind_ipi ipi = { 0, 0 };
    CALL(0, event_channel_op, EVTCHNOP_bind_ipi, &ipi);
    ipi.vcpu = 5;
    CALL(-ENOENT, event_channel_op, EVTCHNOP_bind_ipi, &ipi);
    struct evtchn_alloc_unbound unbound = { DOMID_SELF, DOMID_SELF, 0 };
    CALL(0, event_channel_op, EVTCHNOP_alloc_unbound, &unbound);
    struct evtchn_bind_interdomain bind = { DOMID_SELF, unbound.port, 0 };
    CALL(0, event_channel_op, EVTCHNOP_bind_interdomain, &bind);
    CALL(-EINVAL, event_channel_op, EVTCHNOP_bind_interdomain, &bind);
    struct evtchn_status status = { DOMID_SELF, bind.local_port, 0, 0, { 0, 0 } };
    CALL(0, event_channel_op, EVTCHNOP_status, &status);
    is(status.status, 2, "bound to a domain");
    is(status.u[1], unbound.port, "its other end");
    CALL(0, event_channel_op, EVTCHNOP_send, &bind.local_port);
    is(shared_info->evtchn_pending[unbound.port / 64] >> unbound.port % 64 & 1, 1, "the other end has the event");
    CALL(0, event_channel_op, EVTCHNOP_close, &bind.local_port);
    CALL(-EINVAL, event_channel_op, EVTCHNOP_close, &bind.local_port);
    CALL(0, event_channel_op, EVTCHNOP_close, &unbound.port);
    u32 port = 0;
    CALL(-EINVAL, event_channel_op, EVTCHNOP_close, &port);
    CALL(-EINVAL, event_channel_op, EVTCHNOP_send, &virq.port);
    port = 5000;
    CALL(-EINVAL, event_channel_op, EVTCHNOP_send, &port);
    CALL(-EINVAL, event_channel_op, EVTCHNOP_unmask, &port);
    CALL(-ENOSYS, event_channel_op, 99, &port);
    CALL(-EFAULT, event_channel_op, EVTCHNOP_send, NOWHERE);
    CALL(0, event_channel_op, EVTCHNOP_close, &virq.port);
}

static void scheduling(void) {
    CALL(0, sched_op, SCHEDOP_yield, 0);
    CALL(-ENOSYS, sched_op, 99, 0);
    CALL(-EFAULT, sched_op, SCHEDOP_shutdown, NOWHERE);
    CALL(-EFAULT, sched_op, SCHEDOP_poll, NOWHERE);
    struct sched_poll poll = { 0, 129, 0 };
    CALL(-EINVAL, sched_op, SCHEDOP_poll, &poll);
    poll = (struct sched_poll){ NOWHERE, 1, 0 };
    CALL(-EFAULT, sched_op, SCHEDOP_poll, &poll);
    u32 port = 5000;
    poll = (struct sched_poll){ &port, 1, 0 };
    CALL(-EINVAL, sched_op, SCHEDOP_poll, &poll);
    CALL(0, sched_op_compat, SCHEDOP_yield, 0);
    CALL(-ENOSYS, sched_op_compat, SCHEDOP_poll, 0);
    CALL(1, vcpu_op, VCPUOP_is_up, 0, 0);
    CALL(-ENOENT, vcpu_op, VCPUOP_is_up, 7, 0);
    CALL(-ENOSYS, vcpu_op, 99, 0, 0);
    struct vcpu_runstate_info state;
    CALL(0, vcpu_op, VCPUOP_get_runstate_info, 0, &state);
    is(state.state, 0, "running");
    CALL(-EFAULT, vcpu_op, VCPUOP_get_runstate_info, 0, NOWHERE);
    CALL(-EFAULT, vcpu_op, VCPUOP_initialise, 0, NOWHERE);
    struct vcpu_set_singleshot_timer timer = { 1, VCPU_SSHOTTMR_future };
    CALL(0, vcpu_op, VCPUOP_set_singleshot_timer, 0, &timer);
    CALL(0, vcpu_op, VCPUOP_stop_singleshot_timer, 0, 0);
    struct vcpu_set_periodic_timer periodic = { 1000 };
    CALL(-EINVAL, vcpu_op, VCPUOP_set_periodic_timer, 0, &periodic);
    CALL(0, vcpu_op, VCPUOP_stop_periodic_timer, 0, 0);
    struct vcpu_register_vcpu_info info = { mfn_of(page()), 4096 - 32, 0 };
    CALL(-ENXIO, vcpu_op, VCPUOP_register_vcpu_info, 0, &info);
    info = (struct vcpu_register_vcpu_info){ 0xfffffffff, 0, 0 };
    CALL(-EINVAL, vcpu_op, VCPUOP_register_vcpu_info, 0, &info);
    CALL(0, set_timer_op, 0);
}

static void assists(void) {
    CALL(0, vm_assist, 0, VMASST_writable_pagetables);
    CALL(0, vm_assist, 1, VMASST_writable_pagetables);
    CALL(-ENOSYS, vm_assist, 2, VMASST_writable_pagetables);
    CALL(-EINVAL, vm_assist, 0, 20);
    CALL(0, fpu_taskswitch, 0);
    u32 iopl = 4;
    CALL(-EINVAL, physdev_op, PHYSDEVOP_set_iopl, &iopl);
    iopl = 1;
    CALL(0, physdev_op, PHYSDEVOP_set_iopl, &iopl);
    CALL(-EFAULT, physdev_op, PHYSDEVOP_set_iopl, NOWHERE);
    CALL(-ENOSYS, physdev_op, 99, 0);
    struct physdev_set_iobitmap bitmap = { XEN, 65537 };
    CALL(-EINVAL, physdev_op, PHYSDEVOP_set_iobitmap, &bitmap);
}

static void grants(void) {
    struct gnttab_query_size size = { DOMID_SELF, 0, 0, 1 };
    CALL(0, grant_table_op, GNTTABOP_query_size, &size, 1);
    is(size.status, 0, "query_size");
    u64 *frames = page();
    struct gnttab_setup_table setup = { DOMID_SELF, 1, 1, frames };
    CALL(0, grant_table_op, GNTTABOP_setup_table, &setup, 1);
    is(setup.status, 0, "setup_table");
    struct grant_entry_v1 *table = page();
    is(set_va(table, frames[0] << 12 | RW), 0, "mapping the grant table");
    void *shared = page();
    char *seen = page();
    table[10] = (struct grant_entry_v1){ GTF_permit_access, 0, mfn_of(shared) };
    struct gnttab_map_grant_ref map = { (u64)seen, GNTMAP_host_map, 10, 999, 7, 0, 0 };
    CALL(0, grant_table_op, GNTTABOP_map_grant_ref, &map, 1);
    is(map.status, -2, "a grant of a domain that is not there");
    CALL(-EFAULT, grant_table_op, GNTTABOP_map_grant_ref, NOWHERE, 1);
    CALL(-ENOSYS, grant_table_op, 99, &map, 1);
    struct gnttab_copy copy = { mfn_of(shared), DOMID_SELF, 0, 0, mfn_of(seen), DOMID_SELF, 8, 0, 4096, 0, 1 };
    CALL(0, grant_table_op, GNTTABOP_copy, &copy, 1);
    is(copy.status, -10, "a copy that leaves its page");
    memcpy(shared, "granted", 8);
    copy.len = 8;
    CALL(0, grant_table_op, GNTTABOP_copy, &copy, 1);
    is(copy.status, 0, "a copy within the domain");
    is(strcmp(seen + 8, "granted"), 0, "its bytes");
    CALL(-EINVAL, grant_table_op, GNTTABOP_query_size, &size, 2);
}

void guest_main(const char *command_line) {
    (void)command_line;
    abi();
    version();
    privileged_groups();
    traps();
    memory();
    segments();
    debug_registers();
    multicall();
    events();
    scheduling();
    assists();
    grants();
}
