// Grants that a guest makes to itself and maps: what the entries say while they are mapped, what may be mapped, and
// what a mapping keeps from happening.

#include "pv.h"

static struct grant_entry_v1 *entries;
static u16 self;

SNIPPET(store, "movq $0x77, (%rdi)");
SNIPPET(load, "mov (%rdi), %rax");

static struct gnttab_map_grant_ref map(void *at, u32 flags, u32 ref, u16 dom) {
    struct gnttab_map_grant_ref m = { (u64)at, flags, ref, dom, 1, ~0u, 0 };
    if (flags & GNTMAP_contains_pte) m.host_addr = entry_address(at, 1);
    hypercall(HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, &m, 1);
    mmuext(MMUEXT_INVLPG_LOCAL, (u64)at, 0);
    return m;
}
static short unmap(void *at, u32 handle, u64 bus) {
    struct gnttab_unmap_grant_ref u = { (u64)at, bus, handle, 1 };
    hypercall(HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref, &u, 1);
    return u.status;
}
static void grant(u32 ref, const void *p, u16 flags) { entries[ref] = (struct grant_entry_v1){ flags, self, mfn_of(p) }; }

/** A guest is not told its own number; a grant that it can map says it. */
static void find_self(void *shared, void *at) {
    for (self = 1; self < 500; self++) {
        grant(8, shared, GTF_permit_access);
        struct gnttab_map_grant_ref m = map(at, GNTMAP_host_map, 8, self);
        if (m.status != 0) continue;
        is(unmap(at, m.handle, 0), 0, "unmap");
        return;
    }
    ok(0, "the guest can map what it grants to itself");
}

static void mapping(void) {
    u64 *shared = page();
    u64 *at = page();
    find_self(shared, at);
    *shared = 0x1234;
    is(entries[8].flags, GTF_permit_access, "an entry that is not mapped");
    struct gnttab_map_grant_ref m = map(at, GNTMAP_host_map, 8, self);
    is(m.status, 0, "map");
    is(m.dev_bus_addr, mfn_of(shared) << 12, "its machine address");
    is(*at, 0x1234, "the page is there");
    *at = 0x5678;
    is(*shared, 0x5678, "and can be written");
    is(entries[8].flags, GTF_permit_access | 8 | 16, "the entry says that it is read and written");
    is(unmap(at, m.handle + 77, 0), -4, "unmap with a wrong handle");
    is(unmap((void *)((u64)at + 4096), m.handle, 0), -1, "unmap at a wrong address");
    is(*at, 0x5678, "changes nothing");
    struct gnttab_map_grant_ref r = map(page(), GNTMAP_host_map | GNTMAP_readonly, 8, self);
    is(r.status, 0, "mapped a second time, read-only");
    is(guarded(store, r.host_addr), 1, "a store to that");
    is(unmap(at, m.handle, 0), 0, "unmap");
    is(guarded(load, (u64)at), 1, "it is gone");
    is(entries[8].flags, GTF_permit_access | 8, "now it is only read");
    is(unmap((void *)r.host_addr, r.handle, 0), 0, "unmap the second");
    is(entries[8].flags, GTF_permit_access, "now it is not mapped");
    is(unmap((void *)r.host_addr, r.handle, 0), -4, "unmap twice");
    m = map(at, GNTMAP_host_map | GNTMAP_contains_pte, 8, self);
    is(m.status, 0, "map by the address of the entry");
    is(*at, 0x5678, "the page is there");
    struct gnttab_unmap_grant_ref u = { entry_address(at, 1), 0, m.handle, 1 };
    hypercall(HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref, &u, 1);
    is(u.status, 0, "unmap likewise");
    set_va(at, pte(at, RW));
}

static void refusals(void) {
    u64 *shared = page(), *at = page();
    is(map(at, GNTMAP_host_map, 9, self).status, -1, "an entry that grants nothing");
    is(map(at, GNTMAP_host_map, 1 << 20, self).status, -3, "a reference beyond the table");
    is(map(at, 0, 8, self).status, -3, "a mapping for nobody");
    grant(9, shared, GTF_permit_access | GTF_readonly);
    is(map(at, GNTMAP_host_map, 9, self).status, -1, "writing what is granted for reading");
    struct gnttab_map_grant_ref m = map(at, GNTMAP_host_map | GNTMAP_readonly, 9, self);
    is(m.status, 0, "reading it");
    is(unmap(at, m.handle, 0), 0, "unmap");
    entries[9].domid = self + 1;
    is(map(at, GNTMAP_host_map | GNTMAP_readonly, 9, self).status, -1, "what is granted to another domain");
    u64 *table = page();
    set_va(table, pte(table, RO));
    is(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(table), 0), 0, "a page table");
    grant(10, table, GTF_permit_access);
    ok(map(at, GNTMAP_host_map, 10, self).status < 0, "cannot be mapped for writing");
    entries[11] = (struct grant_entry_v1){ GTF_permit_access, self, 0x12345678 };
    ok(map(at, GNTMAP_host_map | GNTMAP_readonly, 11, self).status < 0, "a frame that is not there");
    ok(map((void *)0x123456789000, GNTMAP_host_map, 8, self).status < 0, "a place without a page table");
    ok(map((void *)0xffff800000000000, GNTMAP_host_map, 8, self).status < 0, "a place of Xen's");
    mmuext(MMUEXT_UNPIN_TABLE, mfn_of(table), 0);
}

static void held_pages(void) {
    u64 *shared = page(), *at = page();
    grant(12, shared, GTF_permit_access);
    struct gnttab_map_grant_ref m = map(at, GNTMAP_host_map, 12, self);
    is(m.status, 0, "map");
    entries[12].flags = 0;
    *at = 5;
    is(*shared, 5, "a mapping outlives its entry");
    *at = 0;
    set_va(shared, pte(shared, RO));
    ok(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(shared), 0) < 0, "its page cannot become a page table");
    is(unmap(at, m.handle, 0), 0, "unmap");
    is(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(shared), 0), 0, "now it can");
    mmuext(MMUEXT_UNPIN_TABLE, mfn_of(shared), 0);
}

void guest_main(const char *command_line) {
    (void)command_line;
    u64 frames[1];
    struct gnttab_setup_table setup = { DOMID_SELF, 1, 1, frames };
    hypercall(HYPERVISOR_grant_table_op, GNTTABOP_setup_table, &setup, 1);
    entries = page();
    is(set_va(entries, frames[0] << 12 | RW), 0, "the grant table");
    mapping();
    refusals();
    held_pages();
}
