// Standard input and output that are pipes.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { ended, inGuest, start, xenith } from './xenith.ts';

test('every byte passes through the guest unchanged, in both directions', async () => {
  const bytes = Buffer.concat([Buffer.from(Array.from({ length: 512 }, (_, i) => i & 255)), randomBytes(100_000), Buffer.alloc(20_000, 'long line'), Buffer.from('\n\n')]);
  const { stdout } = await inGuest(['cat'], bytes);
  assert.ok(stdout.equals(bytes), `${stdout.length} of ${bytes.length} bytes`);
});

test('the end of the input reaches the command, after a whole line or in the middle of one', async () => {
  assert.equal((await inGuest(['wc', '-c'], '')).out.trim(), '0');
  assert.equal((await inGuest(['wc', '-c'], 'abc\n')).out.trim(), '4');
  assert.equal((await inGuest(['wc', '-c'], 'abc\nde')).out.trim(), '6');
  assert.equal((await inGuest(['wc', '-c'], 'x'.repeat(4000))).out.trim(), '4000'); // as long as a piece that is passed on
});

test('input waits for a command that is slow to read it', async () => {
  const line = 'a line that is neither lost nor doubled\n';
  assert.equal((await inGuest(['sh', '-c', 'sleep 1; wc -l'], line.repeat(5000))).out.trim(), '5000');
});

test('a shell reads its commands from the pipe and ends with it', async () => {
  const { status, out } = await xenith(['run', '--append', 'quiet', '--timeout', '60'], 'echo $((6*7)); cd /tmp; pwd\n');
  assert.equal(status, 0);
  assert.match(out, /42\n/);
  assert.match(out, /\/tmp/);
});

test('a reader that leaves ends the guest', async () => {
  const child = start(['run', '--timeout', '60', '--', 'yes']);
  const result = ended(child);
  child.stdout.once('data', () => child.stdout.destroy());
  assert.equal((await result).status, 141);
});

test('a reader that stands still stops the guest, not the time-out', async () => {
  const child = start(['run', '--timeout', '4', '--', 'sh', '-c', 'yes | head -c 20000000']);
  const exited = new Promise((done) => { child.on('exit', done); });
  child.stdin.end();
  assert.equal(await exited, 124);
});
