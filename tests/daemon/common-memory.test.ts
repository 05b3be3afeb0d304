// Idle domains have in common what is equal in them, and none of them notices.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { canGiveBack, privateMiB } from '#hosts/node/testing/resident-memory.ts';
import { Daemon } from './daemon-process.ts';

const daemon = new Daemon(['--cpus', '1']);
const NAMES = ['anna', 'bert', 'carl', 'dora', 'emil', 'fred'];
/** A sum over the guest's programs, and over a file that no other one has. */
async function sum(name: string, tag: string): Promise<string> {
  const heard = await daemon.converse(name, `echo ${tag}=$(cat /bin/busybox /root/own /root/same | sha256sum)\n`, new RegExp(`${tag}=[0-9a-f]{64}`));
  return new RegExp(`${tag}=([0-9a-f]{64})`).exec(heard)?.[1] as string;
}
async function untilSmaller(than: number): Promise<void> {
  await daemon.until(`the daemon has less than ${than} MiB of its own`, () => privateMiB(daemon.pid) < than);
}

describe('memory in common', { timeout: 400_000, skip: canGiveBack ? false : 'no node:ffi here' }, () => {
  before(() => daemon.start());
  after(() => daemon.remove());

  test('idle domains share what is equal; their files stay as they are, also those that they write then', async () => {
    for (const name of NAMES) {
      await daemon.ok('create', `name="${name}"`, 'memory=48');
      await daemon.converse(name, 'yes $HOSTNAME$RANDOM | head -c 3000000 > /root/own; yes same | head -c 3000000 > /root/same; echo wri""tten\n', /written/);
    }
    const sums = await Promise.all(NAMES.map((name) => sum(name, 'one')));
    assert.equal(new Set(sums).size, NAMES.length);
    const large = privateMiB(daemon.pid);
    await untilSmaller(large - NAMES.length * 12);
    assert.deepEqual(await Promise.all(NAMES.map((name) => sum(name, 'two'))), sums);
    const [name] = NAMES as [string];
    await daemon.converse(name, 'sed -i s/same/diff/ /root/same; grep -c diff /root/same | sed s/^/lines=/\n', /lines=600000/);
    assert.notEqual(await sum(name, 'three'), sums[0]);
    assert.deepEqual(await Promise.all(NAMES.slice(1).map((other) => sum(other, 'four'))), sums.slice(1));
  });

  test('what such a one gives back is zero when it gets it again', async () => {
    const name = NAMES[1] as string;
    const before = await sum(name, 'five');
    await daemon.ok('mem-set', name, '36');
    await daemon.until('it is small', async () => (await daemon.one(name)).memory === 36);
    await daemon.ok('mem-set', name, '48');
    await daemon.until('it is large', async () => (await daemon.one(name)).memory === 48);
    assert.equal(await sum(name, 'six'), before);
    await daemon.converse(name, 'dd if=/dev/zero bs=1M count=10 of=/root/zeros 2>/dev/null; tr -d "\\0" < /root/zeros | wc -c | sed s/^/rest=/\n', /rest=0/);
    for (const other of NAMES) await daemon.ok('destroy', other);
  });
});
