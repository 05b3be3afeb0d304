// The hostile guest's events: ports by either ABI, operations on them, and the timer. Part of fuzz.c, whose values it takes.

/** Half of the guests use the FIFO ABI, with a control block and an event array in pages that stay mapped. */
static int fifo;
/** The timer's event can come again, whatever became of the words. */
static void timer_unlinked(void) {
    if (!fifo) return;
    *(volatile u32 *)pool[6] = 0;
    ((volatile u32 *)pool[7])[ports[6]] = 0;
}

/** A while from now the timer interrupts whatever runs or waits then. The time stamp counter has two ticks a nanosecond. */
static void alarm(void) {
    u32 lo, hi;
    timer_unlinked();
    asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
    hypercall(HYPERVISOR_set_timer_op, ((u64)hi << 32 | lo) / 2 + 1000 + (next() >> 48));
}

/** The FIFO ABI: its pages are ordinary ones, which are scribbled over like all others. */
static void fifo_op(struct call *c) {
    struct evtchn_init_control control = { one_in(4) ? frame() : mfn_of(pool[below(POOL)]), one_in(4) ? value() : below(500) * 8, below(4), 0, { 0 } };
    struct evtchn_set_priority priority = { port(), one_in(8) ? value() : below(17) };
    u64 cmd = EVTCHNOP_init_control + below(3);
    u64 at = cmd == EVTCHNOP_set_priority ? (u64)ARGUMENT(priority) : (u64)ARGUMENT(control);
    CALL(c, event_channel_op, cmd, at);
}
static void event_channel_op(struct call *c) {
    if (fifo && one_in(4)) return fifo_op(c);
    u32 words[6] = { one_in(2) ? port() : one_in(2) ? someone() : domain() | below(3) << 16, one_in(2) ? port() : below(3), one_in(2) ? port() : value(), value(), value(), value() };
    u64 cmd = one_in(30) ? value() : below(15);
    if (cmd == EVTCHNOP_reset && !(wild && one_in(50))) cmd = EVTCHNOP_send;
    CALL(c, event_channel_op, cmd, (u64)ARGUMENT(words));
}

static void prepare_events(void) {
    for (int i = 0; i < 4; i++) {
        struct evtchn_bind_ipi ipi = { 0, 0 };
        hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, &ipi);
        ports[i] = ipi.port;
    }
    ports[4] = start_info->console_evtchn;
    ports[5] = start_info->store_evtchn;
    struct evtchn_bind_virq timer = { VIRQ_TIMER, 0, 0 };
    hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq, &timer);
    ports[6] = timer.port;
    struct evtchn_alloc_unbound channel = { DOMID_SELF, 1 + below(2), 0 };
    hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, &channel);
    ports[7] = channel.port;
    shared_info->evtchn_mask[0] = ~(1UL << timer.port);
    fifo = one_in(2);
    if (fifo) {
        struct evtchn_init_control control = { mfn_of(pool[6]), 0, 0, 0, { 0 } };
        u64 array = mfn_of(pool[7]);
        hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_init_control, &control);
        hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_expand_array, &array);
    }
}
