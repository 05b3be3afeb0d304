// Single hypercalls that ask for hours of work, one for each word of the command line. Xen does them in parts: a timer
// interrupt that is due meanwhile must come through.

#include "pv.h"

#define WINDOW 0x10000000000UL
enum { L1_TABLES = 600, OPERATIONS = 512 };

static void *shared, *target;

/** Maps one page again and again, 1 GiB of it, at WINDOW. */
static void map_window(void *p, u64 flags) {
    u64 *l3 = page(), *l2 = page(), *l1 = page();
    for (int i = 0; i < 512; i++) l1[i] = pte(p, flags | PTE_US);
    for (int i = 0; i < 512; i++) l2[i] = pte(l1, RW | PTE_US);
    l3[0] = pte(l2, RW | PTE_US);
    set_va(l1, pte(l1, RO));
    set_va(l2, pte(l2, RO));
    set_va(l3, pte(l3, RO));
    is(update_entry(entry_address((void *)WINDOW, 4), pte(l3, RW | PTE_US)), 0, "a page mapped again and again");
}

/** An L4 table over many full L1 tables, not in use. */
static u64 *big_tree(void) {
    u64 *l4 = page(), *l3 = page(), *l2[2] = { page(), page() };
    for (int i = 0; i < L1_TABLES; i++) {
        u64 *l1 = page();
        for (int j = 0; j < 512; j++) l1[j] = pte(target, RO | PTE_US);
        set_va(l1, pte(l1, RO));
        l2[i / 512][i % 512] = pte(l1, RW | PTE_US);
    }
    for (int i = 0; i < 2; i++) {
        l3[i] = pte(l2[i], RW | PTE_US);
        set_va(l2[i], pte(l2[i], RO));
    }
    l4[0] = pte(l3, RW | PTE_US);
    set_va(l3, pte(l3, RO));
    set_va(l4, pte(l4, RO));
    return l4;
}

/** The same frame given back over and over: once it has gone, a mapping of it still keeps it. */
static long extents(void) {
    u64 *list = shared;
    map_window(list, RW);
    for (int i = 0; i < 512; i++) list[i] = mfn_of(target);
    struct xen_memory_reservation r = { (u64 *)WINDOW, (1 << 26) - 1, 0, 0, DOMID_SELF };
    return hypercall(HYPERVISOR_memory_op, XENMEM_decrease_reservation, &r);
}

/** Frames exchanged for frames that are exchanged again. */
static long exchange(void) {
    u64 *list = shared;
    map_window(list, RW);
    for (int i = 0; i < 512; i++) {
        void *p = page();
        list[i] = mfn_of(p);
        set_va(p, 0);
    }
    struct xen_memory_exchange x = { { (u64 *)WINDOW, 1 << 25, 0, 0, DOMID_SELF }, { (u64 *)WINDOW, 1 << 25, 0, 0, DOMID_SELF }, 0 };
    return hypercall(HYPERVISOR_memory_op, XENMEM_exchange, &x);
}

static struct mmuext_op operations[OPERATIONS];
static struct mmu_update updates[4096];
static struct multicall_entry calls[200];

static long many(struct multicall_entry call) {
    for (int i = 0; i < 200; i++) calls[i] = call;
    return hypercall(HYPERVISOR_multicall, calls, 200);
}
static long pins(void) {
    u64 *tree = big_tree();
    for (int i = 0; i < OPERATIONS; i++) operations[i] = (struct mmuext_op){ i & 1 ? MMUEXT_UNPIN_TABLE : MMUEXT_PIN_L4_TABLE, mfn_of(tree), 0 };
    return many((struct multicall_entry){ HYPERVISOR_mmuext_op, 0, { (u64)operations, OPERATIONS, 0, DOMID_SELF } });
}
static long links(void) {
    u64 *tree = big_tree();
    u64 at = entry_address((void *)WINDOW, 4), link = tree[0];
    for (int i = 0; i < 4096; i++) updates[i] = (struct mmu_update){ at, i & 1 ? 0 : link };
    return many((struct multicall_entry){ HYPERVISOR_mmu_update, 0, { (u64)updates, 4096, 0, DOMID_SELF } });
}
static long entries(void) {
    u64 at = entry_address(shared, 1);
    for (int i = 0; i < 4096; i++) updates[i] = (struct mmu_update){ at, pte(target, i & 1 ? RO : RW) };
    return many((struct multicall_entry){ HYPERVISOR_mmu_update, 0, { (u64)updates, 4096, 0, DOMID_SELF } });
}
static long clears(void) {
    for (int i = 0; i < OPERATIONS; i++) operations[i] = (struct mmuext_op){ MMUEXT_CLEAR_PAGE, mfn_of(target), 0 };
    return many((struct multicall_entry){ HYPERVISOR_mmuext_op, 0, { (u64)operations, OPERATIONS, 0, DOMID_SELF } });
}

static void interrupted(struct frame *f) {
    is(f->vector, UPCALL, "the timer interrupt comes");
    finish(SHUTDOWN_poweroff);
}

void guest_main(const char *command_line) {
    (void)command_line;
    static const struct { const char *name; long (*run)(void); } WAYS[] = {
        { "extents", extents }, { "exchange", exchange }, { "pins", pins }, { "links", links }, { "entries", entries }, { "clears", clears },
    };
    shared = page();
    target = page();
    on_trap = interrupted;
    hypercall(HYPERVISOR_vcpu_op, VCPUOP_stop_periodic_timer, 0, 0);
    struct evtchn_bind_virq bind = { VIRQ_TIMER, 0, 0 };
    hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_bind_virq, &bind);
    shared_info->evtchn_mask[0] &= ~(1UL << bind.port);
    u32 lo, hi;
    asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
    struct vcpu_time_info *t = &vcpu0->time;
    u64 ticks = ((u64)hi << 32 | lo) - t->tsc_timestamp;
    ticks = t->tsc_shift < 0 ? ticks >> -t->tsc_shift : ticks << t->tsc_shift;
    hypercall(HYPERVISOR_set_timer_op, t->system_time + (u64)((unsigned __int128)ticks * t->tsc_to_system_mul >> 32) + 60000000);
    vcpu0->evtchn_upcall_mask = 0;
    for (unsigned i = 0; i < sizeof WAYS / sizeof *WAYS; i++)
        if (has_option(WAYS[i].name)) is(WAYS[i].run(), 0, "not interrupted");
}
