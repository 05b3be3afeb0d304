// Grant tables of version 2, with grants that a guest makes to itself: changing the version, status frames, parts of
// pages, transitive grants, and operations on the table.

#include "pv.h"

static union grant_entry_v2 *entries;
static volatile u16 *status_words;
static struct grant_entry_v1 *entries_v1;
static u16 self;
static u64 table_frames[64];

static long grant_op(u32 cmd, void *arg) { return hypercall(HYPERVISOR_grant_table_op, cmd, arg, 1); }

static struct gnttab_map_grant_ref map(void *at, u32 flags, u32 ref, u16 dom) {
    struct gnttab_map_grant_ref m = { (u64)at, flags, ref, dom, 1, ~0u, 0 };
    grant_op(GNTTABOP_map_grant_ref, &m);
    mmuext(MMUEXT_INVLPG_LOCAL, (u64)at, 0);
    return m;
}
static short unmap(void *at, u32 handle) {
    struct gnttab_unmap_grant_ref u = { (u64)at, 0, handle, 1 };
    grant_op(GNTTABOP_unmap_grant_ref, &u);
    return u.status;
}
static long set_version(u32 version, u32 then) {
    struct gnttab_set_version v = { version };
    long rc = grant_op(GNTTABOP_set_version, &v);
    is(v.version, then, "set_version %d tells the version in effect", (u64)version);
    return rc;
}
static short status_frames(u32 n, u64 *list) {
    struct gnttab_get_status_frames s = { n, DOMID_SELF, 1, list };
    grant_op(GNTTABOP_get_status_frames, &s);
    return s.status;
}
static short setup(u32 n) {
    struct gnttab_setup_table s = { DOMID_SELF, n, 1, table_frames };
    grant_op(GNTTABOP_setup_table, &s);
    return s.status;
}

/** A guest is not told its own number; a grant that it can map says it. */
static void find_self(void) {
    u64 *shared = page(), *at = page();
    for (self = 1; self < 500; self++) {
        entries_v1[8] = (struct grant_entry_v1){ GTF_permit_access, self, mfn_of(shared) };
        struct gnttab_map_grant_ref m = map(at, GNTMAP_host_map, 8, self);
        if (m.status != 0) continue;
        is(set_version(2, 1), -EBUSY, "set_version while a grant is mapped");
        is(unmap(at, m.handle), 0, "unmap");
        entries_v1[8].flags = 0;
        return;
    }
    ok(0, "the guest can map what it grants to itself");
}

static void versions(void) {
    struct gnttab_get_version v = { DOMID_SELF, 0, 9 };
    is(grant_op(GNTTABOP_get_version, &v), 0, "get_version");
    is(v.version, 1, "tables begin with version 1");
    u64 list[2];
    is(status_frames(0, list), 0, "no status frames");
    is(status_frames(1, list), -1, "version 1 has none");
    is(set_version(0, 1), -EINVAL, "version 0");
    is(set_version(3, 1), -EINVAL, "version 3");
    struct grant_entry_v1 console = entries_v1[0];
    entries_v1[3] = (struct grant_entry_v1){ GTF_permit_access | GTF_readonly, 5, 0x12345678 };
    entries_v1[9] = (struct grant_entry_v1){ GTF_permit_access, 5, 0x12345678 };
    is(set_version(2, 2), 0, "version 2");
    is(set_version(2, 2), 0, "version 2 again");
    is(status_frames(1, list), 0, "a status frame");
    is(status_frames(2, list), -1, "but not two");
    status_words = page();
    is(set_va((void *)status_words, list[0] << 12 | RW), 0, "can be mapped");
    is(entries[0].flags, console.flags & ~(GTF_reading | GTF_writing), "the console's entry");
    is(entries[0].full_page.frame, console.frame, "its frame");
    is(status_words[0], console.flags & (GTF_reading | GTF_writing), "its marks are in the status word");
    is(entries[3].flags, GTF_permit_access | GTF_readonly, "reserved entries are kept");
    is(entries[3].domid, 5, "for whom they are");
    is(entries[3].full_page.frame, 0x12345678, "and their frames");
    is(entries[9].flags, 0, "others are gone");
    entries[3].flags = 0;
}

static void full_pages(void) {
    u64 *shared = page(), *at = page();
    *shared = 0x1234;
    entries[8].full_page.frame = mfn_of(shared);
    entries[8].domid = self;
    entries[8].flags = GTF_permit_access;
    struct gnttab_map_grant_ref m = map(at, GNTMAP_host_map | GNTMAP_readonly, 8, self);
    is(m.status, 0, "map for reading");
    is(*at, 0x1234, "the page is there");
    is(status_words[8], GTF_reading, "the status word says so");
    is(entries[8].flags, GTF_permit_access, "the entry does not");
    struct gnttab_map_grant_ref w = map(page(), GNTMAP_host_map, 8, self);
    is(w.status, 0, "map for writing");
    is(status_words[8], GTF_reading | GTF_writing, "the status word");
    is(unmap((void *)w.host_addr, w.handle), 0, "unmap");
    is(status_words[8], GTF_reading, "the status word");
    entries[8].flags = 0;
    ok(map(page(), GNTMAP_host_map | GNTMAP_readonly, 8, self).status == 0, "revoked, it can be mapped for reading by who has it mapped");
    is(map(page(), GNTMAP_host_map, 8, self + 1).status, -2, "a domain that is not there");
    is(unmap(at, m.handle), 0, "unmap");
    is(map(at, GNTMAP_host_map, 1 << 20, self).status, -3, "a reference beyond the table");
    is(map(at, GNTMAP_host_map, 256, self).status, -3, "which has half as many");
    entries[9].words[1] = 1UL << 52;
    entries[9].domid = self;
    entries[9].flags = GTF_permit_access;
    is(map(at, GNTMAP_host_map, 9, self).status, -9, "no frame");
    entries[9].flags = GTF_permit_access | GTF_sub_page;
    entries[9].full_page.frame = mfn_of(shared);
    is(map(at, GNTMAP_host_map, 9, self).status, -1, "a part of a page cannot be mapped");
    entries[9].flags = GTF_transitive;
    ok(map(at, GNTMAP_host_map, 9, self).status < 0, "nor can a transitive grant");
    is(status_words[9], 0, "nothing is marked");
}

static struct gnttab_copy copy;
static short copied(u16 offset, u16 length) {
    copy.source_offset = offset;
    copy.len = length;
    copy.status = 99;
    is(grant_op(GNTTABOP_copy, &copy), 0, "copy %d bytes from %d", (u64)length, (u64)offset);
    return copy.status;
}

static void copies(void) {
    u8 *shared = page(), *to = page();
    memset(shared, 0x11, PAGE_SIZE);
    entries[10].sub_page.page_off = 100;
    entries[10].sub_page.length = 50;
    entries[10].sub_page.frame = mfn_of(shared);
    entries[10].domid = self;
    entries[10].flags = GTF_permit_access | GTF_sub_page;
    copy = (struct gnttab_copy){ 10, self, 0, 0, mfn_of(to), DOMID_SELF, 7, 0, 0, GNTCOPY_source_gref, 0 };
    is(copied(100, 50), 0, "all of it");
    is(to[6] | to[7] << 8 | to[56] << 16 | (u32)to[57] << 24, 0x00111100, "and no more");
    is(copied(99, 10), -1, "before it");
    is(copied(100, 51), -1, "too long");
    is(copied(149, 2), -1, "over its end");
    is(copied(149, 1), 0, "up to its end");
    is(copied(4090, 10), -10, "over the page's end");
    copy.source_domid = DOMID_SELF;
    is(copied(120, 2), 0, "of DOMID_SELF");
    copy.source = 11;
    is(copied(0, 1), -1, "an entry that grants nothing");
    copy.source = 1 << 20;
    is(copied(0, 1), -3, "no entry");
    copy.source = 10, copy.source_domid = self + 1;
    is(copied(100, 1), -2, "no domain");
    copy.flags = 0;
    is(copied(100, 1), -2, "nor a frame of it");
    copy.source_domid = 0;
    is(copied(100, 1), -8, "a frame of another domain");
    copy.source_domid = self;
    is(copied(100, 1), -8, "or of oneself by number");
    copy.source_domid = DOMID_SELF, copy.dest_domid = self + 1;
    is(copied(100, 1), -2, "to no domain");
    copy.dest_domid = 0;
    is(copied(100, 1), -9, "from no frame, which comes first");
    copy.source = mfn_of(shared);
    is(copied(100, 1), -8, "to a frame of another domain");
    copy.dest_domid = DOMID_SELF;
    copy.source_domid = DOMID_SELF, copy.source = 1UL << 50;
    is(copied(100, 1), -9, "no frame");
    entries[11].transitive.trans_domid = self;
    entries[11].transitive.gref = 10;
    entries[11].domid = self;
    entries[11].flags = GTF_transitive;
    copy.flags = GNTCOPY_source_gref, copy.source = 11, copy.source_domid = self;
    is(copied(100, 1), -1, "a transitive grant of one's own");
    entries[11].transitive.trans_domid = self + 1;
    is(copied(100, 1), -1, "or of a domain that is not there");
    is(status_words[11], 0, "nothing is marked");
    entries[10].flags = GTF_permit_access | GTF_readonly;
    copy = (struct gnttab_copy){ mfn_of(to), DOMID_SELF, 0, 0, 10, self, 0, 0, 8, GNTCOPY_dest_gref, 0 };
    is(copied(0, 8), -1, "to what is granted for reading");
}

static void tables(void) {
    struct gnttab_swap_grant_ref swap = { 10, 12, 1 };
    u16 flags = entries[10].flags;
    status_words[10] = GTF_reading;
    is(grant_op(GNTTABOP_swap_grant_ref, &swap), 0, "swap");
    is(swap.status, 0, "two entries");
    is(entries[12].flags, flags, "they have changed places");
    is(status_words[12], GTF_reading, "with their status");
    swap.ref_b = 256;
    grant_op(GNTTABOP_swap_grant_ref, &swap);
    is(swap.status, -3, "no such entry");
    is(setup(9), 0, "a table of nine frames");
    u64 list[2];
    is(status_frames(2, list), 0, "has two status frames");
    is(set_va(page(), list[1] << 12 | RW), 0, "that can be mapped");
    is(map(page(), GNTMAP_host_map, 9 * 256 - 1, self).status, -1, "its last entry grants nothing");
    is(map(page(), GNTMAP_host_map, 9 * 256, self).status, -3, "there are no others");
    struct gnttab_query_size q = { DOMID_SELF, 0, 0, 1 };
    grant_op(GNTTABOP_query_size, &q);
    is(q.nr_frames, 9, "query_size");
    is(q.max_nr_frames, 64, "its limit");
    is(setup(65), -1, "a table that is larger than that");
    struct gnttab_setup_table s = { DOMID_SELF, 1, 1, (u64 *)0xffff820000000000 };
    is(grant_op(GNTTABOP_setup_table, &s), -EFAULT, "a list of Xen's");
    s.frame_list = (u64 *)0x123456789000;
    is(grant_op(GNTTABOP_setup_table, &s), 0, "a list that is not there");
    is(s.status, -5, "is a bad address");
    is(hypercall(HYPERVISOR_grant_table_op, GNTTABOP_copy | 0x1000, &copy, 1), -EINVAL, "a continuation that is none");
    is(hypercall(HYPERVISOR_grant_table_op, GNTTABOP_copy, &copy, -1), -EINVAL, "a count below zero");
    is(hypercall(HYPERVISOR_grant_table_op, GNTTABOP_copy, 0xffff820000000000, 0), -EFAULT, "no elements, in Xen's window");
    is(hypercall(HYPERVISOR_grant_table_op, GNTTABOP_dump_table, &copy, 1), -ENOSYS, "dump_table");
}

static long flush(u64 address, u16 offset, u16 length, u32 op) {
    struct gnttab_cache_flush f = { address, offset, length, op };
    return grant_op(GNTTABOP_cache_flush, &f);
}
static void flushes(void) {
    u64 own = mfn_of(page()) << 12;
    is(flush(own, 0, 4096, 1), 0, "clean a page");
    is(flush(own, 0, 4096, 3), 0, "clean and invalidate it");
    is(flush(own, 0, 4096, 2), -EOPNOTSUPP, "only invalidate it");
    is(flush(own, 4096, 0, 1), -EINVAL, "behind it");
    is(flush(own, 1, 4096, 1), -EINVAL, "over its end");
    is(flush(own, 0, 0, 1), 0, "nothing");
    is(flush(own, 0, 1, 0), 0, "no operation");
    is(flush(own, 0, 1, 4), -EINVAL, "another operation");
    is(flush(own, 0, 1, 0x80000001), -EINVAL, "by reference");
    is(flush(1UL << 51, 0, 1, 1), -EINVAL, "no frame");
}

static void transfers(void) {
    void *given = page();
    u64 mfn = mfn_of(given);
    struct gnttab_transfer t = { mfn, self, 20, 1 };
    grant_op(GNTTABOP_transfer, &t);
    is(t.status, -9, "transfer of a page that is mapped");
    *(u64 *)given = 0x777;
    set_va(given, 0);
    entries[20].full_page.frame = 3;
    entries[20].domid = self;
    entries[20].flags = GTF_accept_transfer;
    grant_op(GNTTABOP_transfer, &t);
    is(t.status, 0, "transfer of a page to oneself");
    is(entries[20].flags, GTF_accept_transfer | GTF_transfer_committed | GTF_transfer_completed, "is complete");
    is(set_va(given, entries[20].full_page.frame << 12 | RW), 0, "it can be mapped");
    is(*(u64 *)given, 0x777, "and has its contents");
    set_va(given, 0);
    t.mfn = entries[20].full_page.frame;
    grant_op(GNTTABOP_transfer, &t);
    is(t.status, -1, "to an entry that has one");
    is(set_va(given, t.mfn << 12 | RW), -EBUSY, "the page is lost");
    t = (struct gnttab_transfer){ mfn_of(entry_of(given, 1)), self, 20, 1 };
    grant_op(GNTTABOP_transfer, &t);
    is(t.status, -9, "a page table");
}

static void back(void) {
    is(set_version(1, 2), -EBUSY, "version 1 while a status frame is mapped");
}

void guest_main(const char *command_line) {
    (void)command_line;
    setup(1);
    entries_v1 = page();
    is(set_va(entries_v1, table_frames[0] << 12 | RW), 0, "the grant table");
    entries = (void *)entries_v1;
    find_self();
    versions();
    full_pages();
    copies();
    tables();
    flushes();
    transfers();
    back();
}
