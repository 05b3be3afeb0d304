import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cpuid, leaf } from './cpuid.ts';
import { TSC_HZ } from './time.ts';

const read = (eax: number, ecx = 0): number[] => {
  cpuid(eax, ecx);
  return [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx];
};
const text = (...registers: number[]): string => String.fromCharCode(...new Uint8Array(new Uint32Array(registers).buffer)).replace(/\0+$/, '');
const bit = (register: number, n: number): boolean => ((register >>> n) & 1) === 1;

test('vendor and brand', () => {
  const [, b, c, d] = read(0) as [number, number, number, number];
  assert.equal(text(b, d, c), 'GenuineIntel');
  assert.equal(text(...read(0x8000_0002), ...read(0x8000_0003), ...read(0x8000_0004)), 'Xenith virtual x86-64 processor');
});

test('family 6, model 0x36: an Atom that does not speculate', () => {
  const [signature] = read(1) as [number];
  assert.equal((signature >>> 8) & 15, 6);
  assert.equal(((signature >>> 12) & 0xf0) | ((signature >>> 4) & 15), 0x36);
});

test('features: what the machine has, and no more', () => {
  const [, , c, d] = read(1) as [number, number, number, number];
  for (const [name, n] of Object.entries({ sse3: 0, ssse3: 9, cx16: 13, sse41: 19, sse42: 20, popcnt: 23, rdrand: 30, hypervisor: 31 })) assert.ok(bit(c, n), name);
  for (const [name, n] of Object.entries({ pclmul: 1, monitor: 3, vmx: 5, fma: 12, movbe: 22, aes: 25, xsave: 26, osxsave: 27, avx: 28, f16c: 29 })) assert.ok(!bit(c, n), name);
  for (const [name, n] of Object.entries({ fpu: 0, tsc: 4, msr: 5, pae: 6, cx8: 8, cmov: 15, pat: 16, clfsh: 19, mmx: 23, fxsr: 24, sse: 25, sse2: 26 })) assert.ok(bit(d, n), name);
  for (const [name, n] of Object.entries({ pse: 3, mce: 7, apic: 9, mtrr: 12, pge: 13, mca: 14, htt: 28 })) assert.ok(!bit(d, n), name);
  assert.deepEqual(read(7), [0, 0, 0, 1 << 14]); // serialize
  assert.deepEqual(read(7, 1), [0, 0, 0, 0]);
  const [, , xc, xd] = read(0x8000_0001) as [number, number, number, number];
  assert.equal(xc, 1);
  assert.equal(xd, (1 << 11) | (1 << 20) | (1 << 29));
});

test('Xen’s leaves', () => {
  const [max, b, c, d] = read(0x4000_0000) as [number, number, number, number];
  assert.equal(max, 0x4000_0005);
  assert.equal(text(b, c, d), 'XenVMMXenVMM');
  assert.equal(read(0x4000_0001)[0], 0x0004_0011);
  assert.deepEqual(read(0x4000_0002), [1, 0x4000_0000, 1, 0]);
  assert.equal(read(0x4000_0003)[2], TSC_HZ / 1000);
  assert.deepEqual(read(0x4000_0003, 1), [0, 0, 0x8000_0000, 0]);
  assert.deepEqual(read(0x4000_0005), [0, 32, 0, 0]);
  assert.deepEqual(read(0x4000_0006), [0, 0, 0, 0]);
});

test('the clock rate in leaf 0x16, so that nobody measures it with a timer chip', () => assert.deepEqual(read(0x16), [TSC_HZ / 1e6, TSC_HZ / 1e6, 100, 0]));

test('caches end with an empty subleaf', () => {
  assert.deepEqual([0, 1, 2, 3].map((i) => (read(4, i)[0] as number) & 31), [1, 2, 3, 0]);
  const [, b, sets] = read(4, 2) as [number, number, number];
  assert.equal(((b >>> 22) + 1) * ((b & 0xfff) + 1) * (sets + 1), 1024 * 1024);
});

test('leaves that do not exist are zero', () => {
  for (const n of [0x17, 0x3fff_ffff, 0x4000_0100, 0x8000_0009, 0xc000_0000, 0xffff_ffff]) assert.deepEqual(read(n), [0, 0, 0, 0]);
});
