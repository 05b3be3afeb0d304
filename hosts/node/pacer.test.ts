import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodePacer } from './pacer.ts';

async function slept(ns: number, pacer = new NodePacer()): Promise<number> {
  const start = performance.now();
  await pacer.sleep(ns);
  return performance.now() - start;
}

test('a sleep takes as long as it should', async () => {
  for (const ms of [0.2, 1, 3, 20]) {
    const took = await slept(ms * 1e6);
    assert.ok(took >= ms - 0.01 && took < ms + 15, `${took} ms instead of ${ms}`);
  }
  assert.ok(await slept(-5e6) < 5);
});

test('short sleeps are exact most of the time', async () => {
  const times: number[] = [];
  for (let i = 0; i < 21; i++) times.push(await slept(200_000));
  assert.ok((times.sort((a, b) => a - b)[10] as number) < 0.8, String(times));
});

test('waking ends a sleep, and the next one when there is none', async () => {
  const pacer = new NodePacer();
  setTimeout(() => pacer.wake(), 20);
  assert.ok(await slept(Infinity, pacer) < 1000);
  pacer.wake();
  assert.ok(await slept(Infinity, pacer) < 1000);
  assert.ok(await slept(5e6, pacer) >= 4.9);
});

test('timers and immediates get their turn between sleeps that are over at once', async () => {
  const pacer = new NodePacer();
  let turns = 0;
  setTimeout(() => turns++, 1);
  const end = performance.now() + 1000;
  while (turns === 0 && performance.now() < end) await pacer.sleep(0);
  assert.equal(turns, 1);
});
