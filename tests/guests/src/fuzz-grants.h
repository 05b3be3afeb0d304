// The hostile guest's grants: entries of either version, and operations on them. Part of fuzz.c, whose values it takes.

static u16 *statuses;   // of version 2
static int version = 1; // of `grants`, as far as we know

static void grant_table_op(struct call *c) {
    struct gnttab_map_grant_ref map[4];
    struct gnttab_unmap_grant_ref unmap[4];
    u64 other[24];
    for (int i = 0; i < 4; i++) {
        int contains = one_in(4);
        u64 at = contains ? entry_at() : one_in(8) ? (u64)pointer() : (u64)pool[GRANTED + below(4)];
        map[i] = (struct gnttab_map_grant_ref){ at, one_in(8) ? value() : GNTMAP_host_map | (contains ? GNTMAP_contains_pte : 0) | (one_in(2) ? GNTMAP_readonly : one_in(2) ? 0 : below(8)), 8 + below(8), someone(), 7, 0, 0 };
        unmap[i] = (struct gnttab_unmap_grant_ref){ at, one_in(8) ? frame() << 12 : 0, below(10), 7 };
    }
    fill(other, 24);
    u64 flags = below(4), a = flags & GNTCOPY_source_gref ? 8 + below(8) : frame(), b = flags & GNTCOPY_dest_gref ? 8 + below(8) : frame();
    struct gnttab_copy copy[2] = {
        { a, flags & GNTCOPY_source_gref ? someone() : domain(), below(4100), 0, b, flags & GNTCOPY_dest_gref ? someone() : domain(), below(4100), 0, below(300), flags, 1 },
        { frame(), DOMID_SELF, 0, 0, frame(), DOMID_SELF, 0, 0, 4096, 0, 1 },
    };
    struct gnttab_unmap_and_replace replace = { (u64)pool[GRANTED + below(4)], one_in(4) ? value() : (u64)pool[8 + below(POOL - 8)], below(10), 7 };
    struct gnttab_transfer transfer = { frame(), someone(), 8 + below(8), 7 };
    struct gnttab_set_version set = { 1 + below(2) };
    struct gnttab_setup_table setup = { domain(), one_in(8) ? value() : below(4), 7, (u64 *)pool[2] };
    struct gnttab_get_status_frames frames = { one_in(8) ? value() : below(3), domain(), 7, (u64 *)pool[2] };
    struct gnttab_swap_grant_ref swap = { 8 + below(8), 8 + below(8), 7 };
    struct gnttab_cache_flush flush = { frame() << 12, below(4100), below(4100), below(4) };
    u64 cmd = one_in(20) ? value() : one_in(2) ? below(13) : one_in(2) ? GNTTABOP_copy : below(2);
    void *at = ARGUMENT(other);
    if (cmd == GNTTABOP_set_version) version = set.version;
    if (!one_in(8)) switch (cmd) {
        case GNTTABOP_map_grant_ref: at = ARGUMENT(map); break;
        case GNTTABOP_unmap_grant_ref: at = ARGUMENT(unmap); break;
        case GNTTABOP_copy: at = ARGUMENT(copy); break;
        case GNTTABOP_unmap_and_replace: at = ARGUMENT(replace); break;
        case GNTTABOP_transfer: at = ARGUMENT(transfer); break;
        case GNTTABOP_set_version: at = ARGUMENT(set); break;
        case GNTTABOP_setup_table: at = ARGUMENT(setup); break;
        case GNTTABOP_get_status_frames: at = ARGUMENT(frames); break;
        case GNTTABOP_swap_grant_ref: at = ARGUMENT(swap); break;
        case GNTTABOP_cache_flush: at = ARGUMENT(flush); break;
    }
    u64 many = cmd == GNTTABOP_map_grant_ref || cmd == GNTTABOP_unmap_grant_ref ? 4 : cmd == GNTTABOP_copy ? 2 : 1;
    CALL(c, grant_table_op, cmd, (u64)at, one_in(16) ? value() : one_in(4) ? below(4) : many);
}

/** An entry, of the version that the table has, mostly. */
static void random_entry(void) {
    u64 ref = below(16), type = one_in(8) ? value() : !one_in(3) ? GTF_permit_access : below(8) | (one_in(4) ? GTF_sub_page : 0), dom = someone();
    if (one_in(8)) statuses[below(16)] = value();
    if (one_in(8) ? one_in(2) : version == 1) {
        ((struct grant_entry_v1 *)grants)[ref] = (struct grant_entry_v1){ type, dom, frame() };
        return;
    }
    grants[ref].words[0] = (type & 0xffff) | (dom & 0xffff) << 16 | (one_in(2) ? someone() | (u64)(8 + below(8)) << 32 : below(4096) | below(4096) << 16) << 32;
    if ((type & 3) == GTF_transitive) grants[ref].transitive.gref = 8 + below(8);
    else grants[ref].full_page.frame = frame();
}

static void prepare_grants(void) {
    u64 list[1];
    grants = page();
    statuses = page();
    struct gnttab_setup_table setup = { DOMID_SELF, 1, 1, list };
    hypercall(HYPERVISOR_grant_table_op, GNTTABOP_setup_table, &setup, 1);
    set_va(grants, list[0] << 12 | RW);
    if (one_in(2)) { // with its status words mapped, version 2 cannot be left
        struct gnttab_set_version two = { 2 };
        hypercall(HYPERVISOR_grant_table_op, GNTTABOP_set_version, &two, 1);
        struct gnttab_get_status_frames status = { 1, DOMID_SELF, 1, list };
        hypercall(HYPERVISOR_grant_table_op, GNTTABOP_get_status_frames, &status, 1);
        set_va(statuses, list[0] << 12 | RW);
        version = 2;
    }
    for (int i = 8; i < 16; i++) {
        u16 dom = 1 + below(2);
        if (version == 1) ((struct grant_entry_v1 *)grants)[i] = (struct grant_entry_v1){ GTF_permit_access, dom, mfn_of(pool[i]) };
        else grants[i].full_page.frame = mfn_of(pool[i]), grants[i].domid = dom, grants[i].flags = GTF_permit_access;
    }
}
