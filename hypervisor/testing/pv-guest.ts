// A PV guest without instructions, for tests of the memory hypercalls: a domain over the fake machine whose RAM is all
// mapped at 0xffffffff80000000 + pfn × 4096, writable but for its page tables, as a domain builder leaves it.

import { assert } from '#base/assert.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import { type Hypercall, HypercallArgs } from '../hypercall.ts';
import { adoptInitialTables, initMemory } from '../mm/domain-mm.ts';
import type { Mm } from '../mm/mm.ts';
import type { Vcpu } from '../vcpu.ts';
import { type FakeDomain, fakeDomain } from './fake-machine.ts';

/** Flags of an ordinary writable and of a read-only entry: present, (writable,) user, accessed, dirty. */
export const RW = 0x67, RO = 0x65;
const BASE_HI = 0xffff_ffff, BASE_LO = 0x8000_0000;

export class PvGuest {
  readonly fake: FakeDomain;
  readonly mm: Mm;
  readonly v: Vcpu;
  /** frame of pfn 0 */
  readonly first: number;
  /** pfns of the initial tables */
  readonly l4: number;
  readonly l3: number;
  readonly l2: number;
  /** pfn of the L1 table that maps pfn 0; those that follow map 512 pages each */
  readonly l1: number;
  /** pfns from here on are free for the test */
  readonly free: number;

  /** @param frames guest RAM, at most 1 GiB worth @param machine another fake machine, if the test needs one */
  constructor(frames = 256, fake: FakeDomain = fakeDomain(frames)) {
    this.fake = fake;
    this.mm = fake.domain.mm;
    this.v = fake.domain.vcpus[0] as Vcpu;
    this.first = fake.capsule.xenFrames;
    initMemory(fake.domain);
    const l1s = Math.ceil(frames / 512);
    this.l4 = 1;
    this.l3 = 2;
    this.l2 = 3;
    this.l1 = 4;
    this.free = 4 + l1s;
    this.poke(this.l4, 511, this.pte(this.l3, RW));
    this.poke(this.l3, 510, this.pte(this.l2, RW));
    for (let i = 0; i < l1s; i++) this.poke(this.l2, i, this.pte(this.l1 + i, RW));
    for (let pfn = 0; pfn < frames; pfn++) {
      this.poke(this.l1 + (pfn >>> 9), pfn & 511, this.pte(pfn, pfn >= this.l4 && pfn < this.free ? RO : RW));
    }
    assert(adoptInitialTables(fake.domain, this.mfn(this.l4)) === 0, 'the initial tables are valid');
    fake.machine.calls.length = 0;
  }

  mfn(pfn: number): number { return this.first + pfn; }
  /** An entry for a pfn's frame. */
  pte(pfn: number, flags: number): bigint { return BigInt(this.mfn(pfn)) * 4096n + BigInt(flags); }
  /** Linear address of a pfn's page in the initial mapping. */
  va(pfn: number): bigint { return (BigInt(BASE_HI) << 32n) + BigInt(BASE_LO) + BigInt(pfn) * 4096n; }
  /** Machine address of entry `slot` in a pfn's page. */
  entryAddress(pfn: number, slot: number): bigint { return BigInt(this.mfn(pfn)) * 4096n + BigInt(slot * 8); }

  /** Writes 8 bytes into a page past all checks. */
  poke(pfn: number, slot: number, value: bigint): void { this.fake.capsule.u64[(this.fake.capsule.frame(this.mfn(pfn)) >>> 3) + slot] = value; }
  peek(pfn: number, slot: number): bigint { return this.fake.capsule.u64[(this.fake.capsule.frame(this.mfn(pfn)) >>> 3) + slot] as bigint; }
  /** A page's bytes as 32-bit words. */
  words(pfn: number): Uint32Array { return new Uint32Array(this.fake.capsule.buffer, this.fake.capsule.frame(this.mfn(pfn)), PAGE_SIZE / 4); }

  /** Makes a hypercall. */
  call(handler: Hypercall, ...args: (bigint | number)[]): number {
    const a = new HypercallArgs();
    args.forEach((value, i) => {
      const word = BigInt.asUintN(64, BigInt(value));
      a.set(i, Number(word & 0xffff_ffffn), Number(word >> 32n));
    });
    return handler(this.v, a);
  }
}
