// Exceptions in the guest kernel: the exact frame that Xen pushes, which of them mask events, and where a fault that
// cannot be delivered leads.

#include "pv.h"

SNIPPET(divide, "xor %ecx, %ecx\n mov $1, %eax\n xor %edx, %edx\ndivide_at: div %ecx");
SNIPPET(breakpoint, "int3\nbreakpoint_next:");
SNIPPET(undefined, "ud2");
SNIPPET(int_closed, "int_closed_at: int $0x80\nint_closed_next:");
SNIPPET(int_81, "int $0x81");
SNIPPET(int_6, "int $6");
SNIPPET(int_none, "int_none_at: int $0x99");
SNIPPET(halt, "hlt");
SNIPPET(read_at, "mov (%rdi), %eax");
SNIPPET(write_at, "movl $7, (%rdi)");
SNIPPET(read_modify_write, "lock addl $1, (%rdi)");
SNIPPET(push_at, "mov %rsp, %rax\n mov %rdi, %rsp\npush_at_here: push %rbx\n mov %rax, %rsp");
SNIPPET(pop_at, "mov %rsp, %rax\n mov %rdi, %rsp\npop_at_here: pop %rbx\n mov %rax, %rsp");
SNIPPET(jump_to, "jmp *%rdi\njump_to_end:");
SNIPPET(call_to, "call *%rdi");
SNIPPET(load_ds, "mov %di, %ds");
SNIPPET(load_es, "mov %di, %es");
SNIPPET(load_ss, "mov %di, %ss");
SNIPPET(load_fs, "mov %di, %fs");
SNIPPET(far_return, "push %rdi\n lea 1f(%rip), %rax\n push %rax\nfar_return_at: lretq\n1:");
SNIPPET(single_step, "pushf\n orl $0x100, (%rsp)\n popf\n nop\nstepped:");
SNIPPET(unaligned_sse, "movaps 1(%rdi), %xmm0");
SNIPPET(alignment, "pushf\n orl $0x40000, (%rsp)\n popf\nalignment_at: mov 1(%rdi), %eax\n nop");
SNIPPET(fpu_touch, "fpu_touch_at: fnop\n fwait");
SNIPPET(sse_touch, "xorps %xmm0, %xmm0");
SNIPPET(bad_lock, ".byte 0xf0, 0x90");
SNIPPET(long_instruction, ".fill 15, 1, 0x66\n nop");
SNIPPET(compare_exchange, "lock cmpxchg16b 8(%rdi)");
SNIPPET(string_store, "mov %rdi, %rbx\n mov $4096, %ecx\n mov $0x55, %al\nstring_store_at: rep stosb");
SNIPPET(icebp, ".byte 0xf1\nicebp_next:");
SNIPPET(x87_error, "fninit\n push $0x0340\n fldcw (%rsp)\n pop %rax\n fldz\n fld1\n fdiv %st(1), %st\nx87_error_at: fwait\n");
SNIPPET(simd_error, "push $0x1d80\n ldmxcsr (%rsp)\n pop %rax\n pxor %xmm0, %xmm0\n mov $0x3f800000, %eax\n movd %eax, %xmm1\nsimd_error_at: divss %xmm0, %xmm1");
HERE(divide_at); HERE(breakpoint_next); HERE(int_closed_at); HERE(int_closed_next); HERE(int_none_at); HERE(push_at_here); HERE(pop_at_here); HERE(icebp_next);
HERE(far_return_at); HERE(stepped); HERE(alignment_at); HERE(string_store_at); HERE(x87_error_at); HERE(simd_error_at);

static void expect(const char *name, void (*fn)(u64), u64 arg, u64 vector, u64 error, const void *rip) {
    if (!guarded(fn, arg)) return ok(0, "%s: no trap", name);
    is(fault.vector, vector, "%s: vector", name);
    is(fault.error, error, "%s: error code", name);
    is(fault.rip, (u64)rip, "%s: rip", name);
}

static void page_fault(const char *name, void (*fn)(u64), u64 address, u64 error, const void *rip) {
    expect(name, fn, address, 14, error, rip);
    is(fault_cr2, address, "%s: cr2", name);
}

static void frames(void) {
    expect("divide error", divide, 0, 0, 0, divide_at);
    is(fault.cs, 0xe030, "cs says kernel mode");
    is(fault.ss, 0xe02b, "ss");
    is(fault.saved_mask, 1, "events were masked");
    is(fault.rflags & 0x200, 0, "and so IF is clear in the frame");
    is(fault.rcx, 0, "rcx");
    vcpu0->evtchn_upcall_pending = 0;
    vcpu0->evtchn_upcall_mask = 0;
    guarded(divide, 0);
    u8 mask = vcpu0->evtchn_upcall_mask;
    vcpu0->evtchn_upcall_mask = 1;
    is(fault.saved_mask, 0, "events were open");
    is(fault.rflags & 0x200, 0x200, "IF is set in the frame");
    is(mask, 0, "a trap without TI_IF leaves them open");
    expect("int3", breakpoint, 0, 3, 0, breakpoint_next);
    expect("ud2", undefined, 0, 6, 0, undefined);
    expect("lock nop", bad_lock, 0, 6, 0, bad_lock);
    expect("icebp", icebp, 0, 1, 0, icebp_next);
}

static u8 mask_in_trap;
static u64 flags_in_trap;
static void look(struct frame *f) {
    asm volatile("pushf\n pop %0" : "=r"(flags_in_trap));
    mask_in_trap = vcpu0->evtchn_upcall_mask;
    memcpy(&fault, f, sizeof fault);
}
SNIPPET(trap_with_flags, "pushf\n pop %rax\n or $0x40000, %rax\n or $0x4000, %rax\n push %rax\n popf\n int3\n pushf\n andl $~0x44000, (%rsp)\n popf");

static void masking(void) {
    on_trap = look;
    set_trap(3, 3 | TI_IF, trap_stubs + 16 * 3);
    vcpu0->evtchn_upcall_pending = 0;
    vcpu0->evtchn_upcall_mask = 0;
    trap_with_flags(0);
    u8 after = vcpu0->evtchn_upcall_mask;
    vcpu0->evtchn_upcall_mask = 1;
    is(mask_in_trap, 1, "TI_IF masks events");
    is(after, 0, "iret opens them again");
    is(flags_in_trap & 0x44100, 0, "AC, NT and TF are clear in a trap handler");
    is(fault.rflags & 0x44200, 0x44200, "the frame has them");
    on_trap = 0;
    reset_traps();
}

static void interrupts(void) {
    expect("int 0x80, no gate", int_closed, 0, 13, 0x80 << 3 | 2, int_closed_at);
    set_trap(0x80, 0, trap_stubs_extra);
    expect("int 0x80, gate of level 0", int_closed, 0, 0x80, 0, int_closed_next);
    set_trap(0x81, 0, trap_stubs_extra + 16);
    expect("int 0x81, gate of level 0", int_81, 0, 13, 0x81 << 3 | 2, int_81);
    set_trap(0x81, 1, trap_stubs_extra + 16);
    expect("int 0x81, gate of level 1", int_81, 0, 0x81, 0, (u8 *)int_81 + 2);
    expect("int 6, gate of level 0", int_6, 0, 13, 6 << 3 | 2, int_6);
    expect("int 0x99, no gate", int_none, 0, 13, 0x99 << 3 | 2, int_none_at);
    expect("hlt", halt, 0, 13, 0, halt);
}

static void page_faults(void) {
    char *p = page();
    set_va(p, 0);
    page_fault("read of nothing", read_at, (u64)p + 8, 0, read_at);
    page_fault("write to nothing", write_at, (u64)p + 8, 2, write_at);
    page_fault("jump to nothing", jump_to, (u64)p + 8, 0x10, p + 8);
    page_fault("read of nothing in the lower half", read_at, 0x123456789008, 0, read_at);
    set_va(p, pte(p, RO));
    page_fault("write to a read-only page", write_at, (u64)p + 8, 3, write_at);
    page_fault("locked write to a read-only page", read_modify_write, (u64)p + 8, 3, read_modify_write);
    set_va(p, pte(p, RW | PTE_NX));
    page_fault("jump to a page without execution", jump_to, (u64)p + 8, 0x11, p + 8);
    set_va(p, pte(p, RW));

    char *q = page();
    char *first = q < p ? q : p;
    set_va(first + PAGE_SIZE, 0);
    guarded(read_at, (u64)first + PAGE_SIZE - 2);
    is(fault_cr2, (u64)first + PAGE_SIZE, "a read across the end of a page faults on the second");
    guarded(write_at, (u64)first + PAGE_SIZE - 2);
    is(fault_cr2, (u64)first + PAGE_SIZE, "a write likewise");
    is(*(u16 *)(first + PAGE_SIZE - 2), 0, "and nothing of it was written");
    expect("rep stosb into nothing", string_store, (u64)first + PAGE_SIZE - 16, 14, 2, string_store_at);
    is(fault.rdi, (u64)first + PAGE_SIZE, "rdi is where it stopped");
    is(fault.rcx, 4096 - 16, "rcx is what is left");
    is(*(u8 *)(first + PAGE_SIZE - 1), 0x55, "what came before is written");
    *(u16 *)(first + PAGE_SIZE - 2) = 0xc031;
    expect("code that runs into nothing", jump_to, (u64)first + PAGE_SIZE - 2, 14, 0x10, first + PAGE_SIZE);
    is(fault_cr2, (u64)first + PAGE_SIZE, "cr2 of it");
    ok(guarded(read_at, 0xffff820000000000) && fault.vector == 14, "read of Xen");
    page_fault("write to the m2p", write_at, 0xffff800000000000, 3, write_at);
}

static void addresses(void) {
    u64 hole = 0x800000000000;
    expect("read of a non-canonical address", read_at, hole, 13, 0, read_at);
    expect("write to a non-canonical address", write_at, 0xffff7fffffffffff - 7, 13, 0, write_at);
    expect("jump to a non-canonical address", jump_to, hole, 13, 0, jump_to);
    expect("call of a non-canonical address", call_to, hole, 13, 0, call_to);
    expect("misaligned movaps", unaligned_sse, (u64)page(), 13, 0, unaligned_sse);
    expect("misaligned cmpxchg16b", compare_exchange, (u64)page(), 13, 0, compare_exchange);
    expect("an instruction of 16 bytes", long_instruction, 0, 13, 0, long_instruction);
}

static void selectors(void) {
    expect("ds beyond the GDT", load_ds, 0xffff & ~4, 13, 0xfff8, load_ds);
    expect("es without a descriptor", load_es, 0x23, 13, 0x20, load_es);
    expect("fs in an empty LDT", load_fs, 0x0f, 13, 0x0c, load_fs);
    expect("null ss of ring 3", load_ss, 3, 13, 0, load_ss);
    expect("ss is code", load_ss, 0xe033, 13, 0xe030, load_ss);
    expect("far return to a data segment", far_return, 0xe02b, 13, 0xe028, far_return_at);
    expect("far return to nothing", far_return, 0, 13, 0, far_return_at);
    ok(!guarded(load_ds, 0), "null ds");
    ok(!guarded(load_ds, 0xe02b), "flat ds");
    ok(!guarded(load_es, 0xe023), "es of a code segment");
    ok(!guarded(load_ss, 0xe02b), "flat ss");
    ok(!guarded(load_es, 0), "null es");
    ok(!guarded(load_ds, 0), "null ds again");
    ok(!guarded(far_return, 0xe033), "far return to flat code");

    u64 *gdt = page();
    gdt[1] = 0x00cff3000000ffff;            // data, level 3
    gdt[2] = 0x00cf73000000ffff;            // the same, not present
    gdt[3] = 0x00aff9000000ffff;            // execute-only 64-bit code, level 3
    gdt[4] = 0x00cf93000000ffff;            // data of level 0: Xen makes it level 3
    u64 frame = mfn_of(gdt);
    is(hypercall(HYPERVISOR_set_gdt, &frame, 512), -EINVAL, "a GDT that is mapped writable");
    set_va(gdt, pte(gdt, RO));
    is(hypercall(HYPERVISOR_set_gdt, &frame, 512), 0, "set_gdt");
    is(gdt[4], 0x00cff3000000ffff, "a descriptor of level 0 is lowered");
    ok(!guarded(load_ds, 0x0b), "ds from the guest's GDT");
    ok(!guarded(load_ds, 0x23), "ds from a lowered descriptor");
    expect("ds not present", load_ds, 0x13, 11, 0x10, load_ds);
    expect("ss not present", load_ss, 0x13, 12, 0x10, load_ss);
    expect("ds of execute-only code", load_ds, 0x1b, 13, 0x18, load_ds);
    expect("write to a GDT page", write_at, (u64)gdt, 14, 3, write_at);
    is(set_va(gdt, pte(gdt, RW)), -EBUSY, "a GDT page is not mapped writable");
    is(hypercall(HYPERVISOR_update_descriptor, mfn_of(gdt) << 12 | 40, 0x00cff3000000ffff), 0, "update_descriptor");
    is(gdt[5], 0x00cff3000000ffff, "its effect");
    is(hypercall(HYPERVISOR_update_descriptor, mfn_of(gdt) << 12 | 40, 0x00008e0000000000), -EINVAL, "an interrupt gate is refused");
    is(hypercall(HYPERVISOR_update_descriptor, mfn_of(gdt) << 12 | 41, 0), -EINVAL, "a misaligned descriptor");
    ok(!guarded(load_ds, 0), "null ds");
    is(hypercall(HYPERVISOR_set_gdt, &frame, 0), 0, "no GDT");
    expect("its descriptors are gone", load_ds, 0x0b, 13, 8, load_ds);
    is(set_va(gdt, pte(gdt, RW)), 0, "and its page is ordinary memory again");
}

static void ldt(void) {
    u64 *table = page();
    table[1] = 0x00cff3000000ffff;
    is(mmuext(MMUEXT_SET_LDT, (u64)table + 8, 8), -EINVAL, "an LDT that is not aligned");
    is(mmuext(MMUEXT_SET_LDT, (u64)table, 8193), -EINVAL, "an LDT that is too long");
    is(mmuext(MMUEXT_SET_LDT, (u64)table, 8), 0, "an LDT that is mapped writable is accepted");
    expect("but does not work", load_ds, 0x0f, 14, 0, load_ds);
    is(fault_cr2, (u64)(table + 1), "cr2 is in the LDT");
    expect("beyond its end", load_ds, 0x47, 13, 0x44, load_ds);
    set_va(table, pte(table, RO));
    ok(!guarded(load_ds, 0x0f), "ds from the LDT");
    ok(!guarded(load_ds, 0), "null ds");
    is(mmuext(MMUEXT_SET_LDT, 0, 0), 0, "no LDT");
    expect("its descriptors are gone", load_ds, 0x0f, 13, 0x0c, load_ds);
}

static void debugging(void) {
    expect("single step", single_step, 0, 1, 0, stepped);
    is(fault.rflags & 0x100, 0x100, "TF is set in the frame");
    is(hypercall(HYPERVISOR_get_debugreg, 6) & 0x400f, 0x4000, "DR6.BS");
    hypercall(HYPERVISOR_set_debugreg, 6, 0);
    static u64 word;
    hypercall(HYPERVISOR_set_debugreg, 0, &word);
    hypercall(HYPERVISOR_set_debugreg, 7, 0xd0002); // four bytes, writes
    expect("a watched write", write_at, (u64)&word, 1, 0, (u8 *)write_at + 6);
    is(word, 7, "the write has happened");
    is(hypercall(HYPERVISOR_get_debugreg, 6) & 0xf, 1, "DR6.B0");
    hypercall(HYPERVISOR_set_debugreg, 6, 0);
    ok(!guarded(read_at, (u64)&word), "a read is not watched");
    hypercall(HYPERVISOR_set_debugreg, 7, 0xf0002); // reads and writes
    expect("a watched read", read_at, (u64)&word, 1, 0, (u8 *)read_at + 2);
    hypercall(HYPERVISOR_set_debugreg, 0, divide_at);
    hypercall(HYPERVISOR_set_debugreg, 7, 0x2);
    hypercall(HYPERVISOR_set_debugreg, 6, 0);
    expect("a breakpoint on an instruction", divide, 0, 1, 0, divide_at);
    is(fault.rflags & 0x10000, 0, "RF is clear in the frame");
    hypercall(HYPERVISOR_set_debugreg, 7, 0);
    expect("no breakpoint any more", divide, 0, 0, 0, divide_at);
}

static void fpu(void) {
    hypercall(HYPERVISOR_fpu_taskswitch, 1);
    expect("x87 with TS set", fpu_touch, 0, 7, 0, fpu_touch);
    ok(!guarded(fpu_touch, 0), "the trap has cleared TS");
    hypercall(HYPERVISOR_fpu_taskswitch, 1);
    expect("SSE with TS set", sse_touch, 0, 7, 0, sse_touch);
    hypercall(HYPERVISOR_fpu_taskswitch, 1);
    hypercall(HYPERVISOR_fpu_taskswitch, 0);
    ok(!guarded(sse_touch, 0), "fpu_taskswitch(0)");
    expect("x87 division by zero", x87_error, 0, 16, 0, x87_error_at);
    asm volatile("fninit");
    expect("SSE division by zero", simd_error, 0, 19, 0, simd_error_at);
    u32 mxcsr = 0x1f80;
    asm volatile("ldmxcsr %0" :: "m"(mxcsr));
}

void guest_main(const char *command_line) {
    (void)command_line;
    frames();
    masking();
    interrupts();
    page_faults();
    addresses();
    selectors();
    ldt();
    debugging();
    fpu();
}
