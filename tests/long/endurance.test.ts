// What takes minutes: the same thing many times over.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ended, inGuest, start } from '../run/xenith.ts';

test('ten deterministic runs are the same', async () => {
  const seen = new Set<string>();
  for (let i = 0; i < 10; i++) {
    const { out, err } = await inGuest(['sh', '-c', 'for i in 1 2 3 4; do (seq 2000 | sort -R | md5sum) & done; wait; dmesg'], '', ['--deterministic', '--stats', '--vcpus', '4']);
    seen.add(`${/^instructions +\d+$/m.exec(err)?.[0]}\n${out}`);
  }
  assert.equal(seen.size, 1);
});

test('thirty reboots leave no memory behind', async () => {
  const child = start(['run', '--append', 'quiet', '--stats']);
  const result = ended(child);
  let reboots = 0;
  child.stderr.on('data', (text: Buffer) => {
    reboots += text.toString().split('reboots').length - 1;
    child.stdin.write(reboots < 30 ? 'reboot -f\n' : 'poweroff -f\n');
  });
  child.stdin.write('reboot -f\n');
  const { status, err } = await result;
  assert.equal(status, 0);
  const beyond = Number(/([\d.]+) MiB of it not/.exec(err)?.[1]);
  assert.ok(beyond < 600, `${beyond} MiB beyond the guest's memory`);
});

test('a megabyte through the guest, both ways, with a slow reader', async () => {
  const bytes = Buffer.alloc(1 << 20, 'some text that is long enough to notice what is missing\n');
  const child = start(['run', '--', 'cat']);
  child.stdin.end(bytes);
  let received = 0;
  for await (const chunk of child.stdout) {
    assert.ok((chunk as Buffer).equals(bytes.subarray(received, received + (chunk as Buffer).length)));
    received += (chunk as Buffer).length;
    await new Promise((done) => { setTimeout(done, 2); });
  }
  assert.equal(received, bytes.length);
});
