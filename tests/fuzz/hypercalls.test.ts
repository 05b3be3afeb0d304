// A short run of the hostile guest in a process of its own, so that not even a hang of ours can hold the tests.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

test('20,000 hypercalls of a hostile guest', () => {
  const program = join(import.meta.dirname, 'hypercalls.ts');
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, '--steps', '20000', '--seed', '1'], { encoding: 'utf8', timeout: 120_000 });
  assert.equal(status, 0, `${stdout}${stderr}`);
  assert.match(stdout, /^\d{5} hypercalls in \d+ lives/m);
});

test('the same seed gives the same life', () => {
  const program = join(import.meta.dirname, 'hypercalls.ts');
  const run = (): string => spawnSync(process.execPath, [program, '--steps', '1000', '--seed', '77', '--verbose'], { encoding: 'utf8', timeout: 120_000 }).stdout;
  const lives = (text: string): string[] => text.split('\n').filter((line) => line.startsWith('seed '));
  const first = lives(run());
  assert.ok(first.length > 0);
  assert.deepEqual(lives(run()), first);
});
