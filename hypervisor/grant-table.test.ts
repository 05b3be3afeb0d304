import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EFAULT, EILSEQ, EINVAL, ENOSYS, EOPNOTSUPP, EPERM, ESRCH } from '#abi/errno.ts';
import {
  GNTST, GNTTAB_CACHE_CLEAN, GNTTAB_CACHE_INVAL, GNTTABOP, gnttab_cache_flush, gnttab_copy, gnttab_get_version, gnttab_query_size, gnttab_setup_table,
  gnttab_swap_grant_ref, GTF_permit_access, GTF_reading,
} from '#abi/grant-table.ts';
import { pinGrant } from './grant-backend.ts';
import { nrGrantFrames, setMarks } from './grant-entry.ts';
import { do_grant_table_op } from './grant-table.ts';
import { XEN_FRAME } from './layout.ts';
import { setL1Entry } from './mm/update-entry.ts';
import { DomU, SELF, UNMAPPED, type Values } from './testing/domu.ts';
import { domains, entryV1, fullPage, grant, map, mapped, marks, op, setVersion } from './testing/grant-domains.ts';
import { RW } from './testing/pv-guest.ts';

/** An address that can be no guest's, in Xen's window. */
const XENS = 0xffff_8200_0000_0000n;

test('setup_table gives Xen\'s frames to map, and grows the table', () => {
  const u = new DomU();
  const list = u.guest.va(u.free);
  const { mm } = u.domain;
  const setup = (nr_frames: number, dom = SELF, frame_list = list): number => {
    const { rc, status } = op(u, GNTTABOP.setup_table, gnttab_setup_table, { dom, nr_frames, frame_list });
    assert.equal(rc, 0);
    return status;
  };
  const canMap = (frame: number): boolean => setL1Entry(mm, u.guest.mfn(u.guest.l1), u.free, frame * 4096 + RW, 0, false) === 0;
  const frames = (): number => nrGrantFrames(u.domain.capsule);
  assert.equal(frames(), 1);
  assert.ok(!canMap(XEN_FRAME.grantTable + 1));
  assert.equal(setup(3), GNTST.okay);
  assert.deepEqual([0, 1, 2, 3].map((i) => Number(u.guest.peek(u.free, i))), [XEN_FRAME.grantTable, XEN_FRAME.grantTable + 1, XEN_FRAME.grantTable + 2, 0]);
  assert.equal(frames(), 3);
  assert.equal(setup(0), GNTST.okay);
  assert.equal(frames(), 3);
  assert.equal(setup(XEN_FRAME.grantFrames), GNTST.okay);
  assert.equal(setup(XEN_FRAME.grantFrames + 1), GNTST.general_error);
  assert.equal(setup(0xffff_ffff), GNTST.general_error);
  assert.equal(setup(1, 0), GNTST.permission_denied);
  assert.equal(setup(1, 9), GNTST.bad_domain);
  assert.equal(setup(1, SELF, UNMAPPED), GNTST.bad_virt_addr);
  assert.equal(op(u, GNTTABOP.setup_table, gnttab_setup_table, { dom: 9, nr_frames: 1, frame_list: XENS }).rc, -EFAULT);
  assert.equal(u.call(do_grant_table_op, GNTTABOP.setup_table, u.put(gnttab_setup_table, {}).va, 2), -EINVAL);
  assert.equal(u.call(do_grant_table_op, GNTTABOP.setup_table, UNMAPPED, 1), -EFAULT);
  assert.ok(canMap(XEN_FRAME.grantTable + 1));
});

test('query_size and get_version', () => {
  const [u] = domains(2) as [DomU, DomU];
  const query = (dom: number) => op(u, GNTTABOP.query_size, gnttab_query_size, { dom });
  const { out, status } = query(SELF);
  assert.deepEqual([status, out.nr_frames, out.max_nr_frames], [GNTST.okay, 1, 64]);
  assert.equal(query(1).status, GNTST.okay);
  for (const other of [0, 2]) {
    assert.equal(query(other).status, GNTST.permission_denied);
    assert.equal(op(u, GNTTABOP.get_version, gnttab_get_version, { dom: other }).rc, -EPERM);
  }
  assert.equal(query(3).status, GNTST.bad_domain);
  assert.equal(u.call(do_grant_table_op, GNTTABOP.query_size, u.put(gnttab_query_size, {}).va, 0), -EINVAL);
  assert.equal(op(u, GNTTABOP.get_version, gnttab_get_version, { dom: 3 }).rc, -ESRCH);
  assert.equal(u.call(do_grant_table_op, GNTTABOP.get_version, UNMAPPED, 1), -EFAULT);
});

test('swap exchanges entries that nobody uses, with their status', () => {
  for (const version of [1, 2]) {
    const u = new DomU();
    setVersion(u, version);
    grant(u, 5, u.free, 0);
    grant(u, 6, u.free + 1, 7);
    const entry = (ref: number) => (version === 1 ? entryV1(u, ref) : fullPage(u, ref));
    const swap = (ref_a: number, ref_b: number): number => op(u, GNTTABOP.swap_grant_ref, gnttab_swap_grant_ref, { ref_a, ref_b }).status;
    if (version === 2) setMarks(u.domain.capsule, 5, GTF_reading);
    assert.equal(swap(5, 6), GNTST.okay);
    assert.deepEqual([Number(entry(5).frame), entry(5).domid, marks(u, 5)], [u.guest.mfn(u.free + 1), 7, 0]);
    assert.deepEqual([Number(entry(6).frame), entry(6).domid, marks(u, 6)], [u.guest.mfn(u.free), 0, version === 2 ? GTF_reading : 0]);
    assert.equal(entry(6).flags, GTF_permit_access);
    assert.equal(swap(5, version === 1 ? 512 : 256), GNTST.bad_gntref);
    assert.equal(swap(0xffff_ffff, 5), GNTST.bad_gntref);
    assert.equal(swap(5, 5), GNTST.okay);
    assert.ok(pinGrant(u.domain, 6, false) > 0);
    assert.equal(swap(5, 6), GNTST.eagain);
    assert.equal(swap(6, 5), GNTST.eagain);
    assert.equal(swap(6, 6), GNTST.okay);
  }
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
});

test('what no operation takes', () => {
  const u = new DomU();
  const { map_grant_ref, unmap_grant_ref, unmap_and_replace, transfer, copy, swap_grant_ref, cache_flush } = GNTTABOP;
  for (const cmd of [map_grant_ref, unmap_grant_ref, unmap_and_replace, transfer, copy, swap_grant_ref, cache_flush]) {
    assert.equal(u.call(do_grant_table_op, cmd, UNMAPPED, 1), -EFAULT);
    assert.equal(u.call(do_grant_table_op, cmd, UNMAPPED, 0), 0);
    assert.equal(u.call(do_grant_table_op, cmd, XENS, 0), -EFAULT, 'not a guest\'s address, whatever the count');
    assert.equal(u.call(do_grant_table_op, cmd, u.guest.va(u.free), -1), -EINVAL);
    assert.equal(u.call(do_grant_table_op, cmd, u.guest.va(u.free), 0x7fff_ffff), -EFAULT, 'more than 4 GiB');
    if (cmd !== cache_flush) assert.equal(u.call(do_grant_table_op, cmd | 1 << 12, u.guest.va(u.free), 0), -EINVAL, 'continuations are the cache flush\'s');
  }
  for (const cmd of [GNTTABOP.dump_table, 13, 0xfff]) assert.equal(u.call(do_grant_table_op, cmd, u.guest.va(u.free), 0), -ENOSYS);
});

test('an argument that cannot be written ends an array', () => {
  const u = new DomU();
  const { va } = u.put(gnttab_copy, { source_domid: 9, flags: 1 });
  setL1Entry(u.domain.mm, u.guest.mfn(u.guest.l1), u.free - 2, u.guest.mfn(u.free - 2) * 4096 + 0x65, 0, false);
  assert.equal(u.call(do_grant_table_op, GNTTABOP.copy, va, 1), -EFAULT);
});

test('cache_flush: for memory of one\'s own and for what is mapped, and there is nothing to do', () => {
  const [a, b] = domains(2) as [DomU, DomU];
  const flush = (u: DomU, values: Values<{ a: 'u64'; offset: 'u16'; length: 'u16'; op: 'u32' }>, cmd: number = GNTTABOP.cache_flush): number =>
    u.call(do_grant_table_op, cmd, u.put(gnttab_cache_flush, values).va, 1);
  const own = BigInt(b.guest.mfn(b.free)) << 12n;
  const whole = { offset: 0, length: 4096, op: GNTTAB_CACHE_CLEAN };
  assert.equal(flush(b, { ...whole, a: own }), 0);
  assert.equal(flush(b, { ...whole, a: own, op: GNTTAB_CACHE_CLEAN | GNTTAB_CACHE_INVAL }), 0);
  assert.equal(flush(b, { ...whole, a: own, op: GNTTAB_CACHE_INVAL }), -EOPNOTSUPP);
  assert.equal(flush(b, { ...whole, length: 0 }), 0);
  assert.equal(flush(b, { ...whole, op: 0 }), 0);
  assert.equal(flush(b, { ...whole, length: 0 }, GNTTABOP.cache_flush | 1 << 12), -EILSEQ);
  for (const bad of [{ offset: 4096, length: 0 }, { offset: 4095, length: 2 }, { length: 4097 }, { op: 4 }, { op: 0x8000_0001 }]) assert.equal(flush(b, { ...whole, a: own, ...bad }), -EINVAL);
  assert.equal(flush(b, { ...whole, a: 0n }), -EPERM, 'Xen\'s');
  assert.equal(flush(b, { ...whole, a: BigInt(b.fake.capsule.totalFrames) << 12n }), -EINVAL);
  grant(a, 9, a.free, 2);
  const { bus } = mapped(b, b.free, a, 9);
  assert.equal(flush(b, { ...whole, a: bus + 17n }), 0);
  assert.equal(flush(b, { ...whole, a: bus }, GNTTABOP.cache_flush | 1 << 12), -EINVAL, 'the search begins behind it');
  assert.equal(flush(b, { ...whole, a: bus + 4096n }), -EINVAL, 'not mapped');
  assert.equal(map(b, b.free + 1, a, 10).status, GNTST.general_error);
});
