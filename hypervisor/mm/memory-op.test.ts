import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EACCES, EFAULT, EINVAL, ENOSYS, EOPNOTSUPP, EPERM, ESRCH } from '#abi/errno.ts';
import { E820_RAM, XENMEM } from '#abi/memory.ts';
import { auditMemory } from '../testing/audit-memory.ts';
import { fakeDomain } from '../testing/fake-machine.ts';
import { PvGuest, RO, RW } from '../testing/pv-guest.ts';
import { CONTINUE, HypercallArgs } from '../hypercall.ts';
import { initMemory } from './domain-mm.ts';
import { OWNER } from './frame-table.ts';
import { readM2p } from './m2p.ts';
import { E820_TABLE } from './mm-state.ts';
import { do_memory_op } from './memory-op.ts';
import { do_update_va_mapping } from './update-va-mapping.ts';

const ARGS = 0, SELF = 0x7ff0;
const LIST = 2048, LIST2 = 3072; // byte offsets of extent lists in the argument page

function op(g: PvGuest, cmd: number, ...words: (bigint | number)[]): number {
  words.forEach((word, i) => g.poke(ARGS, i, BigInt(word)));
  return g.call(do_memory_op, cmd, g.va(ARGS));
}
function list(g: PvGuest, at: number, ...extents: number[]): bigint {
  extents.forEach((extent, i) => g.poke(ARGS, at / 8 + i, BigInt(extent)));
  return g.va(ARGS) + BigInt(at);
}
/** A reservation operation over a list of extents. */
const reserve = (g: PvGuest, cmd: number, order: number, ...extents: number[]): number =>
  op(g, cmd, list(g, LIST, ...extents), extents.length, BigInt(order), SELF);
const unmap = (g: PvGuest, pfn: number): void => assert.equal(g.call(do_update_va_mapping, g.va(pfn), 0, 0), 0);
const clean = (g: PvGuest): void => assert.deepEqual(auditMemory(g.fake.domain), []);

describe('reservations', () => {
  test('a list that is much work goes on in continuations, and where the guest says', () => {
    const g = new PvGuest();
    const mfn = g.mfn(g.free);
    const extents = Array.from({ length: 128 }, () => mfn); // mapped: it can be given back again and again
    const args = new HypercallArgs();
    const arg = (): void => { args.set(0, XENMEM.decrease_reservation, 0); args.set(1, Number(g.va(ARGS) & 0xffff_ffffn), 0xffff_ffff); };
    assert.equal(reserve(g, XENMEM.decrease_reservation, 0, ...extents), 128);
    arg();
    assert.equal(do_memory_op(g.v, args), 128);
    arg();
    const { mm } = g;
    Object.defineProperty(mm, 'work', { get: () => work, set: (n: number) => { work += (n - work) * 1000; } });
    let work = 0;
    let parts = 1;
    while (do_memory_op(g.v, args) === CONTINUE) parts++;
    assert.ok(parts > 4 && parts < 128, `${parts} parts`);
    assert.equal(g.call(do_memory_op, XENMEM.decrease_reservation | 200 << 6, g.va(ARGS)), 200);
    assert.equal(g.call(do_memory_op, XENMEM.maximum_ram_page | 1 << 6, 0), -EINVAL);
  });
  test('a frame given back is free when nothing maps it any more', () => {
    const g = new PvGuest();
    const mfn = g.mfn(g.free);
    g.words(g.free).fill(7);
    assert.equal(reserve(g, XENMEM.decrease_reservation, 0, mfn), 1);
    assert.equal(g.mm.state.tot_pages, 256); // still mapped
    unmap(g, g.free);
    assert.equal(g.mm.state.tot_pages, 255);
    assert.equal(readM2p(g.mm.capsule, mfn), -1);
    assert.ok(g.words(g.free).every((w) => w === 0));
    assert.ok(g.call(do_update_va_mapping, g.va(g.free), g.pte(g.free, RW), 0) < 0);
    assert.equal(reserve(g, XENMEM.decrease_reservation, 0, mfn), 0);
    clean(g);
  });

  test('what is given back goes back to the host in runs, unless it was taken meanwhile, and what was decoded from it is dropped', () => {
    const fake = fakeDomain(256);
    const told: [number, number][] = [];
    const g = new PvGuest(256, fake);
    fake.host.discard = (memory, offset, bytes) => {
      assert.equal(memory, fake.capsule.memory);
      for (let mfn = (offset - fake.capsule.frames) / 4096; mfn < (offset - fake.capsule.frames + bytes) / 4096; mfn++) assert.equal(g.mm.frames.owner(mfn), OWNER.nobody);
      told.push([(offset - fake.capsule.frames) / 4096, bytes / 4096]);
    };
    const mfns = [0, 2, 1, 5].map((i) => g.mfn(g.free) + i);
    for (const mfn of mfns) unmap(g, mfn - g.first);
    g.fake.machine.calls.length = 0;
    assert.equal(reserve(g, XENMEM.decrease_reservation, 0, ...mfns), 4);
    assert.deepEqual(told, [[mfns[0], 3], [mfns[3], 1]]);
    assert.deepEqual(g.fake.machine.calls.flatMap((c) => (c.call === 'frameWritten' && mfns.includes(c.mfn) ? [c.mfn] : [])), mfns);
    told.length = 0;
    const late = g.mfn(g.free + 9);
    assert.equal(reserve(g, XENMEM.decrease_reservation, 0, late), 1);
    unmap(g, g.free + 9); // free only now
    assert.equal(reserve(g, XENMEM.populate_physmap, 0, 1000), 1);
    assert.deepEqual([told, Number(g.peek(ARGS, LIST / 8))], [[[late, 1]], mfns[0]], 'the lowest free frame is taken first');
    told.length = 0;
    assert.equal(reserve(g, XENMEM.decrease_reservation, 0, g.mfn(g.free + 20)), 1);
    unmap(g, g.free + 20);
    assert.equal(reserve(g, XENMEM.populate_physmap, 0, 1001, 1002, 1003, 1004, 1005), 5);
    assert.deepEqual([told, Number(g.peek(ARGS, LIST / 8 + 4))], [[], g.mfn(g.free + 20)]);
    clean(g);
  });

  test('a domain that begins with less than it may have takes the rest, within its reservation', () => {
    const fake = fakeDomain(2048);
    initMemory(fake.domain, 1024);
    const { mm } = fake.domain;
    assert.deepEqual([mm.state.tot_pages, mm.state.max_pages], [1024, 1024 + 256]);
    assert.equal(fake.capsule.dv.getBigUint64(E820_TABLE + 8, true), 2048n * 4096n);
    const first = fake.capsule.xenFrames;
    assert.deepEqual([1023, 1024].map((pfn) => [mm.frames.owner(first + pfn), readM2p(mm.capsule, first + pfn)]), [[OWNER.domain, 1023], [OWNER.nobody, -1]]);
    assert.deepEqual(auditMemory(fake.domain), []);
  });

  test('page tables, Xen\'s frames and nonsense are not given back', () => {
    const g = new PvGuest();
    for (const mfn of [0, 1, 2, g.first - 1, g.mm.total, 2 ** 40]) assert.equal(reserve(g, XENMEM.decrease_reservation, 0, mfn), 0, `frame ${mfn}`);
    assert.equal(reserve(g, XENMEM.decrease_reservation, 0, g.mfn(g.l1)), 1); // it stays while it is a table
    assert.equal(g.mm.state.tot_pages, 256);
    clean(g);
  });

  test('populate_physmap takes frames again, names them, and stops at the limit', () => {
    const g = new PvGuest();
    const mfns = [g.free, g.free + 1].map((pfn) => g.mfn(pfn));
    assert.equal(reserve(g, XENMEM.decrease_reservation, 0, ...mfns), 2);
    unmap(g, g.free);
    unmap(g, g.free + 1);
    assert.equal(reserve(g, XENMEM.populate_physmap, 0, 1000, 1001, 1002), 2);
    assert.deepEqual([0, 1].map((i) => Number(g.peek(ARGS, LIST / 8 + i))), mfns);
    assert.deepEqual(mfns.map((mfn) => readM2p(g.mm.capsule, mfn)), [1000, 1001]);
    assert.equal(g.mm.state.tot_pages, 256);
    clean(g);
  });

  test('larger extents adjoin and are aligned', () => {
    const g = new PvGuest();
    const from = Math.ceil(g.mfn(g.free) / 8) * 8 - g.first;
    const pfns = Array.from({ length: 8 }, (_, i) => from + i);
    assert.equal(reserve(g, XENMEM.decrease_reservation, 3, g.mfn(from)), 1);
    pfns.forEach((pfn) => unmap(g, pfn));
    assert.equal(op(g, XENMEM.increase_reservation, 0, 1, 4, SELF), 0); // 16 are not to be had
    assert.equal(op(g, XENMEM.increase_reservation, list(g, LIST, 0), 1, 3, SELF), 1);
    assert.equal(Number(g.peek(ARGS, LIST / 8)), g.mfn(from));
    clean(g);
  });

  test('bad arguments do no extents', () => {
    const g = new PvGuest();
    assert.equal(g.call(do_memory_op, XENMEM.decrease_reservation, 0x1000), 0);
    assert.equal(op(g, XENMEM.decrease_reservation, 0x1000, 1, 0, SELF), 0); // unreadable list
    assert.equal(op(g, XENMEM.decrease_reservation, list(g, LIST, g.mfn(g.free)), 1, 10, SELF), 0); // order too large
    assert.equal(op(g, XENMEM.decrease_reservation, list(g, LIST, g.mfn(g.free)), 1, 0, 5), 0); // somebody else's
    assert.equal(op(g, XENMEM.decrease_reservation, list(g, LIST, g.mfn(g.free)), 1n << 40n, 0, SELF), 0);
  });

  test('exchange gives idle frames for others, and all back when it cannot', () => {
    const g = new PvGuest();
    const exchange = (inOrder: number, ins: number[], outOrder: number, outs: number[]): number => op(g, XENMEM.exchange,
      list(g, LIST, ...ins), ins.length, BigInt(inOrder), SELF, list(g, LIST2, ...outs), outs.length, BigInt(outOrder), SELF, 0);
    const base = Math.ceil(g.mfn(g.free) / 4) * 4;
    const ins = [0, 1, 2, 3].map((i) => base + i);
    assert.equal(exchange(0, ins, 2, [500]), -EINVAL); // mapped
    clean(g);
    ins.forEach((mfn) => unmap(g, mfn - g.first));
    g.words(ins[0] as number - g.first).fill(9);
    assert.equal(exchange(0, ins.slice(0, 2), 2, [500]), -EINVAL); // sizes differ
    assert.equal(exchange(0, ins.map((m) => m - 1), 2, [500]), -EINVAL); // the first is in use
    assert.equal(g.words(ins[0] as number - g.first)[0], 9);
    assert.equal(exchange(0, ins, 2, [500]), 0);
    assert.equal(Number(g.peek(ARGS, LIST2 / 8)), base);
    assert.equal(g.peek(ARGS, 8), 4n); // nr_exchanged
    assert.deepEqual(ins.map((mfn) => readM2p(g.mm.capsule, mfn)), [500, 501, 502, 503]);
    assert.equal(g.words(ins[0] as number - g.first)[0], 0);
    assert.equal(exchange(2, [base], 0, [9, 8, 7, 6]), 0);
    assert.deepEqual(ins.map((mfn) => readM2p(g.mm.capsule, mfn)), [9, 8, 7, 6]);
    assert.equal(exchange(10, [base], 10, [9]), -EPERM);
    clean(g);
  });

  test('a frame in a table is freed when the table goes', () => {
    const g = new PvGuest();
    assert.equal(g.call(do_update_va_mapping, g.va(g.free), g.pte(g.free, RO), 0), 0);
    assert.equal(reserve(g, XENMEM.decrease_reservation, 0, g.mfn(g.free)), 1);
    assert.equal(g.call(do_update_va_mapping, g.va(g.free), g.pte(g.free, RW), 0), 0); // allowed while it is mapped
    unmap(g, g.free);
    assert.equal(g.mm.state.tot_pages, 255);
    clean(g);
  });
});

describe('questions about memory', () => {
  test('sizes', () => {
    const g = new PvGuest();
    assert.equal(g.call(do_memory_op, XENMEM.maximum_ram_page, 0), g.mm.total - 1);
    assert.equal(op(g, XENMEM.current_reservation, SELF), 256);
    assert.equal(op(g, XENMEM.maximum_reservation, 1), 256); // by its own number
    assert.equal(op(g, XENMEM.maximum_gpfn, SELF), 0);
    assert.equal(op(g, XENMEM.current_reservation, 0), -EPERM);
    assert.equal(op(g, XENMEM.current_reservation, 77), -ESRCH);
    assert.equal(g.call(do_memory_op, XENMEM.current_reservation, 0), -EFAULT);
  });

  test('the memory map is one piece of RAM until the guest sets another', () => {
    const g = new PvGuest();
    const buffer = g.va(ARGS) + BigInt(LIST);
    assert.equal(op(g, XENMEM.memory_map, 128, buffer), 0);
    assert.equal(g.words(ARGS)[0], 1);
    assert.deepEqual([...g.words(ARGS).subarray(LIST / 4, LIST / 4 + 5)], [0, 0, 256 * 4096, 0, E820_RAM]);
    assert.equal(op(g, XENMEM.memory_map, 0, buffer), 0);
    assert.equal(g.words(ARGS)[0], 0);
    assert.equal(op(g, XENMEM.set_memory_map, SELF, 2, buffer), 0);
    assert.equal(op(g, XENMEM.memory_map, 128, buffer), 0);
    assert.equal(g.words(ARGS)[0], 2);
    assert.equal(op(g, XENMEM.set_memory_map, SELF, 129, buffer), -EINVAL);
    assert.equal(op(g, XENMEM.set_memory_map, 0, 1, buffer), -EPERM);
    assert.equal(op(g, XENMEM.memory_map, 128, 0x1000), -EFAULT);
    assert.equal(g.call(do_memory_op, XENMEM.machine_memory_map, 0), -EPERM);
  });

  test('where the m2p is', () => {
    const g = new PvGuest();
    assert.equal(op(g, XENMEM.machphys_mapping), 0);
    assert.deepEqual([0, 1, 2].map((i) => g.peek(ARGS, i)), [0xffff_8000_0000_0000n, 0xffff_8040_0000_0000n, (1n << 35n) - 1n]);
    assert.equal(op(g, XENMEM.machphys_mfn_list, 8, g.va(ARGS) + BigInt(LIST), 0), 0);
    assert.equal(g.words(ARGS)[4], 1);
    assert.equal(Number(g.peek(ARGS, LIST / 8)), g.mm.state.m2p_base);
  });

  test('what a PV guest cannot do', () => {
    const g = new PvGuest();
    assert.equal(op(g, XENMEM.add_to_physmap, SELF, 0, 0), -EACCES);
    assert.equal(op(g, XENMEM.add_to_physmap, 9, 0, 0), -ESRCH);
    assert.equal(op(g, XENMEM.claim_pages), -EINVAL);
    assert.equal(op(g, XENMEM.claim_pages, 0, 0, 0, SELF), -EPERM);
    assert.equal(op(g, XENMEM.remove_from_physmap, SELF, g.mfn(5)), -EACCES);
    assert.equal(op(g, XENMEM.get_vnumainfo, SELF), -EOPNOTSUPP);
    assert.equal(op(g, XENMEM.get_vnumainfo, 9), -ESRCH);
    assert.equal(op(g, XENMEM.paging_op), -ENOSYS);
    assert.equal(op(g, 8), -ENOSYS);
    assert.equal(op(g, 63), -ENOSYS);
  });
});
