// Two domains that share pages by grants. Both are this guest: `granter` grants, `mapper` maps and copies, each given the
// other's number as `peer=N`; the granter's table is of the version `version=N`. They take turns by words in the first
// page that is shared. The granter ends while the mapper still has its pages.

#include "pv.h"

/** References of the granter's. */
enum { SHARED = 8, READ_ONLY, CODE, TABLE, REVOKED, TRANSITIVE, PART, ACCEPTS, NOBODYS };
/** A reference of the mapper's, which a transitive grant of the granter's leads to. */
enum { MINE = 8 };
/** Words of the shared page: how far each has come, and what the granter found. */
enum { GRANTER, MAPPER, RESULT, PATTERN = 64 };
#define PFEC_PROTECTION 1
#define PFEC_WRITE 2
#define PFEC_FETCH 16

static union grant_entry_v2 *entries_v2;
static struct grant_entry_v1 *entries_v1;
static u16 peer;
static u32 version;
static volatile u64 *shared;

static long grant_op(u32 cmd, void *arg) { return hypercall(HYPERVISOR_grant_table_op, cmd, arg, 1); }
static void yield(void) { hypercall(HYPERVISOR_sched_op, SCHEDOP_yield, 0); }
/** What a processor needs before it executes what another one has written. */
static void serialize(void) { u32 a = 0, b, c = 0, d; asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d)::"memory"); }
static void wait_for(int word, u64 value) { while (shared[word] < value) yield(); }

static u64 option(const char *line, const char *name) {
    for (; *line; line++) {
        const char *a = line, *b = name;
        while (*b && *a == *b) a++, b++;
        if (*b) continue;
        u64 n = 0;
        while (*a >= '0' && *a <= '9') n = n * 10 + (*a++ - '0');
        return n;
    }
    return 0;
}

static void make_table(void) {
    u64 frames[1];
    struct gnttab_set_version v = { version };
    is(grant_op(GNTTABOP_set_version, &v), 0, "set_version %d", (u64)version);
    struct gnttab_setup_table setup = { DOMID_SELF, 1, 1, frames };
    grant_op(GNTTABOP_setup_table, &setup);
    entries_v1 = page();
    entries_v2 = (void *)entries_v1;
    is(set_va(entries_v1, frames[0] << 12 | RW), 0, "the grant table");
}
static void grant(u32 ref, u64 mfn, u16 flags) {
    if (version == 1) {
        entries_v1[ref].domid = peer;
        entries_v1[ref].frame = mfn;
        asm volatile("" ::: "memory");
        entries_v1[ref].flags = flags;
    } else {
        entries_v2[ref].full_page.frame = mfn;
        entries_v2[ref].domid = peer;
        asm volatile("" ::: "memory");
        entries_v2[ref].flags = flags;
    }
}
static void revoke(u32 ref) { *(volatile u16 *)(version == 1 ? &entries_v1[ref].flags : &entries_v2[ref].flags) = 0; }

// ---- the granter

static void granter(void) {
    static const u8 one[] = { 0xb8, 1, 0, 0, 0, 0xc3 }; // mov eax,1; ret
    make_table();
    u64 *first = page(), *read_only = page(), *code = page(), *table = page(), *revoked = page(), *part = page(), *given = page();
    shared = first;
    for (int i = PATTERN; i < 512; i++) first[i] = 0x0101010101010101 * (i & 255);
    *read_only = 0x5555;
    *revoked = 0x1111;
    memset(part, 0x33, PAGE_SIZE);
    memcpy(code, one, sizeof one);
    long (*call)(void) = (void *)code;
    is(call(), 1, "code in a page that will be granted");
    set_va(table, pte(table, RO));
    is(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(table), 0), 0, "a page table");
    // room for a page
    u64 mfn = mfn_of(given);
    set_va(given, 0);
    struct xen_memory_reservation r = { &mfn, 1, 0, 0, DOMID_SELF };
    is(hypercall(HYPERVISOR_memory_op, XENMEM_decrease_reservation, &r), 1, "room for a page");
    grant(READ_ONLY, mfn_of(read_only), GTF_permit_access | GTF_readonly);
    grant(CODE, mfn_of(code), GTF_permit_access);
    grant(TABLE, mfn_of(table), GTF_permit_access);
    grant(REVOKED, mfn_of(revoked), GTF_permit_access);
    grant(NOBODYS, 0x7ffffff0, GTF_permit_access);
    grant(ACCEPTS, start_info->nr_pages, GTF_accept_transfer);
    if (version == 2) {
        entries_v2[TRANSITIVE].transitive.trans_domid = peer;
        entries_v2[TRANSITIVE].transitive.gref = MINE;
        entries_v2[TRANSITIVE].domid = peer;
        entries_v2[TRANSITIVE].flags = GTF_transitive;
        entries_v2[PART].sub_page.page_off = 256;
        entries_v2[PART].sub_page.length = 128;
        entries_v2[PART].sub_page.frame = mfn_of(part);
        entries_v2[PART].domid = peer;
        entries_v2[PART].flags = GTF_permit_access | GTF_sub_page;
    }
    shared[GRANTER] = 1;
    grant(SHARED, mfn_of(first), GTF_permit_access);
    wait_for(MAPPER, 1); // it has written new code
    serialize();
    is(call(), 2, "the code that the mapper wrote");
    *revoked = 0x2222;
    revoke(REVOKED);
    ok(set_va(revoked, pte(revoked, RO)) == 0 && mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(revoked), 0) < 0, "what is mapped to be written cannot become a page table");
    shared[GRANTER] = 2;
    wait_for(MAPPER, 2); // it has unmapped what was revoked, and given a page
    is(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(revoked), 0), 0, "what is unmapped can");
    u64 got = version == 1 ? entries_v1[ACCEPTS].frame : entries_v2[ACCEPTS].full_page.frame;
    is(version == 1 ? entries_v1[ACCEPTS].flags : entries_v2[ACCEPTS].flags, GTF_accept_transfer | GTF_transfer_committed | GTF_transfer_completed, "a page has come");
    is(set_va(given, got << 12 | RW), 0, "it can be mapped");
    is(*given, 0x7777, "and has its contents");
    is(part[32] == 0x4242424242424242 && part[31] == 0x3333333333333333, 1 - (version == 1), "what was copied to a part of a page");
    shared[RESULT] = 0xabcd;
    shared[GRANTER] = 3;
}

// ---- the mapper

SNIPPET(store, "movq $0x77, (%rdi)");
SNIPPET(load, "mov (%rdi), %rax");
SNIPPET(jump, "jmp *%rdi");

static struct gnttab_map_grant_ref map(void *at, u32 flags, u32 ref) {
    struct gnttab_map_grant_ref m = { (u64)at, flags, ref, peer, 1, ~0u, 0 };
    grant_op(GNTTABOP_map_grant_ref, &m);
    return m;
}
static short unmap(struct gnttab_map_grant_ref *m) {
    struct gnttab_unmap_grant_ref u = { m->host_addr, 0, m->handle, 1 };
    grant_op(GNTTABOP_unmap_grant_ref, &u);
    return u.status;
}
static short copy(u64 source, u16 source_domid, u16 source_offset, u64 dest, u16 dest_domid, u16 dest_offset, u16 len, u16 flags) {
    struct gnttab_copy c = { source, source_domid, source_offset, 0, dest, dest_domid, dest_offset, 0, len, flags, 99 };
    grant_op(GNTTABOP_copy, &c);
    return c.status;
}

/** Loads and stores of every kind. `before` is a page of one's own, right before the shared one. */
static void accesses(u8 *before) {
    volatile u64 *at = shared;
    is(at[100], 0x6464646464646464, "load 8 bytes");
    is(((volatile u32 *)at)[200], 0x64646464, "4 bytes");
    is(((volatile u16 *)at)[400], 0x6464, "2 bytes");
    is(((volatile u8 *)at)[800], 0x64, "1 byte");
    is(*(volatile u64 *)((u8 *)at + 804), 0x6565656564646464, "8 bytes, not aligned");
    at[101] = 0x1122334455667788;
    ((volatile u8 *)at)[808] = 0x99;
    ((volatile u16 *)at)[405] = 0xaaaa;
    is(at[101], 0x11223344aaaa7799, "stores of 8, 1 and 2 bytes");
    is(__atomic_fetch_add((u64 *)at + 101, 1, __ATOMIC_SEQ_CST), 0x11223344aaaa7799, "a locked addition");
    u64 expected = 0x11223344aaaa779a;
    ok(__atomic_compare_exchange_n((u64 *)at + 101, &expected, 5, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST), "a compare-exchange");
    is(at[101], 5, "has stored");
    u8 *own = page();
    u64 n = 300;
    void *to = own, *from = (u8 *)at + 1000;
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n)::"memory");
    is(*(u64 *)(own + 4), 0x7e7e7e7e7d7d7d7d, "a string of 300 bytes out");
    n = 40, to = (u64 *)at + 200, from = own;
    asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n)::"memory");
    is(at[201], *(u64 *)(own + 8), "one of 40 words in");
    n = 64, to = (u64 *)at + 300;
    asm volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(0x5a) : "memory");
    is(at[307], 0x5a5a5a5a5a5a5a5a, "a string of one byte");
    hypercall(HYPERVISOR_fpu_taskswitch, 0UL);
    asm volatile("movups (%0), %%xmm0; movups %%xmm0, 16(%0)" ::"r"((u64 *)at + 300) : "memory");
    is(at[303], 0x5a5a5a5a5a5a5a5a, "16 bytes at once");
    *(volatile u64 *)(before + PAGE_SIZE - 4) = 0x1234567887654321;
    is(((volatile u32 *)at)[0], 0x12345678, "a store from one's own page into the other's");
    is(*(volatile u64 *)(before + PAGE_SIZE - 4), 0x1234567887654321, "and a load");
    ((volatile u32 *)at)[0] = 1;
}

static void arguments(u8 *before) {
    u8 *own = page();
    u8 *at = (u8 *)shared + 2048;
    is(hypercall(HYPERVISOR_xen_version, XENVER_extraversion, at), 0, "a hypercall that writes to the other's page");
    hypercall(HYPERVISOR_xen_version, XENVER_extraversion, own);
    is(*(u64 *)at, *(u64 *)own, "as to one's own");
    void *remapped = page();
    struct mmu_update *request = (void *)at;
    *request = (struct mmu_update){ entry_address(remapped, 1), pte(remapped, RO) };
    is(hypercall(HYPERVISOR_mmu_update, request, 1, 0UL, DOMID_SELF), 0, "one that is read from there");
    mmuext(MMUEXT_INVLPG_LOCAL, (u64)remapped, 0);
    is(guarded(store, (u64)remapped), 1, "and is done");
    request = (void *)(before + PAGE_SIZE - 8); // over the first two words
    u64 word = shared[0];
    *request = (struct mmu_update){ entry_address(remapped, 1), pte(remapped, RW) };
    is(hypercall(HYPERVISOR_mmu_update, request, 1, 0UL, DOMID_SELF), 0, "or from both pages");
    shared[0] = word;
    is(guarded(store, (u64)remapped), 0, "and is done");
}

static void refusals(u8 *at, struct gnttab_map_grant_ref *first) {
    u64 entry = *entry_of((void *)shared, 1);
    u8 *other = page();
    is(set_va(other, entry), -EBUSY, "a second entry for the other's page");
    is(set_va(other, entry & ~PTE_RW), -EBUSY, "not even for reading");
    is(set_va((void *)shared, entry & ~PTE_RW), -EBUSY, "nor with other rights");
    is(set_va((void *)shared, entry | 0x200), 0, "but with bits for oneself");
    ok(mmuext(MMUEXT_PIN_L1_TABLE, first->dev_bus_addr >> 12, 0) < 0, "it is no page table of one's own");
    is(map(at, GNTMAP_host_map, READ_ONLY).status, -1, "writing what is granted for reading");
    is(map(at, GNTMAP_host_map, TABLE).status, -1, "writing a page table");
    is(map(at, GNTMAP_host_map, NOBODYS).status, -9, "a frame that is not there");
    is(map(at, GNTMAP_host_map, 7).status, -1, "what is granted to nobody");
    is(map(at, GNTMAP_host_map, 5000).status, -3, "a reference beyond the table");
    is(map((void *)0x123456789000, GNTMAP_host_map, READ_ONLY).status, -1, "without a page table");
    struct gnttab_map_grant_ref m = map(at, GNTMAP_host_map | GNTMAP_readonly, TABLE);
    is(m.status, 0, "but reading it");
    is(unmap(&m), 0, "unmap");
    m = map(at, GNTMAP_host_map | GNTMAP_readonly, READ_ONLY);
    is(m.status, 0, "reading what is granted so");
    is(*(volatile u64 *)at, 0x5555, "it is there");
    is(guarded(store, (u64)at), 1, "a store");
    is(fault.error, PFEC_PROTECTION | PFEC_WRITE, "is a protection fault");
    is(fault_cr2, (u64)at, "there");
    is(unmap(&m), 0, "unmap");
    is(guarded(load, (u64)at), 1, "then it is gone");
    is(fault.error, 0, "not present");
}

static void copies(void) {
    u64 *own = page(), *granted = page();
    own[1] = 0x9999;
    is(copy(SHARED, peer, 800, mfn_of(own), DOMID_SELF, 0, 8, GNTCOPY_source_gref), 0, "copy out");
    is(own[0], 0x6464646464646464, "what was there");
    is(copy(mfn_of(own), DOMID_SELF, 8, SHARED, peer, 2400, 8, GNTCOPY_dest_gref), 0, "copy in");
    is(shared[300], 0x9999, "has changed it");
    is(copy(mfn_of(own), DOMID_SELF, 0, READ_ONLY, peer, 0, 8, GNTCOPY_dest_gref), -1, "copy to what is granted for reading");
    is(copy(mfn_of(own), DOMID_SELF, 0, TABLE, peer, 0, 8, GNTCOPY_dest_gref), -1, "copy to a page table");
    is(copy(NOBODYS, peer, 0, mfn_of(own), DOMID_SELF, 0, 8, GNTCOPY_source_gref), -9, "copy from no frame");
    is(copy(SHARED, peer, 0, mfn_of(own), peer, 0, 8, GNTCOPY_source_gref), -8, "copy to a frame of another domain");
    *granted = 0x8888;
    u32 others = version;
    version = 1;
    grant(MINE, mfn_of(granted), GTF_permit_access);
    version = others;
    if (version == 1) return;
    is(copy(TRANSITIVE, peer, 0, mfn_of(own), DOMID_SELF, 0, 8, GNTCOPY_source_gref), 0, "copy by a transitive grant");
    is(own[0], 0x8888, "what it leads to");
    is(copy(mfn_of(own), DOMID_SELF, 8, TRANSITIVE, peer, 0, 8, GNTCOPY_dest_gref), 0, "and there");
    is(*granted, 0x9999, "is changed");
    is(map(own, GNTMAP_host_map, TRANSITIVE).status, -1, "it cannot be mapped");
    memset(own, 0x42, 8);
    is(copy(mfn_of(own), DOMID_SELF, 0, PART, peer, 256, 8, GNTCOPY_dest_gref), 0, "copy to a part of a page");
    is(copy(mfn_of(own), DOMID_SELF, 0, PART, peer, 255, 8, GNTCOPY_dest_gref), -1, "and not before it");
    is(copy(mfn_of(own), DOMID_SELF, 0, PART, peer, 377, 8, GNTCOPY_dest_gref), -1, "or over its end");
    is(map(own, GNTMAP_host_map, PART).status, -1, "it cannot be mapped");
}

static void mapper(void) {
    u32 others = version;
    version = 1;
    make_table();
    version = others;
    u8 *before = page(), *at = page(), *spare = page(), *second = page(), *third = page();
    struct gnttab_map_grant_ref first;
    do {
        first = map(at, GNTMAP_host_map, SHARED);
        if (first.status != 0) yield();
    } while (first.status != 0);
    shared = (void *)at;
    wait_for(GRANTER, 1);
    accesses(before);
    arguments(before);
    refusals(spare, &first);
    copies();
    is(guarded(jump, (u64)at), 1, "a jump to the other's page");
    is(fault.error, PFEC_PROTECTION | PFEC_FETCH, "is a protection fault");
    struct gnttab_map_grant_ref code = map(second, GNTMAP_host_map, CODE), revoked = map(third, GNTMAP_host_map, REVOKED);
    is(code.status, 0, "map the other's code");
    is(revoked.status, 0, "map what will be revoked");
    second[1] = 2; // mov eax,2
    is(unmap(&code), 0, "unmap the code");
    shared[MAPPER] = 1;
    wait_for(GRANTER, 2);
    is(*(volatile u64 *)third, 0x2222, "what is revoked and mapped is still there");
    struct gnttab_map_grant_ref again = map(spare, GNTMAP_host_map | GNTMAP_readonly, REVOKED);
    is(again.status, 0, "and who has it can map it again");
    is(unmap(&again), 0, "unmap that");
    is(unmap(&revoked), 0, "unmap it");
    struct gnttab_map_grant_ref left = map(third, GNTMAP_host_map | GNTMAP_readonly, READ_ONLY);
    is(left.status, 0, "a page that is kept");
    u64 *given = page();
    *given = 0x7777;
    struct gnttab_transfer t = { mfn_of(given), peer, ACCEPTS, 1 };
    grant_op(GNTTABOP_transfer, &t);
    is(t.status, -9, "a page that is mapped is not transferred");
    set_va(given, 0);
    grant_op(GNTTABOP_transfer, &t);
    is(t.status, 0, "transfer");
    shared[MAPPER] = 2;
    wait_for(GRANTER, 3);
    is(shared[RESULT], 0xabcd, "the granter has ended");
    for (int i = 0; i < 400; i++) yield();
    is(shared[RESULT], 0xabcd, "its page is there all the same");
    shared[RESULT] = 1;
    is(shared[RESULT], 1, "and can be written");
    is(unmap(&left), 0, "unmap the one");
    is(unmap(&first), 0, "unmap the other");
    is(guarded(load, (u64)at), 1, "they are gone");
    first.status = 0;
    for (int i = 0; i < 1000000 && first.status != -2; i++) {
        first = map(at, GNTMAP_host_map, SHARED);
        if (first.status == 0) unmap(&first); // it has ended, and will be destroyed
        yield();
    }
    is(first.status, -2, "and so is the domain");
}

void guest_main(const char *command_line) {
    peer = option(command_line, "peer=");
    version = option(command_line, "version=");
    if (*command_line == 'g') granter();
    else mapper();
}
