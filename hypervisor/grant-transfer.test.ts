import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { XENMEM, xen_memory_domain, xen_memory_reservation } from '#abi/memory.ts';
import { GNTST, GNTTABOP, gnttab_transfer, GTF_accept_transfer, GTF_permit_access, GTF_readonly, GTF_transfer_committed, GTF_transfer_completed } from '#abi/grant-table.ts';
import { destroyDomain } from './domain-destroy.ts';
import { readM2p } from './mm/m2p.ts';
import { do_memory_op } from './mm/memory-op.ts';
import { OWNER } from './mm/frame-table.ts';
import { setL1Entry } from './mm/update-entry.ts';
import { type DomU, SELF } from './testing/domu.ts';
import { audit, entryV1, fullPage, grant, mapped, op, pair, setVersion, unmap } from './testing/grant-domains.ts';

const transfer = (u: DomU, mfn: number | bigint, domid: number, ref: number): number => op(u, GNTTABOP.transfer, gnttab_transfer, { mfn: BigInt(mfn), domid, ref }).status;
/** The guest maps a page no more. */
const unmapPage = (u: DomU, pfn: number): number => setL1Entry(u.domain.mm, u.guest.mfn(u.guest.l1), pfn, 0, 0, false);
const pages = (u: DomU): number => u.op(do_memory_op, XENMEM.current_reservation, xen_memory_domain, { domid: SELF }).rc;
/** The guest gives a page back, so that there is room for one. */
function giveBack(u: DomU, pfn: number): void {
  unmapPage(u, pfn);
  u.guest.poke(u.free + 9, 0, BigInt(u.guest.mfn(pfn)));
  assert.equal(u.op(do_memory_op, XENMEM.decrease_reservation, xen_memory_reservation, { extent_start: u.guest.va(u.free + 9), nr_extents: 1n, domid: SELF }).rc, 1);
}

for (const version of [1, 2]) {
  test(`a page goes to a domain that accepts it, version ${version}`, () => {
    const [a, b] = pair();
    setVersion(b, version);
    giveBack(b, b.free);
    const [mine, room] = [pages(a), pages(b)];
    if (version === 1) Object.assign(entryV1(b, 9), { flags: GTF_accept_transfer, domid: 1, frame: 77 });
    else Object.assign(fullPage(b, 9), { flags: GTF_accept_transfer, domid: 1, frame: 77n });
    a.guest.poke(a.free, 5, 0x1234n);
    unmapPage(a, a.free);
    assert.equal(transfer(a, a.guest.mfn(a.free), 2, 9), GNTST.okay);
    const entry = version === 1 ? entryV1(b, 9) : fullPage(b, 9);
    assert.equal(entry.flags, GTF_accept_transfer | GTF_transfer_committed | GTF_transfer_completed);
    const frame = Number(entry.frame);
    assert.equal(b.domain.mm.frames.owner(frame), OWNER.domain);
    assert.equal(b.fake.capsule.u64[(b.fake.capsule.frame(frame) >>> 3) + 5], 0x1234n);
    assert.equal(readM2p(b.domain.mm.capsule, frame), 77, 'its place is what the entry said');
    assert.equal(a.domain.mm.frames.owner(a.guest.mfn(a.free)), OWNER.nobody);
    assert.equal(a.guest.peek(a.free, 5), 0n, 'nothing is left behind');
    assert.deepEqual([pages(a), pages(b)], [mine - 1, room + 1]);
    assert.deepEqual(audit(a, b), []);
  });
}

test('there is room where a page was that was given back, and another domain mapped last', () => {
  const [a, b] = pair();
  const c = b.domain.mm;
  grant(b, 8, b.free, 1);
  const { handle } = mapped(a, a.free + 1, b, 8);
  giveBack(b, b.free);
  c.state.max_pages = c.state.tot_pages; // the page counts for as long as it is mapped
  Object.assign(entryV1(b, 9), { flags: GTF_accept_transfer, domid: 1 });
  unmapPage(a, a.free);
  assert.equal(unmap(a, a.free + 1, handle), GNTST.okay);
  assert.equal(transfer(a, a.guest.mfn(a.free), 2, 9), GNTST.okay);
  assert.equal(c.state.tot_pages, c.state.max_pages);
  assert.deepEqual(audit(a, b), []);
});

test('a page goes to the guest itself', () => {
  const [a] = pair();
  Object.assign(entryV1(a, 9), { flags: GTF_accept_transfer, domid: 1, frame: 3 });
  a.guest.poke(a.free, 5, 0x1234n);
  unmapPage(a, a.free);
  assert.equal(transfer(a, a.guest.mfn(a.free), 1, 9), GNTST.okay);
  assert.equal(a.fake.capsule.u64[(a.fake.capsule.frame(entryV1(a, 9).frame) >>> 3) + 5], 0x1234n);
  assert.deepEqual(audit(a), []);
});

describe('bad_page: the page stays whose it was', () => {
  test('one that is mapped, granted and mapped elsewhere, a table, Xen\'s, no frame', () => {
    const [a, b] = pair();
    giveBack(b, b.free);
    Object.assign(entryV1(b, 9), { flags: GTF_accept_transfer, domid: 1 });
    const before = pages(a);
    assert.equal(transfer(a, a.guest.mfn(a.free), 2, 9), GNTST.bad_page, 'mapped');
    grant(a, 8, a.free + 1, 2);
    mapped(b, b.free + 1, a, 8);
    unmapPage(a, a.free + 1);
    assert.equal(transfer(a, a.guest.mfn(a.free + 1), 2, 9), GNTST.bad_page, 'mapped by a grant');
    for (const mfn of [a.guest.mfn(a.guest.l1), 1, 0, a.fake.capsule.totalFrames, 1n << 60n]) assert.equal(transfer(a, mfn, 2, 9), GNTST.bad_page);
    assert.equal(pages(a), before);
    assert.equal(entryV1(b, 9).flags, GTF_accept_transfer);
  });
});

describe('other errors: the page is lost', () => {
  const refused = (prepare: (b: DomU) => void, status: number, domid = 2, ref = 9): void => {
    const [a, b] = pair();
    giveBack(b, b.free);
    Object.assign(entryV1(b, 9), { flags: GTF_accept_transfer, domid: 1 });
    prepare(b);
    const room = pages(b);
    unmapPage(a, a.free);
    const before = pages(a);
    assert.equal(transfer(a, a.guest.mfn(a.free), domid, ref), status);
    assert.deepEqual([pages(a), pages(b)], [before - 1, room]);
    assert.deepEqual(audit(a, b), []);
  };
  test('no such domain', () => refused(() => {}, GNTST.bad_domain, 5));
  test('Domain-0, which takes none', () => refused(() => {}, GNTST.general_error, 0));
  test('no room', () => refused((b) => { b.domain.mm.state.max_pages = pages(b); }, GNTST.general_error));
  test('a domain that was destroyed', () => refused((b) => { const { peers } = b.domain; destroyDomain(b.domain); peers.add(b.domain); }, GNTST.general_error));
  test('a reference beyond the table', () => refused(() => {}, GNTST.general_error, 2, 512));
  test('an entry for another domain', () => refused((b) => { entryV1(b, 9).domid = 3; }, GNTST.general_error));
  test('an entry of another kind', () => refused((b) => { entryV1(b, 9).flags = GTF_permit_access; }, GNTST.general_error));
  test('an entry with other flags', () => refused((b) => { entryV1(b, 9).flags = GTF_accept_transfer | GTF_readonly; }, GNTST.general_error));
});
