import assert from 'node:assert/strict';
import { describe, mock, test } from 'node:test';
import { GNTCOPY_dest_gref, GNTCOPY_source_gref, GNTMAP_host_map, GNTMAP_readonly, GNTST, GNTTABOP, gnttab_copy, GTF_accept_transfer, GTF_permit_access, GTF_reading, GTF_readonly, GTF_sub_page, GTF_transitive } from '#abi/grant-table.ts';
import { destroyDomain } from './domain-destroy.ts';
import { activeOf, pinOf } from './grant-active.ts';
import { do_grant_table_op } from './grant-table.ts';
import type { DomU, Values } from './testing/domu.ts';
import { SELF } from './testing/domu.ts';
import { audit, domains, entryV1, fullPage, grant, map, mapped, marks, op, setVersion, subPage, transitive } from './testing/grant-domains.ts';

type Copy = Values<{ source_u: 'u64'; source_domid: 'u16'; source_offset: 'u16'; dest_u: 'u64'; dest_domid: 'u16'; dest_offset: 'u16'; len: 'u16'; flags: 'u16' }>;
const three = (): [a: DomU, b: DomU, c: DomU] => domains(3) as [DomU, DomU, DomU];
const VALUE = 0x1122_3344_5566_7788n;

/** 8 bytes from a page of the copying guest's to the next one, or as `values` say. */
function copy(u: DomU, values: Copy = {}): number {
  const args = {
    source_u: BigInt(u.guest.mfn(u.free)), source_domid: SELF, source_offset: 0, dest_u: BigInt(u.guest.mfn(u.free + 1)), dest_domid: SELF, dest_offset: 0, len: 8, ...values,
  };
  const { rc, status } = op(u, GNTTABOP.copy, gnttab_copy, args);
  assert.equal(rc, 0);
  return status;
}
/** Out of a granted page. */
const read = (u: DomU, granter: DomU, ref: number, values: Copy = {}): number => copy(u, { source_u: BigInt(ref), source_domid: granter.domain.domid, flags: GNTCOPY_source_gref, ...values });
/** Into a granted page. */
const write = (u: DomU, granter: DomU, ref: number, values: Copy = {}): number => copy(u, { dest_u: BigInt(ref), dest_domid: granter.domain.domid, flags: GNTCOPY_dest_gref, ...values });

test('frames of the caller\'s own, within one page each', () => {
  const [a] = three();
  a.guest.poke(a.free, 1, VALUE);
  assert.equal(copy(a, { source_offset: 8, dest_offset: 16 }), GNTST.okay);
  assert.equal(a.guest.peek(a.free + 1, 2), VALUE);
  assert.equal(copy(a, { source_offset: 4089 }), GNTST.bad_copy_arg);
  assert.equal(copy(a, { dest_offset: 4089 }), GNTST.bad_copy_arg);
  assert.equal(copy(a, { dest_offset: 4088 }), GNTST.okay);
  assert.equal(copy(a, { len: 4096 }), GNTST.okay);
  assert.equal(copy(a, { source_offset: 4095, len: 0 }), GNTST.okay);
  assert.equal(copy(a, { source_domid: 1 }), GNTST.permission_denied, 'a frame may be named of DOMID_SELF only');
  assert.equal(copy(a, { dest_domid: 2 }), GNTST.permission_denied);
  assert.equal(copy(a, { dest_domid: 2, source_u: 0n }), GNTST.bad_page, 'the source comes first');
  assert.equal(copy(a, { dest_domid: 7, source_u: 0n }), GNTST.bad_domain, 'but after both domains');
  for (const mfn of [1n << 52n, BigInt(a.fake.capsule.totalFrames), 0n]) {
    assert.equal(copy(a, { source_u: mfn }), GNTST.bad_page);
    assert.equal(copy(a, { dest_u: mfn }), GNTST.bad_page);
  }
  assert.equal(copy(a, { dest_u: BigInt(a.guest.mfn(a.guest.l1)) }), GNTST.general_error, 'a page table');
  assert.equal(copy(a, { source_u: BigInt(a.guest.mfn(a.guest.l1)) }), GNTST.okay);
  a.fake.machine.calls.length = 0;
  copy(a);
  assert.deepEqual(a.fake.machine.calls.filter((c) => c.call === 'frameWritten' && c.mfn === a.guest.mfn(a.free + 1)).length, 1, 'code may be there');
  assert.deepEqual(audit(a), []);
});

for (const version of [1, 2]) {
  describe(`a page granted in version ${version}`, () => {
    const prepared = (): [a: DomU, b: DomU, c: DomU] => {
      const all = three();
      for (const u of all) assert.equal(setVersion(u, version), 0);
      return all;
    };
    test('of another domain, both ways, and from one domain to another by a third', () => {
      const [a, b, c] = prepared();
      grant(a, 9, a.free, 2);
      a.guest.poke(a.free, 0, VALUE);
      assert.equal(read(b, a, 9), GNTST.okay);
      assert.equal(b.guest.peek(b.free + 1, 0), VALUE);
      b.guest.poke(b.free, 0, 5n);
      a.fake.machine.calls.length = 0;
      assert.equal(write(b, a, 9, { dest_offset: 16 }), GNTST.okay);
      assert.equal(a.guest.peek(a.free, 2), 5n);
      assert.deepEqual(a.fake.machine.calls, [{ call: 'frameWritten', mfn: a.guest.mfn(a.free) }]);
      grant(c, 10, c.free, 2);
      assert.equal(read(b, a, 9, { dest_u: 10n, dest_domid: 3, flags: GNTCOPY_source_gref | GNTCOPY_dest_gref }), GNTST.okay);
      assert.equal(c.guest.peek(c.free, 0), VALUE);
      assert.equal(marks(a, 9) | marks(c, 10), 0);
      assert.deepEqual(audit(a, b, c), []);
    });
    test('to the guest itself, by number and as DOMID_SELF', () => {
      const [a] = prepared();
      grant(a, 9, a.free, 1);
      assert.equal(read(a, a, 9), GNTST.okay);
      assert.equal(read(a, a, 9, { source_domid: SELF }), GNTST.okay);
    });
    test('only as it is granted', () => {
      const [a, b, c] = prepared();
      for (const flags of [0, GTF_accept_transfer]) {
        grant(a, 9, a.free, 2, flags);
        assert.equal(read(b, a, 9), GNTST.general_error);
      }
      grant(a, 9, a.free, 2, GTF_permit_access | GTF_readonly);
      assert.equal(read(b, a, 9), GNTST.okay);
      assert.equal(write(b, a, 9), GNTST.general_error);
      assert.equal(read(c, a, 9), GNTST.general_error, 'not to that domain');
      assert.equal(read(b, a, version === 1 ? 512 : 256), GNTST.bad_gntref);
      assert.equal(copy(b, { source_u: 9n, source_domid: 4, flags: GNTCOPY_source_gref }), GNTST.bad_domain);
      assert.equal(copy(b, { dest_u: 9n, dest_domid: 4, flags: GNTCOPY_dest_gref }), GNTST.bad_domain);
      assert.equal(copy(b, { source_u: 9n, source_domid: 0, flags: GNTCOPY_source_gref }), GNTST.general_error, 'Domain-0 grants nothing');
      assert.equal(copy(b, { source_u: 512n, source_domid: 0, flags: GNTCOPY_source_gref }), GNTST.bad_gntref);
      grant(a, 9, a.guest.l1, 2);
      assert.equal(write(b, a, 9), GNTST.general_error, 'a page table');
      assert.equal(read(b, a, 9), GNTST.okay);
      if (version === 1) entryV1(a, 9).frame = a.fake.capsule.totalFrames;
      else fullPage(a, 9).frame = 1n << 53n;
      assert.equal(read(b, a, 9), GNTST.bad_page);
      assert.equal(marks(a, 9), 0);
      assert.deepEqual(audit(a, b, c), []);
    });
    test('that the copier has mapped: what was granted then; not while another one has', () => {
      const [a, b, c] = prepared();
      grant(a, 9, a.free, 2);
      mapped(b, b.free + 2, a, 9, GNTMAP_host_map | GNTMAP_readonly);
      grant(a, 9, a.free + 1, 2);
      a.guest.poke(a.free, 0, VALUE);
      assert.equal(read(b, a, 9), GNTST.okay);
      assert.equal(b.guest.peek(b.free + 1, 0), VALUE);
      assert.equal(write(b, a, 9, { dest_offset: 64 }), GNTST.okay, 'for writing it is looked at again, but the frame is the same');
      assert.equal(a.guest.peek(a.free, 8), b.guest.peek(b.free, 0));
      assert.equal(marks(a, 9), GTF_reading);
      grant(a, 9, a.free + 1, 3);
      assert.equal(read(c, a, 9), GNTST.general_error);
    });
    test('128 times pinned is enough', () => {
      const [a, b] = prepared();
      grant(a, 9, a.free, 2);
      for (let i = 0; i < 128; i++) mapped(b, b.free + 2, a, 9, GNTMAP_host_map | GNTMAP_readonly);
      assert.equal(read(b, a, 9), GNTST.general_error);
    });
    test('of a domain that was destroyed', () => {
      const [a, b] = prepared();
      grant(a, 9, a.free, 2);
      mapped(b, b.free + 2, a, 9);
      grant(a, 10, a.free + 1, 2);
      destroyDomain(a.domain);
      assert.equal(read(b, a, 9), GNTST.bad_domain);
      assert.equal(read(b, a, 10), GNTST.bad_page);
      assert.equal(map(b, b.free + 3, a, 10).status, GNTST.bad_page);
      assert.equal(map(b, b.free + 3, a, 9).status, GNTST.okay, 'what is mapped can be mapped again');
    });
  });
}

describe('a part of a page', () => {
  const part = (page_off: number, length: number): [a: DomU, b: DomU] => {
    const [a, b] = three();
    setVersion(a, 2);
    Object.assign(subPage(a, 9), { domid: 2, page_off, length, frame: BigInt(a.guest.mfn(a.free)), flags: GTF_permit_access | GTF_sub_page });
    return [a, b];
  };
  test('may be copied as far as it goes, and no further', () => {
    const [a, b] = part(64, 32);
    a.guest.poke(a.free, 8, VALUE);
    assert.equal(read(b, a, 9, { source_offset: 64 }), GNTST.okay);
    assert.equal(b.guest.peek(b.free + 1, 0), VALUE);
    assert.equal(read(b, a, 9, { source_offset: 64, len: 32 }), GNTST.okay);
    for (const [source_offset, len] of [[63, 8], [64, 33], [89, 8], [0, 8], [96, 1]] as const) assert.equal(read(b, a, 9, { source_offset, len }), GNTST.general_error);
    for (const [dest_offset, len] of [[63, 8], [64, 33], [89, 8]] as const) assert.equal(write(b, a, 9, { dest_offset, len }), GNTST.general_error);
    assert.equal(write(b, a, 9, { dest_offset: 88 }), GNTST.okay);
    assert.equal(read(b, a, 9, { source_offset: 4090 }), GNTST.bad_copy_arg, 'the page\'s end comes first');
    assert.equal(pinOf(a.domain.capsule, 9), 0);
    assert.deepEqual(audit(a, b), []);
  });
  test('that claims more than the page has it not', () => {
    const [a, b] = part(4000, 0xffff);
    assert.equal(read(b, a, 9, { source_offset: 4000, len: 96 }), GNTST.okay);
    assert.equal(read(b, a, 9, { source_offset: 4000, len: 97 }), GNTST.bad_copy_arg);
    subPage(a, 9).page_off = 0x8000 + 16;
    assert.equal(read(b, a, 9, { source_offset: 15 }), GNTST.general_error, '15 bits of the offset count, as in Xen');
    assert.equal(read(b, a, 9, { source_offset: 16 }), GNTST.okay);
  });
  test('cannot be mapped', () => {
    const [a, b] = part(0, 4096);
    assert.equal(map(b, b.free + 2, a, 9).status, GNTST.general_error);
  });
});

describe('a transitive grant', () => {
  /** C grants a page to B, and B what it was granted to A. */
  const chain = (flags = GTF_permit_access, transitiveFlags = GTF_transitive): [a: DomU, b: DomU, c: DomU] => {
    const [a, b, c] = three();
    grant(c, 10, c.free, 2, flags);
    setVersion(b, 2);
    Object.assign(transitive(b, 9), { domid: 1, trans_domid: 3, gref: 10, flags: transitiveFlags });
    c.guest.poke(c.free, 0, VALUE);
    return [a, b, c];
  };
  test('leads to the page', () => {
    const [a, b, c] = chain();
    assert.equal(read(a, b, 9), GNTST.okay);
    assert.equal(a.guest.peek(a.free + 1, 0), VALUE);
    assert.equal(write(a, b, 9, { dest_offset: 24 }), GNTST.okay);
    assert.equal(c.guest.peek(c.free, 3), a.guest.peek(a.free, 0));
    assert.equal(marks(b, 9) | marks(c, 10), 0);
    assert.deepEqual(audit(a, b, c), []);
  });
  test('and to a part of one; it marks both entries meanwhile', () => {
    const [a, b, c] = chain();
    setVersion(c, 2);
    Object.assign(subPage(c, 10), { domid: 2, page_off: 8, length: 8, frame: BigInt(c.guest.mfn(c.free)), flags: GTF_permit_access | GTF_sub_page });
    let seen = 0;
    const written = mock.method(a.fake.machine, 'frameWritten', () => { seen ||= marks(b, 9) << 8 | marks(c, 10); });
    assert.equal(read(a, b, 9, { source_offset: 8 }), GNTST.okay);
    written.mock.restore();
    assert.equal(seen, GTF_reading << 8 | GTF_reading);
    assert.equal(read(a, b, 9, { source_offset: 7 }), GNTST.general_error);
  });
  test('permits no more than either entry', () => {
    for (const [a, b] of [chain(GTF_permit_access | GTF_readonly), chain(GTF_permit_access, GTF_transitive | GTF_readonly)]) {
      assert.equal(read(a, b, 9), GNTST.okay);
      assert.equal(write(a, b, 9), GNTST.general_error);
      assert.equal(marks(b, 9), 0);
    }
    const [a, b, c] = chain();
    assert.equal(read(c, b, 9), GNTST.general_error, 'not granted to that domain');
    grant(c, 10, c.free, 1);
    assert.equal(read(a, b, 9), GNTST.general_error, 'granted to A, but it is B who must have it');
    grant(c, 10, c.guest.l1, 2);
    assert.equal(write(a, b, 9), GNTST.general_error, 'a page table');
    entryV1(c, 10).frame = 0;
    assert.equal(read(a, b, 9), GNTST.bad_page);
    assert.equal(marks(b, 9) | marks(c, 10), 0);
    assert.deepEqual(audit(a, b, c), []);
  });
  test('goes one step, so that there are no loops', () => {
    const [a, b, c] = chain();
    setVersion(c, 2);
    Object.assign(transitive(c, 10), { domid: 2, trans_domid: 2, gref: 9, flags: GTF_transitive });
    assert.equal(read(a, b, 9), GNTST.general_error, 'to another one, or round and round');
    Object.assign(transitive(b, 9), { trans_domid: 2, gref: 9 });
    assert.equal(read(a, b, 9), GNTST.general_error, 'to the granter itself');
    for (const trans_domid of [4, 0x7ff0]) {
      transitive(b, 9).trans_domid = trans_domid;
      assert.equal(read(a, b, 9), GNTST.general_error, 'to nobody');
    }
    Object.assign(transitive(b, 9), { trans_domid: 0, gref: 9 });
    assert.equal(read(a, b, 9), GNTST.general_error, 'to Domain-0');
    Object.assign(transitive(b, 9), { trans_domid: 3, gref: 256 });
    assert.equal(read(a, b, 9), GNTST.bad_gntref);
    assert.equal(marks(b, 9) | marks(c, 10), 0);
    assert.deepEqual(audit(a, b, c), []);
  });
  test('back to who asks', () => {
    const [a, b] = chain();
    grant(a, 11, a.free + 3, 2);
    Object.assign(transitive(b, 9), { trans_domid: 1, gref: 11 });
    a.guest.poke(a.free + 3, 0, 7n);
    assert.equal(read(a, b, 9), GNTST.okay);
    assert.equal(a.guest.peek(a.free + 1, 0), 7n);
  });
  test('cannot be mapped', () => {
    const [a, b] = chain();
    assert.equal(map(a, a.free + 2, b, 9).status, GNTST.general_error);
  });
  test('that is pinned by others meanwhile is tried again', () => {
    const [a, b, c] = chain();
    let times = 0;
    const getPage = c.domain.mm.frames.getPage.bind(c.domain.mm.frames);
    const meanwhile = mock.method(c.domain.mm.frames, 'getPage', (mfn: number) => {
      if (times++ === 0) activeOf(b.domain.capsule, 9).pin = 0x100;
      else if (times === 2) activeOf(b.domain.capsule, 9).pin = 0;
      return getPage(mfn);
    });
    const { va, view } = a.put(gnttab_copy, { source_u: 9n, source_domid: 2, dest_u: BigInt(a.guest.mfn(a.free + 1)), dest_domid: SELF, len: 8, flags: GNTCOPY_source_gref });
    activeOf(b.domain.capsule, 9).domid = 1;
    assert.equal(a.call(do_grant_table_op, GNTTABOP.copy, va, 1), 0);
    meanwhile.mock.restore();
    assert.equal(view.status, GNTST.okay);
    assert.ok(times > 1, 'claimed, let go and claimed again');
    assert.equal(a.guest.peek(a.free + 1, 0), VALUE);
    assert.equal(pinOf(c.domain.capsule, 10), 0);
  });
});
