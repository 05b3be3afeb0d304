// The native runner and TypeScript must mean the same initial state by the same bytes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { initialImage, type Case } from '#machine/vectors/case.ts';
import { bytesOf } from '#machine/vectors/draft.ts';
import { ARENA, ARENA_SIZE, CODE, FIELD, FLAG, IMAGE } from '#machine/vectors/layout.ts';
import { buildRunner, nativeAvailable, runNative } from './native-runner.ts';

const plain = (code: readonly number[], rest: Partial<Case> = {}): Case => ({ row: 0, compat: false, seed: 12345, codeOffset: 0x100, code: Uint8Array.from(code), undefinedFlags: 0, fields: [], memory: [], ...rest });
const address = (at: number): number[] => [...bytesOf(BigInt(at), 4)];
const skip = nativeAvailable() ? false : 'needs x86-64 Linux and gcc';

function imageOf(c: Case): DataView {
  const image = new DataView(new ArrayBuffer(IMAGE.size));
  initialImage(c, image);
  return image;
}

test('general registers start as the filler says', { skip }, () => {
  const cases = Array.from({ length: 16 }, (_, n) => plain([0x48 | n >> 3 << 2, 0x89, 0x04 | (n & 7) << 3, 0x25, ...address(ARENA + 64)], { seed: n * 77 + 1 }));
  const outcomes = runNative(buildRunner(), cases);
  for (const [n, o] of outcomes.entries()) {
    const image = imageOf(cases[n] as Case);
    const stored = new Uint8Array(8);
    for (const run of o.memory) stored.set(run.bytes, run.offset - 64);
    assert.equal(o.vector, 3);
    for (const run of o.memory) assert.deepEqual([...run.bytes], [...new Uint8Array(image.buffer, n * 8 + run.offset - 64, run.bytes.length)]);
    assert.ok(o.memory.length > 0);
  }
});

test('vector and x87 registers start as the filler says', { skip }, () => {
  const c = plain([0x48, 0x0f, 0xae, 0x04, 0x25, ...address(ARENA)]);
  const [o] = runNative(buildRunner(), [c]);
  assert.equal(o?.vector, 3);
  const image = imageOf(c);
  const saved = new Map<number, number>();
  for (const run of o.memory) for (const [i, b] of run.bytes.entries()) saved.set(run.offset + i, b);
  let compared = 0;
  for (let at = 0; at < 416; at++) {
    const value = saved.get(at);
    if (value === undefined || (at >= 24 && at < 32)) continue; // MXCSR_MASK is the processor's own
    assert.equal(value, image.getUint8(IMAGE.fx + at), `byte ${at}`);
    compared++;
  }
  assert.ok(compared > 350);
});

test('a fault reports vector, error code, address and the state before it', { skip }, () => {
  const [o] = runNative(buildRunner(), [plain([0x48, 0x01, 0x04, 0x25, ...address(ARENA + ARENA_SIZE + 8)])]);
  assert.deepEqual(o, { vector: 14, error: 6, cr2: BigInt(ARENA + ARENA_SIZE + 8), fields: [], memory: [] });
});

const stepped = (code: readonly number[], compat: boolean): Case =>
  plain(code, { compat, fields: [{ field: FIELD['rflags'] as number, bytes: bytesOf(BigInt(0x202 | FLAG.tf), 8) }, { field: 0, bytes: bytesOf(5n, 8) }] });

test('single-stepping stops after one instruction', { skip }, () => {
  const [o] = runNative(buildRunner(), [stepped([0x48, 0xff, 0xc0, 0x48, 0xff, 0xc0], false)]);
  assert.equal(o?.vector, 1);
  assert.deepEqual(o.fields.slice(0, 2), [{ field: 0, bytes: Buffer.from(bytesOf(6n, 8)) }, { field: 16, bytes: Buffer.from(bytesOf(BigInt(CODE + 0x103), 8)) }]);
});

test('32-bit code runs', { skip }, (t) => {
  const [o] = runNative(buildRunner(), [stepped([0x40, 0x40], true)]);
  if (o?.vector === 13) return t.skip('this machine runs no 32-bit code, as some virtual ones do not');
  assert.equal(o?.vector, 1);
  assert.deepEqual(o.fields.slice(0, 2), [{ field: 0, bytes: Buffer.from(bytesOf(6n, 8)) }, { field: 16, bytes: Buffer.from(bytesOf(BigInt(CODE + 0x101), 8)) }]);
});

test('memory is put back between cases', { skip }, () => {
  const store = [0xc6, 0x04, 0x25, ...address(ARENA + 9), 0x5a];
  const outcomes = runNative(buildRunner(), [plain(store), plain([0x90]), plain(store)]);
  assert.deepEqual(outcomes.map((o) => o.memory.length), [1, 0, 1]);
});

test('a case that never ends is given up', { skip }, () => {
  const [o] = runNative(buildRunner(), [plain([0xeb, 0xfe])]);
  assert.equal(o?.vector, 0xfe);
});
