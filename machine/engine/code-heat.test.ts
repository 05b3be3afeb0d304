import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CodeHeat } from './code-heat.ts';

test('blocks of a frame that is rewritten again and again get shorter, down to two instructions', () => {
  const heat = new CodeHeat();
  const limits = Array.from({ length: 200 }, (_, i) => { heat.rewritten(7, i); return heat.limit(7, 64); });
  assert.deepEqual([limits[0], limits[3], limits[7], limits[30], limits[199]], [64, 32, 16, 2, 2]);
  assert.equal(heat.limit(8, 64), 64, 'of other frames not');
});

test('what happened long ago is forgotten', () => {
  const heat = new CodeHeat();
  for (let i = 0; i < 100; i++) heat.rewritten(7, i);
  heat.rewritten(7, 1000);
  assert.equal(heat.limit(7, 64), 64);
});
