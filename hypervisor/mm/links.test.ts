// No cached translation outlives the entries that it was made from: a fake machine that caches everything it walks
// and forgets only what it is told to, under random updates. The frame table is audited along with it.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MMUEXT } from '#abi/mmu.ts';
import { CPU } from '#machine/cpu-state.ts';
import type { Cpu } from '#machine/cpu.ts';
import { ACCESS } from '#machine/machine.ts';
import { Capsule } from '#base/capsule.ts';
import { Domain } from '../domain.ts';
import { auditMemory } from '../testing/audit-memory.ts';
import { FakeHost, FakeMachine } from '../testing/fake-machine.ts';
import { PvGuest, RO, RW } from '../testing/pv-guest.ts';
import { xenFrameCount } from './m2p.ts';
import { do_mmu_update } from './mmu-update.ts';
import { do_mmuext_op } from './mmuext-op.ts';
import { do_update_va_mapping } from './update-va-mapping.ts';

interface Cached { base: number; lo: number; hi: number; frame: number; write: boolean; execute: boolean }

class CachingMachine extends FakeMachine {
  readonly cache = new Map<string, Cached>();

  /** A guest access: cached when it succeeds. */
  access(cpu: Cpu, lo: number, hi: number, access: number): void {
    const at = this.translate(cpu, lo, hi, access);
    if (at < 0) return;
    const base = cpu.field32(CPU.cr3);
    const frame = (at - this.capsule.frames) >>> 12;
    this.cache.set(`${base} ${hi} ${lo >>> 12} ${access}`, { base, lo, hi, frame, write: access === ACCESS.write, execute: access === ACCESS.execute });
  }
  override flushTlb(): void { super.flushTlb(); this.cache.clear(); }
  override flushTlbPage(lo: number, hi: number): void {
    super.flushTlbPage(lo, hi);
    this.drop((c) => c.lo >>> 12 === lo >>> 12 && c.hi === hi);
  }
  override dropBase(mfn: number): void { super.dropBase(mfn); this.drop((c) => c.base === mfn); }
  private drop(which: (c: Cached) => boolean): void { for (const [key, c] of this.cache) if (which(c)) this.cache.delete(key); }

  /** The first cached translation that a walk now would not give. */
  stale(): Cached | undefined {
    for (const c of this.cache.values()) if (!this.agrees(c)) return c;
    return undefined;
  }
  private agrees(c: Cached): boolean {
    let mfn = c.base;
    for (const shift of [39n, 30n, 21n, 12n]) {
      const slot = Number(((BigInt(c.hi) << 32n | BigInt(c.lo)) >> shift) & 511n);
      const i = (this.capsule.frame(mfn) >>> 2) + slot * 2;
      const lo = this.capsule.u32[i] as number;
      if (!(lo & 1) || (c.write && !(lo & 2)) || (c.execute && (this.capsule.u32[i + 1] as number) >>> 31) || !(lo & 0x20)) return false;
      if (shift === 12n && c.write && !(lo & 0x40)) return false;
      mfn = lo >>> 12;
    }
    return mfn === c.frame;
  }
}

/** Numbers below n, the same for the same seed. */
function randomiser(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 0x1_0000_0000) * n);
  };
}

const FRAMES = 64, ARGS = 0;

function cachingGuest(): { g: PvGuest; machine: CachingMachine } {
  const capsule = new Capsule(FRAMES, xenFrameCount(FRAMES), 0x1_0000);
  const machine = new CachingMachine(capsule, 1);
  const host = new FakeHost();
  return { g: new PvGuest(FRAMES, { domain: new Domain(1, machine, host), machine, host, capsule }), machine };
}

function randomStep(g: PvGuest, random: (n: number) => number): void {
  // slots and pages are few, so that tables are shared, linked twice, taken apart and used again
  const page = (): number => (random(4) === 0 ? random(FRAMES) : 1 + random(24));
  const flags = (): number => [RW, RO, RW & ~0x20, RW & ~0x40, RO & ~0x60, 0, RW | 0x100][random(7)] as number;
  const value = (): bigint => g.pte(page(), flags()) | (random(4) === 0 ? 1n << 63n : 0n);
  const slot = (): number => (random(2) === 0 ? [0, 1, 300, 510, 511][random(5)] as number : random(24));
  switch (random(8)) {
    case 0: case 1: case 2: {
      g.poke(ARGS, 0, g.entryAddress(page(), slot()) | (random(3) === 0 ? 2n : 0n));
      g.poke(ARGS, 1, value());
      g.call(do_mmu_update, g.va(ARGS), 1, 0, 0x7ff0);
      break;
    }
    case 3: case 4: g.call(do_update_va_mapping, g.va(1 + random(FRAMES - 1)), value(), 0); break;
    case 5: {
      const pfn = 1 + random(FRAMES - 1);
      g.call(do_update_va_mapping, g.va(pfn), g.pte(pfn, random(2) === 0 ? RW : RO), 0);
      break;
    }
    default: {
      const cmds = [MMUEXT.PIN_L1_TABLE, MMUEXT.PIN_L2_TABLE, MMUEXT.PIN_L3_TABLE, MMUEXT.PIN_L4_TABLE, MMUEXT.UNPIN_TABLE, MMUEXT.NEW_USER_BASEPTR];
      g.poke(ARGS, 0, BigInt(cmds[random(cmds.length)] as number));
      const pfn = page();
      g.poke(ARGS, 1, BigInt(pfn === g.l4 ? 0 : g.mfn(pfn)));
      g.call(do_mmuext_op, g.va(ARGS), 1, 0, 0x7ff0);
    }
  }
}

/** Touches a few addresses under the kernel's base and, when there is one, user mode's. */
function touch(g: PvGuest, machine: CachingMachine, random: (n: number) => number): void {
  const { cpu } = g.v;
  const user = g.v.state.guest_table_user;
  const slots = [0, 1, 300, 510, 511];
  const pick = (): bigint => BigInt(random(3) === 0 ? random(24) : slots[random(5)] as number);
  for (let i = 0; i < 6; i++) {
    const l4 = pick();
    const va = (l4 >= 256n ? 0xffffn << 48n : 0n) | l4 << 39n | pick() << 30n | pick() << 21n | pick() << 12n;
    const at = random(2) === 0 ? va : g.va(random(FRAMES));
    cpu.setField32(CPU.cr3, user !== 0 && random(2) === 0 ? user : g.v.state.guest_table);
    machine.access(cpu, Number(at & 0xffff_ffffn), Number(at >> 32n), [ACCESS.read, ACCESS.write, ACCESS.execute][random(3)] as number);
  }
  cpu.setField32(CPU.cr3, g.v.state.guest_table);
}

/** The guest may cut off its own argument page; then it gets the initial mapping of the page back. */
function keepArguments(g: PvGuest): boolean {
  return g.fake.machine.translate(g.v.cpu, 0x8000_0000, 0xffff_ffff, ACCESS.write) >= 0;
}

describe('cached translations', () => {
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    test(`none is stale after random updates, and all references are accounted for (seed ${seed})`, () => {
      const random = randomiser(seed);
      let { g, machine } = cachingGuest();
      for (let step = 0; step < 4000; step++) {
        if (!keepArguments(g)) ({ g, machine } = cachingGuest());
        touch(g, machine, random);
        randomStep(g, random);
        const stale = machine.stale();
        assert.equal(stale, undefined, `step ${step}: ${JSON.stringify(stale)}`);
        if (step % 50 === 0) assert.deepEqual(auditMemory(g.fake.domain), [], `step ${step}`);
      }
    });
  }

  test('an ordinary change of protection drops one page, not all', () => {
    const { g, machine } = cachingGuest();
    machine.access(g.v.cpu, 0x8000_0000 + g.free * 4096, 0xffff_ffff, ACCESS.write);
    machine.calls.length = 0;
    assert.equal(g.call(do_update_va_mapping, g.va(g.free), g.pte(g.free, RO), 0), 0);
    assert.deepEqual(machine.calls.filter((c) => c.call !== 'frameWritten'), [{ call: 'flushTlbPage', vaLo: 0x8000_0000 + g.free * 4096, vaHi: 0xffff_ffff }]);
    machine.calls.length = 0;
    assert.equal(g.call(do_update_va_mapping, g.va(g.free), g.pte(g.free, RW), 0), 0);
    assert.deepEqual(machine.calls.filter((c) => c.call !== 'frameWritten'), []); // more permission: nothing to drop
  });

  const update = (g: PvGuest, table: number, slot: number, value: bigint): number => {
    g.poke(ARGS, 0, g.entryAddress(table, slot));
    g.poke(ARGS, 1, value);
    return g.call(do_mmu_update, g.va(ARGS), 1, 0, 0x7ff0);
  };

  test('an L3 table in two slots of an L4 table: the page dies at both addresses', () => {
    const { g, machine } = cachingGuest();
    assert.equal(update(g, g.l4, 300, g.pte(g.l3, RW)), 0);
    const second = 0xffffn << 48n | 300n << 39n | (g.va(g.free) & 0x7f_ffff_ffffn);
    machine.access(g.v.cpu, Number(second & 0xffff_ffffn), Number(second >> 32n), ACCESS.write);
    assert.equal(machine.cache.size, 1);
    assert.equal(update(g, g.l1, g.free, g.pte(g.free, RO)), 0);
    assert.equal(machine.cache.size, 0);
  });

  test('through a linear page table an entry dies with the table that it came from', () => {
    const { g, machine } = cachingGuest();
    assert.equal(update(g, g.l2, 200, g.pte(g.l2, RO)), 0); // addresses of slot 200 show the L1 tables as pages
    assert.equal(g.call(do_update_va_mapping, g.va(g.free), g.pte(g.free, RO), 0), 0);
    assert.equal(update(g, g.l2, 9, g.pte(g.free, RW)), 0); // an L1 table that maps nothing
    const address = Number(g.va(0) & 0xffff_ffffn) + 200 * 0x20_0000;
    machine.access(g.v.cpu, address + 9 * 4096, 0xffff_ffff, ACCESS.read);
    assert.deepEqual([...machine.cache.values()].map((c) => c.frame), [g.mfn(g.free)]);
    assert.equal(update(g, g.l2, 9, 0n), 0);
    assert.equal(machine.cache.size, 0);
    machine.access(g.v.cpu, address, 0xffff_ffff, ACCESS.read);
    assert.deepEqual([...machine.cache.values()].map((c) => c.frame), [g.mfn(g.l1)]);
    assert.equal(update(g, g.l2, 200, 0n), 0);
    assert.equal(machine.cache.size, 0);
    assert.equal(g.mm.linearEntries, 0);
  });

  test('a page whose dirty bit the guest clears gets it again at the next write', () => {
    const { g, machine } = cachingGuest();
    machine.access(g.v.cpu, 0x8000_0000 + g.free * 4096, 0xffff_ffff, ACCESS.write);
    assert.equal(update(g, g.l1, g.free, g.pte(g.free, RW & ~0x40)), 0);
    assert.equal(machine.cache.size, 0);
  });
});
