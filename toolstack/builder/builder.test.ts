import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { XEN_ELFNOTE } from '#abi/elfnote.ts';
import { grant_entry_v1 } from '#abi/grant-table.ts';
import * as xen from '#abi/xen.ts';
import { Capsule } from '#base/capsule.ts';
import { XEN_FRAME } from '#hypervisor/layout.ts';
import { BuilderError, type BuilderErrorCode } from './builder-error.ts';
import { buildDomain, type BuildRequest, type DomainEntry, memoryNeeded } from './builder.ts';
import { type KernelImage, loadKernel } from './kernel-image.ts';
import { elfImage, linuxNotes } from './testing/elf-image.ts';

const XEN_FRAMES = 600;
const MIB = 256;
const BASE = 0xffff_ffff_8000_0000n;
const STUB = 0x0f_05_c3;

function small(more: [number, bigint | string][] = [], virtBase = BASE, at = 0x10_0000n): KernelImage {
  const bytes = Uint8Array.from({ length: 5000 }, (_, i) => i);
  return loadKernel(elfImage({ segments: [{ physical: at, bytes, memSize: 0x3000n }], notes: linuxNotes(virtBase + at + 16n, virtBase, more) }));
}

function build(image: KernelImage, mib: number, more: Partial<BuildRequest> = {}): { capsule: Capsule; entry: DomainEntry } {
  const capsule = new Capsule(mib * MIB, XEN_FRAMES, 0x1_0000);
  const fillHypercallPage = (c: Capsule, offset: number): void => { c.u32[offset >>> 2] = STUB; };
  return { capsule, entry: buildDomain({ capsule, image, storePort: 1, consolePort: 2, fillHypercallPage, ...more }) };
}

/** Walks the page tables: the entry that maps `va`, and the entries above it. */
function walk(capsule: Capsule, l4: number, va: bigint): { mfn: number; writable: boolean; tables: number[] } | undefined {
  let mfn = l4, entry = 0;
  const tables = [];
  for (const shift of [39n, 30n, 21n, 12n]) {
    tables.push(mfn);
    const at = (capsule.frame(mfn) >>> 2) + Number((va >> shift) & 511n) * 2;
    entry = capsule.u32[at] as number;
    if (!(entry & 1)) return undefined;
    mfn = (entry >>> 12) + (capsule.u32[at + 1] as number) * 2 ** 20;
  }
  return { mfn, writable: (entry & 2) !== 0, tables };
}

function info(capsule: Capsule, entry: DomainEntry) { return xen.start_info.on(capsule.buffer).at(capsule.frame(entry.startInfoMfn)); }

function refuses(code: BuilderErrorCode, f: () => unknown): BuilderError {
  try { f(); } catch (e) {
    assert.ok(e instanceof BuilderError, `not ours: ${String(e)}`);
    assert.equal(e.code, code, e.message);
    return e;
  }
  assert.fail(`no ${code}`);
}

describe('a small kernel', () => {
  test('is loaded where its segments say, the rest zero', () => {
    const { capsule } = build(small(), 8);
    const at = capsule.frame(XEN_FRAMES + 0x100);
    assert.deepEqual([...capsule.u8.subarray(at, at + 4)], [0, 1, 2, 3]);
    assert.equal(capsule.u8[at + 4999], 4999 & 255);
    assert.equal(capsule.u8[at + 5000], 0);
  });

  test('gets its pages in the order of the start-of-day interface', () => {
    const { capsule, entry } = build(small(), 8);
    assert.equal(entry.startInfoMfn, XEN_FRAMES + 0x103 + 4); // kernel of 3 pages, p2m list of 4
    assert.equal(entry.storeMfn, entry.startInfoMfn + 1);
    assert.equal(entry.consoleMfn, entry.startInfoMfn + 2);
    assert.equal(entry.l4Mfn, entry.startInfoMfn + 3);
    const si = info(capsule, entry);
    assert.equal(si.mfn_list, BASE + 0x103000n);
    assert.equal(si.pt_base, BASE + BigInt(entry.l4Mfn - XEN_FRAMES) * 4096n);
    assert.equal(si.nr_pt_frames, 5n);
    assert.equal(entry.rsp, si.pt_base + 6n * 4096n); // five tables, then the stack page
    assert.equal(entry.rip, BASE + 0x10_0010n);
    assert.equal(entry.rsi, BASE + 0x107000n);
  });

  test('start info', () => {
    const { capsule, entry } = build(small(), 8, { commandLine: 'console=hvc0 panic=-1', initrd: new Uint8Array(5000).fill(7) });
    const si = info(capsule, entry);
    const string = (offset: number): string => String.fromCharCode(...capsule.u8.subarray(si.base + offset, si.base + offset + 22)).replace(/\0.*/s, '');
    assert.equal(string(xen.start_info.offset.magic), 'xen-3.0-x86_64');
    assert.equal(string(xen.start_info.offset.cmd_line), 'console=hvc0 panic=-1');
    assert.equal(si.nr_pages, 2048n);
    assert.equal(si.shared_info, 4096n);
    assert.equal(si.flags, xen.SIF_VIRT_P2M_4TOOLS);
    assert.deepEqual([si.store_mfn, si.store_evtchn, si.console_mfn, si.console_evtchn], [BigInt(entry.storeMfn), 1, BigInt(entry.consoleMfn), 2]);
    assert.deepEqual([si.mod_start, si.mod_len], [BASE + 0x103000n, 5000n]); // mapped, behind the kernel
    assert.equal(capsule.u8[capsule.frame(XEN_FRAMES + 0x103)], 7);
    assert.deepEqual([si.first_p2m_pfn, si.nr_p2m_frames], [0n, 0n]);
  });

  test('with fewer pages than the capsule has: the list ends, its last page says that there is no memory', () => {
    const { capsule, entry } = build(small(), 16, { pages: 2000 });
    const si = info(capsule, entry);
    assert.equal(si.nr_pages, 2000n);
    const list = capsule.frame(XEN_FRAMES + 0x103) >>> 3;
    assert.deepEqual([...capsule.u64.subarray(list + 1998, list + 2002)], [BigInt(XEN_FRAMES + 1998), BigInt(XEN_FRAMES + 1999), 2n ** 64n - 1n, 2n ** 64n - 1n]);
    assert.equal(capsule.u64[list + 2047], 2n ** 64n - 1n);
    assert.throws(() => build(small(), 16, { pages: 600 }), { code: 'too-little-memory' });
  });

  test('MOD_START_PFN: the initrd lies behind the mapping', () => {
    const { capsule, entry } = build(small([[XEN_ELFNOTE.MOD_START_PFN, 1n]]), 8, { initrd: new Uint8Array(5000).fill(7) });
    const si = info(capsule, entry);
    assert.equal(si.flags, xen.SIF_VIRT_P2M_4TOOLS | xen.SIF_MOD_START_PFN);
    assert.deepEqual([si.mod_start, si.mod_len], [1024n, 5000n]); // the mapping is 4 MiB long
    assert.equal(walk(capsule, entry.l4Mfn, BASE + 1024n * 4096n), undefined);
    assert.equal(capsule.u8[capsule.frame(XEN_FRAMES + 1024)], 7);
  });

  test('INIT_P2M: the list has a mapping of its own, with its tables behind it', () => {
    const p2m = 0x80_0000_0000n;
    const { capsule, entry } = build(small([[XEN_ELFNOTE.INIT_P2M, p2m]]), 8);
    const si = info(capsule, entry);
    assert.deepEqual([si.mfn_list, si.first_p2m_pfn, si.nr_p2m_frames], [p2m, 1024n, 4n + 3n]);
    for (let i = 0n; i < 4n; i++) {
      const page = walk(capsule, entry.l4Mfn, p2m + i * 4096n);
      assert.deepEqual([page?.mfn, page?.writable], [XEN_FRAMES + 1024 + Number(i), true]);
      assert.deepEqual(page?.tables.slice(1), [1028, 1029, 1030].map((pfn) => XEN_FRAMES + pfn));
    }
    assert.equal(walk(capsule, entry.l4Mfn, p2m + 4n * 4096n), undefined);
  });

  test('the p2m list names the frame of every page', () => {
    const { capsule } = build(small(), 8);
    const list = capsule.frame(XEN_FRAMES + 0x103) >>> 3;
    for (let pfn = 0; pfn < 2048; pfn++) assert.equal(capsule.u64[list + pfn], BigInt(XEN_FRAMES + pfn));
  });

  test('the mapping is from VIRT_BASE to pfn 0, 4 MiB long, page tables read-only', () => {
    const { capsule, entry } = build(small(), 8);
    const first = entry.l4Mfn - XEN_FRAMES;
    for (let pfn = 0; pfn < 1024; pfn++) {
      const page = walk(capsule, entry.l4Mfn, BASE + BigInt(pfn) * 4096n);
      assert.equal(page?.mfn, XEN_FRAMES + pfn);
      assert.equal(page?.writable, !(pfn >= first && pfn < first + 5), `pfn ${pfn}`);
    }
    assert.equal(walk(capsule, entry.l4Mfn, BASE + 1024n * 4096n), undefined);
  });

  test('the rings are granted to domain 0', () => {
    const { capsule, entry } = build(small(), 8);
    const e = grant_entry_v1.on(capsule.buffer);
    for (const [ref, mfn] of [[0, entry.consoleMfn], [1, entry.storeMfn]] as const) {
      e.at(capsule.frame(XEN_FRAME.grantTable) + ref * 8);
      assert.deepEqual([e.flags, e.domid, e.frame], [1, 0, mfn]);
    }
  });

  test('HYPERCALL_PAGE is filled, and only it', () => {
    const { capsule } = build(small([[XEN_ELFNOTE.HYPERCALL_PAGE, BASE + 0x10_1000n]]), 8);
    assert.equal(capsule.u32[capsule.frame(XEN_FRAMES + 0x101) >>> 2], STUB);
    refuses('corrupt', () => small([[XEN_ELFNOTE.HYPERCALL_PAGE, BASE + 0x20_0000n]]));
    refuses('corrupt', () => small([[XEN_ELFNOTE.HYPERCALL_PAGE, BASE + 0x10_0800n]]));
  });

  test('notes in a section only (Mini-OS)', () => {
    const image = loadKernel(elfImage({ segments: [{ physical: 0n, bytes: new Uint8Array(64) }], notes: linuxNotes(0n, 0n), notesIn: 'section' }));
    assert.equal(image.virtBase, 0n);
  });

  test('__xen_guest instead of notes', () => {
    const guestString = 'GUEST_OS=Mini-OS,XEN_VER=xen-3.0,VIRT_BASE=0xffffffff80000000,HYPERCALL_PAGE=0x1,LOADER=generic';
    const image = loadKernel(elfImage({ segments: [{ physical: BASE, bytes: new Uint8Array(0x3000) }], entry: BASE, guestString }));
    assert.deepEqual([image.start, image.end, image.hypercallPage, image.entry], [0, 0x3000, 0x1000, BASE]);
    build(image, 8);
  });
});

describe('refusals', () => {
  const elf = (more: Partial<Parameters<typeof elfImage>[0]>): Uint8Array =>
    elfImage({ segments: [{ physical: 0n, bytes: new Uint8Array(64) }], notes: linuxNotes(0n, 0n), ...more });

  test('what is not a kernel', () => {
    refuses('not-a-kernel', () => loadKernel(new Uint8Array(0)));
    refuses('not-a-kernel', () => loadKernel(new Uint8Array(5000).fill(65)));
    refuses('not-a-kernel', () => loadKernel(elf({ machine: 183 })));
    refuses('not-a-kernel', () => loadKernel(elf({ segments: [] })));
    refuses('kernel-32-bit', () => loadKernel(elf({ machine: 3, elfClass: 1 })));
  });

  test('what is not a PV kernel', () => {
    refuses('not-a-pv-kernel', () => loadKernel(elf({ notes: [] })));
    refuses('not-a-pv-kernel', () => loadKernel(elf({ notes: [[XEN_ELFNOTE.PHYS32_ENTRY, 0n]] })));
    refuses('not-a-pv-kernel', () => loadKernel(elf({ notes: linuxNotes(0n, 0n).filter(([t]) => t !== XEN_ELFNOTE.ENTRY).concat([[XEN_ELFNOTE.PHYS32_ENTRY, 0n]]) })));
    refuses('not-a-pv-kernel', () => loadKernel(elf({ notes: linuxNotes(0n, 0n).filter(([t]) => t !== XEN_ELFNOTE.XEN_VERSION) })));
  });

  test('features that we do not have', () => {
    const features = (f: string): Uint8Array => elf({ notes: linuxNotes(0n, 0n, [[XEN_ELFNOTE.FEATURES, f]]) });
    refuses('unsupported-feature', () => loadKernel(features('!auto_translated_physmap')));
    refuses('unsupported-feature', () => loadKernel(features('pae_pgdir_above_4gb|!time_travel')));
    const image = loadKernel(features('!writable_page_tables|pae_pgdir_above_4gb|time_travel'));
    assert.deepEqual([image.notes.requiredFeatures, image.notes.supportedFeatures], [1, 1 | 1 << 4]);
  });

  test('contradictions', () => {
    refuses('corrupt', () => small([], BASE + 8n));
    refuses('corrupt', () => loadKernel(elf({ notes: linuxNotes(64n, 0n) })));
    refuses('corrupt', () => loadKernel(elf({ segments: [{ physical: 0n, bytes: new Uint8Array(64), memSize: 32n }] })));
    refuses('corrupt', () => loadKernel(elf({ segments: [{ physical: 1n << 40n, bytes: new Uint8Array(64) }] })));
    refuses('corrupt', () => build(small([], 0xffff_8000_0000_0000n), 8));
    refuses('corrupt', () => build(small([], 0x7fff_ffff_f000n), 8));
    refuses('corrupt', () => build(small([[XEN_ELFNOTE.INIT_P2M, BASE - 4096n]]), 8));
  });

  test('truncation', () => {
    const whole = elf({});
    for (const length of [4, 40, 64, 100, 150]) refuses('truncated', () => loadKernel(whole.slice(0, length)));
  });

  test('too little memory: with what is named it works', () => {
    const image = small();
    const e = refuses('too-little-memory', () => build(image, 2));
    assert.equal(e.neededBytes, 4 << 20);
    assert.match(e.message, /at least 4 MiB, the domain has 2 MiB/);
    build(image, 4);
    const large = refuses('initrd-too-large', () => build(image, 4, { initrd: new Uint8Array(20 << 20) }));
    build(image, Math.ceil((large.neededBytes ?? 0) / 2 ** 20), { initrd: new Uint8Array(20 << 20) });
    assert.throws(() => build(image, Math.ceil((large.neededBytes ?? 0) / 2 ** 20) - 1, { initrd: new Uint8Array(20 << 20) }));
  });

  test('command line', () => {
    refuses('bad-command-line', () => build(small(), 8, { commandLine: 'x'.repeat(1024) }));
    refuses('bad-command-line', () => build(small(), 8, { commandLine: 'a\0b' }));
    build(small(), 8, { commandLine: 'x'.repeat(1023) });
  });
});

describe('initrd', () => {
  const initrd = Uint8Array.from({ length: 100_000 }, (_, i) => i * i >>> 3);
  const length = (given: Uint8Array, mib = 8): bigint => { const { capsule, entry } = build(small(), mib, { initrd: given }); return info(capsule, entry).mod_len; };

  test('is unzipped', () => assert.equal(length(gzipSync(initrd)), 100_000n));
  test('stays zipped when it is not one sound gzip member', () => {
    const zipped = new Uint8Array(gzipSync(initrd));
    const bad = zipped.slice();
    bad[50] = (bad[50] as number) ^ 0x55;
    assert.equal(length(bad), BigInt(bad.length));
    const two = new Uint8Array([...zipped, ...new Uint8Array(gzipSync(initrd.subarray(0, 9)))]);
    assert.equal(length(two), BigInt(two.length));
  });
  test('stays zipped when unzipped it would not fit', () => {
    const zipped = gzipSync(new Uint8Array(7 << 20));
    assert.equal(length(zipped), BigInt(zipped.length));
  });
});

const kernels = existsSync('/boot') ? readdirSync('/boot').filter((f) => /^vmlinuz-.*amd64$/.test(f)) : [];
describe('Debian kernels', { skip: kernels.length === 0 && 'no /boot/vmlinuz-*-amd64 (Debian: linux-image-cloud-amd64, linux-image-amd64)' }, () => {
  for (const name of kernels) {
    test(name, () => {
      const image = loadKernel(readFileSync(`/boot/${name}`));
      assert.equal(image.virtBase, BASE);
      assert.equal(image.p2mBase, 0x80_0000_0000n);
      assert.equal(image.modStartPfn, true);
      assert.equal(image.notes.requiredFeatures, 1 << xen.XENFEAT_writable_page_tables);
      assert.equal(image.notes.hvStartLow, 0xffff_8000_0000_0000n);
      const { capsule, entry } = build(image, 256, { initrd: new Uint8Array(0x1ee010) });
      const si = info(capsule, entry);
      const kernelEnd = BigInt(Math.ceil(image.end / 4096));
      // As Debian's Xen builds it: start info, xenstore, console, tables, stack behind the kernel …
      assert.equal(entry.rsi, BASE + kernelEnd * 4096n);
      assert.equal(si.pt_base, entry.rsi + 3n * 4096n);
      assert.equal(entry.rsp, si.pt_base + (si.nr_pt_frames + 1n) * 4096n);
      // … and behind the mapping the initrd and the p2m list of 128 pages with three tables.
      const mapped = (si.nr_pt_frames - 3n) * 512n;
      assert.equal(si.mod_start, mapped);
      assert.deepEqual([si.first_p2m_pfn, si.nr_p2m_frames], [mapped + 0x1efn, 0x83n]);
      assert.ok(walk(capsule, entry.l4Mfn, image.entry));
      if (image.end === 0x3e0_0000) assert.equal(si.nr_pt_frames, 0x23n);
      const needed = refuses('too-little-memory', () => build(image, 32)).neededBytes ?? 0;
      assert.equal(needed, memoryNeeded(image, 0));
      build(image, Math.ceil(needed / 2 ** 20));
    });
  }
});

const GRUB = '/usr/lib/grub-xen/grub-x86_64-xen.bin', GRUB32 = '/usr/lib/grub-xen/grub-i386-xen.bin';
describe('GRUB', { skip: !existsSync(GRUB) && `no ${GRUB} (Debian: grub-xen-host)` }, () => {
  test('64-bit', () => {
    const { entry, capsule } = build(loadKernel(readFileSync(GRUB)), 64);
    assert.equal(entry.rip, 0n);
    assert.equal(walk(capsule, entry.l4Mfn, 0n)?.mfn, XEN_FRAMES);
  });
  test('32-bit', () => { refuses('kernel-32-bit', () => loadKernel(readFileSync(GRUB32))); });
});

