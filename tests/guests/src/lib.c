// What every test guest shares: start of day, console, checks, traps, page tables.

#include "pv.h"

struct start_info *start_info;
struct shared_info *shared_info;
struct vcpu_info *vcpu0;
u64 *p2m;
struct frame fault;
u64 fault_cr2;
void (*on_trap)(struct frame *);

static char *free_page, *mapped_end;
static int checks, failures;

struct console { char in[1024], out[2048]; u32 in_cons, in_prod, out_cons, out_prod; };
static volatile struct console *console;

static void put(char c) {
    u32 port = start_info->console_evtchn;
    while (console->out_prod - console->out_cons >= sizeof console->out) {
        hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_send, &port);
        hypercall(HYPERVISOR_sched_op, SCHEDOP_yield, 0);
    }
    console->out[console->out_prod % sizeof console->out] = c;
    asm volatile("" ::: "memory");
    console->out_prod++;
    if (c == '\n') hypercall(HYPERVISOR_event_channel_op, EVTCHNOP_send, &port);
}

static void put_string(const char *s) { while (*s) put(*s++); }

static void put_number(u64 n, u32 base) {
    char digits[20];
    int i = 0;
    do digits[i++] = "0123456789abcdef"[n % base]; while (n /= base);
    while (i) put(digits[--i]);
}

static void vprint(const char *format, __builtin_va_list args) {
    for (; *format; format++) {
        if (*format != '%') { put(*format); continue; }
        switch (*++format) {
        case 's': put_string(__builtin_va_arg(args, const char *)); break;
        case 'c': put(__builtin_va_arg(args, int)); break;
        case 'x': put_string("0x"); put_number(__builtin_va_arg(args, u64), 16); break;
        case 'd': {
            long n = __builtin_va_arg(args, long);
            if (n < 0) put('-');
            put_number(n < 0 ? -(u64)n : (u64)n, 10);
        }
        }
    }
}

void print(const char *format, ...) {
    __builtin_va_list args;
    __builtin_va_start(args, format);
    vprint(format, args);
    __builtin_va_end(args);
}

static void report(int good, const char *name, __builtin_va_list args) {
    checks++;
    failures += !good;
    print("%s %d - ", good ? "ok" : "not ok", (long)checks);
    vprint(name, args);
}

void ok(int good, const char *name, ...) {
    __builtin_va_list args;
    __builtin_va_start(args, name);
    report(good, name, args);
    print("\n");
    __builtin_va_end(args);
}

void is(u64 got, u64 want, const char *name, ...) {
    __builtin_va_list args;
    __builtin_va_start(args, name);
    report(got == want, name, args);
    if (got != want) print(": got %x (%d), not %x (%d)", got, got, want, want);
    print("\n");
    __builtin_va_end(args);
}

void plan(void) { print("1..%d\n", (long)checks); }
void stop(int reason) {
    u32 argument = reason;
    for (;;) hypercall(HYPERVISOR_sched_op, SCHEDOP_shutdown, &argument);
}
void finish(int reason) {
    plan();
    stop(reason);
}

void *memset(void *at, int value, u64 length) {
    void *to = at;
    asm volatile("rep stosb" : "+D"(to), "+c"(length) : "a"(value) : "memory");
    return at;
}

void *memcpy(void *at, const void *from, u64 length) {
    void *to = at;
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length) :: "memory");
    return at;
}

int strcmp(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return (u8)*a - (u8)*b;
}

/** True when `word` is one of the blank-separated words of the command line. */
int has_option(const char *word) {
    for (const char *s = start_info->cmd_line; *s;) {
        const char *w = word;
        while (*w && *s == *w) s++, w++;
        if (!*w && (*s == 0 || *s == ' ')) return 1;
        while (*s && *s != ' ') s++;
        while (*s == ' ') s++;
    }
    return 0;
}

// ---- memory

void *page(void) {
    if (free_page == mapped_end) {
        print("Bail out! no free pages left\n");
        finish(SHUTDOWN_crash);
    }
    void *p = free_page;
    free_page += PAGE_SIZE;
    return memset(p, 0, PAGE_SIZE);
}

u64 mfn_of(const void *va) { return p2m[((u64)va - (u64)virt_base) >> 12]; }

void *va_of_mfn(u64 mfn) { return virt_base + (((u64 *)0xffff800000000000)[mfn] << 12); }

u64 *entry_of(const void *va, int level) {
    u64 *table = (u64 *)start_info->pt_base;
    for (int l = 4;; l--) {
        u64 *entry = table + (((u64)va >> (12 + 9 * (l - 1))) & 511);
        if (l == level) return entry;
        if (!(*entry & PTE_P)) return 0;
        table = va_of_mfn((*entry & PTE_FRAME) >> 12);
    }
}

u64 entry_address(const void *va, int level) {
    u64 *entry = entry_of(va, level);
    return (mfn_of(entry) << 12) | ((u64)entry & 4095);
}

u64 pte(const void *va, u64 flags) { return (mfn_of(va) << 12) | flags; }

long set_va(const void *va, u64 entry) { return hypercall(HYPERVISOR_update_va_mapping, va, entry, UVMF_INVLPG); }

long update_entry(u64 machine_address, u64 entry) {
    struct mmu_update update = { machine_address, entry };
    return hypercall(HYPERVISOR_mmu_update, &update, 1, 0, DOMID_SELF);
}

long mmuext(u32 cmd, u64 arg1, u64 arg2) {
    struct mmuext_op op = { cmd, arg1, arg2 };
    return hypercall(HYPERVISOR_mmuext_op, &op, 1, 0, DOMID_SELF);
}

// ---- traps

extern void guard_return(void);

void trap(struct frame *f) {
    if (guard_sp && f->vector != UPCALL) {
        memcpy(&fault, f, sizeof fault);
        fault_cr2 = vcpu0->cr2;
        f->rip = (u64)guard_return;
        f->rsp = guard_sp;
        f->cs = FLAT_KERNEL_CS;
        f->ss = FLAT_RING3_DS32;
        f->rflags &= 0x200;
        return;
    }
    if (on_trap) return on_trap(f);
    print("Bail out! trap %x error %x at %x cr2 %x\n", f->vector, f->error, f->rip, vcpu0->cr2);
    finish(SHUTDOWN_crash);
}

long set_trap(u8 vector, u8 flags, const void *address) {
    struct trap_info table[2] = { { vector, flags, FLAT_RING3_CS64, (u64)address } };
    return hypercall(HYPERVISOR_set_trap_table, table);
}

void reset_traps(void) {
    struct trap_info table[33];
    for (int v = 0; v < 32; v++) table[v] = (struct trap_info){ v, v == 3 || v == 4 ? 3 : 0, FLAT_RING3_CS64, (u64)(trap_stubs + 16 * v) };
    table[32].address = 0;
    hypercall(HYPERVISOR_set_trap_table, table);
}

long set_callback(u16 type, u16 flags, const void *address) {
    struct callback_register r = { type, flags, (u64)address };
    return hypercall(HYPERVISOR_callback_op, 0, &r);
}

void guest_start(struct start_info *info) {
    start_info = info;
    p2m = (u64 *)info->mfn_list;
    console = va_of_mfn(info->console_mfn);
    free_page = (char *)info->pt_base + (info->nr_pt_frames + 1) * PAGE_SIZE; // the boot stack lies between
    mapped_end = (char *)(((u64)free_page + 0x3fffff) & ~0x3fffffUL);
    shared_info = page();
    hypercall(HYPERVISOR_update_va_mapping, shared_info, info->shared_info | RW, UVMF_INVLPG);
    vcpu0 = &shared_info->vcpu_info[0];
    memset(shared_info->evtchn_mask, 0xff, sizeof shared_info->evtchn_mask);
    hypercall(HYPERVISOR_stack_switch, FLAT_RING3_DS32, kernel_stack_top);
    reset_traps();
    hypercall(HYPERVISOR_set_callbacks, upcall_entry, failsafe_entry, syscall_entry);
    guest_main(info->cmd_line);
    finish(SHUTDOWN_poweroff);
}
