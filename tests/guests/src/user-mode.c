// Guest user mode: into it by iret, out of it by system calls, interrupts and faults; 32-bit code; iret frames that
// cannot be loaded.

#include "pv.h"

static u64 user_stack[256];

SNIPPET(user_syscall, "mov $0x123, %eax\n mov $0x77, %ebx\nuser_syscall_at: syscall\nuser_syscall_next:");
SNIPPET(user_hypercall, "mov $17, %eax\n xor %edi, %edi\n syscall\nuser_hypercall_next:");
SNIPPET(user_int80, "int $0x80\nuser_int80_next:");
SNIPPET(user_int81, "int $0x81\nuser_int81_next:");
SNIPPET(user_int3, "int3\nuser_int3_next:");
SNIPPET(user_read, "mov (%rdi), %eax\n syscall");
SNIPPET(user_write, "movl $7, (%rdi)\n syscall");
SNIPPET(user_jump, "jmp *%rdi");
SNIPPET(user_cli, "cli");
SNIPPET(user_hlt, "hlt");
SNIPPET(user_in, "in $0x80, %al\n syscall");
SNIPPET(user_cr, "mov %cr0, %rax");
SNIPPET(user_msr, "mov $0xc0000080, %ecx\nuser_msr_at: rdmsr");
SNIPPET(user_cpuid, "xor %eax, %eax\n cpuid\n syscall");
SNIPPET(user_gs, "mov %gs:0, %rbx\n syscall");
SNIPPET(user_step, "nop\nuser_step_next: nop");
SNIPPET(user_spin, "1: pause\n jmp 1b");
SNIPPET(user_iretq, "iretq");
SNIPPET(user_swapgs, "swapgs");
SNIPPET(user_stack_fault, "xor %esp, %esp\nuser_stack_fault_at: push %rax");
HERE(user_syscall_next); HERE(user_hypercall_next); HERE(user_int80_next); HERE(user_int81_next); HERE(user_int3_next); HERE(user_msr_at);
HERE(user_step_next); HERE(user_stack_fault_at); HERE(user_syscall_at);

static struct frame user_frame;
static void go(u64 unused) {
    (void)unused;
    static struct frame copy;
    memcpy(&copy, &user_frame, sizeof copy);
    enter(&copy);
}

/** Runs user code to its first trap. */
static void prepare(const void *rip, u64 arg) {
    memset(&user_frame, 0, sizeof user_frame);
    user_frame.rip = (u64)rip;
    user_frame.rdi = arg;
    user_frame.cs = FLAT_RING3_CS64;
    user_frame.ss = FLAT_RING3_DS32;
    user_frame.rflags = 2; // IF clear: events stay masked
    user_frame.rsp = (u64)(user_stack + 200);
}
static void run(const void *rip, u64 arg) {
    prepare(rip, arg);
    guarded(go, 0);
}
static void expect(const char *name, const void *code, u64 arg, u64 vector, u64 error, const void *rip) {
    run(code, arg);
    is(fault.vector, vector, "%s: vector", name);
    is(fault.error, error, "%s: error code", name);
    is(fault.rip, (u64)rip, "%s: rip", name);
    is(fault.cs, FLAT_RING3_CS64, "%s: cs", name);
}

static void system_calls(void) {
    expect("syscall", user_syscall, 0, SYSCALL, 0, user_syscall_next);
    is(fault.rax, 0x123, "rax");
    is(fault.rbx, 0x77, "rbx");
    is(fault.rcx, (u64)user_syscall_next, "rcx is rip");
    is(fault.r11 & 2, 2, "r11 is rflags");
    is(fault.ss, FLAT_RING3_DS32, "ss");
    is(fault.rsp, (u64)(user_stack + 200), "rsp");
    is(fault.saved_mask, 1, "events are masked as the iret said");
    expect("a hypercall number in user mode", user_hypercall, 0, SYSCALL, 0, user_hypercall_next);
    is(fault.rax, 17, "is no hypercall");
    hypercall(HYPERVISOR_set_callbacks, upcall_entry, failsafe_entry, 0UL);
    expect("syscall without a callback", user_syscall, 0, 6, 0, user_syscall_at);
    hypercall(HYPERVISOR_set_callbacks, upcall_entry, failsafe_entry, syscall_entry);
    prepare(user_syscall, 0);
    user_frame.rflags = 0x202;
    guarded(go, 0);
    u8 mask = vcpu0->evtchn_upcall_mask;
    is(fault.saved_mask, 0, "IF in the iret frame opens events");
    is(fault.rflags & 0x200, 0x200, "the frame has IF");
    is(mask, 0, "a syscall leaves them open");
    set_callback(CALLBACKTYPE_syscall, CALLBACKF_mask_events, syscall_entry);
    guarded(go, 0);
    mask = vcpu0->evtchn_upcall_mask;
    is(fault.saved_mask, 0, "the frame says they were open");
    set_callback(CALLBACKTYPE_syscall, 0, syscall_entry);
    vcpu0->evtchn_upcall_mask = 1;
}

static void interrupts(void) {
    set_trap(0x80, 3, trap_stubs_extra);
    set_trap(0x81, 1, trap_stubs_extra + 16);
    expect("int 0x80", user_int80, 0, 0x80, 0, user_int80_next);
    expect("int 0x81, a gate for the kernel", user_int81, 0, 13, 0x81 << 3 | 2, user_int81);
    set_trap(0x81, 3, trap_stubs_extra + 16);
    expect("int 0x81, a gate for all", user_int81, 0, 0x81, 0, user_int81_next);
    expect("int3", user_int3, 0, 3, 0, user_int3_next);
}

static void faults(void) {
    char *p = page();
    set_va(p, 0);
    expect("read of nothing", user_read, (u64)p, 14, 4, user_read);
    is(fault_cr2, (u64)p, "cr2");
    expect("write to nothing", user_write, (u64)p, 14, 6, user_write);
    set_va(p, pte(p, RO));
    expect("write to a read-only page", user_write, (u64)p, 14, 7, user_write);
    expect("jump to nothing", user_jump, 0x1000, 14, 0x14, (void *)0x1000);
    set_va(p, pte(p, RW | PTE_NX));
    expect("jump to a page without execution", user_jump, (u64)p, 14, 0x15, p);
    set_va(p, pte(p, RW));
    expect("push to address 0", user_stack_fault, 0, 14, 6, user_stack_fault_at);
    expect("cli", user_cli, 0, 13, 0, user_cli);
    expect("hlt", user_hlt, 0, 13, 0, user_hlt);
    expect("in", user_in, 0, 13, 0, user_in);
    expect("mov from cr0", user_cr, 0, 13, 0, user_cr);
    expect("rdmsr", user_msr, 0, 13, 0, user_msr_at);
    expect("swapgs", user_swapgs, 0, 13, 0, user_swapgs);
    run(user_cpuid, 0);
    is(fault.vector, SYSCALL, "cpuid is for everybody");
    run(user_read, 0x800000000000);
    is(fault.vector, 13, "a non-canonical address");
    prepare(user_step, 0);
    user_frame.rflags = 0x102;
    guarded(go, 0);
    is(fault.vector, 1, "single step");
    is(fault.rip, (u64)user_step_next, "one instruction further");
    u32 iopl = 3;
    hypercall(HYPERVISOR_physdev_op, PHYSDEVOP_set_iopl, &iopl);
    run(user_in, 0);
    is(fault.vector, SYSCALL, "in with IOPL 3");
    is(fault.rax & 0xff, 0xff, "nothing is there");
    iopl = 0;
    hypercall(HYPERVISOR_physdev_op, PHYSDEVOP_set_iopl, &iopl);
    u8 *bitmap = page();
    page();
    memset(bitmap, 0xff, 4096);
    bitmap[0x80 / 8] &= ~1;
    struct physdev_set_iobitmap set = { bitmap, 0x100 };
    hypercall(HYPERVISOR_physdev_op, PHYSDEVOP_set_iobitmap, &set);
    run(user_in, 0);
    is(fault.vector, SYSCALL, "in with a bit in the bitmap");
    set.nr_ports = 0;
    hypercall(HYPERVISOR_physdev_op, PHYSDEVOP_set_iobitmap, &set);
}

static void bases(void) {
    static u64 mine = 0xaaaa, theirs = 0xbbbb;
    u64 value;
    hypercall(HYPERVISOR_set_segment_base, SEGBASE_GS_KERNEL, &mine);
    hypercall(HYPERVISOR_set_segment_base, SEGBASE_GS_USER, &theirs);
    run(user_gs, 0);
    asm volatile("mov %%gs:0, %0" : "=r"(value));
    is(fault.rbx, 0xbbbb, "user mode has its gs base");
    is(value, 0xaaaa, "and the kernel its own");
}

/** What iret cannot load is an exception where it leads. */
static void bad_frame(const char *name, u64 vector, u64 error) {
    memset(&fault, 0, sizeof fault);
    guarded(go, 0);
    is(fault.vector, vector, "%s: vector", name);
    is(fault.error, error, "%s: error code", name);
    is(fault.rip, user_frame.rip, "%s: rip", name);
    is(fault.cs & 0xffff, user_frame.cs, "%s: cs", name);
    is(fault.ss & 0xffff, user_frame.ss, "%s: ss", name);
    is(fault.rsp, user_frame.rsp, "%s: rsp", name);
}
static void bad_frames(void) {
    prepare(user_syscall, 0);
    user_frame.cs = 0x23;
    bad_frame("cs without a descriptor", 13, 0x20);
    prepare(user_syscall, 0);
    user_frame.cs = 3;
    bad_frame("a null cs", 13, 0);
    prepare(user_syscall, 0);
    user_frame.ss = 0x23;
    bad_frame("ss without a descriptor", 13, 0x20);
    prepare(user_syscall, 0);
    user_frame.ss = 3;
    bad_frame("a null ss", 13, 0);
    prepare((void *)0x800000000000, 0);
    bad_frame("rip not canonical", 13, 0);
    prepare(user_syscall, 0);
    user_frame.cs = FLAT_RING3_DS32;
    bad_frame("cs is a data segment", 13, 0xe028);
    prepare(user_syscall, 0);
    user_frame.ss = FLAT_RING3_CS64;
    bad_frame("ss is a code segment", 13, 0xe030);
    prepare(user_syscall, 0);
    user_frame.rflags = 0x3002 | 0x20000 | 0x8000;
    guarded(go, 0);
    is(fault.vector, SYSCALL, "IOPL, VM and reserved flags in the frame");
    is(fault.rflags & 0x23000, 0, "are left out");
    prepare(user_step_next, 0);
    user_frame.rsp = 0x800000000000;
    user_frame.rip = (u64)user_syscall;
    guarded(go, 0);
    is(fault.vector, SYSCALL, "a stack pointer that is not canonical is user mode's affair");
    is(fault.rsp, 0x800000000000, "it is in the frame");
}

/** Maps one page at a low address, for 32-bit code. */
static u8 *low_page(void) {
    u64 *l3 = page(), *l2 = page(), *l1 = page();
    u8 *code = page();
    l3[0] = pte(l2, RW | PTE_US);
    l2[0] = pte(l1, RW | PTE_US);
    l1[16] = pte(code, RW | PTE_US);
    set_va(l3, pte(l3, RO));
    set_va(l2, pte(l2, RO));
    set_va(l1, pte(l1, RO));
    is(update_entry(entry_address(0, 4), pte(l3, RW | PTE_US)), 0, "tables for low addresses");
    return code;
}

static void compatibility(void) {
    u8 *code = low_page();
    // mov eax, 0x1234; inc eax (0x40); push eax; pop ebx; int 0x80
    static const u8 thirty_two[] = { 0xb8, 0x34, 0x12, 0, 0, 0x40, 0x50, 0x5b, 0xcd, 0x80 };
    memcpy(code, thirty_two, sizeof thirty_two);
    prepare((void *)0x10000, 0);
    user_frame.cs = FLAT_RING3_CS32;
    user_frame.rsp = 0x10800;
    user_frame.rflags = 0x202;
    guarded(go, 0);
    vcpu0->evtchn_upcall_mask = 1;
    is(fault.vector, 0x80, "32-bit code");
    is(fault.cs, FLAT_RING3_CS32, "cs");
    is(fault.rip, 0x10000 + sizeof thirty_two, "rip");
    is(fault.rax, 0x1235, "0x40 is INC");
    is(fault.rbx, 0x1235, "PUSH and POP of 32 bits");
    is(fault.rsp, 0x10800, "rsp");
    static const u8 jump_far[] = { 0xea, 7, 0, 1, 0, 0x33, 0xe0, 0x48, 0x31, 0xc0, 0x0f, 0x05 }; // jmp 0xe033:0x10007; xor rax, rax; syscall
    memcpy(code, jump_far, sizeof jump_far);
    prepare((void *)0x10000, 0);
    user_frame.cs = FLAT_RING3_CS32;
    user_frame.rsp = 0x10800;
    user_frame.rax = ~0UL;
    guarded(go, 0);
    is(fault.vector, SYSCALL, "from 32-bit code to 64-bit code by a far jump");
    is(fault.rax, 0, "xor of 64 bits");
    prepare((void *)0x100010000, 0);
    user_frame.cs = FLAT_RING3_CS32;
    bad_frame("32-bit code beyond 4 GiB", 13, 0);
    static const u8 read[] = { 0x8b, 0x03, 0xcd, 0x80 }; // mov eax, [ebx]; int 0x80
    memcpy(code, read, sizeof read);
    prepare((void *)0x10000, 0);
    user_frame.cs = FLAT_RING3_CS32;
    user_frame.rbx = 0xffffffff80001000;
    asm volatile("mov %0, %%ds" :: "r"(FLAT_RING3_DS32));
    guarded(go, 0);
    is(fault.vector, 14, "32-bit addresses");
    is(fault_cr2, 0x80001000, "have 32 bits");
}

void guest_main(const char *command_line) {
    (void)command_line;
    is(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of((void *)start_info->pt_base), 0), 0, "the kernel's tables are user mode's too");
    system_calls();
    interrupts();
    faults();
    bases();
    bad_frames();
    compatibility();
}
