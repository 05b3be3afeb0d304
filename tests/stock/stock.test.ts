// Debian's own kernels and GRUB, unmodified, up to a shell or a prompt: console in and out, and a clean power-off.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ended, start } from '../run/xenith.ts';
import { debianKernel, grub } from './guests.ts';
import { initramfsFile } from './initramfs-file.ts';

const initrd = initramfsFile();

/** Runs a guest and types each line when the one before it has brought what it should. */
async function converse(args: readonly string[], steps: readonly (readonly [RegExp, string])[]): ReturnType<typeof ended> {
  const child = start(['run', '--timeout', '120', ...args]);
  const result = ended(child);
  const waiting = [...steps];
  let seen = '';
  child.stdout.on('data', (bytes: Buffer) => {
    seen += bytes.toString('latin1');
    const [step] = waiting;
    if (!step?.[0].test(seen)) return;
    seen = '';
    waiting.shift();
    child.stdin.write(step[1]);
  });
  const end = await result;
  assert.deepEqual(waiting, [], `the guest did not show this; it showed:\n${end.out.slice(-2000)}`);
  return end;
}

const BOOTS = [['cloud-amd64', '1'], ['cloud-amd64', '2'], ['amd64', '1']] as const;
for (const [flavour, vcpus] of BOOTS) {
  test(`Debian's linux-image-${flavour} with ${vcpus} vCPU`, async () => {
    const { status, out, err } = await converse(['--kernel', debianKernel(flavour), '--initrd', initrd, '--vcpus', vcpus], [
      [/user space of 6\.1\.0-\d+-(cloud-)?amd64/, 'echo $((6*7)) $(/bin/busybox nproc)\n'],
      [/42 \d+\r\n/, 'echo bye; /bin/busybox poweroff -f\n'],
    ]);
    assert.equal(err, '');
    assert.equal(status, 0);
    assert.match(out, new RegExp(`42 ${vcpus}\r\n`));
    assert.match(out, /Hypervisor detected: Xen PV/);
    assert.match(out, /xen:events: Using FIFO-based ABI/);
    assert.match(out, /reboot: (System halted|Power down)\s*$/);
    assert.doesNotMatch(out, /Call Trace|BUG:|WARNING:|Oops/);
  });
}

test('a panic of Debian\'s kernel ends in a crash report', async () => {
  const { status, out, err } = await converse(['--kernel', debianKernel('cloud-amd64'), '--initrd', initrd], [[/user space of/, 'exit 3\n']]);
  assert.equal(status, 1);
  assert.match(out, /Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000300/);
  assert.match(err, /Domain 1 crashed: the guest kernel reported its own crash/);
});

test('GRUB\'s PV build', async () => {
  const { status, out, err } = await converse(['--kernel', grub, '--memory', '64M'], [
    [/grub> /, 'echo six times seven; lsmod\r'],
    [/six times seven\s[^]*grub> /, 'halt\r'],
  ]);
  assert.match(out, /GNU GRUB {2}version 2\.06/);
  assert.equal(err, '');
  assert.equal(status, 0);
});
