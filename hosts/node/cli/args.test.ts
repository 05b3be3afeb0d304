import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRunArgs } from './args.ts';
import { parseMemorySize } from './memory-size.ts';
import { UsageError } from './usage-error.ts';

test('nothing given: the defaults', () => {
  assert.deepEqual(parseRunArgs([]), {
    help: false, kernel: undefined, initrd: undefined, append: '', memory: 256, vcpus: 1, name: undefined, timeout: Infinity,
    deterministic: false, boot: false, compileAfter: undefined, trace: [], traceOut: undefined, stats: false, profile: false, systemMap: undefined, verbose: false, dumpOnCrash: undefined, command: undefined,
  });
});

test('every option, in either spelling', () => {
  const args = parseRunArgs(['--kernel', 'k', '--initrd=i', '--append', 'a=b --c', '--memory', '1G', '--vcpus=2', '--name', 'n-1.x', '--timeout', '1.5', '--deterministic', '--compile-after', '0', '--trace', 'hypercalls,exec', '--trace-out', 't', '--dump-on-crash=d', '--stats', '--profile', '--system-map', 'm', '--verbose']);
  assert.deepEqual(args, {
    help: false, kernel: 'k', initrd: 'i', append: 'a=b --c', memory: 1024, vcpus: 2, name: 'n-1.x', timeout: 1.5,
    deterministic: true, boot: false, compileAfter: 0, trace: ['hypercalls', 'exec'], traceOut: 't', stats: true, profile: true, systemMap: 'm', verbose: true, dumpOnCrash: 'd', command: undefined,
  });
  assert.equal(parseRunArgs(['-h']).help, true);
});

test('what follows -- is the command, whatever it looks like', () => {
  assert.deepEqual(parseRunArgs(['--vcpus', '2', '--', 'ls', '--vcpus', '--', '-x']).command, ['ls', '--vcpus', '--', '-x']);
});

const BAD: readonly (readonly [readonly string[], RegExp])[] = [
  [['--frob'], /^unknown option '--frob'$/], [['-x'], /^unknown option '-x'$/], [['ls'], /^ls: not an option/],
  [['--append'], /argument missing/], [['--stats=yes'], /does not take an argument/], [['--'], /no command/],
  [['--kernel', 'k', '--', 'ls'], /default guest/], [['--initrd', 'i'], /needs --kernel/], [['--system-map', 'm'], /needs --profile/],
  [['--vcpus', '0'], /1 to 32/], [['--vcpus', '33'], /1 to 32/], [['--vcpus', '1.5'], /1 to 32/], [['--vcpus', 'x'], /1 to 32/],
  [['--timeout', '0'], /above 0/], [['--timeout', '-1'], /ambiguous|above 0/], [['--timeout', '1e3'], /above 0/],
  [['--name', ''], /name/], [['--name', 'a b'], /name/], [['--name', 'x'.repeat(64)], /name/],
  [['--trace', 'calls'], /^--trace calls: not one of hypercalls, events, faults, exec$/], [['--trace', ''], /not one of/],
];
for (const [words, expected] of BAD) {
  test(`refuses ${words.join(' ').slice(0, 40)}`, () => {
    assert.throws(() => parseRunArgs(words), (error) => error instanceof UsageError && expected.test(error.message));
  });
}

test('sizes of memory', () => {
  for (const [text, mib] of [['256M', 256], ['1G', 1024], ['262144K', 256], ['256', 256], ['64m', 64], ['1.5G', 1536], ['32MiB', 32], ['32MB', 32], ['1028K', 1028 / 1024]] as const) {
    assert.equal(parseMemorySize(text), mib, text);
  }
  for (const text of ['', 'M', '-1M', '1T', '1e3', '0', '0M', '512K', '1027K', '4G', '99999G', '1 G', '0x100', 'NaN', 'Infinity']) {
    assert.throws(() => parseMemorySize(text), UsageError, text);
  }
});
