import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bestMove, leastLoaded, type Load } from './placement.ts';

const ALL = new Set([0, 1, 2]);
const on = (cpu: number, load: number, allowed: ReadonlySet<number> = ALL): Load => ({ cpu, load, allowed });

test('a new domain comes to the least loaded CPU that it may be on', () => {
  const domains = [on(0, 100), on(1, 50), on(2, 200)];
  assert.equal(leastLoaded(domains, 3, ALL), 1);
  assert.equal(leastLoaded(domains, 3, new Set([0, 2])), 0);
  assert.equal(leastLoaded(domains, 3, new Set([7])), undefined);
});
test('where the load is alike, it comes to the CPU with the fewest domains', () => {
  assert.equal(leastLoaded([on(0, 0), on(0, 0), on(1, 0)], 2, ALL), 1);
  assert.equal(leastLoaded([], 2, ALL), 0);
});
test('a domain moves from a crowded CPU to one with nothing to do', () => {
  const domains = [on(0, 256), on(0, 256), on(1, 0)];
  assert.deepEqual(bestMove(domains, 2), { domain: domains[0], to: 1 });
});
test('nothing moves when it would only change sides', () => {
  assert.equal(bestMove([on(0, 256)], 2), undefined, 'alone');
  assert.equal(bestMove([on(0, 256), on(0, 256), on(1, 256)], 2), undefined, 'two and one');
  assert.equal(bestMove([on(0, 256), on(0, 5), on(1, 256)], 2), undefined, 'a trifle');
});
test('the move that evens out best is chosen', () => {
  const domains = [on(0, 800), on(0, 400), on(0, 200), on(1, 100)];
  assert.equal(bestMove(domains, 2)?.domain, domains[0], '800 there: 600 and 900');
});
test('a domain moves only where it may be', () => {
  const pinned = new Set([0]);
  assert.equal(bestMove([on(0, 256, pinned), on(0, 256, pinned)], 2), undefined);
  assert.equal(bestMove([on(0, 256, new Set([0, 2])), on(0, 256, pinned)], 3)?.to, 2);
});
