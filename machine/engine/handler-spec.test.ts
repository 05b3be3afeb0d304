import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commonHandlers } from './common-handlers.ts';
import { keyOf, specOf } from './handler-spec.ts';

test('a number stands for a variant, and tells all of it', () => {
  for (const spec of commonHandlers()) {
    const key = keyOf(spec);
    assert.ok(key < 2 ** 30);
    assert.deepEqual(specOf(key), spec);
  }
});
