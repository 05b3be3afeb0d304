// The rules of page types, each broken from inside: no page table is ever mapped writable, no table maps what the
// domain does not own, and what is in use as one thing is not used as another. Every attempt must fail, and leave
// things so that what is allowed still works.

#include "pv.h"

static void *const NOWHERE = (void *)0x123456789000;

static void unmap(void *p) { set_va(p, 0); }
static void read_only(void *p) { set_va(p, pte(p, RO)); }
static void writable(void *p) { set_va(p, pte(p, RW)); }
static u64 slot(void *table, int i) { return mfn_of(table) << 12 | i * 8; }

/** A pinned L1 table, mapped read-only. */
static u64 *table(void) {
    u64 *t = page();
    read_only(t);
    is(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(t), 0), 0, "pin an L1 table");
    return t;
}
SNIPPET(store, "movq $0x123, (%rdi)");

/** Every way to map the frame of a page table (or another thing that is none of ours) writable. */
static void no_writable_mapping(u64 mfn, const char *what) {
    u64 *spare = page(), *l1 = page();
    u64 entry = mfn << 12 | RW;
    is(update_entry(entry_address(spare, 1), entry), -EBUSY, "%s, writable by mmu_update", what);
    is(set_va(spare, entry), -EBUSY, "%s, writable by update_va_mapping", what);
    is(update_entry(entry_address(spare, 1) | MMU_PT_UPDATE_PRESERVE_AD, entry), -EBUSY, "%s, writable, preserving AD", what);
    l1[7] = entry;
    read_only(l1);
    is(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(l1), 0), -EBUSY, "%s, writable in a new L1 table", what);
    writable(l1);
    l1[7] = 0;
    read_only(l1);
    is(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(l1), 0), 0, "the table without it");
    is(update_entry(slot(l1, 7), entry), -EBUSY, "%s, writable in a pinned L1 table", what);
    is(update_entry(slot(l1, 7), mfn << 12 | RO), 0, "%s, read-only", what);
    is(update_entry(slot(l1, 7), entry), -EBUSY, "%s, made writable there", what);
    is(guarded(store, (u64)&l1[7]), 1, "a store to a page table");
    mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l1), 0);
}

static void tables_are_read_only(void) {
    u64 *t = table();
    no_writable_mapping(mfn_of(t), "a pinned table");
    no_writable_mapping(mfn_of((void *)start_info->pt_base), "the base table");
    no_writable_mapping(mfn_of(entry_of(t, 1)), "an L1 table in use");
    no_writable_mapping(mfn_of(entry_of(t, 2)), "an L2 table in use");
    no_writable_mapping(mfn_of(entry_of(t, 3)), "an L3 table in use");
    is(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(t), 0), 0, "unpin");
    is(set_va(t, pte(t, RW)), 0, "an unpinned table is memory again");
    is(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(t), 0), -EINVAL, "unpin it twice");
    is(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(t), 0), -EINVAL, "pin a page that is mapped writable");
    is(mmuext(MMUEXT_PIN_L4_TABLE, mfn_of(t), 0), -EINVAL, "pin it as a base table");
}

static void one_type_at_a_time(void) {
    u64 *t = table();
    u64 mfn = mfn_of(t);
    is(mmuext(MMUEXT_PIN_L1_TABLE, mfn, 0), -EINVAL, "pin twice");
    is(mmuext(MMUEXT_PIN_L2_TABLE, mfn, 0), -EINVAL, "pin an L1 table as L2");
    is(mmuext(MMUEXT_PIN_L4_TABLE, mfn, 0), -EINVAL, "pin an L1 table as L4");
    is(hypercall(HYPERVISOR_set_gdt, &mfn, 512), -EINVAL, "an L1 table as GDT");
    is(mmuext(MMUEXT_NEW_BASEPTR, mfn, 0), -EINVAL, "an L1 table as base");
    is(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn, 0), -EINVAL, "an L1 table as user base");
    is(mmuext(MMUEXT_CLEAR_PAGE, mfn, 0), -EINVAL, "clear a page table");
    is(mmuext(MMUEXT_COPY_PAGE, mfn, mfn_of(page())), -EINVAL, "copy to a page table");
    is(hypercall(HYPERVISOR_update_descriptor, mfn << 12, 0), -EINVAL, "update_descriptor in a page table");
    u64 *l2 = page();
    l2[0] = mfn_of(l2) << 12 | RO;
    read_only(l2);
    is(mmuext(MMUEXT_PIN_L2_TABLE, mfn_of(l2), 0), 0, "an L2 table that maps itself, read-only");
    mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l2), 0);
    writable(l2);
    l2[0] = mfn_of(l2) << 12 | RW;
    read_only(l2);
    is(mmuext(MMUEXT_PIN_L2_TABLE, mfn_of(l2), 0), -EINVAL, "an L2 table that maps itself, writable");
    struct mmuext_op op = { MMUEXT_PIN_L1_TABLE, 0, 0 };
    is(hypercall(HYPERVISOR_mmuext_op, &op, 1, 0, 7), -ESRCH, "another domain's frame");
    op.cmd = 99;
    is(hypercall(HYPERVISOR_mmuext_op, &op, 1, 0, DOMID_SELF), -ENOSYS, "an unknown mmuext_op");
    is(hypercall(HYPERVISOR_mmuext_op, NOWHERE, 1, 0, DOMID_SELF), -EFAULT, "mmuext_op of nothing");
    mmuext(MMUEXT_UNPIN_TABLE, mfn, 0);
}

static void garbage(void) {
    static const u64 bad[] = { PTE_P | 0x123456789000, PTE_P | PTE_FRAME, PTE_P | 0xffffff0000000, PTE_P | 0x7fffff000 };
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        u64 *t = page();
        t[100] = bad[i];
        read_only(t);
        ok(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(t), 0) < 0, "an L1 table with %x", bad[i]);
        for (int level = 2; level <= 4; level++)
            ok(mmuext(MMUEXT_PIN_L1_TABLE + level - 1, mfn_of(t), 0) < 0, "an L%d table with %x", (long)level, bad[i]);
        writable(t);
        ok(set_va(t, bad[i]) < 0, "mapping %x", bad[i]);
    }
    u64 *t = page(), *l1 = table();
    t[3] = pte(l1, RW | PTE_US | PTE_PSE);
    read_only(t);
    is(mmuext(MMUEXT_PIN_L2_TABLE, mfn_of(t), 0), -EINVAL, "a superpage");
    writable(t);
    t[3] = pte(l1, RW | PTE_US | PTE_PCD);
    read_only(t);
    is(mmuext(MMUEXT_PIN_L2_TABLE, mfn_of(t), 0), -EINVAL, "a table link that is not cached");
    writable(t);
    t[3] = pte(l1, RW | PTE_US);
    read_only(t);
    is(mmuext(MMUEXT_PIN_L2_TABLE, mfn_of(t), 0), 0, "a good L2 table");
    is(t[3] & PTE_US, PTE_US, "its entry");
    is(update_entry(slot(t, 4), pte(t, RW | PTE_US)), -EINVAL, "an L2 table in an L2 entry");
    is(update_entry(slot(t, 4), pte(l1, RW | PTE_US | PTE_PSE)), -EINVAL, "a superpage by mmu_update");
    is(update_entry(slot(t, 4), PTE_P | 0x123456789000), -EINVAL, "a table that is not there");
    u64 *fresh = page();
    fresh[0] = 0x123456789000 | PTE_P;
    is(update_entry(slot(t, 4), pte(fresh, RW | PTE_US)), -EINVAL, "linking a page that is mapped writable");
    read_only(fresh);
    ok(update_entry(slot(t, 4), pte(fresh, RW | PTE_US)) < 0, "linking a table of garbage");
    writable(fresh);
    is(*fresh, 0x123456789000 | PTE_P, "which is memory still");
    is(update_entry(entry_address(fresh, 1) + 4, 0), -ENOSYS, "an unknown command in ptr");
    is(mmuext(MMUEXT_PIN_L1_TABLE, 0x12345678, 0), -EINVAL, "pin a frame that is not there");
    is(mmuext(MMUEXT_PIN_L1_TABLE, ~0UL, 0), -EINVAL, "pin an impossible frame");
    is(mmuext(MMUEXT_NEW_BASEPTR, 0x12345678, 0), -EINVAL, "a base that is not there");
    is(mmuext(MMUEXT_NEW_BASEPTR, mfn_of(page()), 0), -EINVAL, "a base that is mapped writable");
    is(update_entry(0x12345678000, 0), -EINVAL, "mmu_update of a frame that is not there");
    is(set_va((void *)0xffff800000000000, 0), -EINVAL, "update_va_mapping of the m2p");
    is(set_va((void *)0xffff820000000000, 0), -EINVAL, "update_va_mapping of Xen");
    is(set_va(NOWHERE, 0), -EINVAL, "update_va_mapping where there is no table");
    is(hypercall(HYPERVISOR_update_va_mapping_otherdomain, page(), 0UL, 0UL, 7), -ESRCH, "update_va_mapping of another domain");
    mmuext(MMUEXT_UNPIN_TABLE, mfn_of(t), 0);
    mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l1), 0);
}

/** A copy of the base table's entries for a new base. */
static u64 *base_table(void) {
    u64 *l4 = page(), *current = (u64 *)start_info->pt_base;
    for (int i = 0; i < 512; i++) l4[i] = i < 256 || i > 271 ? current[i] : 0;
    return l4;
}

static void xen_slots(void) {
    u64 *l4 = base_table();
    u64 *l3 = page();
    read_only(l3);
    l4[256] = pte(l3, RW | PTE_US);
    l4[260] = 0x123456789000 | PTE_P;
    l4[271] = pte(l3, RW | PTE_US);
    read_only(l4);
    is(mmuext(MMUEXT_PIN_L4_TABLE, mfn_of(l4), 0), 0, "garbage in Xen's slots of an L4 table is passed over");
    ok(l4[260] != (0x123456789000 | PTE_P), "and gone");
    for (int i = 256; i <= 271; i += 5) is(update_entry(slot(l4, i), pte(l3, RW | PTE_US)), -EINVAL, "mmu_update of L4 slot %d", (long)i);
    is(mmuext(MMUEXT_NEW_BASEPTR, mfn_of(l4), 0), 0, "a new base");
    is(*(u64 *)(0xffff800000000000 + 8 * mfn_of(l4)), ((u64)l4 - (u64)virt_base) >> 12, "the m2p is there");
    is(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l4), 0), 0, "unpin the base in use");
    is(set_va(l4, pte(l4, RW)), -EBUSY, "it stays a page table");
}

/** Linear page tables: a table that maps another of its level, read-only, and no chains of them. */
static void linear_tables(void) {
    u64 *a = page(), *b = page(), *c = page();
    read_only(a);
    read_only(b);
    read_only(c);
    is(mmuext(MMUEXT_PIN_L2_TABLE, mfn_of(a), 0), 0, "an empty L2 table");
    is(mmuext(MMUEXT_PIN_L2_TABLE, mfn_of(b), 0), 0, "another");
    is(mmuext(MMUEXT_PIN_L2_TABLE, mfn_of(c), 0), 0, "and one more");
    is(update_entry(slot(a, 5), pte(b, RW | PTE_US)), -EINVAL, "a linear entry that permits writing");
    is(update_entry(slot(a, 5), pte(b, RO | PTE_US)), 0, "a linear entry");
    is(update_entry(slot(a, 6), pte(c, RO | PTE_US)), 0, "two of them in one table");
    is(update_entry(slot(b, 5), pte(c, RO | PTE_US)), -EINVAL, "no chain: from a table that is mapped so");
    is(update_entry(slot(c, 5), pte(a, RO | PTE_US)), -EINVAL, "nor to a table that maps others");
    is(update_entry(slot(b, 5), pte(b, RO | PTE_US)), 0, "its own table");
    u64 *l3 = page();
    read_only(l3);
    is(mmuext(MMUEXT_PIN_L3_TABLE, mfn_of(l3), 0), 0, "an L3 table");
    is(update_entry(slot(l3, 0), pte(a, RW | PTE_US)), 0, "links the table with linear entries");
    is(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(b), 0), 0, "unpin a table that is mapped so");
    is(set_va(b, pte(b, RW)), -EBUSY, "it stays a table");
    is(update_entry(slot(a, 5), 0), 0, "the entry goes");
    is(set_va(b, pte(b, RW)), 0, "and with it the type");
    mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l3), 0);
    mmuext(MMUEXT_UNPIN_TABLE, mfn_of(a), 0);
    mmuext(MMUEXT_UNPIN_TABLE, mfn_of(c), 0);
    is(set_va(c, pte(c, RW)), 0, "all is memory again");
    is(set_va(a, pte(a, RW)), 0, "this too");
}

static void mapping_nothing(void) {
    u64 *spare = page();
    is(set_va(spare, pte(spare, RW) | PTE_PCD), -EINVAL, "a page that is not cached");
    is(set_va(spare, pte(spare, RW)), 0, "an ordinary page");
    *spare = 77;
    is(set_va(spare, pte(spare, RW) | PTE_PWT), -EINVAL, "a page that is written through");
    is(*spare, 77, "the mapping is what it was");
}

static void freeing_a_table(void) {
    u64 *t = table();
    u64 mfn = mfn_of(t);
    struct xen_memory_reservation r = { &mfn, 1, 0, 0, DOMID_SELF };
    is(hypercall(HYPERVISOR_memory_op, XENMEM_decrease_reservation, &r), 1, "giving a pinned table back");
    ok(t[0] == 0, "it is still mapped");
    is(set_va(page(), mfn << 12 | RW), -EBUSY, "and still a table: not writable");
    is(mmuext(MMUEXT_UNPIN_TABLE, mfn, 0), 0, "unpin");
    is(set_va(t, 0), 0, "unmap");
    ok(set_va(t, mfn << 12 | RO) < 0, "it is gone");
    void *q = page();
    mfn = mfn_of(q);
    is(hypercall(HYPERVISOR_memory_op, XENMEM_decrease_reservation, &r), 1, "giving back a page that is mapped");
    *(u64 *)q = 5;
    is(*(u64 *)q, 5, "the mapping keeps it");
    unmap(q);
    ok(set_va(q, mfn << 12 | RW) < 0, "without it, it is gone");
    struct xen_memory_exchange x = { { &mfn, 1, 0, 0, DOMID_SELF }, { 0, 1, 0, 0, DOMID_SELF }, 0 };
    u64 pfn = ((u64)q - (u64)virt_base) >> 12;
    u64 in = mfn_of(entry_of(q, 1));
    x.in.extent_start = &in;
    x.out.extent_start = &pfn;
    is(hypercall(HYPERVISOR_memory_op, XENMEM_exchange, &x), -EINVAL, "exchanging a page table");
    is(x.nr_exchanged, 0, "exchanges nothing");
}

static void grants(void) {
    u64 *frames = page();
    struct gnttab_setup_table setup = { DOMID_SELF, 1, 1, frames };
    hypercall(HYPERVISOR_grant_table_op, GNTTABOP_setup_table, &setup, 1);
    struct grant_entry_v1 *entries = page();
    is(set_va(entries, frames[0] << 12 | RW), 0, "the grant table is writable");
    is(mmuext(MMUEXT_PIN_L1_TABLE, frames[0], 0) < 0, 1, "but cannot be a page table");
    is(mmuext(MMUEXT_PIN_L1_TABLE, start_info->shared_info >> 12, 0) < 0, 1, "nor can shared info");
    u64 mfn = start_info->shared_info >> 12;
    struct xen_memory_reservation r = { &mfn, 1, 0, 0, DOMID_SELF };
    hypercall(HYPERVISOR_memory_op, XENMEM_decrease_reservation, &r);
    is(set_va(page(), mfn << 12 | RW), 0, "shared info cannot be given away");
    u64 *t = table();
    struct gnttab_copy copy = { mfn_of(page()), DOMID_SELF, 0, 0, mfn_of(t), DOMID_SELF, 0, 0, 8, 0, 1 };
    is(hypercall(HYPERVISOR_grant_table_op, GNTTABOP_copy, &copy, 1), 0, "a grant copy");
    ok(copy.status < 0, "to a page table fails");
    struct vcpu_register_vcpu_info info = { mfn_of(t), 0, 0 };
    is(hypercall(HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 0, &info), -EINVAL, "vcpu_info in a page table");
    mmuext(MMUEXT_UNPIN_TABLE, mfn_of(t), 0);
}

static void machine_to_physical(void) {
    void *p = page();
    u64 mfn = mfn_of(p), *m2p = (u64 *)0xffff800000000000;
    is(update_entry(mfn << 12 | MMU_MACHPHYS_UPDATE, 0x1234), 0, "MMU_MACHPHYS_UPDATE");
    is(m2p[mfn], 0x1234, "its effect");
    update_entry(mfn << 12 | MMU_MACHPHYS_UPDATE, ((u64)p - (u64)virt_base) >> 12);
    is(update_entry(0x12345678000 | MMU_MACHPHYS_UPDATE, 0), -EINVAL, "of a frame that is not there");
    is(guarded(store, (u64)m2p), 1, "a store to the m2p");
}

static void batches(void) {
    u64 *p = page();
    struct mmu_update list[3] = { { entry_address(p, 1), pte(p, RO) }, { 0x12345678000, 0 }, { entry_address(p, 1), pte(p, RW) } };
    u32 done = 99;
    is(hypercall(HYPERVISOR_mmu_update, list, 3, &done, DOMID_SELF), -EINVAL, "a batch with a bad update");
    is(done, 1, "stops there");
    ok(!(*entry_of(p, 1) & PTE_RW), "what came before is done");
    writable(p);
    is(hypercall(HYPERVISOR_mmu_update, NOWHERE, 1, &done, DOMID_SELF), -EFAULT, "a batch that cannot be read");
    is(hypercall(HYPERVISOR_mmu_update, list, 0, &done, DOMID_SELF), 0, "an empty batch");
    is(done, 0, "does nothing");
    is(hypercall(HYPERVISOR_mmu_update, list, 1, &done, 7), -ESRCH, "a batch for another domain");
    is(update_entry(mfn_of(p) << 12 | 16, 0xabcdef), 0, "an update of ordinary memory");
    is(p[2], 0xabcdef, "is a store");
}

void guest_main(const char *command_line) {
    (void)command_line;
    tables_are_read_only();
    one_type_at_a_time();
    garbage();
    linear_tables();
    mapping_nothing();
    freeing_a_table();
    grants();
    machine_to_physical();
    batches();
    xen_slots();
}
