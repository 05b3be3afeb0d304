// Memory of a domain that runs: xl's mem-set and mem-max, and what they leave to the machine.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { DomainInfo } from '#hosts/node/daemon/protocol.ts';
import { memoryKiB } from '#hosts/node/cli/resize-commands.ts';
import { canGiveBack, residentMiB } from '#hosts/node/testing/resident-memory.ts';
import { Daemon } from './daemon-process.ts';
import { changeVcpus } from './vcpus.ts';

const daemon = new Daemon(['--cpus', '1']);
/** MiB that the guest says it has and that are free. */
async function guestMemory(name: string, tag: string): Promise<{ total: number; free: number }> {
  const heard = await daemon.converse(name, `echo ${tag}=$(free -m | sed -n 2p)\n`, new RegExp(`${tag}=Mem: [^\n]*\n`));
  const [, total, , free] = new RegExp(`${tag}=Mem: (\\d+) (\\d+) (\\d+)`).exec(heard) as unknown as [string, string, string, string];
  return { total: Number(total), free: Number(free) };
}

test('sizes are written as xl takes them', () => {
  for (const [text, kib] of [['64', 65536], ['64m', 65536], ['64M', 65536], ['1g', 1 << 20], ['2T', 2 ** 31], ['100k', 100], ['8192b', 8]] as const) assert.equal(memoryKiB(text), kib, text);
  for (const text of ['', 'm', '64mb', '-5', '1.5g', 'x']) assert.throws(() => memoryKiB(text), /invalid memory size/, text);
});

describe('a domain is resized', { timeout: 200_000 }, () => {
  before(() => daemon.start());
  after(() => daemon.remove());

  test('errors are xl’s', async () => {
    await daemon.ok('create', '-p', 'name="anna"', 'memory=48', 'maxmem=64');
    assert.match((await daemon.call('mem-set', 'anna', 'much')).err, /invalid memory size: much/);
    assert.match((await daemon.call('mem-set', 'anna', '65')).err, /cannot set domid 1 dynamic max memory.*must be less than or equal to memory_static_max/);
    assert.match((await daemon.call('mem-max', 'anna', '47m')).err, /cannot set domid 1 static max memory.*must be greater than or equal to memory_dynamic_max/);
    assert.match((await daemon.call('mem-set', 'nobody', '10')).err, /no such domain/);
    assert.match((await daemon.call('mem-set', 'anna')).err, /words are missing/);
    const { memory, target, maxmem } = JSON.parse(await daemon.ok('mem-set', '--json', 'anna', '49152k')) as DomainInfo;
    assert.deepEqual({ memory, target, maxmem }, { memory: 48, target: 48, maxmem: 64 });
    await daemon.ok('mem-max', 'anna', '2g'); // as under Xen: more than it was made with
    await daemon.ok('destroy', 'anna');
  });

  test('what the guest gives back is the machine’s again, and comes back', async () => {
    await daemon.ok('create', 'name="bert"', 'memory=320');
    const full = await guestMemory('bert', 'full');
    await daemon.converse('bert', 'mount -t tmpfs none /mnt && dd if=/dev/zero bs=1M count=200 | tr "\\0" x > /mnt/a; rm /mnt/a; echo wri""tten\n', /written/);
    const large = residentMiB(daemon.pid);
    await daemon.ok('mem-set', 'bert', '96');
    await daemon.until('it is small', async () => (await daemon.one('bert')).memory === 96);
    const small = await guestMemory('bert', 'small');
    assert.equal(full.total - small.total, 320 - 96);
    if (canGiveBack) assert.ok(residentMiB(daemon.pid) < large - 110, `${large} MiB before, ${residentMiB(daemon.pid)} after`);
    await daemon.ok('mem-set', 'bert', '256m');
    await daemon.until('it is larger', async () => (await daemon.one('bert')).memory === 256);
    assert.match(await daemon.ok('list', 'bert'), /\nbert +2 +256 +1 /);
    assert.equal(full.total - (await guestMemory('bert', 'larger')).total, 320 - 256);
    await daemon.converse('bert', 'dd if=/dev/zero bs=1M count=150 | tr "\\0" y > /mnt/b; tr -d y < /mnt/b | wc -c | sed s/^/rest=/\n', /rest=0/);
    await daemon.ok('destroy', 'bert');
  });

  test('one that begins with less than it may have grows up to that', async () => {
    await daemon.ok('create', 'name="carl"', 'memory=64', 'maxmem=192');
    const first = await guestMemory('carl', 'first');
    assert.ok(first.total < 64, `${first.total} MiB at first`);
    assert.equal((await daemon.one('carl')).memory, 64);
    await daemon.ok('mem-set', 'carl', '192');
    await daemon.until('it has grown', async () => (await daemon.one('carl')).memory === 192);
    assert.equal((await guestMemory('carl', 'last')).total - first.total, 128);
    await daemon.converse('carl', 'mount -t tmpfs -o size=150m none /mnt; dd if=/dev/zero bs=1M count=100 | tr "\\0" y > /mnt/b; tr -d y < /mnt/b | wc -c | sed s/^/rest=/\n', /rest=0/);
    await daemon.ok('destroy', 'carl');
  });

  test('vCPUs go and come', async () => {
    await daemon.ok('create', 'name="dora"', 'memory=64', 'vcpus=2', 'maxvcpus=4');
    await changeVcpus(daemon, 'dora', '');
    await daemon.ok('destroy', 'dora');
  });
});
