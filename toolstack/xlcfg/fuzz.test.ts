// Hostile configurations: whatever comes in, there is a configuration or a ConfigError, and soon.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attempt, fuzzConfigs } from './testing/fuzz-configs.ts';

// tests/fuzz/xlcfg.ts tries more of them, and single seeds again
test('40,000 random and broken configurations', () => {
  const { problems, outcomes } = fuzzConfigs(1729, 40_000);
  assert.deepEqual(problems, []);
  for (const outcome of ['no file', 'no domain', 'domain']) assert.ok((outcomes.get(outcome) ?? 0) > 1000, `${outcome}: only ${outcomes.get(outcome)}`);
});

test('long values take no longer than they are long', () => {
  const half = 2 ** 19;
  const long = ['a', ',', ':', '=', ' ', 'tap:', '0,', '^0,', '0-4095,', 'all,', 'x=y,', '\\n', '-', '9'].map((piece) => piece.repeat(half / piece.length));
  const check = (text: string): void => assert.deepEqual(attempt(text, []).wrong, []);
  const begin = process.cpuUsage();
  for (const text of long) for (const key of ['name', 'uuid', 'memory', 'cpus', 'disk', 'vif', 'on_crash', 'unknown']) check(`name="g"\nkernel="/k"\n${key}=${/disk|vif/.test(key) ? `["${text}"]` : `"${text}"`}`);
  check(`name="g"\nkernel="/k"\nvif=[${'"",'.repeat(half / 3)}]`);
  check(`name="g"\nkernel="/k"\ndisk=[${Array.from({ length: 30_000 }, (_, i) => `"/a,,d${i}"`).join(',')}]`);
  const { user, system } = process.cpuUsage(begin);
  assert.ok(user + system < 5e6, `took ${(user + system) / 1e3} ms of a processor`);
});
