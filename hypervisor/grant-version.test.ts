import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EBUSY, EFAULT, EINVAL, ERANGE } from '#abi/errno.ts';
import { GNTMAP_host_map, GNTMAP_readonly, GNTST, GNTTABOP, gnttab_get_status_frames, gnttab_get_version, gnttab_set_version, gnttab_setup_table, GTF_accept_transfer, GTF_permit_access, GTF_reading, GTF_readonly, GTF_transitive, GTF_writing } from '#abi/grant-table.ts';
import { pinGrant } from './grant-backend.ts';
import { nrGrantEntries, nrStatusFrames } from './grant-entry.ts';
import { do_grant_table_op } from './grant-table.ts';
import { XEN_FRAME } from './layout.ts';
import { setL1Entry } from './mm/update-entry.ts';
import { DomU, SELF, UNMAPPED } from './testing/domu.ts';
import { audit, domains, entryV1, fullPage, grant, mapped, marks, op, setVersion, transitive } from './testing/grant-domains.ts';
import { RW } from './testing/pv-guest.ts';

const version = (u: DomU): number => op(u, GNTTABOP.get_version, gnttab_get_version, { dom: SELF }).out.version;
const mapFrame = (u: DomU, mfn: number): number => setL1Entry(u.domain.mm, u.guest.mfn(u.guest.l1), u.free + 5, mfn * 4096 + RW, 0, false);

test('tables begin with version 1; 1 and 2 are the versions there are', () => {
  const u = new DomU();
  assert.equal(version(u), 1);
  for (const [wanted, rc, then] of [[1, 0, 1], [0, -EINVAL, 1], [3, -EINVAL, 1], [2, 0, 2], [2, 0, 2], [0xffff_ffff, -EINVAL, 2], [1, 0, 1]] as const) {
    const { rc: got, out } = op(u, GNTTABOP.set_version, gnttab_set_version, { version: wanted });
    assert.deepEqual([got, out.version, version(u)], [rc, then, then]);
  }
  assert.equal(u.call(do_grant_table_op, GNTTABOP.set_version, UNMAPPED, 1), -EFAULT);
  assert.equal(nrGrantEntries(u.domain.capsule), 512);
  setVersion(u, 2);
  assert.equal(nrGrantEntries(u.domain.capsule), 256, 'entries are twice as large');
});

test('the reserved entries are carried over, with their marks; all others are gone', () => {
  const u = new DomU();
  const mfn = u.guest.mfn(u.free);
  grant(u, 0, u.free, 0);
  Object.assign(entryV1(u, 1), { flags: GTF_permit_access | GTF_readonly, domid: 7, frame: 0xffff_ffff });
  grant(u, 8, u.free, 0);
  assert.ok(pinGrant(u.domain, 0, true) > 0, 'a back end keeps it mapped');
  assert.equal(setVersion(u, 2), 0);
  assert.deepEqual([fullPage(u, 0).flags, fullPage(u, 0).domid, fullPage(u, 0).frame], [GTF_permit_access, 0, BigInt(mfn)]);
  assert.equal(marks(u, 0), GTF_reading | GTF_writing);
  assert.deepEqual([fullPage(u, 1).flags, fullPage(u, 1).domid, fullPage(u, 1).frame], [GTF_permit_access | GTF_readonly, 7, 0xffff_ffffn]);
  assert.equal(fullPage(u, 8).flags, 0);
  assert.equal(u.fake.capsule.u8.subarray(u.fake.capsule.frame(XEN_FRAME.grantTable) + 128, u.fake.capsule.frame(XEN_FRAME.grantTable) + 4096).some((b) => b !== 0), false);
  assert.equal(setVersion(u, 1), 0);
  assert.deepEqual([entryV1(u, 0).flags, entryV1(u, 0).domid, entryV1(u, 0).frame], [GTF_permit_access | GTF_reading | GTF_writing, 0, mfn]);
  assert.equal(entryV1(u, 1).frame, 0xffff_ffff);
  assert.deepEqual(audit(u), []);
});

test('a table whose grants are in use keeps its version', () => {
  const [a, b] = domains(2) as [DomU, DomU];
  grant(a, 8, a.free, 2);
  mapped(b, b.free, a, 8, GNTMAP_host_map | GNTMAP_readonly);
  const { rc, out } = op(a, GNTTABOP.set_version, gnttab_set_version, { version: 2 });
  assert.deepEqual([rc, out.version], [-EBUSY, 1]);
  assert.equal(entryV1(a, 8).flags, GTF_permit_access | GTF_reading, 'nothing has changed');
});

test('reserved entries that version 1 cannot express', () => {
  for (const entry of [{ flags: GTF_transitive, frame: 0n }, { flags: GTF_permit_access, frame: 1n << 32n }]) {
    const u = new DomU();
    setVersion(u, 2);
    Object.assign(fullPage(u, 7), entry);
    assert.equal(setVersion(u, 1), -ERANGE);
    assert.equal(version(u), 2);
    assert.equal(fullPage(u, 7).flags, entry.flags);
  }
  const u = new DomU();
  setVersion(u, 2);
  Object.assign(fullPage(u, 7), { flags: GTF_accept_transfer, frame: 5n });
  transitive(u, 8).flags = GTF_transitive;
  assert.equal(setVersion(u, 1), 0);
  assert.deepEqual([entryV1(u, 7).flags, entryV1(u, 7).frame], [0, 0], 'what is no access is dropped');
});

test('status frames: as many as the table needs, and the guest may map them', () => {
  const u = new DomU();
  const list = u.guest.va(u.free);
  const frames = (nr_frames: number, dom = SELF, frame_list = list): number => op(u, GNTTABOP.get_status_frames, gnttab_get_status_frames, { nr_frames, dom, frame_list }).status;
  assert.equal(frames(0), GNTST.okay);
  assert.equal(frames(1), GNTST.general_error, 'version 1 has none');
  assert.notEqual(mapFrame(u, XEN_FRAME.grantStatus), 0);
  setVersion(u, 2);
  assert.equal(nrStatusFrames(u.domain.capsule), 1);
  assert.equal(frames(1), GNTST.okay);
  assert.equal(u.guest.peek(u.free, 0), BigInt(XEN_FRAME.grantStatus));
  assert.equal(frames(2), GNTST.general_error);
  op(u, GNTTABOP.setup_table, gnttab_setup_table, { dom: SELF, nr_frames: 9, frame_list: list });
  assert.equal(nrStatusFrames(u.domain.capsule), 2, '2048 entries a frame, 256 in a frame of the table');
  op(u, GNTTABOP.setup_table, gnttab_setup_table, { dom: SELF, nr_frames: XEN_FRAME.grantFrames, frame_list: list });
  assert.equal(nrStatusFrames(u.domain.capsule), XEN_FRAME.statusFrames);
  assert.equal(frames(2), GNTST.okay);
  assert.equal(u.guest.peek(u.free, 1), BigInt(XEN_FRAME.grantStatus + 1));
  assert.equal(frames(1, SELF, UNMAPPED), GNTST.bad_virt_addr);
  assert.equal(frames(1, 0), GNTST.permission_denied);
  assert.equal(frames(1, 9), GNTST.bad_domain);
  assert.equal(u.call(do_grant_table_op, GNTTABOP.get_status_frames, u.put(gnttab_get_status_frames, {}).va, 2), -EINVAL);
  assert.equal(u.call(do_grant_table_op, GNTTABOP.get_status_frames, UNMAPPED, 1), -EFAULT);
});

test('status frames that the guest has mapped are not taken away', () => {
  const u = new DomU();
  setVersion(u, 2);
  op(u, GNTTABOP.setup_table, gnttab_setup_table, { dom: SELF, nr_frames: 9, frame_list: u.guest.va(u.free) });
  assert.equal(mapFrame(u, XEN_FRAME.grantStatus + 1), 0);
  assert.equal(setVersion(u, 1), -EBUSY);
  assert.equal(version(u), 2);
  assert.deepEqual(audit(u), []);
  assert.equal(mapFrame(u, u.guest.mfn(u.free)), 0);
  assert.equal(setVersion(u, 1), 0);
  assert.notEqual(mapFrame(u, XEN_FRAME.grantStatus + 1), 0, 'they are Xen\'s own now');
  assert.equal(setVersion(u, 2), 0);
  assert.equal(mapFrame(u, XEN_FRAME.grantStatus + 1), 0);
  assert.deepEqual(audit(u), []);
});
