// A guest that waits costs nothing, and is awake at once when there is something to do.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'node:test';
import { ended, inGuest, start } from './xenith.ts';

/** Processor time of a process in seconds; proc(5). */
function processorTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

test('sleeping and waiting for input', { skip: process.platform !== 'linux' && 'needs /proc' }, async () => {
  const child = start(['run', '--timeout', '60', '--', 'sh', '-c', 'echo up; read line; echo "got $line"']);
  const result = ended(child);
  await new Promise((done) => { child.stdout.once('data', done); });
  await pause(2000); // compilers of the engine come to rest
  const before = processorTime(child.pid as number);
  await pause(4000);
  const spent = processorTime(child.pid as number) - before;
  assert.ok(spent < 0.2, `${spent} s of processor time in 4 s`);
  child.stdin.end('a line\n');
  assert.equal((await result).out, 'up\ngot a line');
});

test('short sleeps are short, by the guest’s clock', async () => {
  const sleeps = ['sh', '-c', 'read a b < /proc/uptime; for i in $(seq 100); do usleep 1000; done; read c d < /proc/uptime; echo $a $c'];
  const { out } = await inGuest(sleeps, '', ['--deterministic']); // virtual time: however busy this machine is
  const [from = 0, to = 0] = out.split(' ').map(Number);
  assert.ok(to - from >= 0.1 && to - from < 1.5, `100 sleeps of 1 ms took ${to - from} s`);
});
