// vCPUs that run at the same time: locked instructions, the order of loads and stores (litmus tests), translations that go, page
// tables, code that another vCPU writes, marks in page tables, events. With "four" on the command line there are four vCPUs, for
// what takes so many; with "short" all is done less often.

#include "pv.h"

#define MOST 4
static int vcpus = 2;

// ---- vCPUs that do what vCPU 0 says

static struct vcpu_guest_context context;
static u8 stacks[MOST][16384];
static volatile u32 job_number;
static void (*volatile job)(int);
static volatile u32 done[MOST][16];
static u32 port_of[MOST];
static volatile u32 faults[MOST], upcalls[MOST];
/** Where a vCPU goes on after a page fault; 0: the instruction is tried again. */
static volatile u64 after_fault[MOST];

static int me_of(u64 sp) {
    for (int v = 1; v < MOST; v++) if (sp >= (u64)stacks[v] && sp < (u64)stacks[v] + sizeof stacks[v]) return v;
    return 0;
}
static void take(struct frame *f) {
    int me = me_of(f->rsp);
    if (f->vector == UPCALL) {
        struct vcpu_info *info = &shared_info->vcpu_info[me];
        info->evtchn_upcall_pending = 0;
        u64 words = __atomic_exchange_n(&info->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
        u32 port = port_of[me];
        if ((words & 1) && (__atomic_fetch_and(&shared_info->evtchn_pending[0], ~(1UL << port), __ATOMIC_SEQ_CST) >> port & 1)) upcalls[me]++;
        return;
    }
    if (f->vector != 14 || !after_fault[me]) {
        print("Bail out! trap %x error %x at %x on vCPU %d\n", f->vector, f->error, f->rip, (long)me);
        finish(SHUTDOWN_crash);
    }
    faults[me]++;
    if (after_fault[me] != 1) f->rip = after_fault[me];
}
static void pause(void) { asm volatile("pause" ::: "memory"); }
static void other_main(u64 me) {
    shared_info->vcpu_info[me].evtchn_upcall_mask = 0;
    for (u32 next = 1;; next++) {
        while (job_number < next) pause();
        job((int)me);
        done[me][0] = next;
    }
}
static void start(void (*what)(int)) {
    job = what;
    job_number++;
}
static void join(void) { for (int v = 1; v < vcpus; v++) while (done[v][0] != job_number) pause(); }
/** Every vCPU does it. */
static void all(void (*what)(int)) {
    start(what);
    what(0);
    join();
}
static volatile u32 arrived;
/** Waits for all. @param round 1, 2 … */
static void meet(u32 round) {
    __atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
    while (arrived < round * vcpus) pause();
}
static void bring_up(int v) {
    context.flags = VGCF_in_kernel;
    context.user_regs.rip = (u64)other_main;
    context.user_regs.rsp = (u64)stacks[v] + sizeof stacks[v] - 8;
    context.user_regs.rdi = v;
    context.user_regs.cs = FLAT_RING3_CS64;
    context.user_regs.ss = FLAT_RING3_DS32;
    context.kernel_ss = FLAT_RING3_DS32;
    context.kernel_sp = (u64)stacks[v] + sizeof stacks[v];
    context.event_callback_eip = (u64)upcall_entry;
    context.failsafe_callback_eip = (u64)failsafe_entry;
    context.syscall_callback_eip = (u64)syscall_entry;
    context.ctrlreg[3] = mfn_of((void *)start_info->pt_base) << 12;
    for (int t = 0; t < 32; t++) context.trap_ctxt[t] = (struct trap_info){ t, 0, FLAT_RING3_CS64, (u64)(trap_stubs + 16 * t) };
    is(hypercall(HYPERVISOR_vcpu_op, VCPUOP_initialise, v, &context), 0, "initialise vCPU %d", (long)v);
    is(hypercall(HYPERVISOR_vcpu_op, VCPUOP_up, v, 0), 0, "up");
}

// ---- locked instructions

static int times = 300000;
static struct { u64 counter, pad[7]; } cells[16] __attribute__((aligned(4096)));
/** Two pages; the second begins with code. */
static u8 *two_pages;
static volatile u32 spin;
static u64 guarded_sum;
static struct { u64 lo, hi; } wide __attribute__((aligned(16)));

#define EACH(name, instruction) static void name(int me) { (void)me; for (int i = 0; i < times; i++) asm volatile(instruction ::: "memory", "cc", "rax", "rbx", "rcx", "rdx"); }
EACH(add8, "lock addb $1, cells")
EACH(add16, "lock addw $1, cells+64")
EACH(add32, "lock addl $1, cells+128")
EACH(add64, "lock addq $1, cells+192")
EACH(inc64, "lock incq cells+256")
EACH(dec32, "lock decl cells+320")
EACH(sub64, "lock subq $3, cells+384")
EACH(adc64, "stc; lock adcq $1, cells+448")
EACH(sbb64, "stc; lock sbbq $1, cells+512")
EACH(not64, "lock notq cells+576")
EACH(neg64, "lock negq cells+640")
EACH(btc64, "lock btcq $5, cells+704")
EACH(xadd64, "mov $2, %%eax; lock xaddq %%rax, cells+768")
EACH(xor64, "lock xorq $0x55, cells+832")
static void cmpxchg64(int me) {
    (void)me;
    for (int i = 0; i < times; i++) for (u64 old = cells[14].counter; !__atomic_compare_exchange_n(&cells[14].counter, &old, old + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST););
}
static void cmpxchg8(int me) {
    (void)me;
    for (int i = 0; i < times; i++) {
        u32 lo = (u32)cells[15].counter, hi = (u32)(cells[15].counter >> 32);
        u8 same;
        do {
            u64 next = ((u64)hi << 32 | lo) + 0x300000001;
            asm volatile("lock cmpxchg8b cells+960; setz %2" : "+a"(lo), "+d"(hi), "=r"(same) : "b"((u32)next), "c"((u32)(next >> 32)) : "memory", "cc");
        } while (!same);
    }
}
static void cmpxchg16(int me) {
    (void)me;
    for (int i = 0; i < times; i++) {
        u64 lo = wide.lo, hi = wide.hi;
        u8 same;
        do asm volatile("lock cmpxchg16b %3; setz %2" : "+a"(lo), "+d"(hi), "=r"(same), "+m"(wide) : "b"(lo + 1), "c"(hi - 1) : "memory", "cc"); while (!same);
    }
}
static void with_xchg(int me) {
    (void)me;
    for (int i = 0; i < times; i++) {
        for (u32 was = 1; ; ) {
            asm volatile("xchg %0, %1" : "+r"(was), "+m"(spin) :: "memory");
            if (!was) break;
            while (spin) pause();
            was = 1;
        }
        guarded_sum++;
        asm volatile("" ::: "memory");
        spin = 0;
    }
}
static void misaligned(int me) { (void)me; for (int i = 0; i < times / 30; i++) asm volatile("lock addq $1, (%0)" :: "r"(two_pages + 1001) : "memory", "cc"); }
static void crossing(int me) { (void)me; for (int i = 0; i < times / 30; i++) asm volatile("lock addq $1, (%0)" :: "r"(two_pages + 4093) : "memory", "cc"); }
/** In a page with code, which is executed now and then. */
static void beside_code(int me) {
    (void)me;
    for (int i = 0; i < times / 30; i++) {
        if (i % 64 == 0) ((void (*)(void))(two_pages + 4096 + 512))();
        asm volatile("lock addq $1, (%0)" :: "r"(two_pages + 4096 + 1024) : "memory", "cc");
    }
}
static void locked_instructions(void) {
    u64 n = (u64)times * vcpus;
    all(add8); is(cells[0].counter, n & 0xff, "ADD, a byte");
    all(add16); is(cells[1].counter, n & 0xffff, "ADD, 2 bytes");
    all(add32); is(cells[2].counter, n, "ADD, 4 bytes");
    all(add64); is(cells[3].counter, n, "ADD, 8 bytes");
    all(inc64); is(cells[4].counter, n, "INC");
    all(dec32); is(cells[5].counter, (u32)-n, "DEC");
    all(sub64); is(cells[6].counter, -3 * n, "SUB");
    all(adc64); is(cells[7].counter, 2 * n, "ADC");
    all(sbb64); is(cells[8].counter, -2 * n, "SBB");
    cells[9].counter = 0x1234;
    all(not64); is(cells[9].counter, 0x1234, "NOT, an even number of times");
    cells[10].counter = 0x1234;
    all(neg64); is(cells[10].counter, 0x1234, "NEG, an even number of times");
    all(btc64); is(cells[11].counter, 0, "BTC, an even number of times");
    all(xadd64); is(cells[12].counter, 2 * n, "XADD");
    all(xor64); is(cells[13].counter, 0, "XOR, an even number of times");
    all(cmpxchg64); is(cells[14].counter, n, "CMPXCHG");
    all(cmpxchg8); is(cells[15].counter, n * 0x300000001, "CMPXCHG8B");
    all(cmpxchg16); is(wide.lo, n, "CMPXCHG16B"); is(wide.hi, -n, "its other half");
    all(with_xchg); is(guarded_sum, n, "a lock by XCHG");
    all(misaligned); is(*(u64 *)(two_pages + 1001), n / 30, "ADD, not aligned");
    all(crossing); is(*(u64 *)(two_pages + 4093), n / 30, "ADD, across pages");
    memset(two_pages + 4096, 0, 64);
    two_pages[4096 + 512] = 0xc3;
    all(beside_code); is(*(u64 *)(two_pages + 4096 + 1024), n / 30, "ADD, in a page with code");
}

// ---- the order of loads and stores

#define BATCH 64
static u32 batches = 1000;
static struct { volatile u64 value; u64 pad[15]; } var_x[BATCH] __attribute__((aligned(128))), var_y[BATCH] __attribute__((aligned(128)));
static volatile u64 result[MOST][BATCH][2];
enum { PLAIN, FENCED, LOCKED };
static volatile int how;

#define STORE_BUFFERING(fence) \
    if (me == 0) { var_x[i].value = 1; asm volatile(fence ::: "memory", "cc"); result[0][i][0] = var_y[i].value; } \
    else if (me == 1) { var_y[i].value = 1; asm volatile(fence ::: "memory", "cc"); result[1][i][0] = var_x[i].value; }
static void store_buffering(int me) {
    if (how == PLAIN) for (int i = 0; i < BATCH; i++) { STORE_BUFFERING("") }
    else if (how == FENCED) for (int i = 0; i < BATCH; i++) { STORE_BUFFERING("mfence") }
    else for (int i = 0; i < BATCH; i++) { STORE_BUFFERING("lock orl $0, -4(%%rsp)") }
}
static void message_passing(int me) {
    for (int i = 0; i < BATCH; i++) {
        if (me == 0) { var_x[i].value = 1; asm volatile("" ::: "memory"); var_y[i].value = 1; }
        else if (me == 1) { result[1][i][0] = var_y[i].value; asm volatile("" ::: "memory"); result[1][i][1] = var_x[i].value; }
    }
}
static void load_buffering(int me) {
    for (int i = 0; i < BATCH; i++) {
        if (me == 0) { result[0][i][0] = var_x[i].value; asm volatile("" ::: "memory"); var_y[i].value = 1; }
        else if (me == 1) { result[1][i][0] = var_y[i].value; asm volatile("" ::: "memory"); var_x[i].value = 1; }
    }
}
static void read_twice(int me) {
    for (int i = 0; i < BATCH; i++) {
        if (me == 0) var_x[i].value = 1;
        else if (me == 1) { result[1][i][0] = var_x[i].value; asm volatile("" ::: "memory"); result[1][i][1] = var_x[i].value; }
    }
}
static void independent_reads(int me) {
    for (int i = 0; i < BATCH; i++) {
        if (me == 0) var_x[i].value = 1;
        else if (me == 1) var_y[i].value = 1;
        else if (me == 2) { result[2][i][0] = var_x[i].value; asm volatile("" ::: "memory"); result[2][i][1] = var_y[i].value; }
        else { result[3][i][0] = var_y[i].value; asm volatile("" ::: "memory"); result[3][i][1] = var_x[i].value; }
    }
}
static void (*litmus)(int);
static volatile u32 rounds, round_now;
static int (*is_seen)(int);
static u64 seen;
/** Rounds of BATCH instances; vCPU 0 clears and counts between them. */
static void run_litmus(int me) {
    for (u32 r = 0; r < rounds; r++) {
        if (me == 0) for (int i = 0; i < BATCH; i++) var_x[i].value = var_y[i].value = 0;
        meet(3 * r + 1);
        if ((r & 1) == (u32)me) for (u32 j = 0; j < r / 2 % 64; j++) asm volatile(""); // they begin in any order
        litmus(me);
        meet(3 * r + 2);
        if (me == 0) for (int i = 0; i < BATCH; i++) seen += is_seen(i);
        meet(3 * r + 3);
    }
}
static int both_zero(int i) { return !result[0][i][0] && !result[1][i][0]; }
static int both_one(int i) { return result[0][i][0] && result[1][i][0]; }
static int second_older(int i) { return result[1][i][0] && !result[1][i][1]; }
static int orders_differ(int i) { return result[2][i][0] && !result[2][i][1] && result[3][i][0] && !result[3][i][1]; }
static u64 count(void (*program)(int), int (*outcome)(int)) {
    litmus = program;
    is_seen = outcome;
    seen = 0;
    arrived = 0;
    rounds = batches;
    all(run_litmus);
    return seen;
}
static void order(void) {
    how = PLAIN;
    u64 both_old = count(store_buffering, both_zero);
    ok(1, "store buffering: %d of %d times both saw the old value, which x86 allows", both_old, (long)batches * BATCH);
    how = FENCED;
    is(count(store_buffering, both_zero), 0, "store buffering with MFENCE");
    how = LOCKED;
    is(count(store_buffering, both_zero), 0, "store buffering with a LOCK form");
    is(count(message_passing, second_older), 0, "message passing");
    is(count(load_buffering, both_one), 0, "load buffering");
    is(count(read_twice, second_older), 0, "reads of one place");
}
/** Few rounds, for a machine with fewer cores than vCPUs. */
static void order_of_four(void) {
    batches = 20;
    all(add64);
    is(cells[3].counter, (u64)times * vcpus, "ADD, by four");
    is(count(independent_reads, orders_differ), 0, "independent reads of independent writes");
}

// ---- translations

static volatile u64 *victim;
static volatile u32 stopped;
static void write_on(int me) {
    if (me != 1) return;
    after_fault[me] = 1;
    for (u64 n = 1; !stopped; n++) victim[n % 512] = n;
    after_fault[me] = 0;
}
static int is_still(volatile u64 *page) {
    u64 copy[64];
    for (int i = 0; i < 64; i++) copy[i] = page[i];
    for (int round = 0; round < 300; round++) for (int i = 0; i < 64; i++) if (page[i] != copy[i]) return 0;
    return 1;
}
static void translations(void) {
    int moved = 0;
    victim = page();
    stopped = 0;
    start(write_on);
    for (int i = 0; i < 300; i++) {
        hypercall(HYPERVISOR_update_va_mapping, victim, pte((void *)victim, RO), UVMF_INVLPG | 4); // of all vCPUs
        moved += !is_still(victim);
        hypercall(HYPERVISOR_update_va_mapping, victim, pte((void *)victim, RW), 0);
        for (int j = 0; j < 2000; j++) pause();
    }
    stopped = 1;
    join();
    is(moved, 0, "a page that was made read-only does not change");
    ok(victim[1] > 0, "it was written to");
    ok(faults[1] > 0, "who writes to it faults");
}

// ---- page tables

static u64 evil;
static void forge(int me) {
    if (me != 1) return;
    after_fault[me] = 1;
    while (!stopped) {
        victim[7] = evil;
        victim[7] = 0;
    }
    after_fault[me] = 0;
}
static void tables(void) {
    int pinned = 0, forged = 0;
    u64 mfn = mfn_of((void *)victim);
    memset((void *)victim, 0, PAGE_SIZE);
    evil = mfn_of((void *)start_info->pt_base) << 12 | RW; // a page table that may be written
    stopped = 0;
    start(forge);
    for (int i = 0; i < 3000; i++) {
        hypercall(HYPERVISOR_update_va_mapping, victim, pte((void *)victim, RO), 0);
        if (mmuext(MMUEXT_PIN_L1_TABLE, mfn, 0) == 0) {
            pinned++;
            for (int j = 0; j < 400; j++) forged += victim[7] != 0;
            mmuext(MMUEXT_UNPIN_TABLE, mfn, 0);
        }
        hypercall(HYPERVISOR_update_va_mapping, victim, pte((void *)victim, RW), 0);
    }
    stopped = 1;
    join();
    ok(pinned > 0, "a page that another vCPU writes to becomes a page table");
    is(forged, 0, "and is not written to then");
}

// ---- code

static u8 *code;
static volatile u32 version, stale_seen, checked;
static void call_on(int me) {
    if (me != 1) return;
    while (!stopped) {
        u32 wanted = version;
        u32 a = 0, c = 0;
        asm volatile("cpuid" : "+a"(a), "+c"(c) :: "ebx", "edx", "memory");
        u32 got = ((u32 (*)(void))code)();
        if (got < wanted) stale_seen++;
        checked++;
    }
}
static void patches(void) {
    code = page();
    code[0] = 0xb8; // mov $version, %eax
    code[5] = 0xc3;
    stopped = 0;
    start(call_on);
    while (checked < 100) pause();
    for (u32 v = 1; v <= 2000 || checked <= 200; v++) { // on one CPU the other has few turns
        *(volatile u32 *)(code + 1) = v;
        asm volatile("" ::: "memory");
        version = v;
        for (int j = 0; j < 300; j++) pause();
    }
    stopped = 1;
    join();
    is(stale_seen, 0, "code that another vCPU has changed is executed as it is");
    ok(checked > 200, "it was executed meanwhile");
}

// ---- marks

static volatile u64 *alias;
static void write_some(int me) {
    if (me != 1) return;
    after_fault[me] = 1;
    for (u64 n = 1; !stopped; n++) {
        victim[3] = n;
        for (int j = 0; j < 30; j++) pause();
    }
    after_fault[me] = 0;
}
static void marks(void) {
    int lost = 0, dirty = 0;
    hypercall(HYPERVISOR_vm_assist, 0, VMASST_writable_pagetables);
    alias = page();
    is(set_va((void *)alias, pte((void *)victim, RO)), 0, "the page is mapped twice");
    volatile u64 *entry = entry_of((void *)victim, 1);
    stopped = 0;
    start(write_some);
    for (int i = 0; i < 2000 || (dirty == 0 && i < 1000000); i++) { // when the other one has a turn is chance
        asm volatile("lock btrq $6, %0" : "+m"(*entry) :: "memory", "cc"); // not dirty any more
        mmuext(MMUEXT_INVLPG_ALL, (u64)victim, 0);
        u64 before = alias[3];
        for (int j = 0; j < 100; j++) pause();
        u64 old = __atomic_exchange_n(entry, 0, __ATOMIC_SEQ_CST);
        mmuext(MMUEXT_INVLPG_ALL, (u64)victim, 0);
        int changed = alias[3] != before;
        lost += changed && !(old & PTE_D);
        dirty += (old & PTE_D) != 0;
        *entry = old;
    }
    stopped = 1;
    join();
    is(lost, 0, "no page is written to whose entry is not marked dirty");
    ok(dirty > 0, "some were marked");
}

// ---- events

/** Waits for so many. With events masked while it looks: one that came behind the look would wake nobody. */
static void await(int me, u32 n) {
    volatile u8 *mask = &shared_info->vcpu_info[me].evtchn_upcall_mask;
    for (*mask = 1; upcalls[me] < n; *mask = 1) hypercall(HYPERVISOR_sched_op, SCHEDOP_block, 0);
    *mask = 0;
}
static void answer(int me) {
    if (me != 1) return;
    for (u32 n = 1; n <= 2000; n++) {
        await(1, n);
        hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_send, &port_of[0]);
    }
}
static void events(void) {
    for (int v = 0; v < 2; v++) {
        struct evtchn_bind_ipi bind = { v, 0 };
        is(hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, &bind), 0, "bind an IPI of vCPU %d", (long)v);
        port_of[v] = bind.port;
        __atomic_fetch_and(&shared_info->evtchn_mask[0], ~(1UL << bind.port), __ATOMIC_SEQ_CST);
    }
    vcpu0->evtchn_upcall_mask = 0;
    start(answer);
    for (u32 n = 1; n <= 2000; n++) {
        hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_send, &port_of[1]);
        await(0, n);
    }
    join();
    vcpu0->evtchn_upcall_mask = 1;
    is(upcalls[1], 2000, "events to vCPU 1");
    is(upcalls[0], 2000, "events to vCPU 0");
}

void guest_main(const char *command_line) {
    (void)command_line;
    on_trap = take;
    if (has_option("four")) vcpus = MOST;
    if (has_option("short")) {
        times = 30000;
        batches = 50;
    }
    two_pages = page();
    page();
    for (int v = 1; v < vcpus; v++) bring_up(v);
    if (vcpus == MOST) return order_of_four();
    locked_instructions();
    order();
    translations();
    tables();
    patches();
    marks();
    events();
}
