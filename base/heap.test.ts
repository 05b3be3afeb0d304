import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Heap } from './heap.ts';

/** A generator that repeats (Numerical Recipes). */
function random(): (below: number) => number {
  let state = 1;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
}

test('the first is always the least, whatever is put in, taken out or changed', () => {
  const heap = new Heap<{ key: number }>((a, b) => a.key < b.key);
  const all: { key: number }[] = [];
  const below = random();
  for (let i = 0; i < 5000; i++) {
    const what = below(4);
    const one = all[below(Math.max(1, all.length))];
    if (what < 2 || !one) {
      const added = { key: below(1000) };
      all.push(added);
      heap.put(added);
    } else if (what === 2) {
      all.splice(all.indexOf(one), 1);
      assert.ok(heap.remove(one));
      assert.ok(!heap.remove(one), 'once');
    } else {
      one.key = below(1000);
      heap.put(one);
    }
    assert.equal(heap.size, all.length);
    assert.equal(heap.first?.key, all.length === 0 ? undefined : Math.min(...all.map((x) => x.key)));
  }
  const sorted: number[] = [];
  for (let first; (first = heap.first); heap.remove(first)) sorted.push(first.key);
  assert.deepEqual(sorted, all.map((x) => x.key).sort((a, b) => a - b));
});

test('members are found again', () => {
  const heap = new Heap<{ key: number }>((a, b) => a.key < b.key);
  const [a, b] = [{ key: 1 }, { key: 2 }];
  heap.put(a);
  assert.ok(heap.has(a) && !heap.has(b));
  heap.put(a);
  assert.deepEqual([...heap], [a], 'put twice it is there once');
});
