import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { OutputError, textPieces, writeOutput } from './output-file.ts';

const directory = mkdtempSync(join(tmpdir(), 'xenith-output-'));
after(() => rmSync(directory, { recursive: true }));
const shared = new Uint8Array(new SharedArrayBuffer(8192));

test('pieces follow each other, those of a domain’s memory and zeros too', async () => {
  const path = join(directory, 'core');
  writeFileSync(path, 'an old one that is longer than what takes its place: '.repeat(20_000));
  shared.fill(7);
  const pieces = [Uint8Array.of(1, 2, 3), shared.subarray(100, 5000), new Uint8Array(65536), Uint8Array.of(0, 9), new Uint8Array(65536)];
  assert.equal(await writeOutput('core file', path, pieces), 3 + 4900 + 65536 * 2 + 2);
  assert.deepEqual(readFileSync(path), Buffer.concat(pieces));
});

test('only its owner may read it, also where there was a file that others may', async () => {
  const path = join(directory, 'private'), old = join(directory, 'public');
  writeFileSync(old, '', { mode: 0o644 });
  for (const file of [path, old]) {
    await writeOutput('core file', file, [Uint8Array.of(1)]);
    assert.equal(statSync(file).mode & 0o777, 0o600);
  }
});

test('zeros take no room on disk', async () => {
  const path = join(directory, 'sparse');
  const zero = new Uint8Array(65536);
  await writeOutput('core file', path, [Uint8Array.of(1), ...Array.from({ length: 256 }, () => zero), Uint8Array.of(2)]);
  const { size, blocks } = statSync(path);
  assert.equal(size, 256 * 65536 + 2);
  assert.ok(blocks * 512 < 1 << 20, `${blocks} blocks`);
});

test('a place that cannot be written is named; what was begun and failed is taken away', async () => {
  await assert.rejects(writeOutput('core file', join(directory, 'none', 'core'), []), (e) => e instanceof OutputError && /none\/core: no such file/.test(e.message));
  await assert.rejects(writeOutput('core file', directory, []), /is a directory/);
  const path = join(directory, 'half');
  const half = function* (): Generator<Uint8Array> {
    yield Uint8Array.of(1);
    throw new Error('the domain is gone');
  };
  await assert.rejects(writeOutput('core file', path, half()), /half: the domain is gone/);
  assert.ok(!existsSync(path));
});

test('a device is written as it is, and stays', async () => {
  assert.equal(await writeOutput('core file', '/dev/null', [Uint8Array.of(1), new Uint8Array(10)]), 11);
  assert.ok(existsSync('/dev/null'));
});

test('text is the same in pieces', () => {
  const lines = Array.from({ length: 20_000 }, (_, i) => `line ${i}, ümlaut\n`);
  const pieces = [...textPieces(lines)];
  assert.ok(pieces.length > 2 && pieces.length < 20);
  assert.equal(Buffer.concat(pieces).toString(), lines.join(''));
});
