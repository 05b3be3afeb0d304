import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Wasm } from '#base/webassembly.ts';
import { discard } from './discard.ts';
import { canGiveBack, residentMiB } from './testing/resident-memory.ts';


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
