// How a run ends, and with which exit status.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { cpu_user_regs, vcpu_guest_context } from '#abi/xen.ts';
import { elfImage, linuxNotes } from '#toolstack/builder/testing/elf-image.ts';
import { parseCore } from '#toolstack/dump/testing/parse-core.ts';
import { ended, inGuest, start, xenith } from './xenith.ts';

const VIRT_BASE = 0xffff_ffff_8000_0000n, LOAD = 0x10_0000n;

/** Boots a kernel that is these bytes. */
async function bootBytes(bytes: readonly number[], options: readonly string[] = []): ReturnType<typeof xenith> {
  const file = join(tmpdir(), `xenith-test-${process.pid}-${bytes.length}.elf`);
  const entry = VIRT_BASE + LOAD;
  writeFileSync(file, elfImage({ segments: [{ physical: LOAD, bytes: Uint8Array.from(bytes) }], entry, notes: linuxNotes(entry, VIRT_BASE) }));
  try {
    return await xenith(['run', '--kernel', file, '--memory', '16M', '--timeout', '20', ...options]);
  } finally {
    rmSync(file);
  }
}

test('0 when the guest powers off, without its having run anything to the end', async () => {
  const { status, err } = await inGuest(['poweroff', '-f']);
  assert.equal(err, '');
  assert.equal(status, 0);
});

test('1 and a report when the guest crashes: it faults and has no handler', async () => {
  const { status, out, err } = await bootBytes([0x48, 0xb8, 8, 7, 6, 5, 4, 3, 2, 1, 0x0f, 0x0b]); // mov rax,0x102030405060708; ud2
  assert.equal(status, 1);
  assert.equal(out, '');
  assert.match(err, /^Domain 1 crashed: /m);
  assert.match(err, /^rip ffffffff8010000a /m);
  assert.match(err, /^rax 0102030405060708 /m);
  assert.match(err, /^ {2}L1\[100\] = /m);
  assert.doesNotMatch(err, /error in the hypervisor|\.ts:/);
});

test('1 and a report when the guest kernel panics', async () => {
  const { status, out, err } = await xenith(['run', '--append', 'rdinit=/nonexistent root=/dev/none', '--timeout', '60']);
  assert.equal(status, 1);
  assert.match(out, /Kernel panic - not syncing/);
  assert.match(err, /^Domain 1 crashed: the guest kernel reported its own crash/m);
  assert.match(err, /sched_op\(/);
});

test('124 after the time-out, of a guest that works and of one that sleeps', async () => {
  const busy = await bootBytes([0xeb, 0xfe], ['--timeout', '1.5']); // jmp self
  assert.equal(busy.status, 124);
  assert.match(busy.err, /time-out after 1\.5 s/);
  assert.ok(busy.seconds < 3, `${busy.seconds} s`);
  const asleep = await xenith(['run', '--timeout', '3', '--', 'sleep', '60']);
  assert.equal(asleep.status, 124);
  assert.ok(asleep.seconds < 5, `${asleep.seconds} s`);
});

test('a guest that reboots starts anew', async () => {
  const child = start(['run', '--append', 'quiet', '--timeout', '60']);
  const result = ended(child);
  child.stdin.write('reboot -f\n');
  let seen = '';
  child.stderr.on('data', (text: Buffer) => {
    seen += text;
    if (seen.includes('reboots')) child.stdin.end('poweroff -f\n');
  });
  const { status, out, err } = await result;
  assert.equal(err, 'xenith: the guest reboots\n');
  assert.equal(out.split('built-in shell').length - 1, 2);
  assert.equal(status, 0);
});

test('a reboot ends a run of one command', async () => {
  const { status, seconds } = await inGuest(['reboot', '-f']);
  assert.equal(status, 0);
  assert.ok(seconds < 30);
});

for (const [signal, expected] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]] as const) {
  test(`${signal} ends the run with ${expected}`, async () => {
    const child = start(['run', '--timeout', '60', '--', 'sh', '-c', 'echo up; sleep 60']);
    const result = ended(child);
    child.stdout.once('data', () => child.kill(signal));
    assert.equal((await result).status, expected);
  });
}

test('a crash leaves a core file, with memory and registers as they were', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'xenith-core-'));
  try {
    const path = join(directory, 'core');
    const code = [0x48, 0xb8, 8, 7, 6, 5, 4, 3, 2, 1, 0x48, 0xa3, 0, 0x20, 0x10, 0x80, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x0b]; // mov rax,0x102030405060708; mov [0xffffffff80102000],rax; ud2
    const { status, err } = await bootBytes(code, ['--dump-on-crash', path]);
    assert.equal(status, 1);
    assert.match(err, new RegExp(`core file written to ${path}`));
    const core = parseCore(readFileSync(path));
    const page = (pfn: number): Uint8Array => core.page(core.p2m.findIndex((p) => p.pfn === pfn));
    assert.deepEqual([...page(0x100).subarray(0, code.length)], code);
    assert.deepEqual([...page(0x102).subarray(0, 8)], [8, 7, 6, 5, 4, 3, 2, 1]);
    const regs = cpu_user_regs.on(Uint8Array.from(core.sections.get('.xen_prstatus')?.bytes ?? []).buffer).at(vcpu_guest_context.offset.user_regs);
    assert.equal(regs.rax, 0x102_0304_0506_0708n);
    assert.equal(regs.rip, 0xffff_ffff_8010_0014n);
    const refused = await bootBytes(code, ['--dump-on-crash', join(directory, 'none', 'core')]);
    assert.equal(refused.status, 1);
    assert.match(refused.err, /core file .*none\/core: no such file/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
