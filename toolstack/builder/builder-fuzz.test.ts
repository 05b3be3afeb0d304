// Corrupt and truncated images: whatever comes in, the builder builds or throws its own error, within its memory.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { XEN_ELFNOTE } from '#abi/elfnote.ts';
import { Capsule } from '#base/capsule.ts';
import { BuilderError } from './builder-error.ts';
import { buildDomain } from './builder.ts';
import { loadKernel } from './kernel-image.ts';
import { COMPRESSED } from './testing/compressed.ts';
import { elfImage, linuxNotes } from './testing/elf-image.ts';

const BASE = 0xffff_ffff_8000_0000n;
const capsule = new Capsule(8 * 256, 600, 0x1_0000);
let seed = 2024;
const random = (n: number): number => { seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0; return Math.floor((seed / 2 ** 32) * n); };

const outcomes = new Map<string, number>();
function attempt(file: Uint8Array): void {
  let outcome = 'built';
  try {
    buildDomain({ capsule, image: loadKernel(file), storePort: 1, consolePort: 2, fillHypercallPage: () => {} });
  } catch (e) {
    if (!(e instanceof BuilderError)) throw e;
    outcome = e.code;
  }
  outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
}

function nothingBelowTheFrames(): void {
  assert.equal(capsule.u64.subarray(0, capsule.frame(1) >>> 3).findIndex((v) => v !== 0n), -1, 'nothing written below the frames');
}

/** A few bytes replaced, by preference with values that make limits. */
function mutate(file: Uint8Array, within: number): Uint8Array {
  const bad = file.slice();
  for (let k = random(4); k >= 0; k--) {
    const at = random(Math.min(within, bad.length));
    const run = random(3) ? 1 : 8;
    const value = [0, 0xff, 0x80, 0x7f, 1, random(256)][random(6)] ?? 0;
    bad.fill(value, at, at + run);
  }
  return bad;
}

/** A bzImage around a payload, whose last four bytes are the size. */
function bzImage(payload: Uint8Array): Uint8Array {
  const file = new Uint8Array(1024 + payload.length);
  const view = new DataView(file.buffer);
  file[0x1f1] = 1;
  view.setUint16(0x1fe, 0xaa55, true);
  file.set([0x48, 0x64, 0x72, 0x53], 0x202);
  view.setUint16(0x206, 0x20f, true);
  view.setUint32(0x24c, payload.length, true);
  file.set(payload, 1024);
  return file;
}

function withSize(packed: Uint8Array, size: number): Uint8Array {
  const out = new Uint8Array(packed.length + 4);
  out.set(packed);
  new DataView(out.buffer).setUint32(packed.length, size, true);
  return out;
}

const notes = linuxNotes(BASE + 0x10_0000n, BASE, [[XEN_ELFNOTE.INIT_P2M, 0x80_0000_0000n], [XEN_ELFNOTE.HYPERCALL_PAGE, BASE + 0x10_0000n], [XEN_ELFNOTE.FEATURES, '!writable_page_tables'], [XEN_ELFNOTE.MOD_START_PFN, 1n]]);
const elf = elfImage({ segments: [{ physical: 0x10_0000n, bytes: new Uint8Array(9000).fill(0x90), memSize: 0x5000n }], notes });
const legacy = elfImage({ segments: [{ physical: BASE, bytes: new Uint8Array(9000) }], entry: BASE, guestString: 'GUEST_OS=linux,XEN_VER=xen-3.0,VIRT_BASE=0xffffffff80000000,HYPERCALL_PAGE=0x1,LOADER=generic,FEATURES=pae_pgdir_above_4gb' });
const images: [string, Uint8Array, number][] = [
  ['ELF: headers and notes', elf.slice(), 64 + 2 * 56],
  ['ELF: all of it', elf, elf.length],
  ['ELF with __xen_guest', legacy, legacy.length],
  ['bzImage, gzip', bzImage(new Uint8Array(gzipSync(elf))), Infinity],
  ['bzImage, zstd', bzImage(withSize(new Uint8Array(zstdCompressSync(elf, { params: { 201: 1 } })), elf.length)), Infinity],
  ...Object.entries(COMPRESSED).map(([name, text]): [string, Uint8Array, number] => [`bzImage, ${name}, not an ELF file`, bzImage(withSize(new Uint8Array(Buffer.from(text, 'base64')), 20_000)), Infinity]),
];

describe('mutated images', () => {
  for (const [name, image, within] of images) {
    test(name, () => {
      outcomes.clear();
      attempt(image);
      for (let i = 0; i < 200; i++) attempt(mutate(image, within));
      assert.ok(outcomes.size > 1, 'the mutations do something');
      nothingBelowTheFrames();
    });
    test(`${name}, truncated`, () => { for (let n = 0; n < image.length; n += 1 + random(101)) attempt(image.slice(0, n)); });
  }
  test('the unharmed ones build', () => {
    outcomes.clear();
    for (const [, image] of images.slice(0, 5)) attempt(image);
    assert.deepEqual([...outcomes], [['built', 5]]);
  });
  test('random bytes', () => { for (let i = 0; i < 300; i++) attempt(Uint8Array.from({ length: random(2000) }, () => random(256))); });
});

const GRUB = '/usr/lib/grub-xen/grub-x86_64-xen.bin';
test('mutated GRUB', { skip: !existsSync(GRUB) && `no ${GRUB} (Debian: grub-xen-host)` }, () => {
  const image = new Uint8Array(readFileSync(GRUB));
  for (let i = 0; i < 100; i++) attempt(mutate(image, 0x260));
});
