// Hostile configurations: whatever comes in, there is a configuration or a ConfigError, and soon.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError } from './config-error.ts';
import { parseConfig, withWords } from './config-file.ts';
import { domainConfig } from './domain-config.ts';
import { refusedKeys } from './refused-keys.ts';
import { generator, randomConfig } from './testing/random-config.ts';

/** What became of a text: where it ended. */
function attempt(text: string, words: readonly string[]): 'no file' | 'no domain' | 'domain' {
  let outcome: 'no file' | 'no domain' | 'domain' = 'no file';
  try {
    const config = withWords(parseConfig(text, 'f'), words);
    outcome = 'no domain';
    domainConfig(config);
    outcome = 'domain';
  } catch (error) {
    if (!(error instanceof ConfigError)) throw new Error(`not a ConfigError for ${JSON.stringify([text, words])}`, { cause: error });
    assert.match(error.message, /^(f|command line):\d+: \P{Cc}+$/u);
    assert.ok(error.message.length < 400, error.message);
  }
  return outcome;
}

test('20,000 random and broken configurations', () => {
  const random = generator(1729);
  const outcomes = { 'no file': 0, 'no domain': 0, domain: 0 };
  for (let i = 0; i < 20_000; i++) outcomes[attempt(randomConfig(random), random(4) ? [] : [randomConfig(random)])]++;
  for (const [outcome, times] of Object.entries(outcomes)) assert.ok(times > 500, `${outcome}: only ${times}`);
});

test('random values of every key', () => {
  const random = generator(31415);
  const keys = ['name', 'uuid', 'type', 'kernel', 'memory', 'maxmem', 'vcpus', 'cpus', 'cpus_soft', 'cap', 'on_crash', 'disk', 'disk', 'disk', 'vif', 'vif', 'vif', ...refusedKeys().slice(0, 3)];
  const pieces = ['/a', ',', ',', ',', '=', ':', ' ', 'raw', 'qcow2', 'xvda', 'hdc', 'd1p2', 'w', 'cdrom', 'target=', 'vdev=', 'format=', 'phy:', 'tap:', 'mac=', '00:16:3e:0:0:1', 'rate=', '1', '9', '0', 'MB/s', '@', 'ms', 'all', '^', '-', 'node:', 'é', '\\n'];
  const value = (): string => Array.from({ length: random(8) }, () => pieces[random(pieces.length)]).join('');
  for (let i = 0; i < 20_000; i++) {
    const texts = Array.from({ length: 1 + random(2) }, () => `"${value()}"`);
    attempt(`name="g"\nkernel="/k"\n${keys[random(keys.length)]}=${random(4) ? `[${texts.join(',')}]` : texts[0]}`, []);
  }
});

test('long values take no longer than they are long', () => {
  const half = 2 ** 19;
  const long = ['a', ',', ':', '=', ' ', 'tap:', '0,', '^0,', '0-4095,', 'all,', 'x=y,', '\\n', '-', '9'].map((piece) => piece.repeat(half / piece.length));
  const begin = performance.now();
  for (const text of long) for (const key of ['name', 'uuid', 'memory', 'cpus', 'disk', 'vif', 'on_crash', 'unknown']) attempt(`name="g"\nkernel="/k"\n${key}=${/disk|vif/.test(key) ? `["${text}"]` : `"${text}"`}`, []);
  attempt(`name="g"\nkernel="/k"\nvif=[${'"",'.repeat(half / 3)}]`, []);
  attempt(`name="g"\nkernel="/k"\ndisk=[${Array.from({ length: 30_000 }, (_, i) => `"/a,,d${i}"`).join(',')}]`, []);
  assert.ok(performance.now() - begin < 5000, `took ${performance.now() - begin} ms`);
});
