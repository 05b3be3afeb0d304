// What a guest is told of the time that its vCPUs wait for each other: /proc/stat, "steal" (the eighth number).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inGuest } from './xenith.ts';

/** Two loops of the same length side by side, and what /proc/stat said before and after. */
const SCRIPT = `
loop() { i=0; while [ $i -lt 15000 ]; do i=$((i+1)); done; }
cat /proc/stat; loop & loop & wait; cat /proc/stat`;
const USER = 1, STEAL = 8;

test('of two vCPUs that are busy on one thread, each has half the time and the other half stolen', async () => {
  const { status, out, err } = await inGuest(['sh', '-c', SCRIPT], '', ['--deterministic', '--vcpus', '2']);
  assert.equal(status, 0, err);
  for (const cpu of ['cpu0', 'cpu1']) {
    const [before, after] = [...out.matchAll(new RegExp(`^${cpu} .*$`, 'gm'))].map(([line]) => line.trim().split(' ').map(Number)) as [number[], number[]];
    const spent = (column: number): number => (after[column] as number) - (before[column] as number);
    assert.ok(spent(USER) >= 15, `${cpu}: ${spent(USER)} hundredths of a second of work`);
    const part = spent(STEAL) / (spent(STEAL) + spent(USER));
    assert.ok(part > 0.4 && part < 0.6, `${cpu}: ${part} of the time stolen`);
  }
});
