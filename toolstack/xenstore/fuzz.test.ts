import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzWire } from './testing/fuzz-wire.ts';

// tests/fuzz/xenstore.ts runs more of them, and single seeds again
test('20,000 hostile messages break no rule', () => {
  const answered = new Set<string>();
  let deaths = 0;
  for (const seed of [4, 14, 30, 39]) {
    const life = fuzzWire(seed, 5000);
    assert.deepEqual(life.problems, [], `seed ${seed}`);
    for (const answer of life.outcomes.keys()) answered.add(answer);
    deaths += life.deaths;
  }
  assert.deepEqual([...answered].sort(), ['E2BIG', 'EACCES', 'EAGAIN', 'EBUSY', 'EEXIST', 'EINVAL', 'ENOENT', 'ENOMEM', 'ENOSPC', 'ENOSYS', 'EPERM', 'OK'], 'it came everywhere');
  assert.ok(deaths > 10, `${deaths} connections were ended`);
});
