import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MOST_EARLY_CRASHES, RestartPolicy } from './restart-policy.ts';

const SOON = 59_999, LATE = 60_000;

test('early crashes in a row are followed by longer waits, and then by nothing', () => {
  const policy = new RestartPolicy();
  assert.deepEqual(Array.from({ length: MOST_EARLY_CRASHES }, () => policy.next('crash', SOON)), [0, 1000, 2000, 4000, undefined]);
});

test('a domain that crashes now and then is always restarted at once', () => {
  const policy = new RestartPolicy();
  for (let i = 0; i < 20; i++) assert.equal(policy.next('crash', LATE), 0);
});

test('one that ran for long has a clean slate', () => {
  const policy = new RestartPolicy();
  for (let i = 0; i < MOST_EARLY_CRASHES - 1; i++) policy.next('crash', SOON);
  assert.equal(policy.next('crash', LATE), 0);
  assert.deepEqual([policy.next('crash', SOON), policy.next('crash', SOON)], [0, 1000]);
});

test('reboots are carried out, and do not hide crashes between them', () => {
  const policy = new RestartPolicy();
  const waits: (number | undefined)[] = [];
  for (let i = 0; i < MOST_EARLY_CRASHES; i++) {
    assert.equal(policy.next('reboot', 10), 0);
    waits.push(policy.next('crash', 10));
  }
  assert.equal(waits.at(-1), undefined);
});
