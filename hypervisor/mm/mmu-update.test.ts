import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EACCES, EFAULT, EINVAL, ENOSYS, EOPNOTSUPP, EPERM, ESRCH } from '#abi/errno.ts';
import { MMU_UPDATE_PREEMPTED, MMUEXT, UVMF_ALL, UVMF_INVLPG, UVMF_TLB_FLUSH } from '#abi/mmu.ts';
import { VMASST_TYPE_writable_pagetables } from '#abi/xen.ts';
import { STORE } from '#machine/machine.ts';
import { HypercallArgs, CONTINUE } from '../hypercall.ts';
import { auditMemory } from '../testing/audit-memory.ts';
import { PvGuest, RO, RW } from '../testing/pv-guest.ts';
import { setGdt } from './gdt.ts';
import { readM2p } from './m2p.ts';
import { do_mmu_update } from './mmu-update.ts';
import { do_mmuext_op } from './mmuext-op.ts';
import { ptwrStore, ptwrWatches } from './ptwr.ts';
import { do_update_va_mapping, do_update_va_mapping_otherdomain } from './update-va-mapping.ts';
import { walk } from './walk.ts';

const ARGS = 0, SELF = 0x7ff0;
const USER = 4n, GLOBAL = 0x100n, GUEST_KERNEL = 1n << 52n, NX = 1n << 63n;

/** Puts requests into the argument page. */
function requests(g: PvGuest, ...list: [bigint, bigint][]): void {
  list.forEach(([ptr, val], i) => {
    g.poke(ARGS, i * 2, ptr);
    g.poke(ARGS, i * 2 + 1, val);
  });
}
function ext(g: PvGuest, cmd: number, arg1: bigint | number = 0, arg2: bigint | number = 0): number {
  [cmd, arg1, arg2].forEach((value, i) => g.poke(ARGS, i, BigInt(value)));
  return g.call(do_mmuext_op, g.va(ARGS), 1, 0, SELF);
}

describe('mmu_update', () => {
  test('does a batch, and says how many were done when one fails', () => {
    const g = new PvGuest();
    const done = g.va(ARGS) + 2048n;
    requests(g, [g.entryAddress(g.l1, g.free), g.pte(g.free, RO)], [g.entryAddress(g.l1, g.free + 1), 0n], [g.entryAddress(g.l1, g.free + 2), g.pte(g.l1, RW)], [g.entryAddress(g.l1, g.free + 3), 0n]);
    assert.ok(g.call(do_mmu_update, g.va(ARGS), 4, done, SELF) < 0);
    assert.equal(g.words(ARGS)[512], 2);
    assert.equal(g.peek(g.l1, g.free + 1), 0n);
    assert.notEqual(g.peek(g.l1, g.free + 3), 0n);
    assert.deepEqual(auditMemory(g.fake.domain), []);
  });

  test('stores entries as Xen adjusts them: kernel entries become user ones and are marked', () => {
    const g = new PvGuest();
    const kernel = g.pte(g.free, 0x63) | NX;
    requests(g, [g.entryAddress(g.l1, g.free), kernel], [g.entryAddress(g.l1, g.free + 1), g.pte(g.free + 1, RW)]);
    assert.equal(g.call(do_mmu_update, g.va(ARGS), 2, 0, SELF), 0);
    assert.equal(g.peek(g.l1, g.free), kernel | USER | GUEST_KERNEL);
    assert.equal(g.peek(g.l1, g.free + 1), g.pte(g.free + 1, RW) | GLOBAL);
    requests(g, [g.entryAddress(g.l1, g.free), g.peek(g.l1, g.free)]); // what the guest reads it may write back
    assert.equal(g.call(do_mmu_update, g.va(ARGS), 1, 0, SELF), 0);
    assert.equal(g.peek(g.l1, g.free), kernel | USER | GUEST_KERNEL);
  });

  test('an entry that is not present is stored as it is', () => {
    const g = new PvGuest();
    requests(g, [g.entryAddress(g.l1, g.free), 0xdead_beef_0000_0ffen]);
    assert.equal(g.call(do_mmu_update, g.va(ARGS), 1, 0, SELF), 0);
    assert.equal(g.peek(g.l1, g.free), 0xdead_beef_0000_0ffen);
  });

  test('PRESERVE_AD keeps the accessed and dirty bits that the processor set, NORMAL does not', () => {
    const g = new PvGuest();
    const bare = g.pte(g.free, 0x07);
    requests(g, [g.entryAddress(g.l1, g.free) | 2n, bare]);
    assert.equal(g.call(do_mmu_update, g.va(ARGS), 1, 0, SELF), 0);
    assert.equal(g.peek(g.l1, g.free), bare | 0x60n | GLOBAL);
    requests(g, [g.entryAddress(g.l1, g.free), bare]);
    assert.equal(g.call(do_mmu_update, g.va(ARGS), 1, 0, SELF), 0);
    assert.equal(g.peek(g.l1, g.free), bare | GLOBAL);
  });

  test('MACHPHYS_UPDATE sets the m2p for frames of the domain only', () => {
    const g = new PvGuest();
    requests(g, [g.entryAddress(g.free, 0) | 1n, 0x1_2345_6789n]);
    assert.equal(g.call(do_mmu_update, g.va(ARGS), 1, 0, SELF), 0);
    assert.equal(readM2p(g.mm.capsule, g.mfn(g.free)), 0x1_2345_6789);
    for (const mfn of [0n, BigInt(g.mm.total), 1n << 30n]) {
      requests(g, [mfn * 4096n | 1n, 5n]);
      assert.equal(g.call(do_mmu_update, g.va(ARGS), 1, 0, SELF), -EINVAL);
    }
  });

  test('a store to a writable page is done, one to a descriptor page is not', () => {
    const g = new PvGuest();
    requests(g, [g.entryAddress(g.free, 3), 0x1234n]);
    assert.equal(g.call(do_mmu_update, g.va(ARGS), 1, 0, SELF), 0);
    assert.equal(g.peek(g.free, 3), 0x1234n);
    assert.ok(g.fake.machine.calls.some((c) => c.call === 'frameWritten' && c.mfn === g.mfn(g.free)));
    g.poke(g.free, 3, 0n);
    assert.equal(g.call(do_update_va_mapping, g.va(g.free), g.pte(g.free, RO), 0), 0);
    assert.equal(setGdt(g.v, [g.mfn(g.free)], 512), 0);
    assert.equal(g.call(do_mmu_update, g.va(ARGS), 1, 0, SELF), -EINVAL);
    assert.deepEqual(auditMemory(g.fake.domain), []);
  });

  test('bad commands, pointers and owners have Xen\'s error numbers', () => {
    const g = new PvGuest();
    requests(g, [g.entryAddress(g.l1, 0) | 4n, 0n]);
    assert.equal(g.call(do_mmu_update, g.va(ARGS), 1, 0, SELF), -ENOSYS);
    assert.equal(g.call(do_mmu_update, 0x1000, 1, 0, SELF), -EFAULT);
    assert.equal(g.call(do_mmu_update, 0xffff_8000_0000_0000n, 1, 0, SELF), -EFAULT);
    assert.equal(g.call(do_mmu_update, g.va(ARGS), 0, 0, SELF), 0);
    for (const [domid, rc] of [[0, -EPERM], [1, -ESRCH], [7, -ESRCH], [0x7ff1, -EPERM], [SELF | 0x1_0000, -EPERM], [SELF | 0x9_0000, -ESRCH]] as const) {
      assert.equal(g.call(do_mmu_update, g.va(ARGS), 1, 0, domid), rc, `owner ${domid.toString(16)}`);
    }
    requests(g, [g.entryAddress(g.l1, g.free), 0n]);
    assert.equal(g.call(do_mmu_update, g.va(ARGS), 1, 0, SELF | 0x2_0000), 0); // the tables' owner is domain 1: itself
  });

  test('a request that crosses a page or is not aligned is read all the same', () => {
    const g = new PvGuest();
    const request = new BigUint64Array([g.entryAddress(g.l1, g.free), 0n]);
    const page = g.fake.capsule.frame(g.mfn(g.free + 10)); // the two pages adjoin in frames as in addresses
    for (const at of [4096 - 8, 4096 - 3, 1]) {
      assert.equal(g.call(do_update_va_mapping, g.va(g.free), g.pte(g.free, RW), 0), 0);
      g.fake.capsule.u8.set(new Uint8Array(request.buffer), page + at);
      assert.equal(g.call(do_mmu_update, g.va(g.free + 10) + BigInt(at), 1, 0, SELF), 0);
      assert.equal(g.peek(g.l1, g.free), 0n);
    }
  });

  test('a very long batch is continued, and the done count adds up', () => {
    const g = new PvGuest(300);
    // one page of requests, mapped again and again at pfn 100.. up to 299: 200 pages × 256 requests
    for (let i = 0; i < 256; i++) g.poke(g.free, i * 2, g.entryAddress(g.free + 1, 0));
    for (let pfn = 100; pfn < 300; pfn++) assert.equal(g.call(do_update_va_mapping, g.va(pfn), g.pte(g.free, RO), 0), 0);
    const a = new HypercallArgs();
    const set = (i: number, value: bigint): void => a.set(i, Number(value & 0xffff_ffffn), Number(value >> 32n));
    [g.va(100), 51200n, g.va(ARGS), BigInt(SELF)].forEach((value, i) => set(i, value));
    let rounds = 1;
    let rc = do_mmu_update(g.v, a);
    for (; rc === CONTINUE; rounds++) {
      assert.ok((a.lo(1) & MMU_UPDATE_PREEMPTED) !== 0);
      rc = do_mmu_update(g.v, a);
    }
    assert.equal(rc, 0);
    assert.ok(rounds > 1);
    assert.equal(g.words(ARGS)[0], 51200);
  });
});

describe('mmuext_op', () => {
  test('flushes check their arguments and have nothing to flush', () => {
    const g = new PvGuest();
    for (const cmd of [MMUEXT.TLB_FLUSH_LOCAL, MMUEXT.INVLPG_LOCAL, MMUEXT.TLB_FLUSH_ALL, MMUEXT.INVLPG_ALL]) assert.equal(ext(g, cmd, g.va(5)), 0);
    for (const cmd of [MMUEXT.TLB_FLUSH_MULTI, MMUEXT.INVLPG_MULTI]) {
      assert.equal(ext(g, cmd, g.va(5), g.va(g.free)), 0);
      assert.equal(ext(g, cmd, g.va(5), 0x1000), -EINVAL);
    }
    assert.equal(g.fake.machine.count('flushTlb') + g.fake.machine.count('flushTlbPage'), 0);
  });

  test('what a domain without devices or superpages is refused', () => {
    const g = new PvGuest();
    assert.equal(ext(g, MMUEXT.FLUSH_CACHE), -EACCES);
    assert.equal(ext(g, MMUEXT.FLUSH_CACHE_GLOBAL), -EINVAL);
    assert.equal(ext(g, MMUEXT.MARK_SUPER), -EOPNOTSUPP);
    assert.equal(ext(g, 14), -ENOSYS);
    assert.equal(ext(g, 21), -ENOSYS);
    assert.equal(g.call(do_mmuext_op, g.va(ARGS), 1, 0, 3), -ESRCH);
  });

  test('pages are cleared and copied, but not page tables', () => {
    const g = new PvGuest();
    const [from, to] = [g.free, g.free + 1];
    g.words(from).fill(0xabcd);
    assert.equal(ext(g, MMUEXT.COPY_PAGE, g.mfn(to), g.mfn(from)), 0);
    assert.deepEqual(g.words(to), g.words(from));
    assert.equal(ext(g, MMUEXT.CLEAR_PAGE, g.mfn(from)), 0);
    assert.ok(g.words(from).every((w) => w === 0));
    assert.equal(ext(g, MMUEXT.CLEAR_PAGE, g.mfn(g.l2)), -EINVAL);
    assert.equal(ext(g, MMUEXT.COPY_PAGE, g.mfn(g.l2), g.mfn(to)), -EINVAL);
    assert.equal(ext(g, MMUEXT.COPY_PAGE, g.mfn(to), 0), -EINVAL);
    assert.equal(ext(g, MMUEXT.CLEAR_PAGE, 1n << 33n), -EINVAL);
    assert.deepEqual(auditMemory(g.fake.domain), []);
  });
});

describe('update_va_mapping', () => {
  test('finds the entry by its address, and only under the guest\'s own part', () => {
    const g = new PvGuest();
    assert.equal(g.call(do_update_va_mapping, g.va(g.free), 0, UVMF_TLB_FLUSH | UVMF_ALL), 0);
    assert.equal(g.peek(g.l1, g.free), 0n);
    assert.equal(g.call(do_update_va_mapping, 0xffff_8000_0000_0000n, 0, 0), -EINVAL);
    assert.equal(g.call(do_update_va_mapping, 0x40_0000, 0, 0), -EINVAL);
    assert.equal(g.call(do_update_va_mapping_otherdomain, g.va(g.free), g.pte(g.free, RW), 0, SELF), 0);
    assert.equal(g.call(do_update_va_mapping_otherdomain, g.va(g.free), 0, 0, 0), -EPERM);
  });

  test('an unreadable vCPU bitmap is -EFAULT', () => {
    const g = new PvGuest();
    assert.equal(g.call(do_update_va_mapping, g.va(g.free), g.pte(g.free, RO), 0x1000 | UVMF_INVLPG), -EFAULT);
    assert.equal(g.call(do_update_va_mapping, g.va(g.free), g.pte(g.free, RO), g.va(ARGS) | BigInt(UVMF_INVLPG)), 0);
  });
});

describe('page-table emulation', () => {
  const store = (g: PvGuest, pfn: number, byte: number, size: number, value: bigint): boolean => {
    const va = g.va(pfn) + BigInt(byte);
    return ptwrStore(g.v, Number(va & 0xffff_ffffn), Number(va >> 32n), size, Number(value & 0xffff_ffffn), Number(value >> 32n)) === STORE.done;
  };

  test('a store to an L1 table is an update of the entry', () => {
    const g = new PvGuest();
    assert.equal(store(g, g.l1, g.free * 8, 8, 0n), false); // not turned on
    g.mm.setVmAssist(VMASST_TYPE_writable_pagetables, true);
    assert.ok(ptwrWatches(g.v, g.mfn(g.l1)));
    assert.ok(!ptwrWatches(g.v, g.mfn(g.l2)));
    assert.equal(store(g, g.l1, g.free * 8, 8, 0n), true);
    assert.equal(g.peek(g.l1, g.free), 0n);
    assert.equal(store(g, g.l1, g.free * 8, 8, g.pte(g.l1, RW)), false); // a writable mapping of a table
    assert.equal(store(g, g.l1, g.free * 8, 8, g.pte(g.free, RW)), true);
    assert.deepEqual(auditMemory(g.fake.domain), []);
  });

  test('smaller stores change their part of the entry', () => {
    const g = new PvGuest();
    g.mm.setVmAssist(VMASST_TYPE_writable_pagetables, true);
    const at = g.free * 8;
    assert.equal(store(g, g.l1, at, 1, 0x65n), true); // read-only
    assert.equal(g.peek(g.l1, g.free), g.pte(g.free, RO) | GLOBAL);
    assert.equal(store(g, g.l1, at + 4, 4, 0x8000_0000n), true);
    assert.equal(g.peek(g.l1, g.free), g.pte(g.free, RO) | GLOBAL | NX);
    assert.equal(store(g, g.l1, at + 6, 2, 0n), true);
    assert.equal(g.peek(g.l1, g.free), g.pte(g.free, RO) | GLOBAL);
    assert.equal(store(g, g.l1, at + 2, 4, 0n), false); // not aligned
    assert.deepEqual(auditMemory(g.fake.domain), []);
  });

  test('not for higher tables, other pages, writable pages, or user mode', () => {
    const g = new PvGuest();
    g.mm.setVmAssist(VMASST_TYPE_writable_pagetables, true);
    assert.equal(store(g, g.l2, 8, 8, 0n), false);
    assert.equal(store(g, g.free, 8, 8, 0n), false);
    assert.equal(g.call(do_update_va_mapping, g.va(g.free), g.pte(g.free, RO), 0), 0);
    assert.equal(store(g, g.free, 8, 8, 0n), false);
    g.fake.machine.setBase(g.v.cpu, g.mfn(g.l4), false);
    assert.equal(store(g, g.l1, 8, 8, 0n), false);
  });
});

test('the walk for the crash report shows each entry, and stops where the way ends', () => {
  const g = new PvGuest();
  const va = g.va(g.free);
  const steps = walk(g.mm, g.mfn(g.l4), Number(va & 0xffff_ffffn), Number(va >> 32n));
  assert.deepEqual(steps.map((s) => [s.level, s.mfn, s.slot]), [[4, g.mfn(g.l4), 511], [3, g.mfn(g.l3), 510], [2, g.mfn(g.l2), 0], [1, g.mfn(g.l1), g.free]]);
  assert.equal((steps[3]?.lo ?? 0) >>> 12, g.mfn(g.free));
  assert.equal(walk(g.mm, g.mfn(g.l4), 0, 0).length, 1);
});
