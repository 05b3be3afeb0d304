// Bad usage: one clear line on standard error and exit status 2.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { xenith } from './xenith.ts';

const kernel = fileURLToPath(new URL('../../guest/dist/vmlinuz-xenith', import.meta.url));
const initrd = fileURLToPath(new URL('../../guest/dist/initramfs.cpio.gz', import.meta.url));
const BAD: readonly (readonly [string, RegExp])[] = [
  ['', /no command given/],
  ['fly', /fly: no such command/],
  ['constructor', /constructor: no such command/],
  ['run --fast', /unknown option '--fast'/],
  ['run sh', /sh: not an option; a command for the guest goes after --/],
  ['run --kernel /no/such/file', /--kernel \/no\/such\/file: no such file/],
  ['run --kernel /', /--kernel \/: is a directory/],
  [`run --kernel ${initrd}`, /neither an ELF file nor a bzImage/],
  [`run --kernel ${kernel} --initrd /no/such/file`, /--initrd \/no\/such\/file: no such file/],
  ['run --memory 4M', /too little memory: kernel and initrd need at least \d+ MiB, the domain has 4 MiB/],
  ['run --memory 4095M', /does not fit/],
  ['run --vcpus 33', /--vcpus 33: not a number from 1 to 32/],
  [`run --append ${'x'.repeat(2000)}`, /1023 is the most/],
];

for (const [line, expected] of BAD) {
  test(`xenith ${line.slice(0, 40).replace(/\/\S*\//, '')}`, async () => {
    const { status, out, err } = await xenith(line === '' ? [] : line.split(' '));
    assert.match(err, expected);
    assert.match(err, /^xenith: [^\n]+\nTry: [^\n]+\n$/);
    assert.equal(out, '');
    assert.equal(status, 2);
  });
}

test('--help and --version', async () => {
  for (const [args, expected] of [[['--help'], /^Usage: xenith COMMAND/], [['run', '--help'], /^Usage: xenith run/], [['--version'], /^xenith \d+\.\d+\.\d+$/]] as const) {
    const { status, out, err } = await xenith(args);
    assert.match(out, expected);
    assert.equal(err, '');
    assert.equal(status, 0);
  }
});
