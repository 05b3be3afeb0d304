import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { DomainImage } from '#toolstack/lifecycle/domain-image.ts';
import { keepImage, withImage } from './kept-images.ts';

const PAGES = Uint8Array.from({ length: 3 * 4096 }, (_, i) => i * 7 + (i >> 8));
const image: DomainImage = {
  head: { domid: 1, vcpus: 1, memory: 16, wires: { storePort: 1, storeMfn: 2, consolePort: 3, consoleMfn: 4 }, client: { nodes: [], watches: [] }, runs: [16, 1, 300, 2] }, pages: PAGES,
};

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'images-'));
  t.after(() => { rmSync(folder, { recursive: true }); });
  return folder;
}

/** Reads all pages, as a domain is restored: a run at a time, into shared memory. */
function readBack(name: string, folder: string): Uint8Array | undefined {
  return withImage(name, ({ runs }, read) => {
    const all = new Uint8Array(new SharedArrayBuffer(PAGES.length));
    read(all.subarray(0, 4096), 0);
    read(all.subarray(4096), 4096);
    assert.deepEqual(runs, image.head.runs);
    return all;
  }, folder);
}

test('an image is read as it was kept, and is for its owner only', async (t) => {
  const folder = folderFor(t);
  assert.equal(readBack('a', folder), undefined);
  await keepImage('a', image, folder);
  assert.deepEqual(Buffer.from(readBack('a', folder) ?? []), Buffer.from(PAGES));
  assert.equal(statSync(join(folder, 'image-a')).mode & 0o777, 0o600);
  assert.equal(readdirSync(folder).length, 1);
});

test('a damaged one is none', async (t) => {
  const folder = folderFor(t), path = join(folder, 'image-a');
  await keepImage('a', image, folder);
  const whole = readFileSync(path);
  const changed = (at: number): Buffer => { const copy = Buffer.from(whole); copy[at] = (copy[at] as number) ^ 1; return copy; };
  for (const bytes of [whole.subarray(0, -1), whole.subarray(0, 100), whole.subarray(0, 2), Buffer.alloc(0), Buffer.concat([whole, Buffer.of(0)]), changed(0), changed(3), changed(5), changed(whole.length - 1), changed(whole.indexOf('300')), changed(whole.length - PAGES.length)]) {
    writeFileSync(path, bytes);
    assert.equal(readBack('a', folder), undefined);
  }
});

test('what fails for another reason is told', async (t) => {
  const folder = folderFor(t);
  await keepImage('a', image, folder);
  assert.throws(() => withImage('a', () => { throw new RangeError('no room'); }, folder), /no room/);
});

test('of many, those that were used last stay', async (t) => {
  const folder = folderFor(t);
  for (const [i, name] of ['a', 'b', 'c', 'd'].entries()) {
    await keepImage(name, image, folder);
    utimesSync(join(folder, `image-${name}`), 1000 + i, 1000 + i);
  }
  readBack('a', folder);
  await keepImage('e', image, folder);
  assert.deepEqual(readdirSync(folder).sort(), ['image-a', 'image-c', 'image-d', 'image-e']);
});

test('a folder that cannot be written to costs nothing else', async () => {
  await keepImage('a', image, import.meta.filename);
  assert.equal(readBack('a', import.meta.filename), undefined);
});
