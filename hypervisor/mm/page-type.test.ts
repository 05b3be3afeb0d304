// The rules of page types, each by a guest that tries to break it.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EBUSY, EINVAL, EPERM } from '#abi/errno.ts';
import { MMUEXT, mmuext_op } from '#abi/mmu.ts';
import { VMASST_TYPE_m2p_strict } from '#abi/xen.ts';
import { ACCESS } from '#machine/machine.ts';
import { XEN_FRAME } from '../layout.ts';
import { auditMemory } from '../testing/audit-memory.ts';
import { PvGuest, RO, RW } from '../testing/pv-guest.ts';
import { adoptInitialTables, relinquishMemory } from './domain-mm.ts';
import { PGT_count_mask, PGT_none, PGT_pinned, PGT_type_mask, PGT_type_shift, PGT_validated, PGT_writable_page } from './frame-table.ts';
import { do_mmu_update } from './mmu-update.ts';
import { do_mmuext_op } from './mmuext-op.ts';
import { do_update_va_mapping } from './update-va-mapping.ts';

const ARGS = 0; // pfn of the page that hypercall arguments are put in

function update(g: PvGuest, table: number, slot: number, value: bigint, command = 0): number {
  g.poke(ARGS, 0, g.entryAddress(table, slot) | BigInt(command));
  g.poke(ARGS, 1, value);
  return g.call(do_mmu_update, g.va(ARGS), 1, 0, 0x7ff0);
}
function ext(g: PvGuest, cmd: number, arg1: bigint | number = 0, arg2: bigint | number = 0): number {
  g.poke(ARGS, 0, BigInt(cmd));
  g.poke(ARGS, mmuext_op.offset.arg1 / 8, BigInt(arg1));
  g.poke(ARGS, mmuext_op.offset.arg2 / 8, BigInt(arg2));
  return g.call(do_mmuext_op, g.va(ARGS), 1, 0, 0x7ff0);
}
const remap = (g: PvGuest, pfn: number, flags: number): number => g.call(do_update_va_mapping, g.va(pfn), g.pte(pfn, flags), 0);
const typeOf = (g: PvGuest, pfn: number): number => (g.mm.frames.type(g.mfn(pfn)) & PGT_type_mask) >>> PGT_type_shift;
const typeCount = (g: PvGuest, pfn: number): number => g.mm.frames.type(g.mfn(pfn)) & PGT_count_mask;
const clean = (g: PvGuest): void => assert.deepEqual(auditMemory(g.fake.domain), []);

/** Makes a page an empty L1 table: read-only in the initial mapping, then pinned. */
function makeTable(g: PvGuest, pfn: number, level = 1): void {
  assert.equal(remap(g, pfn, RO), 0);
  assert.equal(ext(g, MMUEXT.PIN_L1_TABLE + level - 1, g.mfn(pfn)), 0);
}

describe('page types', () => {
  test('the initial tables have their types, and everything else is writable', () => {
    const g = new PvGuest();
    assert.deepEqual([g.l4, g.l3, g.l2, g.l1].map((pfn) => typeOf(g, pfn)), [4, 3, 2, 1]);
    assert.equal(g.mm.frames.type(g.mfn(g.l4)) & (PGT_pinned | PGT_validated), PGT_pinned | PGT_validated);
    assert.equal(typeCount(g, g.l4), 2); // pin and base
    assert.equal(g.mm.frames.type(g.mfn(g.free)), PGT_writable_page | PGT_validated | 1);
    clean(g);
  });

  test('initial tables that map a table writable are refused, and nothing remains', () => {
    const g = new PvGuest();
    relinquishMemory(g.fake.domain);
    g.poke(g.l1, g.l2, g.pte(g.l2, RW));
    assert.equal(adoptInitialTables(g.fake.domain, g.mfn(g.l4)), -EBUSY);
    for (let pfn = 0; pfn < 256; pfn++) assert.equal(typeCount(g, pfn), 0);
    clean(g);
  });

  test('no table is mapped writable: not by its L1 entry, not anew, not by a table that is yet to be validated', () => {
    const g = new PvGuest();
    for (const table of [g.l4, g.l3, g.l2, g.l1]) {
      assert.equal(update(g, g.l1, table, g.pte(table, RW)), -EBUSY);
      assert.equal(remap(g, table, RW), -EBUSY);
    }
    g.poke(g.free, 7, g.pte(g.l4, RW));
    assert.equal(remap(g, g.free, RO), 0);
    assert.equal(ext(g, MMUEXT.PIN_L1_TABLE, g.mfn(g.free)), -EBUSY);
    assert.equal(g.mm.frames.type(g.mfn(g.free)), PGT_none);
    clean(g);
  });

  test('a page that is mapped writable does not become a table', () => {
    const g = new PvGuest();
    assert.equal(ext(g, MMUEXT.PIN_L1_TABLE, g.mfn(g.free)), -EINVAL);
    assert.equal(update(g, g.l2, 5, g.pte(g.free, RW)), -EINVAL);
    clean(g);
  });

  test('a type changes only without references: a table of one level is not one of another', () => {
    const g = new PvGuest();
    makeTable(g, g.free);
    for (const cmd of [MMUEXT.PIN_L2_TABLE, MMUEXT.PIN_L3_TABLE, MMUEXT.PIN_L4_TABLE]) assert.equal(ext(g, cmd, g.mfn(g.free)), -EINVAL);
    assert.equal(ext(g, MMUEXT.UNPIN_TABLE, g.mfn(g.free)), 0);
    assert.equal(typeCount(g, g.free), 0);
    assert.equal(ext(g, MMUEXT.PIN_L2_TABLE, g.mfn(g.free)), 0);
    assert.equal(typeOf(g, g.free), 2);
    clean(g);
  });

  test('a pin is single, and an unpinned page cannot be unpinned', () => {
    const g = new PvGuest();
    makeTable(g, g.free);
    assert.equal(ext(g, MMUEXT.PIN_L1_TABLE, g.mfn(g.free)), -EINVAL);
    assert.equal(ext(g, MMUEXT.UNPIN_TABLE, g.mfn(g.free)), 0);
    assert.equal(ext(g, MMUEXT.UNPIN_TABLE, g.mfn(g.free)), -EINVAL);
    assert.equal(ext(g, MMUEXT.UNPIN_TABLE, 0xfff_ffff), -EINVAL);
    assert.equal(ext(g, MMUEXT.UNPIN_TABLE, 1n << 40n), -EINVAL);
    clean(g);
  });

  test('a table in use stays a table after its pin is gone', () => {
    const g = new PvGuest();
    makeTable(g, g.free);
    assert.equal(update(g, g.l2, 9, g.pte(g.free, RW)), 0);
    assert.equal(ext(g, MMUEXT.UNPIN_TABLE, g.mfn(g.free)), 0);
    assert.equal(remap(g, g.free, RW), -EBUSY);
    assert.equal(update(g, g.l2, 9, 0n), 0);
    assert.equal(remap(g, g.free, RW), 0);
    clean(g);
  });

  test('frames that are not the domain\'s: Xen\'s own, beyond memory, the invalid frame', () => {
    const g = new PvGuest();
    const raw = (mfn: number | bigint): number => update(g, g.l1, g.free, BigInt(mfn) * 4096n + BigInt(RO));
    assert.equal(raw(0), -EBUSY);
    assert.equal(raw(XEN_FRAME.m2p), -EBUSY);
    assert.equal(raw(g.first - 1), -EBUSY);
    assert.equal(raw(g.mm.total), -EPERM);
    assert.equal(raw(1n << 39n), -EPERM);
    assert.equal(raw((1n << 40n) - 1n), -EINVAL);
    for (const mfn of [0, g.first - 1, g.mm.total, 2 ** 32]) assert.equal(update(g, g.l2, 5, BigInt(mfn) * 4096n + BigInt(RW)), -EINVAL);
    assert.equal(raw(XEN_FRAME.grantActive), -EBUSY);
    assert.equal(raw(XEN_FRAME.grantTable), -EBUSY, 'no grant table was made');
    assert.equal(update(g, g.l1, g.free, BigInt(XEN_FRAME.sharedInfo) * 4096n + BigInt(RW)), 0);
    clean(g);
  });

  test('shared info stays writable memory for ever', () => {
    const g = new PvGuest();
    for (const cmd of [MMUEXT.PIN_L1_TABLE, MMUEXT.PIN_L4_TABLE]) assert.equal(ext(g, cmd, XEN_FRAME.sharedInfo), -EINVAL);
    clean(g);
  });

  test('flags that Xen keeps from a PV guest are refused at every level', () => {
    const g = new PvGuest();
    makeTable(g, g.free);
    for (const flag of [0x08, 0x10, 0x80]) assert.equal(update(g, g.l1, g.free + 1, g.pte(g.free + 1, RW | flag)), -EINVAL, `L1 flag ${flag}`);
    for (const flag of [0x08, 0x10, 0x80, 0x100]) {
      assert.equal(update(g, g.l2, 9, g.pte(g.free, RW | flag)), -EINVAL, `L2 flag ${flag}`);
      assert.equal(update(g, g.l3, 9, g.pte(g.l2, RW | flag)), -EINVAL, `L3 flag ${flag}`);
      assert.equal(update(g, g.l4, 9, g.pte(g.l3, RW | flag)), -EINVAL, `L4 flag ${flag}`);
    }
    assert.equal(update(g, g.l1, g.free + 1, g.pte(g.free + 1, RW) | 0x7ff0_0000_0000_0000n | (1n << 63n)), 0);
    clean(g);
  });

  test('superpages are refused in tables that are validated', () => {
    const g = new PvGuest();
    g.poke(g.free, 0, g.pte(0, RW | 0x80));
    assert.equal(remap(g, g.free, RO), 0);
    assert.equal(ext(g, MMUEXT.PIN_L2_TABLE, g.mfn(g.free)), -EINVAL);
    assert.equal(ext(g, MMUEXT.PIN_L3_TABLE, g.mfn(g.free)), -EINVAL);
    clean(g);
  });

  test('a bad entry late in a table undoes the good ones before it', () => {
    const g = new PvGuest();
    g.poke(g.free, 0, g.pte(g.free + 1, RW));
    g.poke(g.free, 1, g.pte(g.free + 2, RO));
    g.poke(g.free, 511, g.pte(g.l1, RW));
    assert.equal(remap(g, g.free, RO), 0);
    const before = typeCount(g, g.free + 1);
    assert.equal(ext(g, MMUEXT.PIN_L1_TABLE, g.mfn(g.free)), -EBUSY);
    assert.equal(typeCount(g, g.free + 1), before);
    g.poke(g.free, 511, g.pte(g.l1, RO));
    assert.equal(ext(g, MMUEXT.PIN_L1_TABLE, g.mfn(g.free)), 0);
    assert.equal(typeCount(g, g.free + 1), before + 1);
    clean(g);
  });

  test('validating an L4 table validates the tree below it, and unpinning it lets all of it go', () => {
    const g = new PvGuest();
    const [l4, l3, l2, l1] = [0, 1, 2, 3].map((i) => g.free + i) as [number, number, number, number];
    g.poke(l4, 0, g.pte(l3, RW));
    g.poke(l3, 1, g.pte(l2, RW));
    g.poke(l2, 2, g.pte(l1, RW));
    g.poke(l1, 3, g.pte(g.free + 4, RW));
    for (const pfn of [l4, l3, l2, l1]) assert.equal(remap(g, pfn, RO), 0);
    assert.equal(ext(g, MMUEXT.PIN_L4_TABLE, g.mfn(l4)), 0);
    assert.deepEqual([l4, l3, l2, l1].map((pfn) => typeOf(g, pfn)), [4, 3, 2, 1]);
    clean(g);
    assert.equal(ext(g, MMUEXT.UNPIN_TABLE, g.mfn(l4)), 0);
    assert.deepEqual([l4, l3, l2, l1].map((pfn) => typeCount(g, pfn)), [0, 0, 0, 0]);
    assert.ok(g.fake.machine.calls.some((c) => c.call === 'dropBase' && c.mfn === g.mfn(l4)));
    for (const pfn of [l4, l3, l2, l1]) assert.equal(remap(g, pfn, RW), 0);
    clean(g);
  });

  test('slots 256 to 271 of an L4 table are Xen\'s', () => {
    const g = new PvGuest();
    for (const slot of [256, 260, 271]) assert.equal(update(g, g.l4, slot, g.pte(g.l3, RO)), -EINVAL);
    assert.equal(update(g, g.l4, 255, 0n), 0);
    assert.equal(update(g, g.l4, 272, 0n), 0);
    g.poke(g.free, 256, g.pte(0, RW)); // whatever the guest leaves there is overwritten, not checked
    g.poke(g.free, 271, g.pte(0, RW));
    makeTable(g, g.free, 4);
    assert.equal(g.peek(g.free, 256), 0n);
    assert.equal(g.peek(g.free, 271), 0n);
    clean(g);
  });

  test('linear page tables: read-only ones of the own table and of another, but no chains', () => {
    const g = new PvGuest();
    assert.equal(update(g, g.l4, 300, g.pte(g.l4, RW)), -EINVAL);
    assert.equal(update(g, g.l4, 300, g.pte(g.l4, RO)), 0);
    const other = g.free;
    makeTable(g, other, 4);
    assert.equal(update(g, g.l4, 301, g.pte(other, RW)), -EINVAL);
    assert.equal(update(g, g.l4, 301, g.pte(other, RO)), 0);
    assert.equal(update(g, other, 301, g.pte(g.l4, RO)), -EINVAL); // a target may not map others
    makeTable(g, g.free + 1, 4);
    assert.equal(update(g, g.free + 1, 301, g.pte(g.l4, RO)), -EINVAL); // nor may who maps others be a target
    assert.equal(update(g, g.free + 1, 301, g.pte(other, RO)), 0);
    assert.equal(update(g, g.free + 1, 301, 0n), 0);
    clean(g);
    assert.equal(ext(g, MMUEXT.UNPIN_TABLE, g.mfn(other)), 0);
    assert.equal(remap(g, other, RW), -EBUSY); // the linear entry holds it
    assert.equal(update(g, g.l4, 301, 0n), 0);
    assert.equal(update(g, g.l4, 300, 0n), 0);
    assert.equal(remap(g, other, RW), 0);
    assert.equal(g.mm.linearEntries, 0);
    clean(g);
  });

  test('a linear mapping of a table that is not in use is refused', () => {
    const g = new PvGuest();
    assert.equal(remap(g, g.free, RO), 0);
    assert.equal(update(g, g.l3, 5, g.pte(g.free + 1, RO)), -EINVAL); // mapped writable
    g.poke(g.free, 0, g.pte(g.free, RO)); // an L2 table that maps itself is fine even while it is validated
    assert.equal(ext(g, MMUEXT.PIN_L2_TABLE, g.mfn(g.free)), 0);
    clean(g);
  });

  test('the m2p is read-only at the start of Xen\'s window, and the guest cannot map it', () => {
    const g = new PvGuest();
    const { cpu } = g.v;
    const mfn = g.mfn(g.free);
    const at = g.fake.machine.translate(cpu, mfn * 8, 0xffff_8000, ACCESS.read);
    assert.ok(at > 0);
    assert.equal(g.fake.capsule.u64[at >>> 3], BigInt(g.free));
    assert.equal(g.fake.machine.translate(cpu, mfn * 8, 0xffff_8000, ACCESS.write), -1);
    assert.equal(g.fake.machine.faultCode, 3);
    for (const xen of [0, g.first - 1]) {
      const entry = g.fake.machine.translate(cpu, xen * 8, 0xffff_8000, ACCESS.read);
      assert.equal(g.fake.capsule.u64[entry >>> 3], 0xffff_ffff_ffff_ffffn);
    }
    const m2p = (at - g.fake.capsule.frames) >>> 12;
    assert.equal(update(g, g.l1, g.free, BigInt(m2p) * 4096n + BigInt(RO)), -EBUSY);
  });

  test('with m2p_strict the m2p is in every kernel base from the start and never in a user base', () => {
    const g = new PvGuest();
    makeTable(g, g.free, 4);
    assert.equal(g.peek(g.free, 256), 0n);
    g.mm.setVmAssist(VMASST_TYPE_m2p_strict, true);
    makeTable(g, g.free + 1, 4);
    assert.notEqual(g.peek(g.free + 1, 256), 0n);
    assert.equal(ext(g, MMUEXT.NEW_USER_BASEPTR, g.mfn(g.free + 1)), 0);
    assert.equal(g.peek(g.free + 1, 256), 0n);
    assert.equal(ext(g, MMUEXT.NEW_USER_BASEPTR, 0), 0);
    clean(g);
  });

  test('a base table is held by the vCPU', () => {
    const g = new PvGuest();
    const next = g.free;
    g.poke(next, 511, g.peek(g.l4, 511));
    assert.equal(remap(g, next, RO), 0);
    assert.equal(ext(g, MMUEXT.NEW_BASEPTR, g.mfn(next)), 0);
    assert.deepEqual(g.fake.machine.calls.filter((c) => c.call === 'setBase'), [{ call: 'setBase', cpu: 0, mfn: g.mfn(next), kernel: true }]);
    assert.equal(remap(g, next, RW), -EBUSY);
    assert.equal(ext(g, MMUEXT.NEW_BASEPTR, g.mfn(g.free + 1)), -EINVAL);
    assert.equal(ext(g, MMUEXT.NEW_BASEPTR, 0), -EINVAL);
    assert.equal(ext(g, MMUEXT.NEW_BASEPTR, g.mfn(g.l4)), 0);
    assert.equal(remap(g, next, RW), 0);
    clean(g);
  });

  test('when the domain ends every reference goes', () => {
    const g = new PvGuest();
    makeTable(g, g.free);
    makeTable(g, g.free + 1, 4);
    assert.equal(update(g, g.l4, 300, g.pte(g.l4, RO)), 0);
    assert.equal(update(g, g.l4, 301, g.pte(g.free + 1, RO)), 0);
    relinquishMemory(g.fake.domain);
    clean(g);
    for (let pfn = 0; pfn < g.fake.capsule.guestFrames; pfn++) assert.equal(typeCount(g, pfn), 0);
  });
});
