import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { keptBytes } from './kept-bytes.ts';

test('bytes are made once, and again when their file is damaged', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'kept-'));
  t.after(() => { rmSync(folder, { recursive: true }); });
  const path = join(folder, 'cache/some');
  let made = 0;
  const get = (): number[] => [...keptBytes('some', () => { made++; return Uint8Array.of(1, 2, 3); }, path)];
  assert.deepEqual([get(), get(), made], [[1, 2, 3], [1, 2, 3], 1]);
  for (const damage of [(file: Buffer) => file.subarray(0, -1), (file: Buffer) => Buffer.concat([file.subarray(0, -1), Buffer.of(4)]), () => Buffer.alloc(0)]) {
    made = 0;
    writeFileSync(path, damage(readFileSync(path)));
    assert.deepEqual([get(), get(), made], [[1, 2, 3], [1, 2, 3], 1]);
  }
});

test('a folder that cannot be written to costs no more than the making', () => {
  assert.deepEqual([...keptBytes('some', () => Uint8Array.of(7), join(import.meta.filename, 'some'))], [7]);
});
