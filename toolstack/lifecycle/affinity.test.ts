import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Affinity, cpusOfThreads, homeCpus } from './affinity.ts';

const only = (...cpus: number[]): Affinity => cpus.map((cpu) => ({ first: cpu, last: cpu }));
const homes = (...parameters: Parameters<typeof homeCpus>): number[] => [...homeCpus(...parameters)];

test('without lists, as many CPUs as there are vCPUs, machines or CPUs', () => {
  assert.deepEqual(cpusOfThreads([], 4, 3, 8, 1), [1, 0, 2]);
  assert.deepEqual(cpusOfThreads([], 4, 8, 2, 1), [1, 0]);
  assert.deepEqual(cpusOfThreads([], 1, 8, 8, 5), [5]);
});

test('each thread has a CPU of its own that its vCPUs may be on', () => {
  assert.deepEqual(cpusOfThreads([only(0), only(1)], 2, 2, 2, 0), [0, 1]);
  assert.deepEqual(cpusOfThreads([only(0, 1, 2), only(0, 1), only(0)], 3, 3, 3, 2), [2, 1, 0]);
  assert.deepEqual(cpusOfThreads([undefined, only(1), undefined, only(1, 2)], 4, 4, 2, 0), [0, 1], 'vCPUs 1 and 3 are on one thread');
  assert.deepEqual(homes([only(0), only(1)], 2, 2, 2), [0]);
  assert.deepEqual(homes([undefined, only(1)], 2, 3, 2), [0, 2], 'from CPU 1 there would be one thread');
});

test('where they would be in the way of each other, fewer threads do', () => {
  assert.deepEqual(cpusOfThreads([only(0), only(0)], 2, 2, 2, 0), [0]);
  assert.deepEqual(cpusOfThreads([undefined, only(1)], 2, 2, 2, 1), [1], 'the second vCPU has to be where the first one is');
});

test('some lists fit no arrangement', () => {
  assert.deepEqual(homes([only(0), only(0), only(1)], 3, 2, 2), []);
  assert.deepEqual(homes([only(7)], 1, 2, 1), []);
  assert.deepEqual(homes([only(0), only(1)], 2, 2, 1), [], 'there is one machine');
});
