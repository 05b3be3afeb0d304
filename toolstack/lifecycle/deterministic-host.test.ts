import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deterministicHost } from './deterministic-host.ts';

let time = 0;
const real = { now: () => ++time, wallClock: () => ++time, random: () => assert.fail('asked the host for randomness'), log: () => {} };

test('randomness repeats from host to host, and does not repeat within one', () => {
  const [a, b] = [deterministicHost(real), deterministicHost(real)].map((host) => {
    const bytes = new Uint8Array(64);
    host.random(bytes.subarray(0, 10));
    host.random(bytes.subarray(10));
    return bytes;
  });
  assert.deepEqual(a, b);
  assert.ok(new Set(a).size > 40);
});

test('the wall clock stands still, the monotonic one does not', () => {
  const host = deterministicHost(real);
  assert.equal(host.wallClock(), host.wallClock());
  assert.notEqual(host.now(), host.now());
});
