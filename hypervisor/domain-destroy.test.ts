import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EPERM, ESRCH } from '#abi/errno.ts';
import { GNTMAP_device_map, GNTMAP_host_map, GNTST, GNTTABOP, gnttab_get_version } from '#abi/grant-table.ts';
import { XENMEM, xen_memory_domain, xen_memory_reservation } from '#abi/memory.ts';
import { destroyDomain } from './domain-destroy.ts';
import { copyFromGuest } from './guest-access.ts';
import { do_memory_op } from './mm/memory-op.ts';
import { OWNER } from './mm/frame-table.ts';
import { setL1Entry } from './mm/update-entry.ts';
import { type DomU, SELF } from './testing/domu.ts';
import { audit, grant, mapped, marks, op, pair, unmap } from './testing/grant-domains.ts';

/** What another domain is told of a number. */
const lookUp = (u: DomU, dom: number): number => op(u, GNTTABOP.get_version, gnttab_get_version, { dom }).rc;
function readAt(u: DomU, pfn: number): number | undefined {
  const va = u.guest.va(pfn);
  const into = new Uint8Array(1);
  return copyFromGuest(u.v, Number(va & 0xffff_ffffn), Number(va >> 32n), into, 0, 1) ? into[0] : undefined;
}

test('a domain that nobody maps pages of is gone at once', () => {
  const [a, b] = pair();
  assert.equal(lookUp(b, 1), -EPERM);
  destroyDomain(a.domain);
  assert.equal(b.domain.peers.get(1), undefined);
  assert.equal(lookUp(b, 1), -ESRCH);
});

test('a granter lives on until its last page is unmapped', () => {
  const [a, b] = pair();
  grant(a, 9, a.free, 2);
  grant(a, 10, a.free + 1, 2);
  a.guest.poke(a.free, 0, 0x55n);
  const first = mapped(b, b.free, a, 9);
  const second = mapped(b, b.free + 1, a, 10);
  destroyDomain(a.domain);
  assert.equal(readAt(b, b.free), 0x55, 'the page is there');
  assert.equal(lookUp(b, 1), -EPERM, 'and so is its owner');
  assert.equal(unmap(b, b.free, first.handle), GNTST.okay);
  assert.equal(lookUp(b, 1), -EPERM);
  assert.equal(unmap(b, b.free + 1, second.handle), GNTST.okay);
  assert.equal(lookUp(b, 1), -ESRCH);
  assert.deepEqual(audit(b), []);
});

test('its number stays taken while a handle has it, mapped or not', () => {
  const [a, b] = pair();
  grant(a, 9, a.free, 2);
  mapped(b, b.free, a, 9);
  destroyDomain(a.domain);
  assert.equal(setL1Entry(b.domain.mm, b.guest.mfn(b.guest.l1), b.free, 0, 0, false), 0);
  assert.notEqual(b.domain.peers.get(1), undefined, 'a later domain 1 must not be taken for it');
  destroyDomain(b.domain);
  assert.equal(b.domain.peers.get(1), undefined);
});

test('a domain that is destroyed gives up what it has mapped', () => {
  const [a, b] = pair();
  grant(a, 9, a.free, 2);
  grant(a, 10, a.free + 1, 2);
  mapped(b, b.free, a, 9);
  mapped(b, b.free + 1, a, 9, GNTMAP_host_map | GNTMAP_device_map);
  mapped(b, b.free + 2, a, 10, GNTMAP_device_map);
  assert.notEqual(a.domain.mm.state.foreign_refs, 0);
  destroyDomain(b.domain);
  assert.equal(marks(a, 9) | marks(a, 10), 0);
  assert.equal(a.domain.mm.state.foreign_refs, 0);
  assert.deepEqual(b.domain.mm.foreign.held(), []);
  assert.deepEqual(audit(a), []);
});

test('a domain that maps its own grants is gone at once', () => {
  const [a] = pair();
  grant(a, 9, a.free, 1);
  mapped(a, a.free + 1, a, 9, GNTMAP_host_map | GNTMAP_device_map);
  destroyDomain(a.domain);
  assert.equal(a.domain.peers.get(1), undefined);
});

test('a page that its owner gave back lives until it is unmapped, and then can be had again, empty', () => {
  const [a, b] = pair();
  const mfn = a.guest.mfn(a.free);
  const { frames } = a.domain.mm;
  const pages = (): number => a.op(do_memory_op, XENMEM.current_reservation, xen_memory_domain, { domid: SELF }).rc;
  const before = pages();
  grant(a, 9, a.free, 2);
  a.guest.poke(a.free, 0, 0x55n);
  const { handle } = mapped(b, b.free, a, 9);
  assert.equal(setL1Entry(a.domain.mm, a.guest.mfn(a.guest.l1), a.free, 0, 0, false), 0);
  a.guest.poke(a.free + 1, 0, BigInt(mfn));
  assert.equal(a.op(do_memory_op, XENMEM.decrease_reservation, xen_memory_reservation, { extent_start: a.guest.va(a.free + 1), nr_extents: 1n, domid: SELF }).rc, 1);
  assert.equal(pages(), before, 'it is not free');
  assert.equal(readAt(b, b.free), 0x55);
  assert.deepEqual(audit(a, b), []);
  assert.equal(unmap(b, b.free, handle), GNTST.okay);
  assert.deepEqual(audit(a, b), []);
  assert.equal(pages(), before - 1);
  assert.equal(frames.owner(mfn), OWNER.nobody);
  assert.equal(a.guest.peek(a.free, 0), 0n);
  assert.equal(a.op(do_memory_op, XENMEM.increase_reservation, xen_memory_reservation, { extent_start: a.guest.va(a.free + 1), nr_extents: 1n, domid: SELF }).rc, 1);
  assert.equal(Number(a.guest.peek(a.free + 1, 0)), mfn);
  assert.deepEqual(audit(a, b), []);
});
