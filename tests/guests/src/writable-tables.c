// Writable page tables (VMASST_TYPE_writable_pagetables): stores to a page table that is mapped read-only are carried
// out as updates, in every size and form of instruction, and refused as page faults when the update is.

#include "pv.h"

static u64 *table, *target, *other;

SNIPPET(touch, "lock addq $0, (%rdi)");
SNIPPET(store8, "mov %sil, (%rdi)");
SNIPPET(store16, "mov %si, (%rdi)");
SNIPPET(store32, "mov %esi, (%rdi)");
SNIPPET(store64, "mov %rsi, (%rdi)");
SNIPPET(store_stos, "mov %rsi, %rax\n mov $1, %ecx\n rep stosq");
SNIPPET(store_xchg, "mov %rsi, %rax\n xchg %rax, (%rdi)");
SNIPPET(store_cmpxchg, "mov (%rdi), %rax\n lock cmpxchg %rsi, (%rdi)");
SNIPPET(store_and, "lock andq %rsi, (%rdi)");
SNIPPET(store_or, "lock orq %rsi, (%rdi)");
SNIPPET(store_bts, "lock btsq $6, (%rdi)");
SNIPPET(store_push, "mov %rsp, %rax\n lea 8(%rdi), %rsp\n push %rsi\n mov %rax, %rsp");
SNIPPET(store_across, "mov %rsi, -4(%rdi)");
SNIPPET(store_sse, "movq %rsi, %xmm0\n movq %xmm0, (%rdi)");

static u64 value_for_store;
static void do_store(u64 fn) { ((void (*)(u64, u64))fn)((u64)&table[5], value_for_store); }
/** The address that table[5] maps. */
static u64 *window;
static int attempt(void (*fn)(u64), u64 value) {
    value_for_store = value;
    int trapped = guarded(do_store, (u64)fn);
    mmuext(MMUEXT_INVLPG_LOCAL, (u64)window, 0);
    return trapped;
}

static void sizes(void) {
    u64 good = pte(target, RW | PTE_US), second = pte(other, RW | PTE_US);
    is(attempt(store64, good), 0, "a store of 8 bytes");
    is(*window, 0x1111, "maps the page");
    is(attempt(store64, 0), 0, "clearing the entry");
    is(guarded(touch, (u64)window), 1, "unmaps it");
    is(attempt(store64, second), 0, "another page");
    is(*window, 0x2222, "is seen");
    is(attempt(store32, good), 0, "a store of 4 bytes");
    is(*window, 0x1111, "changes the entry");
    is(attempt(store16, second & 0xffff), 0, "a store of 2 bytes");
    is(attempt(store64, good), 0, "back");
    is(attempt(store8, (good & ~PTE_RW) & 0xff), 0, "a store of 1 byte");
    is(guarded(touch, (u64)window), 1, "makes the page read-only");
    is(fault.error, 3, "the error code of a write to it");
    is(attempt(store64, 0), 0, "cleared");
}

static void instructions(void) {
    u64 good = pte(target, RW | PTE_US), second = pte(other, RW | PTE_US);
    is(attempt(store_xchg, good), 0, "xchg");
    is(*window, 0x1111, "maps the page");
    is(attempt(store_cmpxchg, second), 0, "lock cmpxchg");
    is(*window, 0x2222, "maps another");
    is(attempt(store_and, ~PTE_RW), 0, "lock and");
    is(guarded(touch, (u64)window), 1, "takes the write permission");
    is(attempt(store_or, PTE_RW), 0, "lock or");
    is(guarded(touch, (u64)window), 0, "gives it back");
    is(attempt(store_bts, 0), 0, "lock bts");
    is(attempt(store_stos, good), 0, "rep stos");
    is(*window, 0x1111, "maps the page");
    is(attempt(store_push, second), 0, "push");
    is(*window, 0x2222, "maps another");
    is(attempt(store64, 0), 0, "cleared");
}

static void refusals(void) {
    u64 good = pte(target, RW | PTE_US);
    attempt(store64, good);
    is(attempt(store64, mfn_of(table) << 12 | RW | PTE_US), 1, "mapping the table itself writable");
    is(fault.vector, 14, "is a page fault");
    is(fault.error, 3, "of a write");
    is(fault_cr2, (u64)&table[5], "on the entry");
    is(*window, 0x1111, "the entry is what it was");
    is(attempt(store64, 0x123456789000 | RW), 1, "mapping what is not there");
    is(attempt(store64, good | PTE_PCD), 1, "mapping uncached");
    is(attempt(store_across, good), 1, "a store across two entries");
    is(*window, 0x1111, "the entry is what it was, again");
    is(attempt(store_or, PTE_PCD), 1, "lock or of a bad flag");
    u64 *l2 = entry_of(window, 2);
    is(guarded(touch, (u64)l2), 1, "a store to an L2 table");
    hypercall(HYPERVISOR_vm_assist, 1, VMASST_writable_pagetables);
    is(attempt(store64, 0), 1, "without the assist, every store");
    is(fault.error, 3, "faults");
    hypercall(HYPERVISOR_vm_assist, 0, VMASST_writable_pagetables);
    is(attempt(store64, 0), 0, "with it, not");
}

void guest_main(const char *command_line) {
    (void)command_line;
    table = page();
    target = page();
    other = page();
    *target = 0x1111;
    *other = 0x2222;
    u64 *l3 = page(), *l2 = page();
    set_va(table, pte(table, RO));
    l2[0] = pte(table, RW | PTE_US);
    l3[0] = pte(l2, RW | PTE_US);
    set_va(l2, pte(l2, RO));
    set_va(l3, pte(l3, RO));
    is(update_entry(entry_address(0, 4), pte(l3, RW | PTE_US)), 0, "tables for low addresses");
    window = (u64 *)(5 * PAGE_SIZE);
    is(hypercall(HYPERVISOR_vm_assist, 0, VMASST_writable_pagetables), 0, "the assist");
    sizes();
    instructions();
    refusals();
}
