// Code that changes: through its own mapping, through another one, across pages, at two addresses, under a mapping
// that is exchanged. What runs must always be what is there.

#include "pv.h"

typedef long (*function)(void);

/** Writes `mov $n, %eax; ret` at a place. */
static void write_code(u8 *at, u32 n) {
    at[0] = 0xb8;
    memcpy(at + 1, &n, 4);
    at[5] = 0xc3;
}

static void same_mapping(void) {
    u8 *code = page();
    function f = (function)code;
    write_code(code, 1);
    is(f(), 1, "code");
    for (u32 i = 2; i < 40; i++) {
        *(volatile u32 *)(code + 1) = i;
        if (f() != i) return ok(0, "changed %d times", (long)i);
    }
    ok(1, "changed by its own mapping, many times");
    *(volatile u8 *)(code + 1) = 7;
    is(f(), 7, "by one byte");
    u8 other[6];
    write_code(other, 1234);
    memcpy(code, other, 6);
    is(f(), 1234, "by rep movsb");
    u64 eight = 0x9090909090c3c031; // xor eax, eax; ret
    asm volatile("lock xchg %0, (%1)" : "+r"(eight) : "r"(code) : "memory");
    is(f(), 0, "by xchg");
    write_code(code, 5);
    f();
    asm volatile("lock addl $3, 1(%0)" :: "r"(code) : "memory");
    is(f(), 8, "by lock add");
    memset(code, 0x90, 5);
    asm volatile("movups (%0), %%xmm0\n movups %%xmm0, 64(%0)" :: "r"(code) : "memory");
    write_code(code, 21);
    f();
    write_code(code + 64, 22);
    ((function)(code + 64))();
    asm volatile("movups (%0), %%xmm0\n movups %%xmm0, 64(%0)" :: "r"(code) : "memory");
    is(((function)(code + 64))(), 21, "by an SSE store");
}

/** A store that changes the very next instruction, and one in the same block further on. */
SNIPPET(patch_next, "movb $0x2a, patched+1(%rip)\npatched: mov $1, %eax");
SNIPPET(patch_self, "xor %eax, %eax\n mov $3, %ecx\nagain: incl patched_self+1(%rip)\npatched_self: .byte 5, 0, 0, 0, 0\n dec %ecx\n jnz again");
HERE(patched); HERE(patched_self);
static long run(void (*snippet)(u64)) {
    void *volatile at = snippet;
    return ((function)at)();
}

static void next_instruction(void) {
    patched[1] = 1;
    is(run(patch_next), 0x2a, "the next instruction");
    patched[1] = 1;
    is(run(patch_next), 0x2a, "once more");
    is(run(patch_self), 1 + 2 + 3, "in a loop");
}

static void other_mapping(void) {
    u8 *code = page(), *alias = page();
    write_code(code, 1);
    set_va(alias, pte(code, RW));
    is(((function)code)(), 1, "code");
    is(((function)alias)(), 1, "the same at another address");
    write_code(alias, 2);
    is(((function)code)(), 2, "changed by the other mapping");
    is(((function)alias)(), 2, "which runs it too");
    set_va(code, pte(code, RO));
    is(((function)code)(), 2, "a read-only mapping");
    write_code(alias, 3);
    is(((function)code)(), 3, "changed under it");
    // relative jumps and rip-relative operands at both addresses
    static const u8 here[] = { 0x48, 0x8d, 0x05, 0xf9, 0xff, 0xff, 0xff, 0xeb, 0x01, 0xcc, 0xc3 }; // lea -7(%rip), %rax; jmp over int3; ret
    memcpy(alias, here, sizeof here);
    for (int i = 0; i < 20; i++) {
        if (((function)code)() != (long)code || ((function)alias)() != (long)alias) return ok(0, "the address that it runs at");
    }
    ok(1, "the address that it runs at");
}

static void across_pages(void) {
    u8 *first = page(), *second = page();
    u8 *code = first + PAGE_SIZE - 3; // mov imm32 lies across
    is((u64)second, (u64)first + PAGE_SIZE, "two pages in a row");
    write_code(code, 0x11223344);
    is(((function)code)(), 0x11223344, "an instruction across pages");
    second[0] = 0x99;
    is(((function)code)(), 0x11993344, "changed in its second page");
    first[PAGE_SIZE - 2] = 0x55;
    is(((function)code)(), 0x11993355, "and in its first");
    u8 *spare = page();
    memcpy(spare, second, 64);
    spare[0] = 0x77;
    u64 frame = pte(second, RW), spare_frame = pte(spare, RW);
    set_va(second, spare_frame);
    is(((function)code)(), 0x11773355, "its second page exchanged");
    set_va(second, frame);
    is(((function)code)(), 0x11993355, "and back");
    set_va(second, 0);
    is(guarded((void (*)(u64))(void *)code, 0), 1, "its second page gone");
    is(fault_cr2, (u64)second, "the fault is there");
    set_va(second, frame);
    is(((function)code)(), 0x11993355, "and it runs again");
    set_va(second, frame | PTE_NX);
    is(guarded((void (*)(u64))(void *)code, 0), 1, "its second page without execution");
    set_va(second, frame);
    // a second block that runs across the boundary instruction by instruction
    for (u8 *p = first + PAGE_SIZE - 16; p < second + 16; p++) *p = 0x90;
    write_code(second + 16, 42);
    is(((function)(first + PAGE_SIZE - 16))(), 42, "running over the boundary");
    write_code(second, 43);
    is(((function)(first + PAGE_SIZE - 16))(), 43, "changed behind it");
}

static void exchanged_mapping(void) {
    u8 *a = page(), *b = page(), *at = page();
    write_code(a, 1);
    write_code(b, 2);
    u64 fa = pte(a, RW), fb = pte(b, RW);
    long sum = 0;
    for (int i = 0; i < 30; i++) {
        set_va(at, i & 1 ? fb : fa);
        sum = sum * 2 + ((function)at)() - 1;
        sum &= 0xffff;
    }
    is(sum, 0x5555, "two frames in turn at one address");
    struct mmu_update update = { entry_address(at, 1), fa };
    hypercall(HYPERVISOR_mmu_update, &update, 1, 0, DOMID_SELF);
    mmuext(MMUEXT_INVLPG_LOCAL, (u64)at, 0);
    is(((function)at)(), 1, "by mmu_update");
    set_va(at, 0);
    is(guarded((void (*)(u64))(void *)at, 0), 1, "unmapped code does not run");
    set_va(at, fb | PTE_NX);
    is(guarded((void (*)(u64))(void *)at, 0), 1, "nor does code in a page without execution");
    set_va(at, fb);
    is(((function)at)(), 2, "mapped again it does");
    mmuext(MMUEXT_COPY_PAGE, mfn_of(b), mfn_of(a));
    is(((function)at)(), 1, "a page that Xen copied");
    mmuext(MMUEXT_CLEAR_PAGE, mfn_of(b), 0);
    is(*(u64 *)at, 0, "a page that Xen cleared");
    write_code(b, 3);
    is(((function)at)(), 3, "written anew");
    u32 five = 5;
    struct gnttab_copy copy = { 0, DOMID_SELF, 0, 0, mfn_of(b), DOMID_SELF, 1, 0, 4, 0, 1 };
    u8 *from = page();
    memcpy(from, &five, 4);
    copy.source = mfn_of(from);
    hypercall(HYPERVISOR_grant_table_op, GNTTABOP_copy, &copy, 1);
    is(((function)at)(), 5, "code that a grant copy wrote");
    update = (struct mmu_update){ mfn_of(b) << 12, 0xc300000006b8 };
    hypercall(HYPERVISOR_mmu_update, &update, 1, 0, DOMID_SELF);
    is(((function)at)(), 6, "code that mmu_update wrote");
    // Xen writes an answer over code: xen_version(XENVER_platform_parameters) stores 8 bytes
    hypercall(HYPERVISOR_xen_version, XENVER_platform_parameters, b);
    is(*(u64 *)at, 0xffff800000000000, "an answer of Xen's over code");
    write_code(b, 9);
    is(((function)at)(), 9, "and code over it");
}

static void tables_as_code(void) {
    // a page table in use that is executed: validation and updates change its bytes
    u8 *t = page();
    write_code(t, 0); // b8 00 00 00 00 c3: not present, as an entry
    set_va(t, pte(t, RO));
    is(((function)t)(), 0, "code in a page that can be a table");
    is(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(t), 0), 0, "pinned");
    is(update_entry(mfn_of(t) << 12, 0xc300000008b8), 0, "an update of its first entry");
    is(((function)t)(), 8, "runs");
    mmuext(MMUEXT_UNPIN_TABLE, mfn_of(t), 0);
    // a descriptor page: the access byte of a level 0 segment, here a part of a constant, is changed to level 3
    static const u8 constant[] = { 0x48, 0xb8, 0, 0, 0, 0x92, 0, 0, 0, 0, 0xc3 }; // movabs $0x92000000, %rax; ret
    u8 *d = page();
    memcpy(d, constant, sizeof constant);
    set_va(d, pte(d, RO));
    is(((function)d)(), 0x92000000, "code in a page that can hold descriptors");
    u64 frame = mfn_of(d);
    is(hypercall(HYPERVISOR_set_gdt, &frame, 512), 0, "which becomes a GDT");
    is(((function)d)(), 0xf2000000, "and is changed by that");
    hypercall(HYPERVISOR_set_gdt, &frame, 0);
}

static void vanishing_code(void) {
    // the guest unmaps, by a store to a page table, the page that it runs from
    u64 *l1 = page(), *l2 = page(), *l3 = page();
    u8 *code = page(), *other = page();
    l3[0] = pte(l2, RW | PTE_US);
    l2[0] = pte(l1, RW | PTE_US);
    l1[4] = pte(code, RW | PTE_US);
    set_va(l1, pte(l1, RO));
    set_va(l2, pte(l2, RO));
    set_va(l3, pte(l3, RO));
    update_entry(entry_address(0, 4), pte(l3, RW | PTE_US));
    hypercall(HYPERVISOR_vm_assist, 0, VMASST_writable_pagetables);
    // mov %rsi, (%rdi); mov $1, %eax; ret -- and in the other page 2 in its place
    static const u8 store[] = { 0x48, 0x89, 0x37, 0xb8, 1, 0, 0, 0, 0xc3 };
    memcpy(code, store, sizeof store);
    memcpy(other, store, sizeof store);
    other[4] = 2;
    long (*f)(u64 *, u64) = (long (*)(u64 *, u64))(4 * PAGE_SIZE);
    is(f(&l1[9], 0), 1, "code at a low address");
    for (int i = 0; i < 4; i++) {
        f(&l1[4], pte(i & 1 ? code : other, RW | PTE_US));
        mmuext(MMUEXT_INVLPG_LOCAL, 4 * PAGE_SIZE, 0);
        is(f(&l1[9], 0), i & 1 ? 1 : 2, "a store that puts another page under itself");
    }
}

void guest_main(const char *command_line) {
    (void)command_line;
    same_mapping();
    next_instruction();
    other_mapping();
    across_pages();
    exchanged_mapping();
    tables_as_code();
    vanishing_code();
}
