// The built guest is what the repository says it is, and small enough. That it boots is tested with the hypervisor.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { memoryNeeded } from '#toolstack/builder/builder.ts';
import { loadKernel } from '#toolstack/builder/kernel-image.ts';

const MIB = 1 << 20;
const file = (name: string): Uint8Array => readFileSync(new URL(name, import.meta.url));
const text = (name: string): string => readFileSync(new URL(name, import.meta.url), 'utf8');

const kernel = file('dist/vmlinuz-xenith');
const initramfs = file('dist/initramfs.cpio.gz');

interface Entry { readonly mode: number; readonly links: number; readonly time: number; readonly device: string; readonly content: string }

/** The entries of a cpio archive (Linux, Documentation/driver-api/early-userspace/buffer-format.rst) by name. */
function readCpio(bytes: Buffer): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  const align = (n: number): number => (n + 3) & ~3;
  for (let at = 0; ;) {
    assert.equal(bytes.toString('latin1', at, at + 6), '070701');
    const field = (n: number): number => parseInt(bytes.toString('latin1', at + 6 + 8 * n, at + 14 + 8 * n), 16);
    const size = field(6), nameSize = field(11);
    const name = bytes.toString('latin1', at + 110, at + 110 + nameSize - 1);
    if (name === 'TRAILER!!!') return entries;
    const start = align(at + 110 + nameSize);
    entries.set(name, { mode: field(1), links: field(4), time: field(5), device: `${field(9)}:${field(10)}`, content: bytes.toString('latin1', start, start + size) });
    at = align(start + size);
  }
}

test('the files are those that were recorded', () => {
  const recorded = text('dist/SHA256SUMS').trim().split('\n').map((line) => line.split(/ +/));
  assert.deepEqual(recorded.map(([, name]) => name), ['vmlinuz-xenith', 'initramfs.cpio.gz']);
  for (const [sum, name = ''] of recorded) assert.equal(createHash('sha256').update(file(`dist/${name}`)).digest('hex'), sum, name);
});

test('kernel and initramfs take 6 MiB at most', () => {
  assert.ok(kernel.length + initramfs.length <= 6 * MIB);
});

test('the notice names the source that the build takes', () => {
  const versions = /^packages="linux-source-6\.1=(\S+) busybox-static=(\S+)"$/m.exec(text('build.sh'));
  assert.ok(versions);
  for (const version of versions.slice(1)) assert.ok(text('dist/NOTICE').includes(version), version);
  for (const [, sum = '?'] of text('build.sh').matchAll(/_sha256=(\w+)/g)) assert.ok(text('dist/NOTICE').includes(sum), sum);
});

test('the notice names every change of the kernel’s source, and the files changed', () => {
  const names = readdirSync(new URL('patches', import.meta.url));
  assert.deepEqual(names.filter((name) => !name.endsWith('.patch')), []);
  for (const name of names) {
    assert.ok(text('dist/NOTICE').includes(`guest/patches/${name} `), name);
    const changed = [...text(`patches/${name}`).matchAll(/^\+\+\+ b\/(\S+)$/gm)];
    assert.ok(changed.length > 0, name);
    for (const [, path = '?'] of changed) assert.ok(text('dist/NOTICE').includes(path), path);
  }
});

test('the kernel is a PV kernel that can be built into 32 MiB and leaves half of that', () => {
  const image = loadKernel(kernel);
  assert.equal(image.notes.guestOs, 'linux');
  assert.ok(memoryNeeded(image, gunzipSync(initramfs).length) <= 26 * MIB);
  assert.ok(image.end - image.start <= 16 * MIB);
});

test('the initramfs holds init, a console, a shell, and no time of its making', () => {
  const entries = readCpio(gunzipSync(initramfs));
  const find = (name: string): Entry => entries.get(name) ?? assert.fail(`no ${name}`);
  assert.equal(find('init').mode, 0o100755);
  assert.equal(find('init').content.slice(1, 4), 'ELF');
  assert.deepEqual([find('dev/console').mode, find('dev/console').device], [0o020600, '5:1']);
  for (const applet of ['bin/sh', 'bin/mount', 'usr/bin/awk', 'sbin/poweroff']) assert.equal(find(applet).links, find('bin/busybox').links, applet);
  assert.match(find('etc/passwd').content, /^root:x:0:0:/);
  for (const [name, entry] of entries) assert.equal(entry.time, 0, name);
});
