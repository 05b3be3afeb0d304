import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Capsule } from '#base/capsule.ts';
import { FrameTable, OWNER } from './frame-table.ts';

test('a frame that comes to a domain is at no moment its own without being in use: its thread would free it', (t) => {
  const frames = new FrameTable(new Capsule(16, 4, 0x1_0000));
  const mfn = 7;
  const wrong: boolean[] = [];
  const store = Atomics.store.bind(Atomics) as (...args: unknown[]) => number;
  t.mock.method(Atomics, 'store', (...args: unknown[]) => {
    wrong.push(frames.owner(mfn) === OWNER.domain && !frames.isOwned(mfn));
    return store(...args);
  });
  frames.giveToDomain(mfn);
  assert.deepEqual(wrong, [false]);
  assert.ok(frames.isOwned(mfn));
});
