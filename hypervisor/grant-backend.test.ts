import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GNTST, GTF_accept_transfer, GTF_permit_access, GTF_reading, GTF_readonly, GTF_writing } from '#abi/grant-table.ts';
import { pinOf } from './grant-active.ts';
import { pinGrant, unpinGrant } from './grant-backend.ts';
import { XEN_FRAME } from './layout.ts';
import { PGT_count_mask } from './mm/frame-table.ts';
import { DomU } from './testing/domu.ts';
import { audit, entryV1, grant, marks } from './testing/grant-domains.ts';

test('a back end gets at a page only as far as the entry grants it', () => {
  const u = new DomU();
  const offset = u.fake.capsule.frame(u.guest.mfn(u.free));
  const pin = (write: boolean): number => {
    const page = pinGrant(u.domain, 5, write);
    if (page >= 0) unpinGrant(u.domain, 5, write);
    return page;
  };
  assert.equal(pin(false), GNTST.general_error, 'invalid');
  grant(u, 5, u.free, 0);
  assert.equal(pin(true), offset);
  assert.equal(pin(false), offset);
  grant(u, 5, u.free, 3);
  assert.equal(pin(false), GNTST.general_error, 'granted to another domain');
  grant(u, 5, u.free, 0, GTF_permit_access | GTF_readonly);
  assert.equal(pin(false), offset);
  assert.equal(pin(true), GNTST.general_error, 'read-only');
  grant(u, 5, u.free, 0, GTF_accept_transfer);
  assert.equal(pin(false), GNTST.general_error);
  assert.equal(pinGrant(u.domain, 512, false), GNTST.bad_gntref, 'beyond the table');
  assert.equal(pinGrant(u.domain, 0xffff_ffff, false), GNTST.bad_gntref);
  grant(u, 5, u.guest.l1, 0);
  assert.equal(pin(true), GNTST.general_error, 'a page table');
  assert.notEqual(pin(false), GNTST.general_error, 'reading one does no harm');
  for (const frame of [0, XEN_FRAME.m2p, u.fake.capsule.totalFrames, 0xffff_ffff]) {
    entryV1(u, 5).frame = frame;
    assert.equal(pin(false), GNTST.bad_page);
  }
  assert.equal(marks(u, 5), 0);
  assert.deepEqual(audit(u), []);
});

test('a pinned grant stays what it was, is marked, and holds its frame writable', () => {
  const u = new DomU();
  const { frames } = u.domain.mm;
  const mfn = u.guest.mfn(u.free);
  grant(u, 5, u.free, 0);
  const types = (): number => frames.type(mfn) & PGT_count_mask;
  const before = types();
  assert.equal(pinGrant(u.domain, 5, true), u.fake.capsule.frame(mfn));
  assert.equal(marks(u, 5), GTF_reading | GTF_writing);
  assert.equal(types(), before + 1);
  entryV1(u, 5).frame = u.guest.mfn(u.free + 1);
  assert.equal(pinGrant(u.domain, 5, false), u.fake.capsule.frame(mfn), 'the frame that was granted first');
  unpinGrant(u.domain, 5, true);
  assert.equal(marks(u, 5), GTF_reading);
  assert.equal(types(), before);
  unpinGrant(u.domain, 5, false);
  assert.equal(entryV1(u, 5).flags, GTF_permit_access);
  assert.equal(pinOf(u.domain.capsule, 5), 0);
  assert.throws(() => unpinGrant(u.domain, 5, false));
  assert.deepEqual(audit(u), []);
});
