// Ways for a guest to end itself that no handler of its own can stop: each is a word of the command line, and ends in
// a crash of the domain, never in anything else.

#include "pv.h"

SNIPPET(fault_now, "xor %eax, %eax\n mov (%rax), %eax");
SNIPPET(no_stack, "xor %esp, %esp\n push %rax");
SNIPPET(non_canonical_stack, "mov $0x800000000000, %rsp\n push %rax");
SNIPPET(xen_stack, "mov $0xffff820000001000, %rsp\n ud2");
SNIPPET(read_only_stack, "mov %rdi, %rsp\n ud2");
SNIPPET(lost_iret, "xor %esp, %esp\n mov $23, %eax\n syscall");
SNIPPET(to_user_without_tables, "mov %rdi, %rsp\n mov $23, %eax\n syscall");
SNIPPET(run_nowhere, "mov $0x1000, %eax\n jmp *%rax");

void guest_main(const char *command_line) {
    (void)command_line;
    static u64 user[] = { 0, 0, 0, 0, 0x1000, FLAT_RING3_CS64, 0x202, 0x1000, FLAT_RING3_DS32 };
    if (has_option("no-handler")) { set_trap(14, 0, 0); hypercall(HYPERVISOR_set_trap_table, 0); fault_now(0); }
    if (has_option("stack-at-zero")) no_stack(0);
    if (has_option("stack-not-canonical")) non_canonical_stack(0);
    if (has_option("stack-in-xen")) xen_stack(0);
    if (has_option("stack-read-only")) read_only_stack(start_info->pt_base + 4096);
    if (has_option("stack-unmapped-table")) { update_entry(mfn_of((void *)start_info->pt_base) << 12 | 511 * 8, 0); }
    if (has_option("handler-not-mapped")) { set_trap(14, 0, (void *)0x1000); fault_now(0); }
    if (has_option("handler-faults")) { set_trap(6, 0, (void *)fault_now); set_trap(14, 0, (void *)fault_now); fault_now(0); }
    if (has_option("iret-from-nothing")) lost_iret(0);
    if (has_option("user-without-tables")) to_user_without_tables((u64)user);
    if (has_option("user-without-kernel-stack")) {
        mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of((void *)start_info->pt_base), 0);
        hypercall(HYPERVISOR_stack_switch, FLAT_RING3_DS32, 0UL);
        to_user_without_tables((u64)user);
    }
    if (has_option("no-callback")) {
        hypercall(HYPERVISOR_set_callbacks, 0UL, 0UL, 0UL);
        vcpu0->evtchn_upcall_pending = 1;
        vcpu0->evtchn_upcall_mask = 0;
        hypercall(HYPERVISOR_xen_version, 0, 0);
    }
    if (has_option("shutdown-crash")) finish(SHUTDOWN_crash);
    print("Bail out! still here\n");
}
