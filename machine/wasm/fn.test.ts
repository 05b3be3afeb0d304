import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fn } from './fn.ts';

const IF = 0x04, BR_IF = 0x0d;

test('branch hints are in the order of the code, at their branches, also when code is put before them', () => {
  const fn = new Fn(['i32'], 'i32');
  fn.if(fn.param(0), () => fn.return(fn.param(0)), undefined, true);
  fn.block((label) => fn.brIf(label, fn.param(0), false));
  fn.before(() => {
    fn.if(fn.param(0), () => fn.return(fn.param(0)), undefined, false);
    fn.if(fn.param(0), () => fn.return(fn.param(0)));
  });
  assert.deepEqual(fn.hints.map(({ at }) => fn.code.data[at]), [IF, IF, BR_IF]);
  assert.deepEqual(fn.hints.map(({ likely }) => likely), [false, true, false]);
  assert.deepEqual(fn.hints, fn.hints.toSorted((a, b) => a.at - b.at));
});
