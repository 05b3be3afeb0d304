// Privileged instructions of the guest kernel: what Xen emulates, and what is #GP.

#include "pv.h"

u64 in[4];
volatile u64 out[4];

#define WITH_REGISTERS(name, code) SNIPPET(name, \
    "push %rbx\n mov in(%rip), %rax\n mov in+8(%rip), %rcx\n mov in+16(%rip), %rdx\n" #name "_at: " code \
    "\n mov %rax, out(%rip)\n mov %rcx, out+8(%rip)\n mov %rdx, out+16(%rip)\n mov %rbx, out+24(%rip)\n pop %rbx"); \
    extern char name##_at[]

WITH_REGISTERS(do_cli, "cli"); WITH_REGISTERS(do_sti, "sti"); WITH_REGISTERS(do_hlt, "hlt"); WITH_REGISTERS(do_clts, "clts");
WITH_REGISTERS(do_inb, "in $0x80, %al"); WITH_REGISTERS(do_inw, "in %dx, %ax"); WITH_REGISTERS(do_inl, "in %dx, %eax");
WITH_REGISTERS(do_outb, "out %al, %dx"); WITH_REGISTERS(do_outl, "out %eax, %dx");
WITH_REGISTERS(do_rdmsr, "rdmsr"); WITH_REGISTERS(do_wrmsr, "wrmsr");
WITH_REGISTERS(from_cr0, "mov %cr0, %rax"); WITH_REGISTERS(to_cr0, "mov %rax, %cr0"); WITH_REGISTERS(from_cr2, "mov %cr2, %rax"); WITH_REGISTERS(to_cr2, "mov %rax, %cr2");
WITH_REGISTERS(from_cr3, "mov %cr3, %rax"); WITH_REGISTERS(to_cr3, "mov %rax, %cr3"); WITH_REGISTERS(from_cr4, "mov %cr4, %rax");
WITH_REGISTERS(from_cr8, "mov %cr8, %rax");
WITH_REGISTERS(from_dr0, "mov %db0, %rax"); WITH_REGISTERS(to_dr0, "mov %rax, %db0"); WITH_REGISTERS(from_dr7, "mov %db7, %rax"); WITH_REGISTERS(to_dr7, "mov %rax, %db7");
WITH_REGISTERS(do_wbinvd, "wbinvd"); WITH_REGISTERS(do_invd, "invd"); WITH_REGISTERS(do_invlpg, "invlpg (%rax)"); WITH_REGISTERS(do_lgdt, "lgdt (%rax)");
WITH_REGISTERS(do_lidt, "lidt (%rax)"); WITH_REGISTERS(do_lldt, "lldt %ax"); WITH_REGISTERS(do_ltr, "ltr %ax"); WITH_REGISTERS(do_swapgs, "swapgs");
WITH_REGISTERS(do_sysretq, "sysretq"); WITH_REGISTERS(do_lmsw, "lmsw %ax"); WITH_REGISTERS(do_cpuid, "cpuid"); WITH_REGISTERS(forced_cpuid, "ud2\n .ascii \"xen\"\n cpuid");
WITH_REGISTERS(do_rdpmc, "rdpmc"); WITH_REGISTERS(do_xgetbv, "xgetbv"); WITH_REGISTERS(do_insb, "mov %rax, %rdi\n insb");
WITH_REGISTERS(do_rdtsc, "rdtsc"); WITH_REGISTERS(do_rep_outsb, "mov %rax, %rsi\n rep outsb"); WITH_REGISTERS(do_xsetbv, "xsetbv");

static int run(void (*fn)(u64), u64 rax, u64 rcx, u64 rdx) {
    in[0] = rax;
    in[1] = rcx;
    in[2] = rdx;
    return guarded(fn, 0);
}
#define REFUSED(name, rax, rcx, rdx) do { \
    is(run(name, rax, rcx, rdx), 1, #name "(" #rax "): refused"); \
    is(fault.vector, 13, #name ": #GP"); \
    is(fault.error, 0, #name ": error code"); \
    is(fault.rip, (u64)name##_at, #name ": rip"); } while (0)
#define DONE(name, rax, rcx, rdx) is(run(name, rax, rcx, rdx), 0, #name "(" #rax "): emulated")

static void flags(void) {
    u32 iopl = 0;
    hypercall(HYPERVISOR_physdev_op, PHYSDEVOP_set_iopl, &iopl);
    REFUSED(do_cli, 0, 0, 0);
    REFUSED(do_sti, 0, 0, 0);
    iopl = 1;
    hypercall(HYPERVISOR_physdev_op, PHYSDEVOP_set_iopl, &iopl);
    DONE(do_cli, 0, 0, 0);
    DONE(do_sti, 0, 0, 0);
    is(vcpu0->evtchn_upcall_mask, 1, "they do not touch the event mask");
    u64 f;
    asm volatile("pushf\n pop %0" : "=r"(f));
    is(f & 0x3200, 0x200, "PUSHF: IF set, IOPL 0");
    asm volatile("push $0x3002\n popf\n pushf\n pop %0" : "=r"(f));
    is(f & 0x3200, 0x200, "POPF changes neither");
    REFUSED(do_hlt, 0, 0, 0);
}

static void ports(void) {
    DONE(do_inb, 0x1234567890, 0, 0);
    is(out[0], 0x12345678ff, "IN to al keeps the rest");
    DONE(do_inw, 0x1234567890, 0, 0x80);
    is(out[0], 0x123456ffff, "IN to ax");
    DONE(do_inl, 0x1234567890, 0, 0x80);
    is(out[0], 0xffffffff, "IN to eax clears the upper half");
    DONE(do_outb, 1, 0, 0x80);
    DONE(do_outl, 0x80000000, 0, 0xcf8);
    DONE(do_inl, 0, 0, 0xcf8);
    is(out[0], 0x80000000, "the PCI address register remembers");
    static u8 buffer[16];
    DONE(do_insb, (u64)buffer, 0, 0x80);
    is(buffer[0], 0xff, "INSB");
    DONE(do_rep_outsb, (u64)buffer, 5, 0x80);
    is(out[1], 0, "REP OUTSB");
    is(run(do_insb, 0x123456789000, 0, 0x80), 1, "INSB into nothing");
    is(fault.vector, 14, "is a page fault");
    is(fault_cr2, 0x123456789000, "at its address");
    u32 iopl = 0;
    hypercall(HYPERVISOR_physdev_op, PHYSDEVOP_set_iopl, &iopl);
    REFUSED(do_inb, 0, 0, 0);
    REFUSED(do_outb, 0, 0, 0x80);
}

static void model_specific(void) {
    DONE(do_rdmsr, 0, 0xc0000080, 0);
    is(out[0] & 0xd01, 0xd01, "EFER: SCE, LME, LMA, NX");
    static u64 word = 0x5555;
    DONE(do_wrmsr, (u32)(u64)&word, 0xc0000100, (u64)&word >> 32);
    u64 value;
    asm volatile("mov %%fs:0, %0" : "=r"(value));
    is(value, 0x5555, "FS_BASE");
    DONE(do_rdmsr, 0, 0xc0000100, 0);
    is(out[2] << 32 | out[0], (u64)&word, "reads back");
    DONE(do_wrmsr, (u32)(u64)&word, 0xc0000101, (u64)&word >> 32);
    asm volatile("mov %%gs:0, %0" : "=r"(value));
    is(value, 0x5555, "GS_BASE");
    DONE(do_wrmsr, 0x1000, 0xc0000102, 0);
    DONE(do_rdmsr, 0, 0xc0000102, 0);
    is(out[0], 0x1000, "KERNEL_GS_BASE is user mode's");
    REFUSED(do_wrmsr, 0, 0xc0000100, 0x8000);
    REFUSED(do_rdmsr, 0, 0x12345678, 0);
}

static void control_registers(void) {
    DONE(from_cr0, 0, 0, 0);
    is(out[0] & 0x8001002b, 0x80010023, "CR0: PG, WP, NE, MP, PE");
    u64 cr0 = out[0];
    DONE(to_cr0, cr0 | 8, 0, 0);
    DONE(from_cr0, 0, 0, 0);
    is(out[0], cr0 | 8, "CR0.TS");
    DONE(do_clts, 0, 0, 0);
    DONE(from_cr0, 0, 0, 0);
    is(out[0], cr0, "CLTS");
    REFUSED(to_cr0, cr0 & ~0x10000UL, 0, 0);
    DONE(to_cr2, 0x1234, 0, 0);
    DONE(from_cr2, 0, 0, 0);
    is(out[0], 0x1234, "CR2");
    is(vcpu0->cr2, 0x1234, "CR2 is in vcpu_info too");
    DONE(from_cr3, 0, 0, 0);
    is(out[0], mfn_of((void *)start_info->pt_base) << 12, "CR3 is the base table's frame");
    DONE(to_cr3, out[0], 0, 0);
    REFUSED(to_cr3, 0x12345678000, 0, 0);
    DONE(from_cr4, 0, 0, 0);
    is(out[0] & 0x20, 0x20, "CR4.PAE");
    REFUSED(from_cr8, 0, 0, 0);
    DONE(to_dr0, 0x4444, 0, 0);
    DONE(from_dr0, 0, 0, 0);
    is(out[0], 0x4444, "DR0");
    DONE(from_dr7, 0, 0, 0);
    is(out[0], 0x400, "DR7");
    REFUSED(to_dr7, 0x2000, 0, 0);
}

static void others(void) {
    DONE(do_wbinvd, 0, 0, 0);
    REFUSED(do_invd, 0, 0, 0);
    REFUSED(do_invlpg, (u64)in, 0, 0);
    REFUSED(do_lgdt, (u64)in, 0, 0);
    REFUSED(do_lidt, (u64)in, 0, 0);
    REFUSED(do_lldt, 0, 0, 0);
    REFUSED(do_ltr, 0, 0, 0);
    REFUSED(do_swapgs, 0, 0, 0);
    REFUSED(do_sysretq, 0, 0, 0);
    REFUSED(do_lmsw, 0, 0, 0);
    REFUSED(do_rdpmc, 0, 0, 0);
    is(run(do_xgetbv, 0, 0, 0), 1, "XGETBV");
    is(fault.vector, 6, "is #UD without XSAVE");
    is(run(do_xsetbv, 0, 0, 0), 1, "XSETBV");
    is(fault.vector, 6, "is #UD without XSAVE");
    DONE(do_rdtsc, 0, 0, 0);
    u64 before = out[2] << 32 | out[0];
    DONE(do_rdtsc, 0, 0, 0);
    ok((out[2] << 32 | out[0]) > before, "the time stamp counter counts");
    DONE(forced_cpuid, 0x40000000, 0, 0);
    is(out[3], 0x566e6558, "forced CPUID: XenV");
    is(out[1], 0x65584d4d, "MMXe");
    is(out[2], 0x4d4d566e, "nVMM");
    DONE(forced_cpuid, 0x40000001, 0, 0);
    is(out[0], 0x40011, "forced CPUID: Xen's version");
    DONE(do_cpuid, 0x80000001, 0, 0);
    is(out[2] >> 29 & 1, 1, "CPUID: long mode");
}

SNIPPET(step_cpuid, "push %rbx\n pushf\n orl $0x100, (%rsp)\n popf\n cpuid\nstepped_at: pop %rbx");
HERE(stepped_at);
/** An emulated instruction under TF. */
static void single_step(void) {
    is(guarded(step_cpuid, 0), 1, "CPUID under TF");
    is(fault.vector, 1, "#DB");
    is(fault.rip, (u64)stepped_at, "behind it");
    hypercall(HYPERVISOR_set_debugreg, 6, 0);
}

void guest_main(const char *command_line) {
    (void)command_line;
    flags();
    ports();
    model_specific();
    control_registers();
    others();
    single_step();
}
