import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Wasm } from '#base/webassembly.ts';
import { commonMemories, discard, inHugePages } from './memory-map.ts';
import { canGiveBack, privateMiB, residentMiB } from './testing/resident-memory.ts';


test('what is discarded is zero, what is beside it is not touched, and the process gets smaller', { skip: !canGiveBack }, () => {
  const memory = new Wasm.Memory({ initial: 1024, maximum: 1024, shared: true });
  const bytes = new Uint8Array(memory.buffer).fill(7);
  const before = residentMiB('self');
  discard(memory, 0x1_0000, 60 << 20);
  assert.ok(residentMiB('self') < before - 50, `${before} MiB before, ${residentMiB('self')} after`);
  assert.deepEqual([bytes[0xffff], bytes[0x1_0000], bytes[0x1_0000 + (60 << 20) - 1], bytes[0x1_0000 + (60 << 20)]], [7, 0, 0, 7]);
  discard(memory, 0x3ff_0001, 0x1000); // no whole page
  assert.equal(bytes[0x3ff_0800], 7);
});

test('a memory has pages in common with others until it writes there', { skip: !canGiveBack }, () => {
  const commons = commonMemories();
  const common = commons?.create(40 << 20);
  assert.ok(commons && common);
  new Uint8Array(common.memory.buffer).fill(5);
  const memories = Array.from({ length: 8 }, () => new Wasm.Memory({ initial: 1024, maximum: 1024, shared: true }));
  const fives = Buffer.alloc(32 << 20, 5), before = privateMiB('self');
  const views = memories.map((memory) => {
    const bytes = new Uint8Array(memory.buffer).fill(1, 0, 0x3000);
    assert.ok(commons.put(common, 0x2000, memory, 0x1000, 32 << 20));
    return bytes;
  });
  for (const bytes of views) {
    assert.deepEqual([bytes[0xfff], bytes[0x1000], bytes[(32 << 20) + 0xfff], bytes[(32 << 20) + 0x1000]], [1, 5, 5, 0]);
    assert.ok(Buffer.from(bytes.buffer, 0x1000, 32 << 20).equals(fives));
  }
  assert.ok(privateMiB('self') < before + 16, 'they are there once');
  const [first, second] = views as [Uint8Array, Uint8Array];
  first[0x5000] = 9;
  assert.deepEqual([first[0x5000], first[0x5001], second[0x5000], new Uint8Array(common.memory.buffer)[0x6000]], [9, 5, 5, 5]);
  discard(memories[0] as (typeof memories)[0], 0x4000, 0x4000);
  assert.deepEqual([first[0x3fff], first[0x4000], first[0x5000], first[0x7fff], first[0x8000]], [5, 0, 0, 0, 5], 'what is discarded is zero, not as in the common memory');
  assert.ok(!commons.put(common, 0, memories[0] as (typeof memories)[0], 0x800, 0x1000), 'no whole page');
  assert.ok(!commons.put({ ...common, inode: common.inode + 1 }, 0, memories[0] as (typeof memories)[0], 0x1000, 0x1000), 'another file');
});
test('mappings join again', { skip: !canGiveBack }, () => {
  const memory = new Wasm.Memory({ initial: 1024, maximum: 1024, shared: true });
  new Uint8Array(memory.buffer).fill(1);
  const before = mappings();
  for (let i = 1; i < 200; i++) discard(memory, i * 0x4000, 0x1000);
  assert.ok(mappings() < before + 100, `${mappings()} mappings, ${before} before`);
});

test('a memory may lie in huge pages', { skip: !canGiveBack }, () => {
  const advised = (): number => readFileSync('/proc/self/smaps', 'latin1').split('\n').filter((line) => /^VmFlags:.* hg\b/.test(line)).length;
  const before = advised();
  const memory = new Wasm.Memory({ initial: 1024, maximum: 1024, shared: true });
  inHugePages(memory);
  assert.equal(advised(), before + 1);
  assert.equal(new Uint8Array(memory.buffer).fill(1, 5, 6)[5], 1);
});

function mappings(): number { return readFileSync('/proc/self/maps', 'utf8').split('\n').length; }
