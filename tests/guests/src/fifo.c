// Event channels by the FIFO ABI: queues, priorities, masks, the change of the ABI and back.

#include "pv.h"

enum { PENDING = 31, MASKED = 30, LINKED = 29, LINK_MASK = (1 << 17) - 1 };
struct control_block { u32 ready, rsvd, head[16]; };

static volatile struct control_block *block;
static u32 heads[16];
static volatile u32 *array;     // one page: 1024 events
static volatile int upcalls, taken;
static u32 order[64];
static u32 raise_after, raise; // when this many events were taken, another one is sent

static int has(u32 port, int bit) { return array[port] >> bit & 1; }
static void set(u32 port, int bit) { __atomic_or_fetch(&array[port], 1u << bit, __ATOMIC_SEQ_CST); }
static void clear(u32 port, int bit) { __atomic_and_fetch(&array[port], ~(1u << bit), __ATOMIC_SEQ_CST); }
static long event_op(int cmd, void *arg) { return hypercall(HYPERVISOR_event_channel_op, cmd, arg); }
static void send(u32 port) { event_op(EVTCHNOP_send, &port); }

/** Takes the first event of a queue. Returns 0 when the queue is empty then. */
static int take(int priority) {
    u32 port = heads[priority] ? heads[priority] : block->head[priority];
    u32 word = __atomic_fetch_and(&array[port], ~(1u << LINKED | LINK_MASK), __ATOMIC_SEQ_CST);
    heads[priority] = word & LINK_MASK;
    if (has(port, PENDING) && !has(port, MASKED)) {
        clear(port, PENDING);
        order[taken++ & 63] = port;
        if (raise && taken == (int)raise_after) send(raise);
    }
    return heads[priority] != 0;
}

static void upcall(struct frame *f) {
    if (f->vector != UPCALL) {
        print("Bail out! trap %x error %x at %x\n", f->vector, f->error, f->rip);
        finish(SHUTDOWN_crash);
    }
    upcalls++;
    vcpu0->evtchn_upcall_pending = 0;
    u32 ready = __atomic_exchange_n(&block->ready, 0, __ATOMIC_SEQ_CST);
    while (ready) {
        int priority = __builtin_ctz(ready);
        if (!take(priority)) ready &= ~(1u << priority);
        ready |= __atomic_exchange_n(&block->ready, 0, __ATOMIC_SEQ_CST);
    }
}

/** Lets all pending events in. */
static void open_events(void) {
    upcalls = taken = 0;
    vcpu0->evtchn_upcall_mask = 0;
    asm volatile("" ::: "memory");
    if (vcpu0->evtchn_upcall_pending) hypercall(HYPERVISOR_xen_version, 0, 0);
    vcpu0->evtchn_upcall_mask = 1;
}
static u32 ipi_port(void) {
    struct evtchn_bind_ipi bind = { 0, 0 };
    return event_op(EVTCHNOP_bind_ipi, &bind) ? 0 : bind.port;
}
static long init_control(u64 mfn, u32 offset, u32 vcpu) {
    struct evtchn_init_control init = { mfn, offset, vcpu, 0, { 0 } };
    long rc = event_op(EVTCHNOP_init_control, &init);
    return rc == 0 ? init.link_bits : rc;
}
static long expand(u64 mfn) { return event_op(EVTCHNOP_expand_array, &mfn); }
static long set_priority(u32 port, u32 priority) {
    struct evtchn_set_priority arg = { port, priority };
    return event_op(EVTCHNOP_set_priority, &arg);
}

static u32 early;   // pending before the change
static void change(void) {
    u8 *control = page(), *words = page();
    memset(control, 0, PAGE_SIZE);
    for (int i = 0; i < 1024; i++) ((u32 *)words)[i] = 1u << MASKED;
    early = ipi_port();
    send(early);
    is(set_priority(early, 0), -ENOSYS, "set_priority in the two-level ABI");
    is(expand(mfn_of(words)), -EOPNOTSUPP, "expand_array in the two-level ABI");
    is(init_control(mfn_of(control), 0, 7), -ENOENT, "a control block for a vCPU that is not there");
    is(init_control(mfn_of(control), PAGE_SIZE - 64, 0), -EINVAL, "a control block across the page's end");
    is(init_control(mfn_of(control), 4, 0), -EINVAL, "a control block that is not aligned");
    is(init_control(mfn_of((void *)start_info->pt_base), 0, 0), -EINVAL, "a control block in a page table");
    is(init_control(1UL << 40, 0, 0), -EINVAL, "a control block nowhere");
    is(set_priority(early, 0), -ENOSYS, "it is still the two-level ABI");
    block = (void *)(control + 64);
    is(init_control(mfn_of(control), 64, 0), 17, "init_control, and the bits of a link");
    is(init_control(mfn_of(control), 512, 0), -EINVAL, "a second control block");
    is(expand(mfn_of((void *)start_info->pt_base)), -EINVAL, "an array in a page table");
    is(event_op(EVTCHNOP_unmask, &early), 0, "unmask without an event array");
    array = (void *)words;
    clear(early, MASKED);
    vcpu0->evtchn_upcall_pending = 0;
    is(expand(mfn_of(words)), 0, "expand_array");
    is(vcpu0->evtchn_upcall_pending, 1, "what was pending is so again");
    is(array[early], 1u << PENDING | 1u << LINKED, "and linked");
    open_events();
    is(taken, 1, "one event");
    is(order[0], early, "of that port");
    for (int level = 1; level <= 4; level++) {
        struct mmuext_op pin = { MMUEXT_PIN_L1_TABLE + level - 1, mfn_of(words), 0 };
        is(hypercall(HYPERVISOR_mmuext_op, &pin, 1, 0, DOMID_SELF), -EINVAL, "the array cannot be a page table of level %d", (long)level);
    }
}

static void queues(void) {
    u32 p[4];
    for (int i = 0; i < 4; i++) {
        p[i] = ipi_port();
        clear(p[i], MASKED);
    }
    for (int i = 3; i >= 0; i--) send(p[i]);
    send(p[2]);
    is(block->ready, 1 << 7, "queue 7 is ready");
    is(block->head[7], p[3], "its head");
    is(array[p[3]] & LINK_MASK, p[2], "its second event");
    open_events();
    is(upcalls, 1, "one upcall");
    is(taken, 4, "of four events");
    for (int i = 0; i < 4; i++) is(order[i], p[3 - i], "in the order in which they came");

    raise = p[0];
    raise_after = 2;
    send(p[1]);
    send(p[2]);
    open_events();
    raise = 0;
    is(taken, 3, "an event that comes while others are taken");
    is(order[2], p[0], "is taken after them");

    for (int i = 0; i < 4; i++) is(set_priority(p[i], 4 * (3 - i)), 0, "set_priority");
    for (int i = 0; i < 4; i++) send(p[i]);
    is(block->ready, 1 << 12 | 1 << 8 | 1 << 4 | 1, "four queues are ready");
    open_events();
    for (int i = 0; i < 4; i++) is(order[i], p[3 - i], "the highest priority comes first");
    is(set_priority(p[0], 16), -EINVAL, "a priority that is none");
    is(set_priority(0, 7), -EACCES, "the priority of port 0");
    is(set_priority(100000, 7), -EINVAL, "the priority of no port");

    set(p[1], MASKED);
    send(p[1]);
    open_events();
    is(upcalls, 0, "a masked event raises no upcall");
    is(has(p[1], PENDING) && !has(p[1], LINKED), 1, "it is pending and not linked");
    is(event_op(EVTCHNOP_unmask, &p[1]), 0, "unmask");
    open_events();
    is(taken, 1, "then it comes");

    send(p[0]);
    is(event_op(EVTCHNOP_close, &p[0]), 0, "close a port that is in a queue");
    u32 fresh = ipi_port();
    ok(fresh != p[0], "it is not given out before it was taken off");
    open_events();
    is(taken, 0, "its event is gone");
    is(ipi_port(), p[0], "then it is");
    u32 poll_port = p[2];
    struct sched_poll poll = { &poll_port, 1, 0 };
    send(poll_port);
    is(hypercall(HYPERVISOR_sched_op, SCHEDOP_poll, &poll), 0, "poll sees the event");
    open_events();
    is(taken, 1, "and leaves it");
}

static void timer(void) {
    struct evtchn_bind_virq bind = { VIRQ_TIMER, 0, 0 };
    is(event_op(EVTCHNOP_bind_virq, &bind), 0, "bind VIRQ_TIMER");
    clear(bind.port, MASKED);
    hypercall(HYPERVISOR_vcpu_op, VCPUOP_stop_periodic_timer, 0, 0);
    struct vcpu_set_singleshot_timer timer = { 1, 0 };
    is(hypercall(HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, &timer), 0, "a timer");
    taken = upcalls = 0;
    while (!taken) hypercall(HYPERVISOR_sched_op, SCHEDOP_block, 0);
    vcpu0->evtchn_upcall_mask = 1;
    is(order[0], bind.port, "comes by its port");
}

/** Reset closes the console's port too, so that nothing can be printed afterwards: true when all is as it should be. */
static int back(void) {
    u64 words = mfn_of((void *)array);
    struct { u16 dom; } reset = { DOMID_SELF };
    u32 port = ipi_port();
    send(port);
    if (event_op(EVTCHNOP_reset, &reset) != 0) return 0;
    if (expand(words) != -EOPNOTSUPP || event_op(EVTCHNOP_send, &port) != -EINVAL) return 0;
    shared_info->evtchn_pending[0] = 0;
    u32 again = ipi_port();
    send(again);
    if (!(shared_info->evtchn_pending[0] >> again & 1)) return 0;
    block = (void *)((u64)block & ~(PAGE_SIZE - 1));
    memset((void *)block, 0, PAGE_SIZE);
    clear(again, MASKED);
    return init_control(mfn_of((void *)block), 0, 0) == 17 && expand(words) == 0 && block->ready == 1 << 7 && block->head[7] == again;
}

void guest_main(const char *command_line) {
    (void)command_line;
    on_trap = upcall;
    change();
    queues();
    timer();
    plan();
    stop(back() ? SHUTDOWN_poweroff : SHUTDOWN_crash);
}
