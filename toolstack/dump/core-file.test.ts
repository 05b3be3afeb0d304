import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { vcpu_guest_context } from '#abi/xen.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import { XEN_FRAME } from '#hypervisor/layout.ts';
import { setM2p } from '#hypervisor/mm/m2p.ts';
import { DomU } from '#hypervisor/testing/domu.ts';
import { vcpuContext } from '#hypervisor/vcpu-context.ts';
import { CHUNK, coreFile } from './core-file.ts';
import { parseCore } from './testing/parse-core.ts';

const NO_PFN = 0xffff_ffff;

/** A domain with something in every page. */
function filled(vcpus = 2): DomU {
  const u = new DomU(vcpus);
  const { capsule } = u.fake;
  for (let pfn = u.free; pfn < capsule.guestFrames; pfn++) capsule.u8.fill(pfn, capsule.frame(u.guest.mfn(pfn)), capsule.frame(u.guest.mfn(pfn)) + PAGE_SIZE);
  for (let pfn = 0; pfn < capsule.guestFrames; pfn++) setM2p(u.domain.mm, u.guest.mfn(pfn), pfn, 0);
  for (const v of u.domain.vcpus) v.cpu.rip = 0xffff_ffff_8100_0000n + BigInt(v.id);
  return u;
}
const piecesOf = (u: DomU): Iterable<Uint8Array> => coreFile(u.fake.capsule, u.domain.vcpus.map(vcpuContext));
const fileOf = (u: DomU): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.concat([...piecesOf(u)]));

test('read back, it has every page, where the guest has it, and every vCPU', () => {
  const u = filled(3);
  const core = parseCore(fileOf(u));
  const { capsule } = u.fake;
  assert.equal(core.p2m.length, capsule.guestFrames);
  core.p2m.forEach(({ pfn, gmfn }, i) => {
    assert.equal(gmfn, u.guest.mfn(pfn));
    assert.deepEqual(core.page(i), Uint8Array.from(capsule.u8.subarray(capsule.frame(gmfn), capsule.frame(gmfn) + PAGE_SIZE)), `page ${pfn}`);
  });
  assert.equal(core.vcpus.length, 3);
  core.vcpus.forEach((context, i) => {
    assert.equal(context.byteLength, vcpu_guest_context.size);
    assert.deepEqual(new Uint8Array(context.buffer, context.byteOffset, context.byteLength), vcpuContext(u.vcpu(i)));
  });
  const shared = capsule.frame(XEN_FRAME.sharedInfo);
  assert.deepEqual(core.sections.get('.xen_shared_info')?.bytes, Uint8Array.from(capsule.u8.subarray(shared, shared + PAGE_SIZE)));
});

test('the sections and notes are those of the document', () => {
  const core = parseCore(fileOf(filled()));
  assert.deepEqual([...core.sections].map(([name, { type, entry }]) => [name, type, entry]), [
    ['', 0, 0], ['.shstrtab', 3, 0], ['.note.Xen', 7, 0], ['.xen_prstatus', 1, 5168], ['.xen_shared_info', 1, 4096], ['.xen_pages', 1, 4096], ['.xen_p2m', 1, 16],
  ]);
  assert.equal((core.sections.get('.xen_pages')?.offset ?? 1) % PAGE_SIZE, 0);
  assert.deepEqual([...core.notes].map(([type, { byteLength }]) => [type, byteLength]), [[0x200_0000, 0], [0x200_0001, 32], [0x200_0002, 1280], [0x200_0003, 8]]);
  const words = (type: number, n: number): bigint[] => Array.from({ length: n }, (_, i) => (core.notes.get(type) as DataView).getBigUint64(i * 8, true));
  assert.deepEqual(words(0x200_0001, 4), [0xf00f_ebedn, 2n, 64n, 4096n]);
  assert.deepEqual(words(0x200_0002, 2), [4n, 17n]);
  assert.deepEqual(words(0x200_0003, 1), [1n]);
  const version = core.notes.get(0x200_0002) as DataView;
  assert.match(Buffer.from(version.buffer, version.byteOffset + 16, 16).toString(), /^-xenith\0/);
  assert.match(Buffer.from(version.buffer, version.byteOffset + 176, 1024).toString(), /^xen-3\.0-x86_64 \0/);
  assert.equal(version.getBigUint64(1264, true), 0xffff_8000_0000_0000n);
  assert.equal(version.getBigUint64(1272, true), 4096n);
});

test('frames that the domain gave back, or that have no place in its memory, are left out', () => {
  const u = filled();
  const { mm } = u.domain;
  const [gone, hidden, moved] = [10, 11, 12].map((n) => u.guest.mfn(u.free + n)) as [number, number, number];
  mm.frames.setCount(gone, 0);
  mm.frames.setType(gone, 0);
  mm.frames.release(gone);
  setM2p(mm, hidden, NO_PFN, NO_PFN);
  setM2p(mm, moved, 5, 0x10_0000); // far beyond its memory: hostile, and told as it is
  const core = parseCore(fileOf(u));
  assert.equal(core.p2m.length, u.fake.capsule.guestFrames - 2);
  assert.ok(!core.p2m.some(({ gmfn }) => gmfn === gone || gmfn === hidden));
  assert.equal(core.p2m.find(({ gmfn }) => gmfn === moved)?.pfn, 2 ** 52 + 5);
  core.p2m.forEach(({ gmfn }, i) => {
    const at = u.fake.capsule.frame(gmfn);
    assert.equal(core.page(i)[0], u.fake.capsule.u8[at], `frame ${gmfn} after a gap`);
  });
});

test('memory is handed out as it lies, in pieces that are not large', () => {
  const u = filled();
  const pieces = [...piecesOf(u)];
  const views = pieces.filter(({ buffer }) => buffer === u.fake.capsule.buffer);
  assert.equal(views.reduce((n, { length }) => n + length, 0), (u.fake.capsule.guestFrames + 1) * PAGE_SIZE, 'all pages, and shared info');
  assert.ok(pieces.every(({ length }) => length <= CHUNK));
  assert.ok(pieces.length < 16);
});

test('readelf finds nothing to complain of', { skip: spawnSync('readelf', ['--version']).error !== undefined && 'no readelf (Debian: binutils)' }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'xenith-core-'));
  try {
    const path = join(directory, 'core');
    writeFileSync(path, fileOf(filled()));
    const { stdout, stderr } = spawnSync('readelf', ['-aW', path], { encoding: 'utf8' });
    assert.equal(stderr, '');
    assert.match(stdout, /Type: +CORE \(Core file\)/);
    assert.match(stdout, /\.xen_pages +PROGBITS +0+ 00[0-9a-f]000 040000 1000 +0 +0 4096/);
    assert.match(stdout, /\.note\.Xen +NOTE /);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
