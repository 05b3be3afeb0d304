// A hostile guest: hypercalls with arguments that are nearly right, garbage in page tables, rings and shared info,
// random code in kernel and user mode, random iret frames, grants and channels to and from a neighbour that is another one
// of its kind (domains 1 and 2). Everything follows from `seed=N` on the command line. It recovers from its own faults as
// long as it can; when it cannot, the domain crashes, which is fine: what must not happen happens on the other side.

#include "pv.h"

enum { POOL = 24, TABLES = 8, LIST = 16, GRANTED = 16 };

/** Half of the guests take care not to end themselves at once, and so get further. */
static int wild;

static u64 state;
static u64 next(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}
static u64 below(u64 n) { return (next() >> 11) % n; }
static int one_in(u64 n) { return below(n) == 0; }

static u8 *pool[POOL];              // ordinary pages, in one run; grants are mapped at four of them from GRANTED on
static u64 *tables[TABLES];         // pages that become page tables and descriptor pages, mapped read-only
static union grant_entry_v2 *grants;
static u8 *edge;                    // a page with nothing mapped behind it
static u8 *code;                    // where random code goes
static u32 ports[8];
static u8 second_stack[4096] __attribute__((aligned(16)));

// ---- values

static u64 frame(void) {
    switch (below(13)) {
    case 12: return 0xfc000 + below(one_in(4) ? 0x4000 : 8);    // where frames of other domains get their numbers
    case 0: return below(one_in(2) ? 340 : 80);                 // Xen's frames, shared info, grants
    case 1: return mfn_of(entry_of(pool[0], 1 + below(4)));     // a table in use
    case 2: return start_info->nr_pages + below(80);            // about the end of memory
    case 3: return 1UL << below(64);
    case 4: {
        u64 own = wild ? 0 : (u64)(guest_end - virt_base) / PAGE_SIZE + 1;
        return p2m[own + below(start_info->nr_pages - own)];
    }
    case 5: case 6: case 7: return mfn_of(tables[below(TABLES)]);
    default: return mfn_of(pool[below(POOL)]);
    }
}
static u64 flags(void) {
    static const u64 usual[] = { RW, RO, RW | PTE_US, RO | PTE_US, RW | PTE_US | PTE_NX, PTE_P, 0 };
    u64 f = usual[below(sizeof usual / sizeof *usual)];
    return one_in(6) ? f ^ 1UL << below(12) : one_in(12) ? f ^ next() << 52 : f;
}
static u64 entry(void) { return one_in(20) ? next() : frame() << 12 | flags(); }
static u64 entry_at(void) {
    int own = !one_in(4);
    u64 mfn = own ? mfn_of(tables[below(TABLES)]) : frame();
    u64 slot = own && !one_in(3) ? below(8) : one_in(4) ? 254 + below(20) : wild ? below(512) : 64 + below(440);
    return mfn << 12 | slot * 8 | (one_in(6) ? below(3) : one_in(40) ? below(8) : 0);
}
static void *pointer(void) {
    switch (below(28)) {
    case 24: case 25: case 26: case 27: return pool[GRANTED + below(4)] + below(PAGE_SIZE);
    case 0: return (void *)next();
    case 1: return (void *)(0xffff800000000000 + below(1 << 20));
    case 2: return (void *)(0xffff820000000000 + below(1 << 20));
    case 3: return (void *)(0x7ffffffff000 + below(8192));
    case 4: return (void *)(0xffff880000000000 - 16 + below(32));
    case 5: return (void *)(0 - below(64));
    case 6: return tables[below(TABLES)] + below(512);
    case 7: return edge + PAGE_SIZE - below(64);
    case 8: return edge + PAGE_SIZE;
    case 9: return (u8 *)shared_info + below(4096);
    case 10: return (u8 *)grants + below(4096);
    case 11: return (void *)below(1 << 22);
    case 12: return wild && one_in(8) ? virt_base + below(1 << 22) : guest_end + below(1 << 22);
    case 13: return pool[below(POOL)] + PAGE_SIZE - below(40);
    default: return pool[below(POOL)] + below(500) * 8;
    }
}
static u64 value(void) {
    switch (below(12)) {
    case 0: return frame();
    case 1: return (u64)pointer();
    case 2: return entry();
    case 3: return 0x7ff0 + below(8);
    case 4: return 0 - below(4);
    case 5: return 1UL << below(64);
    case 6: return (1UL << below(64)) - 1;
    case 7: return next();
    case 8: return below(1 << 16) | below(16) << 32;
    case 9: return below(70);
    default: return below(5);
    }
}
/** A domain number: mostly one's own. */
static u64 domain(void) { return one_in(12) ? value() : DOMID_SELF; }
/** The number of one of the two domains that are there, mostly. */
static u64 someone(void) { return one_in(12) ? value() : 1 + below(2); }
/** A place for an argument, mostly good, mostly its own. */
static void *argument(const void *bytes, u64 length) {
    void *at = one_in(20) ? pointer() : pool[below(2)] + (one_in(30) ? PAGE_SIZE - 8 : below(32) * 64);
    if ((u8 *)at >= pool[0] && (u8 *)at + length <= pool[4]) memcpy(at, bytes, length);
    return at;
}
#define ARGUMENT(object) argument(&(object), sizeof(object))
static void fill(u64 *words, int n) { for (int i = 0; i < n; i++) words[i] = value(); }
static u64 count(u64 usual) { return one_in(16) ? value() : below(usual + 1); }
static u32 port(void) { return one_in(6) ? value() : ports[below(8)]; }

// ---- one hypercall

struct call { u64 number, args[6]; };
typedef void (*generator)(struct call *);
#define CALL(c, name, ...) *(c) = (struct call){ HYPERVISOR_##name, { __VA_ARGS__ } }

static void mmu_update(struct call *c) {
    struct mmu_update list[LIST];
    for (int i = 0; i < LIST; i++) list[i] = (struct mmu_update){ entry_at(), entry() };
    CALL(c, mmu_update, (u64)ARGUMENT(list), one_in(40) ? 0x80000000 | below(9) : count(LIST), one_in(3) ? (u64)pointer() : 0, domain());
}
static void mmuext_op(struct call *c) {
    struct mmuext_op list[LIST];
    for (int i = 0; i < LIST; i++) list[i] = (struct mmuext_op){ one_in(20) ? value() : below(21), one_in(4) ? (u64)pointer() : frame(), one_in(3) ? value() : frame() };
    for (int i = 0; i < LIST; i++) if (list[i].cmd == MMUEXT_NEW_BASEPTR && !one_in(8)) list[i].arg1 = one_in(2) ? mfn_of(tables[5]) : mfn_of((void *)start_info->pt_base);
    CALL(c, mmuext_op, (u64)ARGUMENT(list), count(one_in(3) ? LIST : 2), one_in(3) ? (u64)pointer() : 0, domain());
}
static void update_va_mapping(struct call *c) {
    void *va = one_in(16) ? pointer() : pool[8 + below(POOL - 8)];
    CALL(c, update_va_mapping, (u64)va, entry(), one_in(4) ? value() : below(4), DOMID_SELF);
    if (one_in(10)) c->number = HYPERVISOR_update_va_mapping_otherdomain, c->args[3] = domain();
}
static void memory_op(struct call *c) {
    u64 extents[LIST];
    for (int i = 0; i < LIST; i++) extents[i] = one_in(4) ? value() : frame();
    struct xen_memory_reservation r = { (u64 *)ARGUMENT(extents), count(LIST), one_in(4) ? count(12) : 0, one_in(8) ? value() : 0, domain() };
    struct xen_memory_exchange x = { r, r, one_in(4) ? value() : 0 };
    if (one_in(3)) x.out.extent_start = pointer();
    if (one_in(4)) x.out.extent_order = below(3), x.out.nr_extents = count(LIST);
    u64 cmd = one_in(20) ? value() : one_in(3) ? below(28) : (u64[]){ 0, 1, 6, 11 }[below(4)];
    if (one_in(16)) cmd |= below(8) << 6;
    u64 other[12];
    fill(other, 12);
    void *at = cmd == XENMEM_exchange ? ARGUMENT(x) : one_in(6) ? ARGUMENT(other) : ARGUMENT(r);
    CALL(c, memory_op, cmd, (u64)at);
}
#include "fuzz-grants.h"
#include "fuzz-events.h"
static void sched_op(struct call *c) {
    struct sched_poll poll = { ports, count(8), one_in(3) ? value() : next() >> 40 };
    u64 other[4];
    fill(other, 4);
    u64 cmd = one_in(30) ? value() : (u64[]){ 0, 0, 1, 3, 3, 4, 6, 7 }[below(8)];
    if (wild && one_in(1000)) cmd = SCHEDOP_shutdown;
    if (cmd == SCHEDOP_block || cmd == SCHEDOP_poll) alarm();
    CALL(c, sched_op, cmd, cmd == SCHEDOP_poll ? (u64)ARGUMENT(poll) : (u64)ARGUMENT(other));
    if (one_in(20) && cmd < 2) c->number = HYPERVISOR_sched_op_compat;
}
extern void second_entry(void);
asm(".pushsection .text\n.globl second_entry\nsecond_entry: lea second_stack+4096(%rip), %rsp\n cld\n call second_main\n.popsection");
static struct vcpu_guest_context context;
/** A context for the second vCPU: every way into its kernel begins it anew. */
static void good_context(void) {
    memset(&context, 0, sizeof context);
    context.flags = VGCF_in_kernel;
    context.user_regs = (struct cpu_user_regs){ .rip = (u64)second_entry, .rsp = (u64)second_stack + 4000, .cs = FLAT_RING3_CS64, .ss = FLAT_RING3_DS32 };
    for (int v = 0; v < 32; v++) context.trap_ctxt[v] = (struct trap_info){ v, 0, FLAT_RING3_CS64, (u64)second_entry };
    context.kernel_sp = (u64)second_stack + 4000;
    context.event_callback_eip = context.failsafe_callback_eip = context.syscall_callback_eip = (u64)second_entry;
    context.ctrlreg[3] = mfn_of((void *)start_info->pt_base) << 12;
}
static void vcpu_op(struct call *c) {
    u64 other[6];
    fill(other, 6);
    u64 cmd = one_in(20) ? value() : below(14), who = one_in(3) ? below(4) : 0;
    if (cmd == VCPUOP_down && who == 0) who = 1;
    if (cmd == VCPUOP_set_singleshot_timer || cmd == VCPUOP_set_periodic_timer) other[0] = one_in(3) ? value() : next() >> 40;
    if (cmd == VCPUOP_register_vcpu_info && !one_in(16)) who = 2;
    void *at = ARGUMENT(other);
    if (cmd == VCPUOP_initialise) {
        good_context();
        if (one_in(4)) context.flags = one_in(8) ? value() : VGCF_in_kernel | 0x20;
        context.ctrlreg[1] = one_in(2) ? context.ctrlreg[3] : frame() << 12;
        for (int i = below(4); i > 0; i--) ((u64 *)&context)[below(sizeof context / 8)] = value();
        at = one_in(20) ? pointer() : &context;
    }
    CALL(c, vcpu_op, cmd, who, (u64)at);
}
static void descriptors(struct call *c) {
    u64 frames[16];
    for (int i = 0; i < 16; i++) frames[i] = frame();
    u64 descriptor = one_in(3) ? next() : (0x00009f0000000000 ^ next() % (1UL << 56)) | below(8) << 12;
    if (one_in(3)) CALL(c, set_gdt, (u64)ARGUMENT(frames), one_in(8) ? value() : below(1200));
    else CALL(c, update_descriptor, frame() << 12 | below(512) * 8, descriptor);
}
static void traps(struct call *c) {
    struct trap_info table[4];
    for (int i = 0; i < 4; i++) table[i] = (struct trap_info){ 0x80 + below(128), below(8), value(), one_in(3) ? (u64)pointer() : (u64)trap_stubs };
    if (wild && one_in(40)) table[0].vector = below(32);
    table[3].address = one_in(30) && wild ? 1 : 0;
    struct callback_register callback = { wild && one_in(10) ? 0 : 3 + below(6), below(4), one_in(4) ? value() : (u64)sysenter_entry };
    switch (below(6)) {
    case 0: CALL(c, set_trap_table, wild && one_in(100) ? 0 : (u64)ARGUMENT(table)); return;
    case 1: CALL(c, callback_op, one_in(10) ? value() : below(2), (u64)ARGUMENT(callback)); return;
    case 2: CALL(c, stack_switch, one_in(10) ? value() : FLAT_RING3_DS32, wild && one_in(60) ? (u64)pointer() : (u64)kernel_stack_top); return;
    case 3: CALL(c, nmi_op, below(3), (u64)ARGUMENT(callback)); return;
    case 4: CALL(c, set_segment_base, one_in(10) ? value() : below(4), value()); return;
    default: CALL(c, set_callbacks, (u64)upcall_entry, one_in(10) ? value() : (u64)failsafe_entry, (u64)syscall_entry); return;
    }
}
static void small(struct call *c) {
    u64 other[16];
    fill(other, 16);
    void *at = ARGUMENT(other);
    switch (below(12)) {
    case 0: CALL(c, xen_version, one_in(10) ? value() : below(12), one_in(3) ? (u64)pointer() : (u64)at); return;
    case 1: CALL(c, console_io, below(3), count(200), (u64)pool[below(4)] + below(4096)); return;
    case 2: CALL(c, vm_assist, one_in(10) ? value() : below(2), one_in(4) ? value() : (u64[]){ 2, 4, 5, 32 }[below(4)]); return;
    case 3: CALL(c, set_timer_op, one_in(2) ? value() : next() >> 40); return;
    case 4: CALL(c, fpu_taskswitch, below(2)); return;
    case 5: CALL(c, set_debugreg, one_in(10) ? value() : below(9), one_in(30) ? value() : 0); return;
    case 6: CALL(c, get_debugreg, one_in(10) ? value() : below(9)); return;
    case 7: CALL(c, physdev_op, one_in(10) ? value() : below(34), (u64)at); return;
    case 8: CALL(c, hvm_op, one_in(10) ? value() : below(28), (u64)at); return;
    case 9: CALL(c, xenpmu_op, value(), (u64)at); return;
    case 10: CALL(c, sched_op, SCHEDOP_yield); return;
    default: *c = (struct call){ value(), { value(), value(), value(), value(), value(), value() } }; if (c->number == HYPERVISOR_iret) c->number = 0; return;
    }
}
static const generator GENERATORS[] = {
    mmu_update, mmu_update, mmuext_op, mmuext_op, update_va_mapping, update_va_mapping, memory_op, grant_table_op, grant_table_op, grant_table_op,
    event_channel_op, event_channel_op, sched_op, vcpu_op, descriptors, traps, small, small,
};
static void generate(struct call *c) { GENERATORS[below(sizeof GENERATORS / sizeof *GENERATORS)](c); }

static void make(u64 unused) {
    (void)unused;
    struct call c;
    generate(&c);
    hypercall(c.number, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4]);
}
static void multicall(u64 unused) {
    (void)unused;
    static struct multicall_entry list[LIST];
    int n = 1 + below(LIST);
    for (int i = 0; i < n; i++) {
        struct call c;
        generate(&c);
        list[i] = (struct multicall_entry){ c.number, 0, { c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], c.args[5] } };
    }
    hypercall(HYPERVISOR_multicall, wild && one_in(30) ? pointer() : (void *)list, wild && one_in(30) ? value() : (u64)n);
}

// ---- without hypercalls

static void touch(u64 unused) {
    (void)unused;
    u64 *at = pointer();
    switch (below(6)) {
    case 0: *(volatile u8 *)at = next(); break;
    case 1: *(volatile u64 *)at = entry(); break;
    case 2: __atomic_fetch_or(at, 1UL << below(64), __ATOMIC_SEQ_CST); break;
    case 3: memset(at, next(), below(300)); break;
    case 4: memcpy(at, pointer(), below(300)); break;
    default: *(volatile u64 *)at;
    }
}
static void write_table(u64 unused) {
    (void)unused;
    u64 *at = tables[below(TABLES)] + below(8);
    switch (below(4)) {
    case 0: *(volatile u32 *)at = entry(); break;
    case 1: *(volatile u16 *)at = entry(); break;
    default: *(volatile u64 *)at = entry();
    }
}
static void scribble(u64 unused) {
    (void)unused;
    u32 *console = (u32 *)((u8 *)va_of_mfn(start_info->console_mfn) + 3072);
    u32 *store = (u32 *)va_of_mfn(start_info->store_mfn);
    u32 event = start_info->console_evtchn;
    switch (below(8)) {
    case 0: console[below(4)] = value(); break;
    case 1: console[below(4)] += below(3000); break;
    case 2: store[512 + below(6)] = one_in(2) ? value() : store[512 + below(4)] + below(1200); event = start_info->store_evtchn; break;
    case 3: case 4: { // a message to xenstored that is nearly one
        u32 at = store[513] & 1023, header[4] = { one_in(8) ? value() : below(24), below(4), one_in(3) ? below(3) : 0, one_in(8) ? value() : below(60) };
        static const char *const paths[] = { "data/a\0value", "/local/domain/1\0", "data\0n0\0", "1\0", "T\0", "@releaseDomain\0tok\0", "..//\0" };
        memcpy((u8 *)store + at, header, at < 1008 ? 16 : 0);
        if (at < 900) memcpy((u8 *)store + at + 16, paths[below(7)], 16);
        store[513] += one_in(8) ? below(1024) : 16 + (header[3] < 1000 ? header[3] : 0);
        event = start_info->store_evtchn;
        break;
    }
    case 5: ((u64 *)shared_info)[below(400)] = value(); vcpu0->evtchn_upcall_mask = 1; break;
    case 6: shared_info->evtchn_mask[below(2)] = value(); break;
    default: random_entry();
    }
    if (!one_in(4)) hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_send, &event);
}

/** Random bytes, with a liking for what starts instructions of interest. */
static void random_code(void) {
    static const u8 bytes[] = {
        0x0f, 0x05, 0x0f, 0x0b, 0x0f, 0x01, 0x0f, 0x20, 0x0f, 0x22, 0x0f, 0x30, 0x0f, 0x32, 0x0f, 0xa2, 0x0f, 0xae, 0x0f, 0xc7, 0x48, 0x89, 0x8b, 0x87, 0xf0, 0x66,
        0x67, 0xf3, 0xf2, 0xa4, 0xa5, 0xaa, 0xab, 0x8e, 0x8c, 0xcb, 0xcf, 0xcd, 0xcc, 0xf1, 0x9c, 0x9d, 0xc3, 0xe8, 0xff, 0xeb, 0x75, 0xd9, 0xdd, 0xdf, 0x9b, 0xc8, 0xc9, 0x64, 0x65, 0xee, 0x6c, 0x6f, 0xfa, 0xf4,
    };
    u64 length = 16 + below(200), at = below(PAGE_SIZE - 300);
    if (one_in(4)) at = PAGE_SIZE - below(100);
    for (u64 i = at; i < at + length; i++) code[i] = one_in(2) ? bytes[below(sizeof bytes)] : next();
}
static void registers(struct frame *f, u64 rip) {
    fill((u64 *)f, sizeof *f / 8);
    f->rip = rip;
    f->cs = FLAT_KERNEL_CS;
    f->ss = FLAT_RING3_DS32;
    f->rsp = one_in(8) ? (u64)pointer() : (u64)kernel_stack_top - 1024;
    f->rflags = one_in(8) ? value() : 2 | (one_in(10) ? 0x100 : 0);
}
static struct frame target;
static void go(u64 unused) { (void)unused; enter(&target); }

static void run_code(u64 user) {
    random_code();
    registers(&target, one_in(10) ? (u64)pointer() : (u64)code + below(PAGE_SIZE));
    if (user) target.cs = FLAT_RING3_CS64, target.rsp = (u64)pool[3] + 2048;
    target.rflags |= 0x200; // with events open, so that the timer ends a loop
    go(0);
}
static void bad_iret(u64 unused) {
    (void)unused;
    registers(&target, one_in(2) ? (u64)pointer() : (u64)code);
    target.cs = one_in(2) ? value() : FLAT_RING3_CS32;
    if (one_in(2)) target.ss = value();
    target.rflags = value() | 0x200;
    go(0);
}
static void segments(u64 unused) {
    (void)unused;
    u16 selector = one_in(3) ? value() : one_in(2) ? below(64) * 8 + below(8) : 0xe000 + below(64);
    switch (below(8)) {
    case 0: asm volatile("mov %0, %%ds" :: "r"(selector)); break;
    case 1: asm volatile("mov %0, %%es" :: "r"(selector)); break;
    case 2: asm volatile("mov %0, %%fs" :: "r"(selector)); break;
    case 3: asm volatile("mov %0, %%gs" :: "r"(selector)); break;
    case 4: asm volatile("mov %0, %%ss" :: "r"(selector)); break;
    case 5: asm volatile("lar %0, %%eax\n lsl %0, %%eax" :: "r"((u32)selector) : "eax"); break;
    case 6: asm volatile("verr %0\n verw %0" :: "r"(selector)); break;
    default: asm volatile("push %0\n push $1f\n lretq\n1:" :: "r"((u64)selector) : "memory");
    }
}

// ---- the loop

static void recover(struct frame *f) {
    if (f->vector == UPCALL) {
        vcpu0->evtchn_upcall_pending = 0;
        vcpu0->evtchn_pending_sel = 0;
        shared_info->evtchn_pending[0] = 0;
        timer_unlinked();
        if (!guard_sp) return;
        extern void guard_return(void); // out of whatever code it was that the timer interrupted
        f->rip = (u64)guard_return;
        f->rsp = guard_sp;
        f->cs = FLAT_KERNEL_CS;
        f->ss = FLAT_RING3_DS32;
        f->rflags = 2;
        return;
    }
    finish(SHUTDOWN_crash);
}

static void step(void) {
    switch (below(64)) {
    case 0: if (wild || one_in(8)) guarded(bad_iret, 0); break;
    case 1: guarded(segments, 0); break;
    case 2: if (wild || one_in(16)) alarm(), guarded(run_code, 0); break;
    case 3: case 4:
        alarm();
        if (!wild) mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of((void *)start_info->pt_base), 0);
        guarded(run_code, 1);
        break;
    case 5: case 6: case 7: guarded(touch, 0); break;
    case 8: case 9: guarded(write_table, 0); break;
    case 10: case 11: case 12: guarded(scribble, 0); break;
    case 13: case 14: case 15: guarded(multicall, 0); break;
    default: guarded(make, 0);
    }
    vcpu0->evtchn_upcall_mask = 1;
    if (!wild && one_in(8)) { // random code may have taken the handlers away
        reset_traps();
        hypercall(HYPERVISOR_set_callbacks, upcall_entry, failsafe_entry, syscall_entry);
        hypercall(HYPERVISOR_stack_switch, FLAT_RING3_DS32, kernel_stack_top);
    }
}

void second_main(void) {
    for (;;) {
        struct call c;
        generate(&c);
        if (c.number == HYPERVISOR_vcpu_op && c.args[0] == VCPUOP_down) continue;
        hypercall(c.number, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4]);
        if (one_in(4)) hypercall(HYPERVISOR_sched_op, SCHEDOP_yield, 0);
    }
}

static void prepare(void) {
    for (int i = 0; i < POOL; i++) pool[i] = page();
    for (int i = 0; i < TABLES; i++) tables[i] = page();
    for (int i = 0; i < 12; i++) tables[i % 3][i] = pte(pool[below(POOL)], RW | PTE_US);
    for (int i = 0; i < 3; i++) tables[3][i] = pte(tables[i], RW | PTE_US);
    for (int i = 0; i < 3; i++) tables[4][i] = pte(tables[3], RW | PTE_US);
    memcpy(tables[5], (void *)start_info->pt_base, PAGE_SIZE); // a base table that works
    tables[5][5] = pte(tables[4], RW | PTE_US);
    memset(tables[5] + 256, 0, 16 * 8);
    for (int i = 0; i < TABLES; i++) set_va(tables[i], pte(tables[i], RO));
    code = page();
    page(); // random code runs on into it
    edge = page();
    set_va(page(), 0);
    prepare_grants();
    mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of((void *)start_info->pt_base), 0);
    prepare_events();
    set_trap(0x80, 3, trap_stubs_extra);
    set_callback(CALLBACKTYPE_sysenter, 0, sysenter_entry);
    hypercall(HYPERVISOR_vm_assist, 0, VMASST_writable_pagetables);
    on_trap = recover;
    if (one_in(2)) return;
    good_context();
    if (hypercall(HYPERVISOR_vcpu_op, VCPUOP_initialise, 1, &context) == 0) hypercall(HYPERVISOR_vcpu_op, VCPUOP_up, 1, 0);
}

void guest_main(const char *command_line) {
    for (const char *s = command_line + 5; *s >= '0' && *s <= '9'; s++) state = state * 10 + (*s - '0');
    state = state * 0x9e3779b97f4a7c15 + 1;
    for (int i = 0; i < 8; i++) next();
    wild = one_in(2);
    prepare();
    for (;;) step();
}
