// How a run ends, and with which exit status.

import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { elfImage, linuxNotes } from '#toolstack/builder/testing/elf-image.ts';
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
