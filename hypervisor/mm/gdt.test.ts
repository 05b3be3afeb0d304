import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EFAULT, EINVAL } from '#abi/errno.ts';
import { MMUEXT } from '#abi/mmu.ts';
import { FLAT_RING3_CS32, FLAT_RING3_CS64, FLAT_RING3_DS32 } from '#abi/xen.ts';
import { auditMemory } from '../testing/audit-memory.ts';
import { PvGuest, RO, RW } from '../testing/pv-guest.ts';
import { checkDescriptor } from './descriptor.ts';
import { descriptorOffset, destroyGdt, do_set_gdt, do_update_descriptor, setGdt } from './gdt.ts';
import { do_mmuext_op } from './mmuext-op.ts';
import { do_update_va_mapping } from './update-va-mapping.ts';

const ARGS = 0, SELF = 0x7ff0;
const CODE64 = 0x00af_fb00_0000_ffffn, CODE64_DPL0 = 0x00af_9b00_0000_ffffn, TSS = 0x0000_8900_0000_0067n;

const readonly = (g: PvGuest, pfn: number): void => assert.equal(g.call(do_update_va_mapping, g.va(pfn), g.pte(pfn, RO), 0), 0);
function setLdtOf(g: PvGuest, base: bigint, entries: number): number {
  [MMUEXT.SET_LDT, base, entries].forEach((value, i) => g.poke(ARGS, i, BigInt(value)));
  return g.call(do_mmuext_op, g.va(ARGS), 1, 0, SELF);
}
/** The descriptor that the processor would load. */
function descriptor(g: PvGuest, selector: number): bigint | undefined {
  const at = descriptorOffset(g.v, selector);
  return at < 0 ? undefined : g.fake.capsule.u64[at >>> 3];
}
const check = (value: bigint): bigint | undefined => {
  const hi = checkDescriptor(Number(value & 0xffff_ffffn), Number(value >> 32n));
  return hi < 0 ? undefined : (BigInt(hi) << 32n) | (value & 0xffff_ffffn);
};

describe('descriptors', () => {
  test('code and data get privilege level 3, system descriptors are refused', () => {
    assert.equal(check(CODE64), CODE64);
    assert.equal(check(CODE64_DPL0), CODE64);
    assert.equal(check(0n), 0n);
    assert.equal(check(0x00af_1b00_0000_ffffn), 0x00af_1b00_0000_ffffn); // not present: anything goes
    for (const type of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15]) assert.equal(check((0x8000n | BigInt(type << 8)) << 32n), undefined, `type ${type}`);
  });

  test('call gates lead to the guest\'s own code only, and fault when used', () => {
    const gate = (selector: number, hi = 0xec00n): bigint => (hi << 32n) | (BigInt(selector) << 16n);
    assert.equal(check(gate(0x10)), (0x8c00n << 32n) | (0x10n << 16n));
    assert.notEqual(check(gate(FLAT_RING3_CS64)), undefined);
    assert.notEqual(check(gate(0xe00c)), undefined); // in the LDT
    assert.equal(check(gate(0xe008)), undefined);
    assert.equal(check(gate(FLAT_RING3_CS32)), undefined);
    assert.equal(check(gate(0x10, 0xec01n)), undefined);
  });
});

describe('the GDT', () => {
  test('Xen\'s flat selectors are there without any GDT', () => {
    const g = new PvGuest();
    assert.equal(descriptor(g, FLAT_RING3_CS64), 0x00af_fb00_0000_ffffn);
    assert.equal(descriptor(g, FLAT_RING3_CS32), 0x00cf_fb00_0000_ffffn);
    assert.equal(descriptor(g, FLAT_RING3_DS32), 0x00cf_f300_0000_ffffn);
    assert.equal(descriptor(g, 0x10), undefined);
    assert.equal(descriptor(g, 0xf000), undefined);
    assert.equal(descriptor(g, 0xfff8), undefined);
  });

  test('set_gdt takes read-only pages of good descriptors', () => {
    const g = new PvGuest();
    g.poke(g.free, 2, CODE64_DPL0);
    g.poke(ARGS, 0, BigInt(g.mfn(g.free)));
    assert.equal(g.call(do_set_gdt, g.va(ARGS), 16), -EINVAL); // mapped writable
    readonly(g, g.free);
    assert.equal(g.call(do_set_gdt, g.va(ARGS), 16), 0);
    assert.equal(descriptor(g, 0x13), CODE64);
    assert.ok(g.call(do_update_va_mapping, g.va(g.free), g.pte(g.free, RW), 0) < 0);
    assert.deepEqual(auditMemory(g.fake.domain), []);
    assert.equal(g.call(do_set_gdt, 0, 0), 0);
    assert.equal(descriptor(g, 0x13), undefined);
    assert.equal(g.call(do_update_va_mapping, g.va(g.free), g.pte(g.free, RW), 0), 0);
    assert.deepEqual(auditMemory(g.fake.domain), []);
  });

  test('a bad page, a foreign frame or too many entries leave the old GDT in place', () => {
    const g = new PvGuest();
    readonly(g, g.free);
    readonly(g, g.free + 1);
    assert.equal(setGdt(g.v, [g.mfn(g.free)], 512), 0);
    g.poke(g.free + 1, 7, TSS);
    for (const bad of [g.mfn(g.free + 1), g.mfn(g.l1), 0, 2 ** 40]) assert.equal(setGdt(g.v, [g.mfn(g.free), bad], 513), -EINVAL);
    g.poke(ARGS, 0, 1n << 32n);
    assert.equal(g.call(do_set_gdt, g.va(ARGS), 1), -EINVAL);
    assert.equal(g.call(do_set_gdt, g.va(ARGS), 7169), -EINVAL);
    assert.equal(g.call(do_set_gdt, 0x1000, 1), -EFAULT);
    assert.ok(descriptorOffset(g.v, 8) > 0);
    assert.deepEqual(auditMemory(g.fake.domain), []);
    destroyGdt(g.v);
    assert.deepEqual(auditMemory(g.fake.domain), []);
  });

  test('update_descriptor changes GDT entries and plain memory, never page tables', () => {
    const g = new PvGuest();
    readonly(g, g.free);
    assert.equal(setGdt(g.v, [g.mfn(g.free)], 512), 0);
    assert.equal(g.call(do_update_descriptor, g.entryAddress(g.free, 5), CODE64_DPL0), 0);
    assert.equal(descriptor(g, 5 * 8), CODE64);
    assert.equal(g.call(do_update_descriptor, g.entryAddress(g.free, 5), TSS), -EINVAL);
    assert.equal(g.call(do_update_descriptor, g.entryAddress(g.free, 5) + 4n, CODE64), -EINVAL);
    assert.equal(g.call(do_update_descriptor, g.entryAddress(g.free + 1, 5), CODE64), 0);
    assert.equal(g.peek(g.free + 1, 5), CODE64);
    assert.equal(g.call(do_update_descriptor, g.entryAddress(g.l1, 5), CODE64), -EINVAL);
    assert.equal(g.call(do_update_descriptor, 0, CODE64), -EINVAL);
    assert.equal(g.call(do_update_descriptor, 1n << 60n, CODE64), -EINVAL);
    assert.deepEqual(auditMemory(g.fake.domain), []);
  });
});

describe('the LDT', () => {
  test('is read through the kernel\'s page tables, from read-only pages', () => {
    const g = new PvGuest();
    g.poke(g.free, 3, CODE64_DPL0);
    assert.equal(setLdtOf(g, g.va(g.free), 8), 0);
    assert.equal(descriptor(g, 3 * 8 | 7), undefined); // mapped writable
    readonly(g, g.free);
    assert.equal(descriptor(g, 3 * 8 | 7), CODE64);
    assert.equal(descriptor(g, 8 * 8 | 7), undefined); // beyond its limit
    assert.equal(setLdtOf(g, 0x123n, 0), 0);
    assert.equal(descriptor(g, 3 * 8 | 7), undefined);
    assert.deepEqual(auditMemory(g.fake.domain), []);
  });

  test('bad arguments', () => {
    const g = new PvGuest();
    assert.equal(setLdtOf(g, g.va(g.free) + 8n, 8), -EINVAL);
    assert.equal(setLdtOf(g, g.va(g.free), 8193), -EINVAL);
    assert.equal(setLdtOf(g, 0xffff_8000_0000_0000n, 8), -EINVAL);
    assert.equal(setLdtOf(g, 0x1000n, 8), 0); // not mapped: found out at use
    assert.equal(descriptor(g, 7), undefined);
    assert.equal(setLdtOf(g, 0xffff_ffff_ffff_f000n, 8192), 0); // wraps round: likewise
    assert.equal(descriptor(g, 4096 * 8 | 7), undefined);
  });
});
