// The language, a case a line; reference.test.ts holds the same cases against libxlutil.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ConfigError } from './config-error.ts';
import { parseConfig, withWords, type ConfigFile } from './config-file.ts';
import { ACCEPTED, plain, REFUSED } from './testing/grammar-cases.ts';

const parsed = (config: ConfigFile): Record<string, unknown> => Object.fromEntries([...config.settings].map(([key, { value }]) => [key, plain(value)]));

describe('accepted', () => {
  for (const [text, expected] of ACCEPTED) test(JSON.stringify(text), () => assert.deepEqual(parsed(parseConfig(text, 'f')), expected));
  test('a comment may end with the file', () => assert.deepEqual(parsed(parseConfig('a=1 # c', 'f')), { a: '1' }));
});

describe('refused, with place and advice', () => {
  for (const [text, message] of REFUSED) test(JSON.stringify(text), () => assert.throws(() => parseConfig(text, 'f'), { name: 'ConfigError', message }));
});

test('values have lines, and so has an error within a list', () => {
  const { settings } = parseConfig('# c\na = 1\nb = [ "x",\n  "y" ]\n', 'f');
  assert.equal(settings.get('a')?.line, 2);
  assert.equal(settings.get('b')?.line, 3);
  const list = settings.get('b')?.value;
  assert.deepEqual(list?.kind === 'list' && list.items.map((item) => item.line), [3, 4]);
});

describe('words behind the file', () => {
  const file = parseConfig('memory = 64\ndisk = [ "a" ]\n', 'f');
  test('override and add, as if they stood at its end', () => {
    assert.deepEqual(parsed(withWords(file, ['memory=128', 'cpus="0-3"; pci=["01:05.1","01:05.2"]', 'disk+=["b"]', 'disk+=["c"]'])), {
      memory: '128', disk: ['a', 'b', 'c'], cpus: '0-3', pci: ['01:05.1', '01:05.2'],
    });
  });
  test('leave the file as it was', () => assert.deepEqual(parsed(file), { memory: '64', disk: ['a'] }));
  test('an error names the word', () => {
    assert.throws(() => withWords(file, ['a=1', 'memory=lots']), (e) => e instanceof ConfigError && e.file === 'command line' && e.line === 2 && e.message.startsWith('command line:2: syntax error near “lots”'));
  });
});

describe('bounds', () => {
  const within = (seconds: number, work: () => void): void => {
    const begin = performance.now();
    work();
    assert.ok(performance.now() - begin < seconds * 1000, `took ${performance.now() - begin} ms`);
  };
  test('lists nest 32 deep, and no deeper', () => {
    parseConfig(`a=${'['.repeat(32)}${']'.repeat(32)}`, 'f');
    assert.throws(() => parseConfig(`a=${'['.repeat(33)}${']'.repeat(33)}`, 'f'), ConfigError);
    assert.throws(() => parseConfig(`a=${'['.repeat(2 ** 19)}`, 'f'), ConfigError);
  });
  test('a file has at most a mebibyte', () => assert.throws(() => parseConfig(' '.repeat(2 ** 20 + 1), 'f'), /too long/));
  test('time is linear', () => {
    within(2, () => {
      assert.equal((parsed(parseConfig('a+=[1]\n'.repeat(140_000), 'f'))['a'] as unknown[]).length, 140_000);
      assert.equal((parsed(parseConfig('a+="xy"\n'.repeat(120_000), 'f'))['a'] as string).length, 240_000);
      parseConfig(`a=["${'\\n'.repeat(500_000)}"]`, 'f');
      assert.throws(() => parseConfig(`a="${'x'.repeat(1_000_000)}`, 'f'), ConfigError);
      assert.throws(() => parseConfig(`a=${'#\n'.repeat(500_000)}`, 'f'), ConfigError);
    });
  });
  test('a message is short, and drives no terminal', () => {
    const message = (text: string): string => { try { parseConfig(text, 'f\x1b[2J'); } catch (e) { return (e as Error).message; } return ''; };
    const errors = [`a="\x1b[31m${'x'.repeat(500_000)}`, `${'k'.repeat(500_000)} 1`, `a=${'1'.repeat(500_000)} 2`, `a=[]\na+="x"`, `${'A'.repeat(500_000)}`, `${'k'.repeat(500_000)}=1;${'k'.repeat(500_000)}+=[]`];
    for (const text of errors) assert.match(message(text), /^f\\x1b\[2J:\d+: \P{Cc}{10,300}$/u);
  });
});
