// xenith run -- COMMAND: its output and nothing else, its exit status.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inGuest } from './xenith.ts';

test('prints what the command prints, to the byte', async () => {
  const { status, stdout, err } = await inGuest(['printf', 'a\\nb\\r\\n\\001\\377']);
  assert.equal(err, '');
  assert.equal(status, 0);
  assert.deepEqual([...stdout], [0x61, 0x0a, 0x62, 0x0d, 0x0a, 0x01, 0xff]);
});

test('ends with the command\'s exit status', async () => {
  for (const [command, expected] of [[['sh', '-c', 'exit 7'], 7], [['no-such-program'], 127], [['/etc'], 126], [['sh', '-c', 'kill -9 $$'], 137]] as const) {
    assert.equal((await inGuest(command)).status, expected, command.join(' '));
  }
});

test('passes words on as they are', async () => {
  const words = ['a b', '', '%41,$HOME', '"\'\\', 'é☃', '--vcpus', 'line\nbreak'];
  const { out } = await inGuest(['sh', '-c', 'printf "<%s>" "$@"', 'sh', ...words]);
  assert.equal(out, words.map((w) => `<${w}>`).join(''));
});

test('a long command passes, one that is too long is refused', async () => {
  assert.equal((await inGuest(['echo', 'x'.repeat(4000)])).out.length, 4000);
  const { status, err } = await inGuest(['echo', 'x'.repeat(5000)]);
  assert.equal(status, 2);
  assert.match(err, /too long: 5005 bytes/);
});

test('the guest has the memory, the processors and the name that were asked for', async () => {
  const { out } = await inGuest(['sh', '-c', 'nproc; hostname; free -m | sed -n 2p'], '', ['--memory', '3G', '--vcpus', '4', '--name', 'box-1']);
  const [nproc, hostname, free = ''] = out.split('\n');
  assert.equal(nproc, '4');
  assert.equal(hostname, 'box-1');
  assert.ok(Number(free.split(/ +/)[1]) > 2800, free);
});

test('the default guest runs in 32 MiB', async () => {
  assert.equal((await inGuest(['echo', 'small'], '', ['--memory', '32M'])).out, 'small');
});
