// What every command of the hypercalls with commands answers to arguments that say nothing: a null pointer, an address
// that is not mapped, zeros, ones, zeros with
// the guest's own domain number at the beginning. A line for each, to be compared with what Xen prints (answers.txt).

#include "pv.h"

enum { COMMANDS = 48 };
static u8 *buffer;
static const struct group { u8 number, first; const char *name; u64 skip; } GROUPS[] = {
    // `first`: index of the argument that takes the pointer; `skip`: commands that end or stop the guest
    { HYPERVISOR_memory_op, 1, "memory_op", 0 },
    { HYPERVISOR_xen_version, 1, "xen_version", 0 },
    { HYPERVISOR_grant_table_op, 1, "grant_table_op", 0 },
    { HYPERVISOR_vcpu_op, 2, "vcpu_op", 1UL << VCPUOP_down | 1UL << VCPUOP_register_runstate_memory_area | 1UL << VCPUOP_register_vcpu_time_memory_area },
    { HYPERVISOR_nmi_op, 1, "nmi_op", 0 },
    { HYPERVISOR_sched_op, 1, "sched_op", 1UL << SCHEDOP_block | 1UL << SCHEDOP_shutdown | 1UL << SCHEDOP_poll | 1UL << SCHEDOP_shutdown_code | 1UL << SCHEDOP_watchdog },
    { HYPERVISOR_sched_op_compat, 1, "sched_op_compat", 1UL << SCHEDOP_block | 1UL << SCHEDOP_shutdown },
    { HYPERVISOR_callback_op, 1, "callback_op", 0 },
    { HYPERVISOR_event_channel_op, 1, "event_channel_op", 1UL << EVTCHNOP_reset },
    { HYPERVISOR_physdev_op, 1, "physdev_op", 0 },
    { HYPERVISOR_hvm_op, 1, "hvm_op", 0 },
    { HYPERVISOR_xenpmu_op, 1, "xenpmu_op", 0 },
    { HYPERVISOR_set_debugreg, 1, "set_debugreg", 0 },
    { HYPERVISOR_set_segment_base, 1, "set_segment_base", 0 },
    { HYPERVISOR_fpu_taskswitch, 1, "fpu_taskswitch", 0 },
    { HYPERVISOR_set_timer_op, 1, "set_timer_op", 0 },
};

static const char *const KINDS[] = { "null", "unmapped", "zeros", "ones", "self" };
static u64 argument(int kind) {
    if (kind >= 2) memset(buffer, kind == 3 ? 0xff : 0, PAGE_SIZE);
    if (kind == 4) *(u16 *)buffer = DOMID_SELF;
    return kind == 0 ? 0 : kind == 1 ? 0x123456789000 : (u64)buffer;
}

/** VCPUOP_send_nmi. */
static void nothing(struct frame *f) { (void)f; }

void guest_main(const char *command_line) {
    (void)command_line;
    buffer = page();
    on_trap = nothing;
    for (unsigned g = 0; g < sizeof GROUPS / sizeof *GROUPS; g++) {
        for (int kind = 0; kind < 5; kind++) {
            print("%s %s:", GROUPS[g].name, KINDS[kind]);
            for (u64 cmd = 0; cmd < COMMANDS; cmd++) {
                if (GROUPS[g].skip >> cmd & 1) continue;
                u64 at = argument(kind);
                long rc = GROUPS[g].first == 1 ? hypercall(GROUPS[g].number, cmd, at, 1UL) : hypercall(GROUPS[g].number, cmd, 0UL, at);
                if (rc == -ENOSYS) continue;
                // sizes and frame numbers differ from machine to machine
                if (rc > 4096) print(" %d=+", cmd);
                else print(" %d=%d", cmd, rc);
            }
            print("\n");
        }
    }
    finish(SHUTDOWN_poweroff);
}
