// Two vCPUs: VCPUOP_initialise and up, IPIs both ways, a shared counter, down and up again.

#include "pv.h"

static struct vcpu_guest_context context;
static u8 second_stack[8192];
static u32 to_second, to_first;
static volatile u32 seen_by_second, seen_by_first, counter, running;
static volatile u64 second_id;

static void take(struct frame *f) {
    if (f->vector != UPCALL) {
        print("Bail out! trap %x error %x at %x\n", f->vector, f->error, f->rip);
        finish(SHUTDOWN_crash);
    }
    int me = f->rsp >= (u64)second_stack && f->rsp < (u64)second_stack + sizeof second_stack;
    struct vcpu_info *info = &shared_info->vcpu_info[me];
    info->evtchn_upcall_pending = 0;
    u64 words = __atomic_exchange_n(&info->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
    u32 port = me ? to_second : to_first;
    if ((words & 1) && (__atomic_fetch_and(&shared_info->evtchn_pending[0], ~(1UL << port), __ATOMIC_SEQ_CST) >> port & 1)) {
        if (me) seen_by_second++;
        else seen_by_first++;
    }
}

static void send(u32 port) { hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_send, &port); }

/** Waits until a counter is there. With events masked while it looks: one that came behind the look would wake nobody. */
static void await(int me, volatile u32 *counter_of, u32 n) {
    volatile u8 *mask = &shared_info->vcpu_info[me].evtchn_upcall_mask;
    for (*mask = 1; *counter_of < n; *mask = 1) hypercall(HYPERVISOR_sched_op, SCHEDOP_block, 0);
    *mask = 0;
}

static void second_main(u64 id) {
    second_id = id;
    running = 1;
    shared_info->vcpu_info[1].evtchn_upcall_mask = 0;
    for (u32 next = 1;; next++) {
        await(1, &seen_by_second, next);
        for (int i = 0; i < 10000; i++) __atomic_fetch_add(&counter, 1, __ATOMIC_SEQ_CST);
        send(to_first);
        if (next == 5) break;
    }
    hypercall(HYPERVISOR_vcpu_op, VCPUOP_down, 1, 0);
    running = 2;
    for (;;) hypercall(HYPERVISOR_sched_op, SCHEDOP_yield, 0);
}

static u32 ipi(u32 vcpu) {
    struct evtchn_bind_ipi bind = { vcpu, 0 };
    is(hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, &bind), 0, "bind an IPI of vCPU %d", (long)vcpu);
    shared_info->evtchn_mask[0] &= ~(1UL << bind.port);
    return bind.port;
}

void guest_main(const char *command_line) {
    (void)command_line;
    on_trap = take;
    to_first = ipi(0);
    to_second = ipi(1);
    is(hypercall(HYPERVISOR_vcpu_op, VCPUOP_up, 1, 0), -EINVAL, "up before initialise");
    is(hypercall(HYPERVISOR_vcpu_op, VCPUOP_is_up, 1, 0), 0, "it is down");
    context.flags = VGCF_in_kernel;
    context.user_regs.rip = (u64)second_main;
    context.user_regs.rsp = (u64)second_stack + sizeof second_stack - 8;
    context.user_regs.rdi = 0x1234;
    context.user_regs.cs = FLAT_RING3_CS64;
    context.user_regs.ss = FLAT_RING3_DS32;
    context.kernel_ss = FLAT_RING3_DS32;
    context.kernel_sp = (u64)second_stack + sizeof second_stack;
    context.event_callback_eip = (u64)upcall_entry;
    context.failsafe_callback_eip = (u64)failsafe_entry;
    context.syscall_callback_eip = (u64)syscall_entry;
    for (int v = 0; v < 32; v++) context.trap_ctxt[v] = (struct trap_info){ v, 0, FLAT_RING3_CS64, (u64)(trap_stubs + 16 * v) };
    context.ctrlreg[3] = 0x12345678000;
    is(hypercall(HYPERVISOR_vcpu_op, VCPUOP_initialise, 1, &context), -EINVAL, "initialise with a base that is not there");
    context.ctrlreg[3] = mfn_of((void *)start_info->pt_base) << 12;
    context.user_regs.rip = 0x800000000000;
    is(hypercall(HYPERVISOR_vcpu_op, VCPUOP_initialise, 1, &context), -EINVAL, "initialise with a bad rip");
    context.user_regs.rip = (u64)second_main;
    is(hypercall(HYPERVISOR_vcpu_op, VCPUOP_initialise, 1, &context), 0, "initialise");
    is(hypercall(HYPERVISOR_vcpu_op, VCPUOP_initialise, 1, &context), -EEXIST, "initialise twice");
    is(hypercall(HYPERVISOR_vcpu_op, VCPUOP_up, 1, 0), 0, "up");
    while (!running) hypercall(HYPERVISOR_sched_op, SCHEDOP_yield, 0);
    is(second_id, 0x1234, "it runs with its registers");
    is(hypercall(HYPERVISOR_vcpu_op, VCPUOP_is_up, 1, 0), 1, "it is up");
    vcpu0->evtchn_upcall_mask = 0;
    for (u32 round = 1; round <= 5; round++) {
        send(to_second);
        for (int i = 0; i < 10000; i++) __atomic_fetch_add(&counter, 1, __ATOMIC_SEQ_CST);
        await(0, &seen_by_first, round);
    }
    vcpu0->evtchn_upcall_mask = 1;
    is(counter, 100000, "both have counted");
    is(seen_by_second, 5, "IPIs to the second");
    is(seen_by_first, 5, "IPIs to the first");
    while (hypercall(HYPERVISOR_vcpu_op, VCPUOP_is_up, 1, 0)) hypercall(HYPERVISOR_sched_op, SCHEDOP_yield, 0);
    ok(1, "it went down");
    is(running, 1, "and stays where it was");
    hypercall(HYPERVISOR_vcpu_op, VCPUOP_up, 1, 0);
    while (running != 2) hypercall(HYPERVISOR_sched_op, SCHEDOP_yield, 0);
    ok(1, "up again, it goes on");
    struct vcpu_runstate_info state;
    is(hypercall(HYPERVISOR_vcpu_op, VCPUOP_get_runstate_info, 1, &state), 0, "its runstate");
    ok(state.state == 1 || state.state == 0, "runnable or running");
}
