// A channel between two domains: `offer D` makes a port for domain D, `bind D P` binds to port P of domain D. Then an
// event goes to and fro, each end checks what it is told of the other, and the one that bound closes.

#include "pv.h"

enum { ROUNDS = 500 };
static u32 port;

static long event_op(int cmd, void *arg) { return hypercall(HYPERVISOR_event_channel_op, cmd, arg); }
static u32 number(const char **s) {
    u32 n = 0;
    for (; **s == ' '; ++*s);
    for (; **s >= '0' && **s <= '9'; ++*s) n = n * 10 + (**s - '0');
    return n;
}
static void unexpected(struct frame *f) {
    print("Bail out! trap %x error %x at %x\n", f->vector, f->error, f->rip);
    finish(SHUTDOWN_crash);
}

/** Waits for an event on the port and takes it. */
static void take(void) {
    struct sched_poll poll = { &port, 1, 0 };
    while (!(__atomic_fetch_and(&shared_info->evtchn_pending[0], ~(1UL << port), __ATOMIC_SEQ_CST) >> port & 1)) hypercall(HYPERVISOR_sched_op, SCHEDOP_poll, &poll);
}
static struct evtchn_status status(void) {
    struct evtchn_status s = { DOMID_SELF, port, 0, 0, { 0, 0 } };
    is(event_op(EVTCHNOP_status, &s), 0, "status");
    return s;
}

static void offer(u32 domid) {
    struct evtchn_alloc_unbound arg = { DOMID_SELF, domid, 0 };
    is(event_op(EVTCHNOP_alloc_unbound, &arg), 0, "alloc_unbound");
    port = arg.port;
    is(port, 3, "the lowest port that is free");
    for (int i = 0; i < ROUNDS; i++) {
        take();
        if (i == 0) is(status().status, 2, "it is bound");
        event_op(EVTCHNOP_send, &port);
    }
    take(); // sent just before it was closed
    struct evtchn_status s = status();
    is(s.status, 1, "the channel waits again");
    is(s.u[0], domid, "for the same domain");
    is(event_op(EVTCHNOP_send, &port), 0, "an event for nobody");
}

static void bind(u32 domid, u32 remote) {
    struct evtchn_bind_interdomain arg = { domid + 100, remote, 0 };
    is(event_op(EVTCHNOP_bind_interdomain, &arg), -ESRCH, "bind to a domain that is not there");
    arg = (struct evtchn_bind_interdomain){ domid, 4000, 0 };
    is(event_op(EVTCHNOP_bind_interdomain, &arg), -EINVAL, "bind to a port that is not there");
    arg.remote_port = remote;
    is(event_op(EVTCHNOP_bind_interdomain, &arg), 0, "bind_interdomain");
    port = arg.local_port;
    take();
    ok(1, "an event at once");
    struct evtchn_status s = status();
    is(s.status, 2, "it is bound");
    is(s.u[0], domid, "to the domain");
    is(s.u[1], remote, "and the port");
    for (int i = 0; i < ROUNDS; i++) {
        event_op(EVTCHNOP_send, &port);
        take();
    }
    event_op(EVTCHNOP_send, &port);
    is(event_op(EVTCHNOP_close, &port), 0, "close");
}

void guest_main(const char *command_line) {
    const char *rest = command_line + 5;
    on_trap = unexpected;
    u32 domid = number(&rest);
    if (command_line[0] == 'o') offer(domid);
    else bind(domid, number(&rest));
}
