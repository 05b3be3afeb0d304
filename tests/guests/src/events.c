// Events: upcalls and their masking, ports, virtual IRQs, timers, polling, blocking.

#include "pv.h"

static volatile int upcalls;
static u64 ports_seen;
static struct frame last;

/** Takes all pending ports. */
static void upcall(struct frame *f) {
    memcpy(&last, f, sizeof last);
    if (f->vector != UPCALL) {
        print("Bail out! trap %x error %x at %x\n", f->vector, f->error, f->rip);
        finish(SHUTDOWN_crash);
    }
    upcalls++;
    vcpu0->evtchn_upcall_pending = 0;
    u64 words = __atomic_exchange_n(&vcpu0->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
    for (int w = 0; w < 64; w++) {
        if (!(words >> w & 1)) continue;
        u64 pending = shared_info->evtchn_pending[w] & ~shared_info->evtchn_mask[w];
        __atomic_and_fetch(&shared_info->evtchn_pending[w], ~pending, __ATOMIC_SEQ_CST);
        if (w == 0) ports_seen |= pending;
    }
}

static u32 ipi_port(void) {
    struct evtchn_bind_ipi bind = { 0, 0 };
    is(hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, &bind), 0, "bind_ipi");
    return bind.port;
}
static void send(u32 port) { hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_send, &port); }
static u64 now(void) {
    struct vcpu_runstate_info state;
    hypercall(HYPERVISOR_vcpu_op, VCPUOP_get_runstate_info, 0, &state);
    return state.time[0] + state.time[1] + state.time[2] + state.time[3];
}
static u64 system_time(void) {
    struct vcpu_time_info *t = &vcpu0->time;
    u32 lo, hi;
    asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
    u64 delta = ((u64)hi << 32 | lo) - t->tsc_timestamp;
    delta = t->tsc_shift < 0 ? delta >> -t->tsc_shift : delta << t->tsc_shift;
    return t->system_time + (u64)((unsigned __int128)delta * t->tsc_to_system_mul >> 32);
}

static void open_events(void) {
    vcpu0->evtchn_upcall_mask = 0;
    asm volatile("" ::: "memory");
    if (vcpu0->evtchn_upcall_pending) hypercall(HYPERVISOR_xen_version, 0, 0);
}
static void close_events(void) { vcpu0->evtchn_upcall_mask = 1; }

static void delivery(void) {
    u32 port = ipi_port(), other = ipi_port();
    upcalls = 0;
    send(port);
    is(upcalls, 0, "no upcall while events are masked");
    is(vcpu0->evtchn_upcall_pending, 1, "but it is pending");
    ports_seen = 0;
    open_events();
    close_events();
    is(upcalls, 1, "one upcall when they are open");
    is(ports_seen >> port & 1, 1, "of the port");
    is(last.saved_mask, 0, "the frame has the old mask");
    is(last.cs, FLAT_KERNEL_CS, "and kernel mode");
    upcalls = 0;
    vcpu0->evtchn_upcall_mask = 0;
    send(port);
    close_events();
    is(upcalls, 1, "an upcall out of the sending hypercall");
    upcalls = 0;
    send(port);
    send(other);
    send(port);
    ports_seen = 0;
    open_events();
    close_events();
    is(upcalls, 1, "events come together");
    is(ports_seen, 1UL << port | 1UL << other, "none is lost");

    shared_info->evtchn_mask[0] |= 1UL << port;
    upcalls = 0;
    vcpu0->evtchn_upcall_mask = 0;
    send(port);
    close_events();
    is(upcalls, 0, "a masked port raises no upcall");
    is(shared_info->evtchn_pending[0] >> port & 1, 1, "but is pending");
    vcpu0->evtchn_upcall_mask = 0;
    hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_unmask, &port);
    close_events();
    is(upcalls, 1, "EVTCHNOP_unmask delivers it");
    is(shared_info->evtchn_mask[0] >> port & 1, 0, "and clears the mask bit");
    hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_close, &port);
    hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_close, &other);
}

static u32 timer_port;
static void timers(void) {
    struct evtchn_bind_virq bind = { VIRQ_TIMER, 0, 0 };
    is(hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq, &bind), 0, "bind VIRQ_TIMER");
    timer_port = bind.port;
    is(hypercall(HYPERVISOR_vcpu_op, VCPUOP_stop_periodic_timer, 0, 0), 0, "a PV guest begins with a ticker of 100 Hz");
    u64 start = system_time();
    ok(system_time() >= start, "system time goes on");
    struct vcpu_set_singleshot_timer timer = { start + 5000000, 0 };
    is(hypercall(HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, &timer), 0, "set_singleshot_timer");
    ports_seen = 0;
    upcalls = 0;
    while (!upcalls) hypercall(HYPERVISOR_sched_op, SCHEDOP_block, 0);
    close_events();
    ok(system_time() >= start + 5000000, "SCHEDOP_block sleeps until the timer");
    ok(system_time() < start + 500000000, "and not for ever");
    is(ports_seen >> timer_port & 1, 1, "VIRQ_TIMER");
    start = system_time();
    is(hypercall(HYPERVISOR_set_timer_op, start + 3000000), 0, "set_timer_op");
    upcalls = 0;
    vcpu0->evtchn_upcall_mask = 0;
    while (!upcalls) asm volatile("pause");
    close_events();
    ok(system_time() >= start + 3000000, "a timer interrupts a loop");
    timer.timeout_abs_ns = system_time() + 5000000;
    hypercall(HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, &timer);
    hypercall(HYPERVISOR_vcpu_op, VCPUOP_stop_singleshot_timer, 0, 0);
    upcalls = 0;
    vcpu0->evtchn_upcall_mask = 0;
    while (system_time() < timer.timeout_abs_ns + 2000000) asm volatile("pause");
    close_events();
    is(upcalls, 0, "a stopped timer does not fire");
    struct vcpu_set_periodic_timer periodic = { 2000000 };
    is(hypercall(HYPERVISOR_vcpu_op, VCPUOP_set_periodic_timer, 0, &periodic), 0, "set_periodic_timer");
    upcalls = 0;
    vcpu0->evtchn_upcall_mask = 0;
    start = system_time();
    while (upcalls < 4 && system_time() < start + 400000000) asm volatile("pause");
    close_events();
    ok(upcalls >= 4, "a periodic timer");
    hypercall(HYPERVISOR_vcpu_op, VCPUOP_stop_periodic_timer, 0, 0);
    vcpu0->evtchn_upcall_mask = 0;
    hypercall(HYPERVISOR_xen_version, 0, 0);
    close_events();
}

static void polling(void) {
    u32 port = ipi_port();
    u64 start = system_time();
    struct sched_poll poll = { &port, 1, start + 4000000 };
    is(hypercall(HYPERVISOR_sched_op, SCHEDOP_poll, &poll), 0, "poll with a time-out");
    ok(system_time() >= start + 4000000, "waits for it");
    send(port);
    start = system_time();
    poll.timeout = start + 400000000;
    is(hypercall(HYPERVISOR_sched_op, SCHEDOP_poll, &poll), 0, "poll of a pending port");
    ok(system_time() < start + 200000000, "does not wait");
    shared_info->evtchn_pending[0] &= ~(1UL << port);
    struct vcpu_set_singleshot_timer timer = { system_time() + 3000000, 0 };
    start = system_time();
    hypercall(HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, &timer);
    poll = (struct sched_poll){ &timer_port, 1, 0 };
    vcpu0->evtchn_upcall_pending = 0;
    vcpu0->evtchn_pending_sel = 0;
    shared_info->evtchn_pending[0] &= ~(1UL << timer_port);
    is(hypercall(HYPERVISOR_sched_op, SCHEDOP_poll, &poll), 0, "poll of the timer's port");
    ok(system_time() >= timer.timeout_abs_ns, "waits for the timer, masked as events are");
    ok(now() > 0, "runstate times");
}

SNIPPET(user_spin, "1: pause\n jmp 1b");
static void go(u64 f) { enter((struct frame *)f); }
extern void guard_return(void);
static void leave_user(struct frame *f) {
    upcall(f);
    f->rip = (u64)guard_return;
    f->rsp = guard_sp;
    f->cs = FLAT_KERNEL_CS;
}

static void from_user(void) {
    mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of((void *)start_info->pt_base), 0);
    static u64 stack[64];
    static struct frame f;
    f.rip = (u64)user_spin;
    f.cs = FLAT_RING3_CS64;
    f.ss = FLAT_RING3_DS32;
    f.rsp = (u64)(stack + 60);
    f.rflags = 0x202;
    vcpu0->evtchn_upcall_pending = 1;
    on_trap = leave_user;
    upcalls = 0;
    is(guarded(go, (u64)&f), 1, "a pending event on the way to user mode");
    is(last.rip, (u64)user_spin, "comes before the first instruction");
    is(last.cs, FLAT_RING3_CS64, "cs");
    is(last.rsp, (u64)(stack + 60), "rsp");
    close_events();
    struct vcpu_set_singleshot_timer timer = { system_time() + 2000000, 0 };
    hypercall(HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, &timer);
    static struct frame g;
    g = (struct frame){ .rip = (u64)user_spin, .cs = FLAT_RING3_CS64, .ss = FLAT_RING3_DS32, .rsp = (u64)(stack + 60), .rflags = 0x202 };
    is(guarded(go, (u64)&g), 1, "a timer interrupts user mode");
    close_events();
    ok(system_time() >= timer.timeout_abs_ns, "when it is due");
}

void guest_main(const char *command_line) {
    (void)command_line;
    on_trap = upcall;
    shared_info->evtchn_mask[0] = 1UL << start_info->console_evtchn | 1UL << start_info->store_evtchn;
    vcpu0->evtchn_upcall_mask = 0;
    hypercall(HYPERVISOR_xen_version, 0, 0);
    close_events();
    delivery();
    timers();
    polling();
    from_user();
}
