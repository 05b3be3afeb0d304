import assert from 'node:assert/strict';
import { test } from 'node:test';
import { append, bytesOf, type Children, countOf, namesFrom, without } from './children.ts';

const list = (names: readonly string[]): Children => names.reduce<Children>((c, name, i) => append(c, i, name), undefined);

function depth(c: Children): number { return c ? 1 + Math.max(depth(c.left), depth(c.right)) : 0; }

test('names stay in the order of their creation, whatever is removed', () => {
  let seed = 5;
  const random = (n: number): number => { seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0; return Math.floor((seed / 2 ** 32) * n); };
  let children: Children;
  let model: { key: number; name: string }[] = [];
  for (let key = 0; key < 3000; key++) {
    if (random(5) < 3) {
      const name = 'n'.repeat(1 + random(9)) + key;
      children = append(children, key, name);
      model.push({ key, name });
    } else if (model.length > 0) {
      const gone = model[random(model.length)];
      children = without(children, gone?.key ?? -1);
      model = model.filter((m) => m !== gone);
    }
    if (key % 50 === 0) assert.deepEqual([...namesFrom(children)], model.map((m) => m.name));
    assert.deepEqual([countOf(children), bytesOf(children)], [model.length, model.reduce((n, m) => n + m.name.length + 1, 0)]);
    assert.ok(depth(children) <= 2 + 2.5 * Math.log2(model.length + 1));
  }
});

test('whoever holds an older list keeps it', () => {
  const before = list(['a', 'b', 'c']);
  const after = without(append(before, 3, 'd'), 0);
  assert.deepEqual([...namesFrom(before)], ['a', 'b', 'c']);
  assert.deepEqual([...namesFrom(after)], ['b', 'c', 'd']);
  assert.deepEqual([...namesFrom(without(before, 99))], ['a', 'b', 'c']);
});

test('a part begins at any byte', () => {
  const names = Array.from({ length: 40 }, (_, i) => `child${i * i}`);
  const whole = names.map((n) => `${n}\0`).join('');
  for (let offset = 0; offset <= whole.length; offset++) {
    assert.equal([...namesFrom(list(names), offset)].map((n) => `${n}\0`).join(''), whole.slice(offset));
  }
});
