// --deterministic: the same console output and the same number of instructions, run after run.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inGuest } from './xenith.ts';

const SCRIPT = 'cat; date; cat /proc/uptime /proc/interrupts; head -c 16 /dev/urandom | od -x; for i in 1 2 3; do (sleep 0.$i; echo $i) & done; wait; dmesg';

async function run(options: readonly string[]): Promise<{ out: string; instructions: string | undefined }> {
  const { status, out, err } = await inGuest(['sh', '-c', SCRIPT], 'some input\n'.repeat(500), ['--deterministic', '--stats', ...options]);
  assert.equal(status, 0, err);
  return { out, instructions: /^instructions +(\d+)$/m.exec(err)?.[1] };
}

for (const vcpus of ['1', '3']) {
  test(`twice the same with ${vcpus} vCPU`, async () => {
    const [first, second] = await Promise.all([run(['--vcpus', vcpus]), run(['--vcpus', vcpus])]);
    assert.match(first.out, /^Thu Jan {2}1 .* 2026$/m);
    assert.ok(Number(first.instructions) > 1e7);
    assert.equal(first.out, second.out);
    assert.equal(first.instructions, second.instructions);
  });
}

test('other input, other run', async () => {
  const counts = await Promise.all(['a', 'bb'].map(async (input) => /instructions +(\d+)/.exec((await inGuest(['cat'], input, ['--deterministic', '--stats'])).err)?.[1]));
  assert.notEqual(counts[0], counts[1]);
});
