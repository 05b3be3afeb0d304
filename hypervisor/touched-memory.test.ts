import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Capsule } from '#base/capsule.ts';
import { TouchedMemory } from './touched-memory.ts';

const make = (): { capsule: Capsule; set(frame: number, at: number, value: number): void } => {
  const capsule = new Capsule(12, 4, 0);
  return { capsule, set: (frame, at, value) => { capsule.u8[capsule.frame(frame) + at] = value; } };
};

test('pages that hold anything but zeros, to the last byte', () => {
  const { capsule, set } = make();
  const memory = new TouchedMemory(capsule);
  assert.equal(memory.look().bytes, 0);
  set(0, 0, 1);
  set(7, 4095, 0x80);
  set(15, 2048, 1);
  assert.equal(memory.look().bytes, 3 * 4096);
  assert.equal(memory.look().bytes, 3 * 4096, 'each is counted once');
});

test('a page that was used once counts from then on', () => {
  const { capsule, set } = make();
  const memory = new TouchedMemory(capsule);
  set(3, 5, 1);
  memory.look();
  set(3, 5, 0);
  assert.equal(memory.look().bytes, 4096);
});

test('a look may be at a part only; the next one goes on behind it', () => {
  const { capsule, set } = make();
  const memory = new TouchedMemory(capsule);
  for (let frame = 0; frame < 16; frame++) set(frame, 0, 1);
  assert.equal(memory.look(5).bytes, 5 * 4096);
  assert.equal(memory.look(5).bytes, 10 * 4096);
  assert.equal(memory.look(100).bytes, 16 * 4096);
});
