import assert from 'node:assert/strict';
import { describe, mock, test } from 'node:test';
import {
  GNTMAP_application_map, GNTMAP_contains_pte, GNTMAP_device_map, GNTMAP_host_map, GNTMAP_readonly, GNTST, GNTTABOP, gnttab_map_grant_ref, gnttab_unmap_and_replace,
  gnttab_unmap_grant_ref, GTF_accept_transfer, GTF_permit_access, GTF_reading, GTF_readonly, GTF_sub_page, GTF_transitive, GTF_writing,
} from '#abi/grant-table.ts';
import { EBUSY, EINVAL } from '#abi/errno.ts';
import { activeOf, pinOf } from './grant-active.ts';
import { NR_HANDLES, noteMapping } from './grant-handles.ts';
import { copyFromGuest, copyToGuest, guestPointer } from './guest-access.ts';
import { FIRST_FOREIGN_FRAME } from './mm/foreign-frames.ts';
import { PGT_count_mask } from './mm/frame-table.ts';
import { setL1Entry, setTableEntry } from './mm/update-entry.ts';
import { audit, domains, entryV1, fullPage, grant, map, mapped, marks, op, pair, setVersion, unmap } from './testing/grant-domains.ts';
import type { DomU } from './testing/domu.ts';
import { RO, RW } from './testing/pv-guest.ts';

const BOTH = GTF_reading | GTF_writing;
const pte = (u: DomU, pfn: number): bigint => u.guest.peek(u.guest.l1, pfn);
const poke = (u: DomU, pfn: number, value: bigint): number => setL1Entry(u.domain.mm, u.guest.mfn(u.guest.l1), pfn, Number(value & 0xffff_ffffn), Number(value >> 32n), false);

for (const version of [1, 2]) {
  const prepared = (): [a: DomU, b: DomU] => {
    const [a, b] = pair();
    assert.equal(setVersion(a, version), 0);
    return [a, b];
  };
  describe(`a page of another domain's, granted in version ${version}`, () => {
    test('is read and written where it lies, until it is unmapped', () => {
      const [a, b] = prepared();
      const at = b.free + 2;
      grant(a, 9, a.free, 2);
      a.guest.poke(a.free, 3, 0x1122_3344_5566_7788n);
      const { handle, bus } = mapped(b, at, a, 9);
      assert.ok(bus >> 12n >= BigInt(FIRST_FOREIGN_FRAME));
      assert.equal(marks(a, 9), BOTH);
      const bytes = new Uint8Array(8);
      const va = b.guest.va(at) + 24n;
      const [lo, hi] = [Number(va & 0xffff_ffffn), Number(va >> 32n)];
      assert.ok(copyFromGuest(b.v, lo, hi, bytes, 0, 8));
      assert.equal(new DataView(bytes.buffer).getBigUint64(0, true), 0x1122_3344_5566_7788n);
      a.fake.machine.calls.length = 0;
      assert.ok(copyToGuest(b.v, lo, hi, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 0, 8));
      assert.equal(a.guest.peek(a.free, 3), 0x0807_0605_0403_0201n);
      assert.deepEqual(a.fake.machine.calls, [{ call: 'frameWritten', mfn: a.guest.mfn(a.free) }], 'the granter may have code there');
      assert.equal(guestPointer(b.v, lo, hi, 8, false), -1, 'it has no place in the mapper\'s memory');
      assert.deepEqual(audit(a, b), []);
      assert.equal(unmap(b, at, handle), GNTST.okay);
      assert.equal(pte(b, at), 0n);
      assert.ok(!copyFromGuest(b.v, lo, hi, bytes, 0, 8));
      assert.equal(marks(a, 9), 0);
      assert.equal(pinOf(a.domain.capsule, 9), 0);
      assert.deepEqual(audit(a, b), []);
    });

    test('for reading: no store, one mark, no type', () => {
      const [a, b] = prepared();
      const at = b.free + 2;
      grant(a, 9, a.guest.l1, 2, GTF_permit_access | GTF_readonly);
      assert.equal(map(b, at, a, 9).status, GNTST.general_error, 'not for writing');
      assert.equal(marks(a, 9), 0);
      const { handle } = mapped(b, at, a, 9, GNTMAP_host_map | GNTMAP_readonly);
      assert.equal(marks(a, 9), GTF_reading);
      const va = b.guest.va(at);
      const [lo, hi] = [Number(va & 0xffff_ffffn), Number(va >> 32n)];
      assert.ok(copyFromGuest(b.v, lo, hi, new Uint8Array(8), 0, 8), 'even a page table may be looked at');
      assert.ok(!copyToGuest(b.v, lo, hi, new Uint8Array(8), 0, 8));
      assert.equal(unmap(b, at, handle), GNTST.okay);
      assert.deepEqual(audit(a, b), []);
    });

    test('never a page table for writing, nor what is not the granter\'s', () => {
      const [a, b] = prepared();
      grant(a, 9, a.guest.l1, 2);
      assert.equal(map(b, b.free, a, 9).status, GNTST.general_error);
      for (const frame of [0, a.fake.capsule.totalFrames, FIRST_FOREIGN_FRAME, 0xffff_ffff]) {
        if (version === 1) entryV1(a, 9).frame = frame;
        else fullPage(a, 9).frame = BigInt(frame) | 1n << 60n & -BigInt(frame & 1);
        assert.equal(map(b, b.free, a, 9).status, GNTST.bad_page);
        assert.equal(map(b, b.free, a, 9, GNTMAP_host_map | GNTMAP_readonly).status, GNTST.bad_page);
      }
      assert.equal(marks(a, 9), 0);
      assert.deepEqual(audit(a, b), []);
    });

    test('not what is granted to another, as another kind, or in part', () => {
      const [a, b] = prepared();
      for (const flags of [0, GTF_accept_transfer, GTF_transitive, GTF_permit_access | GTF_sub_page]) {
        grant(a, 9, a.free, 2, flags);
        assert.equal(map(b, b.free, a, 9).status, GNTST.general_error, `flags ${flags}`);
      }
      grant(a, 9, a.free, 3);
      assert.equal(map(b, b.free, a, 9).status, GNTST.general_error);
      assert.equal(map(a, b.free, a, 9).status, GNTST.general_error, 'nor the granter itself');
      assert.equal(map(b, b.free, a, version === 1 ? 512 : 256).status, GNTST.bad_gntref);
      assert.equal(map(b, b.free, a, 0xffff_ffff).status, GNTST.bad_gntref);
    });

    test('a second mapping for writing marks what one for reading did not', () => {
      const [a, b] = prepared();
      grant(a, 9, a.free, 2);
      const r = mapped(b, b.free, a, 9, GNTMAP_host_map | GNTMAP_readonly);
      const w = mapped(b, b.free + 1, a, 9);
      assert.equal(r.bus, w.bus, 'one number for one frame');
      assert.equal(marks(a, 9), BOTH);
      assert.equal(unmap(b, b.free + 1, w.handle), GNTST.okay);
      assert.equal(marks(a, 9), GTF_reading);
      grant(a, 9, a.free, 2, GTF_permit_access | GTF_readonly | GTF_reading);
      assert.equal(map(b, b.free + 1, a, 9).status, GNTST.general_error, 'it is read-only by now');
      assert.equal(marks(a, 9) & GTF_writing, 0);
      assert.equal(unmap(b, b.free, r.handle), GNTST.okay);
    });

    test('revoked while it is mapped, the mapping stays what it was', () => {
      const [a, b] = prepared();
      grant(a, 9, a.free, 2);
      const { handle } = mapped(b, b.free, a, 9);
      grant(a, 9, a.free + 1, 2, 0);
      const second = mapped(b, b.free + 1, a, 9, GNTMAP_host_map);
      assert.equal(pte(b, b.free) >> 12n, pte(b, b.free + 1) >> 12n, 'who has it pinned can map it again: the frame of then');
      assert.equal(unmap(b, b.free, handle), GNTST.okay);
      assert.equal(unmap(b, b.free + 1, second.handle), GNTST.okay);
      assert.equal(map(b, b.free, a, 9).status, GNTST.general_error);
      assert.equal(activeOf(a.domain.capsule, 9).pin, 0);
    });
  });
}

/** Does something to an entry for domain 2 that was looked at, right before it is exchanged. */
function beforeExchange({ domain: { capsule } }: DomU, change: () => void): { readonly mock: { restore(): void } } {
  const exchange = Atomics.compareExchange.bind(Atomics) as (...args: unknown[]) => number;
  return mock.method(Atomics, 'compareExchange', (array: unknown, index: number, ...rest: number[]) => {
    if (array === capsule.u32 && (rest[0] as number) >>> 16 === 2) change();
    return exchange(array, index, ...rest);
  });
}
describe('a granter that changes its entry meanwhile', () => {
  test('in version 1, between look and exchange: what counts is what was exchanged', () => {
    const [a, b] = pair();
    grant(a, 9, a.free, 2);
    let changes = 0;
    const meanwhile = beforeExchange(a, () => { if (changes++ === 0) entryV1(a, 9).flags = GTF_permit_access | GTF_readonly; });
    assert.equal(map(b, b.free, a, 9).status, GNTST.general_error);
    meanwhile.mock.restore();
    assert.equal(changes, 1);
    assert.equal(entryV1(a, 9).flags, GTF_permit_access | GTF_readonly);
  });
  test('in version 1, again and again: five times is enough', () => {
    const [a, b] = pair();
    grant(a, 9, a.free, 2);
    let tries = 0;
    const meanwhile = beforeExchange(a, () => { entryV1(a, 9).flags = GTF_permit_access | ++tries << 5 & 0xe0; });
    assert.equal(map(b, b.free, a, 9).status, GNTST.general_error);
    meanwhile.mock.restore();
    assert.equal(tries, 5);
    assert.equal(marks(a, 9), 0);
  });
  for (const [what, change] of Object.entries({ invalid: { flags: 0 }, 'read-only': { flags: GTF_permit_access | GTF_readonly }, 'another\'s': { domid: 3 }, partial: { flags: GTF_permit_access | GTF_sub_page } })) {
    test(`in version 2, once it is marked: ${what}`, () => {
      const [a, b] = pair();
      setVersion(a, 2);
      grant(a, 9, a.free, 2);
      const or = Atomics.or.bind(Atomics) as (...args: unknown[]) => number;
      const meanwhile = mock.method(Atomics, 'or', (...args: unknown[]) => {
        Object.assign(fullPage(a, 9), change);
        return or(...args);
      });
      assert.equal(map(b, b.free, a, 9).status, GNTST.general_error);
      meanwhile.mock.restore();
      assert.equal(marks(a, 9), 0, 'the marks are gone again');
      assert.deepEqual(audit(a, b), []);
    });
  }
  test('in version 2, to read-only, while it is mapped for reading', () => {
    const [a, b] = pair();
    setVersion(a, 2);
    grant(a, 9, a.free, 2);
    mapped(b, b.free, a, 9, GNTMAP_host_map | GNTMAP_readonly);
    const or = Atomics.or.bind(Atomics) as (...args: unknown[]) => number;
    const meanwhile = mock.method(Atomics, 'or', (...args: unknown[]) => {
      fullPage(a, 9).flags = GTF_permit_access | GTF_readonly;
      return or(...args);
    });
    assert.equal(map(b, b.free + 1, a, 9).status, GNTST.general_error);
    meanwhile.mock.restore();
    assert.equal(marks(a, 9), GTF_reading);
    assert.deepEqual(audit(a, b), []);
  });
});

describe('what map_grant_ref refuses', () => {
  const raw = (u: DomU, values: Parameters<typeof op>[3]) => op(u, GNTTABOP.map_grant_ref, gnttab_map_grant_ref, values);
  test('no kind of mapping; no such domain; Domain-0, which grants nothing', () => {
    const [a, b] = pair();
    grant(a, 9, a.free, 2);
    assert.equal(map(b, b.free, a, 9, 0).status, GNTST.bad_gntref);
    assert.equal(map(b, b.free, a, 9, GNTMAP_readonly).status, GNTST.bad_gntref);
    const host_addr = b.guest.va(b.free);
    assert.equal(raw(b, { host_addr, flags: GNTMAP_host_map, ref: 9, dom: 3 }).status, GNTST.bad_domain);
    assert.equal(raw(b, { host_addr, flags: GNTMAP_host_map, ref: 9, dom: 0x7ff0 }).status, GNTST.bad_domain, 'nor DOMID_SELF');
    assert.equal(raw(b, { host_addr, flags: GNTMAP_host_map, ref: 9, dom: 0 }).status, GNTST.general_error);
    assert.equal(raw(b, { host_addr, flags: GNTMAP_host_map, ref: 512, dom: 0 }).status, GNTST.bad_gntref);
  });
  test('a place without an L1 entry; then nothing is held', () => {
    const [a, b] = pair();
    grant(a, 9, a.free, 2);
    for (const address of [0n, 0x1000n, 0xffff_8000_0000_0000n, 0x8000_0000_0000n]) assert.equal(map(b, 0, a, 9, GNTMAP_host_map, address).status, GNTST.general_error);
    const flags = GNTMAP_host_map | GNTMAP_contains_pte;
    for (const address of [b.guest.entryAddress(b.free, 0), b.guest.entryAddress(b.guest.l1, 5) + 4n, b.guest.entryAddress(b.guest.l2, 5), 1n << 60n]) {
      assert.equal(map(b, 0, a, 9, flags, address).status, GNTST.general_error);
      assert.equal(map(b, 0, a, 9, flags | GNTMAP_device_map, address).status, GNTST.general_error);
    }
    assert.equal(marks(a, 9), 0);
    assert.deepEqual(audit(a, b), []);
  });
  test('a grant that somebody else has mapped', () => {
    const [a, b, c] = domains(3) as [DomU, DomU, DomU];
    grant(a, 9, a.free, 2);
    mapped(b, b.free, a, 9);
    grant(a, 9, a.free, 3, GTF_permit_access | BOTH);
    assert.equal(map(c, c.free, a, 9).status, GNTST.general_error);
  });
  test('more than 128 pins of a kind', () => {
    const [a, b] = pair();
    grant(a, 9, a.free, 2);
    for (let i = 0; i < 128; i++) mapped(b, b.free, a, 9, GNTMAP_device_map | GNTMAP_readonly);
    assert.equal(map(b, b.free, a, 9, GNTMAP_device_map | GNTMAP_readonly).status, GNTST.general_error);
    assert.equal(map(b, b.free, a, 9, GNTMAP_device_map).status, GNTST.okay, 'another kind has a count of its own');
    assert.deepEqual(audit(a, b), []);
  });
  test('more handles than there are', () => {
    const [a, b] = pair();
    grant(a, 9, a.free, 2);
    for (let i = 0; i < NR_HANDLES; i++) noteMapping(b.domain.capsule, GNTMAP_host_map, 1, 9, 0);
    assert.equal(map(b, b.free, a, 9).status, GNTST.no_device_space);
    assert.equal(marks(a, 9), 0);
  });
});

describe('handles', () => {
  test('are used again, first freed first', () => {
    const [a, b] = pair();
    grant(a, 9, a.free, 2);
    const handles = [0, 1, 2].map((i) => mapped(b, b.free + i, a, 9).handle);
    assert.deepEqual(handles, [0, 1, 2]);
    for (const i of [1, 0]) assert.equal(unmap(b, b.free + i, i), GNTST.okay);
    assert.deepEqual([mapped(b, b.free, a, 9).handle, mapped(b, b.free + 1, a, 9).handle, mapped(b, b.free + 3, a, 9).handle], [1, 0, 3]);
  });
  test('bad ones', () => {
    const [a, b] = pair();
    grant(a, 9, a.free, 2);
    const { handle } = mapped(b, b.free, a, 9);
    for (const bad of [handle + 1, NR_HANDLES, 0xffff_ffff]) assert.equal(unmap(b, b.free, bad), GNTST.bad_handle);
    assert.equal(unmap(b, b.free, handle), GNTST.okay);
    assert.equal(unmap(b, b.free, handle), GNTST.bad_handle);
  });
});

describe('entries that map another domain\'s frame', () => {
  test('are made by nobody but the hypervisor', () => {
    const [a, b] = pair();
    grant(a, 9, a.free, 2);
    const { handle } = mapped(b, b.free, a, 9);
    const entry = pte(b, b.free);
    assert.equal(poke(b, b.free + 1, entry), -EBUSY, 'a copy of it');
    assert.equal(poke(b, b.free + 1, entry & ~2n), -EBUSY, 'nor for reading');
    assert.equal(poke(b, b.free, entry ^ 2n), -EBUSY, 'nor in its place with other rights');
    assert.equal(poke(b, b.free, entry | 1n << 9n), 0, 'but for bits that say nothing');
    const { mm } = b.domain;
    assert.equal(mm.frames.getPage(Number(entry >> 12n) & 0xf_ffff), false, 'no table, no descriptor page, no grant of it');
    assert.equal(unmap(b, b.free, handle), GNTST.okay);
    assert.equal(poke(b, b.free, entry), -1, 'the number stands for nothing any more');
    assert.deepEqual(audit(a, b), []);
  });
  test('are not there for L1 tables that come to be', () => {
    const [a, b] = pair();
    grant(a, 9, a.free, 2);
    mapped(b, b.free, a, 9);
    const { mm } = b.domain;
    b.guest.poke(b.free + 1, 7, pte(b, b.free));
    assert.equal(setL1Entry(mm, b.guest.mfn(b.guest.l1), b.free + 1, b.guest.mfn(b.free + 1) * 4096 + RO, 0, false), 0);
    const entry = b.guest.pte(b.free + 1, RW);
    assert.equal(b.guest.peek(b.guest.l2, 9), 0n);
    assert.equal(setTable(b, 9, entry), -EBUSY);
    assert.deepEqual(audit(a, b), []);
  });
  test('may be overwritten by the guest: page and type are let go, handle and pin stay', () => {
    const [a, b] = pair();
    grant(a, 9, a.free, 2);
    const before = a.domain.mm.frames.type(a.guest.mfn(a.free)) & PGT_count_mask;
    const { handle } = mapped(b, b.free, a, 9);
    assert.equal(a.domain.mm.frames.type(a.guest.mfn(a.free)) & PGT_count_mask, before + 1);
    assert.equal(poke(b, b.free, b.guest.pte(b.free, RW)), 0);
    assert.equal(a.domain.mm.frames.type(a.guest.mfn(a.free)) & PGT_count_mask, before);
    assert.equal(marks(a, 9), BOTH);
    assert.equal(unmap(b, b.free, handle), GNTST.general_error);
    assert.deepEqual(audit(a, b), []);
  });
  test('go with their table', () => {
    const [a, b] = pair();
    grant(a, 9, a.free, 2);
    const table = b.free + 1;
    assert.equal(poke(b, table, b.guest.pte(table, RO)), 0);
    assert.equal(setTable(b, 9, b.guest.pte(table, RW)), 0);
    const { status } = map(b, 0, a, 9, GNTMAP_host_map | GNTMAP_contains_pte, b.guest.entryAddress(table, 3));
    assert.equal(status, GNTST.okay);
    assert.deepEqual(audit(a, b), []);
    assert.equal(setTable(b, 9, 0n), 0);
    assert.deepEqual(b.domain.mm.foreign.held(), []);
    assert.deepEqual(audit(a, b), []);
  });
  test('carry the bits that were asked for', () => {
    const [a, b] = pair();
    grant(a, 9, a.free, 2);
    const bits = (flags: number): bigint => { mapped(b, b.free, a, 9, flags); return pte(b, b.free) & 0xfff0_0000_0000_0fffn; };
    assert.equal(bits(GNTMAP_host_map | 5 << 16), 0x8010_0000_0000_0a67n, 'the kernel\'s, as Xen marks it');
    assert.equal(bits(GNTMAP_host_map | GNTMAP_application_map), 0x8000_0000_0000_0167n);
    assert.equal(bits(GNTMAP_host_map | GNTMAP_readonly), 0x8010_0000_0000_0065n);
  });
});

function setTable(u: DomU, slot: number, entry: bigint): number {
  return u.call((v) => {
    const { mm } = v.domain;
    return setTableEntry(mm, 2, u.guest.mfn(u.guest.l2), slot, Number(entry & 0xffff_ffffn), Number(entry >> 32n), false);
  });
}

describe('unmapping', () => {
  test('must name what is mapped there', () => {
    const [a, b] = pair();
    grant(a, 9, a.free, 2);
    grant(a, 10, a.free + 1, 2);
    const { handle, bus } = mapped(b, b.free, a, 9);
    const other = mapped(b, b.free + 1, a, 10);
    const third = mapped(b, b.free + 2, a, 9, GNTMAP_host_map | GNTMAP_readonly);
    assert.equal(unmap(b, b.free + 1, handle), GNTST.general_error, 'another frame');
    assert.equal(unmap(b, b.free + 2, handle), GNTST.general_error, 'the same frame with other rights');
    assert.equal(unmap(b, b.free, handle, bus + 4096n), GNTST.general_error, 'another bus address');
    assert.equal(unmap(b, 60, handle), GNTST.general_error, 'nothing');
    assert.equal(unmap(b, b.free, handle), GNTST.okay);
    assert.equal(unmap(b, b.free + 1, other.handle), GNTST.okay);
    assert.equal(unmap(b, b.free + 2, third.handle), GNTST.okay);
    assert.deepEqual(audit(a, b), []);
  });
  test('of host and device, one after the other; of neither', () => {
    for (const [granter, mapper] of [pair(), (([a]) => [a, a] as const)(pair())]) {
      grant(granter, 9, granter.free, mapper.domain.domid);
      const { handle, bus } = mapped(mapper, mapper.free + 3, granter, 9, GNTMAP_host_map | GNTMAP_device_map);
      assert.deepEqual(audit(granter, mapper), []);
      assert.equal(op(mapper, GNTTABOP.unmap_grant_ref, gnttab_unmap_grant_ref, { handle }).status, GNTST.okay);
      assert.equal(marks(granter, 9), BOTH, 'nothing was named');
      assert.equal(unmap(mapper, mapper.free + 3, handle), GNTST.okay);
      assert.equal(marks(granter, 9), BOTH, 'the device still has it');
      assert.deepEqual(audit(granter, mapper), []);
      assert.equal(op(mapper, GNTTABOP.unmap_grant_ref, gnttab_unmap_grant_ref, { handle, dev_bus_addr: bus }).status, GNTST.okay);
      assert.equal(marks(granter, 9), 0);
      assert.equal(unmap(mapper, mapper.free + 3, handle), GNTST.bad_handle);
      assert.deepEqual(audit(granter, mapper), []);
    }
  });
  test('a page that is mapped for devices alone cannot become a table', () => {
    const [a, b] = pair();
    grant(a, 9, a.free, 2);
    const { handle, bus } = mapped(b, b.free, a, 9, GNTMAP_device_map);
    assert.equal(poke(a, a.free, a.guest.pte(a.free, RO)), 0);
    const entry = a.guest.pte(a.free, RW);
    assert.equal(setTable(a, 9, entry), -EINVAL);
    assert.equal(op(b, GNTTABOP.unmap_grant_ref, gnttab_unmap_grant_ref, { handle, dev_bus_addr: bus }).status, GNTST.okay);
    assert.equal(setTable(a, 9, entry), 0);
  });
});

describe('unmap_and_replace', () => {
  const replace = (u: DomU, pfn: number, from: bigint, handle: number): number =>
    op(u, GNTTABOP.unmap_and_replace, gnttab_unmap_and_replace, { host_addr: u.guest.va(pfn), new_addr: from, handle }).status;
  test('moves another mapping into the place', () => {
    const [a, b] = pair();
    grant(a, 9, a.free, 2);
    const { handle } = mapped(b, b.free + 2, a, 9);
    assert.equal(replace(b, b.free + 2, b.guest.va(b.free + 3), handle), GNTST.okay);
    assert.equal(pte(b, b.free + 2) >> 12n & 0xf_ffffn, BigInt(b.guest.mfn(b.free + 3)));
    assert.equal(pte(b, b.free + 3), 0n);
    assert.equal(marks(a, 9), 0);
    assert.deepEqual(audit(a, b), []);
  });
  test('a mapping of another grant, too', () => {
    const [a, b] = pair();
    grant(a, 9, a.free, 2);
    grant(a, 10, a.free + 1, 2);
    const first = mapped(b, b.free + 2, a, 9);
    const second = mapped(b, b.free + 3, a, 10);
    assert.equal(replace(b, b.free + 2, b.guest.va(b.free + 3), first.handle), GNTST.okay);
    assert.equal(pte(b, b.free + 2) >> 12n & 0xf_ffffn, second.bus >> 12n);
    assert.equal(unmap(b, b.free + 2, second.handle), GNTST.okay);
    assert.deepEqual(audit(a, b), []);
  });
  test('with nothing to put there, it unmaps', () => {
    const [a, b] = pair();
    grant(a, 9, a.free, 2);
    const { handle } = mapped(b, b.free + 2, a, 9);
    assert.equal(replace(b, b.free + 2, 0n, handle), GNTST.okay);
    assert.equal(pte(b, b.free + 2), 0n);
  });
  test('that fails has taken the other mapping away, as in Xen; unless that is nowhere, or the place is given by its entry', () => {
    const [a, b] = pair();
    grant(a, 9, a.free, 2);
    const { handle } = mapped(b, b.free + 2, a, 9);
    assert.equal(replace(b, b.free + 2, 0x1000n, handle), GNTST.general_error);
    assert.equal(replace(b, b.free + 4, b.guest.va(b.free + 3), handle), GNTST.general_error);
    assert.equal(pte(b, b.free + 3), 0n);
    const { status, handle: second } = map(b, 0, a, 9, GNTMAP_host_map | GNTMAP_contains_pte, b.guest.entryAddress(b.guest.l1, b.free + 5));
    assert.equal(status, GNTST.okay);
    const by = { host_addr: b.guest.entryAddress(b.guest.l1, b.free + 5), new_addr: b.guest.va(b.free + 6), handle: second };
    assert.equal(op(b, GNTTABOP.unmap_and_replace, gnttab_unmap_and_replace, by).status, GNTST.general_error);
    assert.notEqual(pte(b, b.free + 6), 0n);
    assert.equal(op(b, GNTTABOP.unmap_and_replace, gnttab_unmap_and_replace, { ...by, new_addr: 0n }).status, GNTST.okay);
    assert.deepEqual(audit(a, b), []);
  });
});

test('a guest maps what it granted to itself: its own frame', () => {
  const [a] = pair();
  grant(a, 9, a.free, 1);
  const { handle, bus } = mapped(a, a.free + 2, a, 9);
  assert.equal(bus, BigInt(a.guest.mfn(a.free)) << 12n);
  assert.equal(pte(a, a.free + 2) >> 12n & 0xf_ffffn, bus >> 12n);
  assert.deepEqual(audit(a), []);
  assert.equal(unmap(a, a.free + 2, handle), GNTST.okay);
  assert.equal(marks(a, 9), 0);
  assert.deepEqual(audit(a), []);
});
