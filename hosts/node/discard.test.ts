import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Wasm } from '#base/webassembly.ts';
import { discard } from './discard.ts';

const residentMiB = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024;
const canGiveBack = process.platform === 'linux' && (process.getBuiltinModule as (id: string) => unknown)('node:ffi') !== undefined;

test('what is discarded is zero, what is beside it is not touched, and the process gets smaller', { skip: !canGiveBack }, () => {
  const memory = new Wasm.Memory({ initial: 1024, maximum: 1024, shared: true });
  const bytes = new Uint8Array(memory.buffer).fill(7);
  const before = residentMiB();
  discard(memory, 0x1_0000, 60 << 20);
  assert.ok(residentMiB() < before - 50, `${before} MiB before, ${residentMiB()} after`);
  assert.deepEqual([bytes[0xffff], bytes[0x1_0000], bytes[0x1_0000 + (60 << 20) - 1], bytes[0x1_0000 + (60 << 20)]], [7, 0, 0, 7]);
  discard(memory, 0x3ff_0001, 0x1000); // no whole page
  assert.equal(bytes[0x3ff_0800], 7);
});
