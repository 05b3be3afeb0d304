import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EFAULT, EINVAL, ENOSYS, EPERM, ESRCH } from '#abi/errno.ts';
import {
  GNTCOPY_dest_gref, GNTCOPY_source_gref, GNTMAP_contains_pte, GNTMAP_device_map, GNTMAP_host_map, GNTMAP_readonly, GNTST, GNTTABOP,
  gnttab_cache_flush, gnttab_copy, gnttab_get_status_frames, gnttab_get_version, gnttab_map_grant_ref, gnttab_query_size, gnttab_set_version,
  gnttab_setup_table, gnttab_swap_grant_ref, gnttab_transfer, gnttab_unmap_and_replace, gnttab_unmap_grant_ref, grant_entry_v1, GTF_accept_transfer,
  GTF_permit_access, GTF_reading, GTF_readonly, GTF_writing,
} from '#abi/grant-table.ts';
import { grantPage, isGrantPinned, nrGrantFrames, pinGrant, seedGrant, unpinGrant } from './grant-active.ts';
import { do_grant_table_op } from './grant-table.ts';
import { XEN_FRAME } from './layout.ts';
import { PGT_count_mask } from './mm/frame-table.ts';
import { setL1Entry } from './mm/update-entry.ts';
import { DomU, SELF, UNMAPPED, type Values } from './testing/domu.ts';
import { RW } from './testing/pv-guest.ts';
import type { Fields, Struct, View } from '#base/struct.ts';

/** grant_table_op on one element; the status as a signed number. */
function op<F extends Fields>(u: DomU, cmd: number, layout: Struct<F>, values: Values<F>): { rc: number; out: View<F>; status: number } {
  const { va, view } = u.put(layout, values);
  const rc = u.call(do_grant_table_op, cmd, va, 1);
  return { rc, out: view, status: ((view as unknown as { status: number }).status << 16) >> 16 };
}
const entry = (u: DomU, ref: number) => grant_entry_v1.on(u.fake.capsule.buffer).at(u.fake.capsule.frame(XEN_FRAME.grantTable) + ref * 8);
/** The guest grants a page of its own. */
function grant(u: DomU, ref: number, pfn: number, flags = GTF_permit_access, domid = 0): void {
  const e = entry(u, ref);
  e.domid = domid;
  e.frame = u.guest.mfn(pfn);
  e.flags = flags;
}

test('setup_table gives Xen\'s frames to map, and grows the table', () => {
  const u = new DomU();
  const list = u.guest.va(u.free);
  const setup = (nr_frames: number, dom = SELF): number => {
    const { rc, status } = op(u, GNTTABOP.setup_table, gnttab_setup_table, { dom, nr_frames, frame_list: list });
    assert.equal(rc, 0);
    return status;
  };
  assert.equal(nrGrantFrames(u.domain), 1);
  assert.equal(setup(3), GNTST.okay);
  assert.deepEqual([0, 1, 2, 3].map((i) => Number(u.guest.peek(u.free, i))), [XEN_FRAME.grantTable, XEN_FRAME.grantTable + 1, XEN_FRAME.grantTable + 2, 0]);
  assert.equal(nrGrantFrames(u.domain), 3);
  assert.equal(setup(0), GNTST.okay);
  assert.equal(nrGrantFrames(u.domain), 3);
  assert.equal(setup(XEN_FRAME.grantFrames), GNTST.okay);
  assert.equal(setup(XEN_FRAME.grantFrames + 1), GNTST.general_error);
  assert.equal(setup(1, 0), GNTST.permission_denied);
  assert.equal(setup(1, 9), GNTST.bad_domain);
  assert.equal(op(u, GNTTABOP.setup_table, gnttab_setup_table, { dom: SELF, nr_frames: 1, frame_list: UNMAPPED }).status, GNTST.bad_virt_addr);
  assert.equal(u.call(do_grant_table_op, GNTTABOP.setup_table, u.put(gnttab_setup_table, {}).va, 2), -EINVAL);
  const { mm } = u.domain;
  assert.equal(setL1Entry(mm, u.guest.mfn(u.guest.l1), u.free, XEN_FRAME.grantTable * 4096 + RW, 0, false), 0, 'the guest may map it');
});

test('query_size, versions and status frames, as with max_version 1', () => {
  const u = new DomU();
  const { out, status } = op(u, GNTTABOP.query_size, gnttab_query_size, { dom: SELF });
  assert.deepEqual([status, out.nr_frames, out.max_nr_frames], [GNTST.okay, 1, 32]);
  const version = (version: number): [number, number] => {
    const { rc, out: v } = op(u, GNTTABOP.set_version, gnttab_set_version, { version });
    return [rc, v.version];
  };
  assert.deepEqual([version(1), version(2), version(3)], [[0, 1], [-ENOSYS, 1], [-EINVAL, 1]]);
  assert.equal(op(u, GNTTABOP.get_version, gnttab_get_version, { dom: SELF }).out.version, 1);
  assert.equal(op(u, GNTTABOP.get_version, gnttab_get_version, { dom: 0 }).rc, -EPERM);
  assert.equal(op(u, GNTTABOP.get_version, gnttab_get_version, { dom: 9 }).rc, -ESRCH);
  assert.equal(op(u, GNTTABOP.get_status_frames, gnttab_get_status_frames, { dom: SELF, nr_frames: 1 }).status, GNTST.general_error);
  assert.equal(op(u, GNTTABOP.get_status_frames, gnttab_get_status_frames, { dom: SELF, nr_frames: 0 }).status, GNTST.okay);
});

test('a back end gets at a page only as far as the entry grants it', () => {
  const u = new DomU();
  const offset = u.fake.capsule.frame(u.guest.mfn(u.free));
  assert.equal(grantPage(u.domain, 5, false), GNTST.general_error, 'invalid');
  grant(u, 5, u.free);
  assert.equal(grantPage(u.domain, 5, true), offset);
  assert.equal(grantPage(u.domain, 5, false), offset);
  assert.equal(grantPage(u.domain, 5, false, 3), GNTST.general_error, 'not granted to that domain');
  grant(u, 5, u.free, GTF_permit_access | GTF_readonly);
  assert.equal(grantPage(u.domain, 5, false), offset);
  assert.equal(grantPage(u.domain, 5, true), GNTST.general_error, 'read-only');
  grant(u, 5, u.free, GTF_accept_transfer);
  assert.equal(grantPage(u.domain, 5, false), GNTST.general_error);
  assert.equal(grantPage(u.domain, 512, false), GNTST.bad_gntref, 'beyond the table');
  assert.equal(grantPage(u.domain, 0xffff_ffff, false), GNTST.bad_gntref);
});

test('a grant reaches only frames of the domain, and never writes a page table', () => {
  const u = new DomU();
  grant(u, 5, u.guest.l1);
  assert.equal(grantPage(u.domain, 5, true), GNTST.general_error);
  assert.notEqual(grantPage(u.domain, 5, false), GNTST.general_error, 'reading one does no harm');
  for (const frame of [0, XEN_FRAME.m2p, u.fake.capsule.totalFrames, 0xffff_ffff]) {
    entry(u, 5).frame = frame;
    assert.equal(grantPage(u.domain, 5, false), GNTST.general_error);
  }
});

test('a pinned grant stays what it was, is marked, and holds its frame writable', () => {
  const u = new DomU();
  const { mm } = u.domain;
  const mfn = u.guest.mfn(u.free);
  grant(u, 5, u.free);
  const types = (): number => mm.frames.type(mfn) & PGT_count_mask;
  const before = types();
  assert.equal(pinGrant(u.domain, 5, true), u.fake.capsule.frame(mfn));
  assert.equal(entry(u, 5).flags, GTF_permit_access | GTF_reading | GTF_writing);
  assert.equal(types(), before + 1);
  assert.ok(isGrantPinned(u.domain, 5));
  entry(u, 5).frame = u.guest.mfn(u.free + 1);
  assert.equal(pinGrant(u.domain, 5, false), u.fake.capsule.frame(mfn), 'the frame that was granted first');
  unpinGrant(u.domain, 5, true);
  assert.equal(entry(u, 5).flags, GTF_permit_access | GTF_reading);
  assert.equal(types(), before);
  unpinGrant(u.domain, 5, false);
  assert.equal(entry(u, 5).flags, GTF_permit_access);
  assert.ok(!isGrantPinned(u.domain, 5));
  assert.equal(grantPage(u.domain, 5, false), u.fake.capsule.frame(u.guest.mfn(u.free + 1)));
});

test('255 pins and no more', () => {
  const u = new DomU();
  grant(u, 5, u.free);
  for (let i = 0; i < 255; i++) assert.ok(pinGrant(u.domain, 5, false) > 0);
  assert.equal(pinGrant(u.domain, 5, false), GNTST.no_space);
});

test('the builder\'s grants', () => {
  const u = new DomU();
  seedGrant(u.domain, 0, 0, u.guest.mfn(u.free));
  assert.equal(grantPage(u.domain, 0, true), u.fake.capsule.frame(u.guest.mfn(u.free)));
});

test('copy by frame and by reference, within one page each', () => {
  const u = new DomU();
  const [from, to] = [u.free, u.free + 1];
  u.guest.poke(from, 1, 0x1122_3344_5566_7788n);
  const copy = (values: Values<{ source_u: 'u64'; source_domid: 'u16'; source_offset: 'u16'; dest_u: 'u64'; dest_domid: 'u16'; dest_offset: 'u16'; len: 'u16'; flags: 'u16' }>): number => {
    const args = { source_u: BigInt(u.guest.mfn(from)), source_domid: SELF, source_offset: 8, dest_u: BigInt(u.guest.mfn(to)), dest_domid: SELF, dest_offset: 16, len: 8, ...values };
    const { rc, status } = op(u, GNTTABOP.copy, gnttab_copy, args);
    assert.equal(rc, 0);
    return status;
  };
  assert.equal(copy({}), GNTST.okay);
  assert.equal(u.guest.peek(to, 2), 0x1122_3344_5566_7788n);
  grant(u, 6, to, GTF_permit_access, u.domain.domid);
  assert.equal(copy({ dest_u: 6n, dest_offset: 24, flags: GNTCOPY_dest_gref }), GNTST.okay);
  assert.equal(u.guest.peek(to, 3), 0x1122_3344_5566_7788n);
  assert.equal(copy({ source_u: 6n, source_offset: 24, dest_offset: 32, flags: GNTCOPY_source_gref }), GNTST.okay);
  assert.equal(u.guest.peek(to, 4), 0x1122_3344_5566_7788n);
  assert.equal(copy({ source_offset: 4089 }), GNTST.bad_copy_arg);
  assert.equal(copy({ dest_offset: 4089 }), GNTST.bad_copy_arg);
  assert.equal(copy({ source_offset: 4088 }), GNTST.okay);
  assert.equal(copy({ source_domid: 0 }), GNTST.permission_denied);
  assert.equal(copy({ source_domid: 0, flags: GNTCOPY_source_gref }), GNTST.bad_domain);
  assert.equal(copy({ source_u: 1n << 52n }), GNTST.bad_page);
  assert.equal(copy({ dest_u: BigInt(u.guest.mfn(u.guest.l1)) }), GNTST.general_error, 'a page table');
  grant(u, 6, to, GTF_permit_access | GTF_readonly, u.domain.domid);
  assert.equal(copy({ dest_u: 6n, flags: GNTCOPY_dest_gref }), GNTST.general_error);
});

test('swap exchanges entries that nobody uses', () => {
  const u = new DomU();
  grant(u, 5, u.free);
  grant(u, 6, u.free + 1);
  const swap = (ref_a: number, ref_b: number): number => op(u, GNTTABOP.swap_grant_ref, gnttab_swap_grant_ref, { ref_a, ref_b }).status;
  assert.equal(swap(5, 6), GNTST.okay);
  assert.equal(entry(u, 5).frame, u.guest.mfn(u.free + 1));
  assert.equal(entry(u, 6).frame, u.guest.mfn(u.free));
  assert.equal(swap(5, 512), GNTST.bad_gntref);
  assert.equal(swap(5, 5), GNTST.okay);
  pinGrant(u.domain, 5, false);
  assert.equal(swap(5, 6), GNTST.eagain);
});

test('a guest maps and unmaps what it granted to itself', () => {
  const u = new DomU();
  const at = u.free + 2;
  const self = u.domain.domid;
  grant(u, 7, u.free, GTF_permit_access, self);
  const map = (values: Values<{ host_addr: 'u64'; flags: 'u32'; ref: 'u32'; dom: 'u16' }>) =>
    op(u, GNTTABOP.map_grant_ref, gnttab_map_grant_ref, { host_addr: u.guest.va(at), flags: GNTMAP_host_map, ref: 7, dom: self, ...values });
  const pte = (): bigint => u.guest.peek(u.guest.l1, at);
  assert.equal(map({ flags: 0 }).status, GNTST.bad_gntref);
  assert.equal(map({ dom: 0 }).status, GNTST.bad_domain);
  assert.equal(map({ ref: 8 }).status, GNTST.general_error);
  assert.equal(map({ host_addr: 0n }).status, GNTST.general_error);
  assert.ok(!isGrantPinned(u.domain, 7), 'a map that fails pins nothing');
  const { status, out } = map({ flags: GNTMAP_host_map | (5 << 16) });
  assert.equal(status, GNTST.okay);
  assert.equal(out.dev_bus_addr, BigInt(u.guest.mfn(u.free)) << 12n);
  assert.equal((pte() >> 12n) & 0xf_ffffn, BigInt(u.guest.mfn(u.free)));
  assert.equal(Number(pte() & 0xe02n), 0xa02, 'writable, with the guest\'s available bits');
  assert.equal(entry(u, 7).flags, GTF_permit_access | GTF_reading | GTF_writing);
  const unmap = (values: Values<{ host_addr: 'u64'; dev_bus_addr: 'u64'; handle: 'u32' }>): number =>
    op(u, GNTTABOP.unmap_grant_ref, gnttab_unmap_grant_ref, { host_addr: u.guest.va(at), handle: out.handle, ...values }).status;
  const handle = out.handle;
  assert.equal(unmap({ handle: handle + 1 }), GNTST.bad_handle);
  assert.equal(unmap({ handle: 0xffff_ffff }), GNTST.bad_handle);
  assert.equal(unmap({ handle, host_addr: u.guest.va(at + 1) }), GNTST.general_error);
  assert.equal(unmap({ handle }), GNTST.okay);
  assert.equal(pte(), 0n);
  assert.ok(!isGrantPinned(u.domain, 7));
  assert.equal(unmap({ handle }), GNTST.bad_handle);
});

test('a mapping by the entry\'s address, read-only, for the device too', () => {
  const u = new DomU();
  const self = u.domain.domid;
  grant(u, 7, u.free, GTF_permit_access | GTF_readonly, self);
  const host_addr = u.guest.entryAddress(u.guest.l1, u.free + 2);
  const flags = GNTMAP_host_map | GNTMAP_contains_pte | GNTMAP_device_map;
  const map = (f: number, address = host_addr) => op(u, GNTTABOP.map_grant_ref, gnttab_map_grant_ref, { host_addr: address, flags: f, ref: 7, dom: self });
  assert.equal(map(flags).status, GNTST.general_error, 'not for writing');
  assert.equal(map(flags | GNTMAP_readonly, u.guest.entryAddress(u.free, 0)).status, GNTST.general_error, 'not a page table');
  const { status, out } = map(flags | GNTMAP_readonly);
  assert.equal(status, GNTST.okay);
  const { handle, dev_bus_addr } = out;
  assert.equal(u.guest.peek(u.guest.l1, u.free + 2) & 2n, 0n);
  const unmap = (values: object): number => op(u, GNTTABOP.unmap_grant_ref, gnttab_unmap_grant_ref, { handle, ...values }).status;
  assert.equal(unmap({ host_addr }), GNTST.okay);
  assert.ok(isGrantPinned(u.domain, 7), 'the device still has it');
  assert.equal(unmap({ dev_bus_addr: dev_bus_addr + 4096n }), GNTST.general_error);
  assert.equal(unmap({ dev_bus_addr }), GNTST.okay);
  assert.ok(!isGrantPinned(u.domain, 7));
});

test('unmap_and_replace moves another mapping into the place', () => {
  const u = new DomU();
  const [at, spare] = [u.free + 2, u.free + 3];
  grant(u, 7, u.free, GTF_permit_access, u.domain.domid);
  const { out } = op(u, GNTTABOP.map_grant_ref, gnttab_map_grant_ref, { host_addr: u.guest.va(at), flags: GNTMAP_host_map, ref: 7, dom: u.domain.domid });
  const { status } = op(u, GNTTABOP.unmap_and_replace, gnttab_unmap_and_replace, { host_addr: u.guest.va(at), new_addr: u.guest.va(spare), handle: out.handle });
  assert.equal(status, GNTST.okay);
  assert.equal(u.guest.peek(u.guest.l1, at) >> 12n, BigInt(u.guest.mfn(spare)));
  assert.equal(u.guest.peek(u.guest.l1, spare), 0n);
  assert.ok(!isGrantPinned(u.domain, 7));
});

test('arrays of any length go through, each element with its own status', () => {
  const u = new DomU();
  const count = 150;
  const size = gnttab_swap_grant_ref.size;
  const base = u.fake.capsule.frame(u.guest.mfn(u.free));
  const at = (i: number) => gnttab_swap_grant_ref.on(u.fake.capsule.buffer).at(base + i * size);
  for (let i = 0; i < count; i++) { at(i).ref_a = i % 2 ? 512 : 1; at(i).ref_b = 1; at(i).status = 99; }
  assert.equal(u.call(do_grant_table_op, GNTTABOP.swap_grant_ref, u.guest.va(u.free), count), 0);
  for (let i = 0; i < count; i++) assert.equal((at(i).status << 16) >> 16, i % 2 ? GNTST.bad_gntref : GNTST.okay);
  assert.equal(u.call(do_grant_table_op, GNTTABOP.swap_grant_ref, UNMAPPED, 1), -EFAULT);
  assert.equal(u.call(do_grant_table_op, GNTTABOP.swap_grant_ref, u.guest.va(u.free), -1), -EINVAL);
  assert.equal(u.call(do_grant_table_op, GNTTABOP.swap_grant_ref, UNMAPPED, 0), 0);
});

test('no frame leaves the domain, and there is nothing to flush', () => {
  const u = new DomU();
  assert.equal(op(u, GNTTABOP.transfer, gnttab_transfer, { mfn: BigInt(u.guest.mfn(u.free)), domid: 0 }).status, GNTST.bad_page);
  const flush = (values: Values<{ offset: 'u16'; length: 'u16'; op: 'u32' }>): number => u.call(do_grant_table_op, GNTTABOP.cache_flush, u.put(gnttab_cache_flush, values).va, 1);
  assert.equal(flush({ length: 0, op: 1 }), 0);
  assert.equal(flush({ length: 16, op: 1 }), -EPERM);
  assert.equal(flush({ offset: 4096, length: 1, op: 1 }), -EINVAL);
  assert.equal(flush({ offset: 4095, length: 2, op: 1 }), -EINVAL);
  assert.equal(flush({ length: 1, op: 4 }), -EINVAL);
  assert.equal(u.call(do_grant_table_op, 13, 0, 0), -ENOSYS);
  assert.equal(u.call(do_grant_table_op, GNTTABOP.dump_table, 0, 0), -ENOSYS);
});
