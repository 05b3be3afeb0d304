// Debian's own kernel gives memory back, takes it again, and grows to what it may have; what it gives back is the machine's.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { canGiveBack, residentMiB } from '#hosts/node/testing/resident-memory.ts';
import { Daemon } from '../daemon/daemon-process.ts';
import { changeVcpus } from '../daemon/vcpus.ts';
import { debianKernel } from './guests.ts';
import { initramfsFile } from './initramfs-file.ts';

const initrd = initramfsFile();

const daemon = new Daemon(['--cpus', '1']);
const boot = async (name: string, ...settings: string[]): Promise<void> => {
  await daemon.ok('create', `name="${name}"`, `kernel="${debianKernel('cloud-amd64')}"`, `ramdisk="${initrd}"`, 'cmdline="console=hvc0"', ...settings);
  await daemon.converse(name, '', /user space of/);
};
const kept = async (name: string, mib: number): Promise<void> => daemon.until(`it has ${mib} MiB`, async () => (await daemon.one(name)).memory === mib);
/** KiB that the guest says it has. */
async function total(name: string, tag: string): Promise<number> {
  const heard = await daemon.converse(name, `echo ${tag}=$(/bin/busybox head -n 1 /proc/meminfo)\n`, new RegExp(`${tag}=MemTotal: +\\d+ kB`));
  return Number(new RegExp(`${tag}=MemTotal: +(\\d+)`).exec(heard)?.[1]);
}

describe('Debian’s linux-image-cloud-amd64', { timeout: 280_000 }, () => {
  before(() => daemon.start());
  after(() => daemon.remove());

  test('gives memory back and takes it again', async () => {
    await boot('anna', 'memory=512');
    const full = await total('anna', 'full');
    await daemon.converse('anna', '/bin/busybox mkdir /mnt; /bin/busybox mount -t tmpfs -o size=400m none /mnt; /bin/busybox mknod /z c 1 5; /bin/busybox dd if=/z bs=1M count=250 of=/mnt/a; /bin/busybox rm /mnt/a; echo wri""tten\n', /written/);
    const large = residentMiB(daemon.pid);
    await daemon.ok('mem-set', 'anna', '160');
    await kept('anna', 160);
    const small = residentMiB(daemon.pid);
    assert.equal(full - await total('anna', 'small'), (512 - 160) * 1024);
    if (canGiveBack) assert.ok(small < large - 200, `${large} MiB resident before, ${small} after`);
    await daemon.ok('mem-set', 'anna', '400');
    await kept('anna', 400);
    assert.equal(full - await total('anna', 'again'), (512 - 400) * 1024);
    await daemon.converse('anna', '/bin/busybox dd if=/z bs=1M count=200 of=/mnt/b; /bin/busybox tr -d "\\0" < /mnt/b | /bin/busybox wc -c | /bin/busybox sed s/^/rest=/\n', /rest=0/);
    assert.doesNotMatch(await daemon.converse('anna', '/bin/busybox dmesg; echo en""ded\n', /ended/), /Call Trace|BUG:|Oops/);
    await daemon.ok('destroy', 'anna');
  });

  test('begins with less than it may have, and grows up to that', async () => {
    await boot('bert', 'memory=160', 'maxmem=512');
    const first = await total('bert', 'first');
    assert.ok(first < 160 * 1024);
    assert.equal((await daemon.one('bert')).memory, 160);
    await daemon.ok('mem-set', 'bert', '512m');
    await kept('bert', 512);
    assert.equal(await total('bert', 'last') - first, (512 - 160) * 1024);
    await daemon.converse('bert', '/bin/busybox mkdir /mnt; /bin/busybox mount -t tmpfs -o size=400m none /mnt; /bin/busybox mknod /z c 1 5; /bin/busybox dd if=/z bs=1M count=300 of=/mnt/b; /bin/busybox tr -d "\\0" < /mnt/b | /bin/busybox wc -c | /bin/busybox sed s/^/rest=/\n', /rest=0/);
    assert.doesNotMatch(await daemon.converse('bert', '/bin/busybox dmesg; echo en""ded\n', /ended/), /Call Trace|BUG:|Oops/);
    await daemon.ok('destroy', 'bert');
  });

  test('takes vCPUs and lets them go', async () => {
    await boot('carl', 'memory=192', 'vcpus=2', 'maxvcpus=4');
    await daemon.converse('carl', '/bin/busybox mkdir /sys; /bin/busybox mount -t sysfs none /sys; echo moun""ted\n', /mounted/);
    await changeVcpus(daemon, 'carl', '/bin/busybox ');
    assert.doesNotMatch(await daemon.converse('carl', '/bin/busybox dmesg; echo en""ded\n', /ended/), /Call Trace|BUG:|Oops/);
    await daemon.ok('destroy', 'carl');
  });
});
