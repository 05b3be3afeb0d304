import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomUuid, UUID, uuidBytes, uuidOf } from './uuid.ts';

test('bytes and text of a UUID say the same', () => {
  const uuid = '01234567-89ab-cdef-0123-456789abcdef';
  assert.deepEqual([...uuidBytes(uuid)], [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
  assert.equal(uuidOf(uuidBytes(uuid)), uuid);
});

test('random bytes become a UUID of version 4', () => {
  assert.equal(randomUuid(new Uint8Array(16)), '00000000-0000-4000-8000-000000000000');
  assert.equal(randomUuid(new Uint8Array(16).fill(0xff)), 'ffffffff-ffff-4fff-bfff-ffffffffffff');
});

test('what is no UUID', () => {
  const uuid = '01234567-89ab-cdef-0123-456789abcdef';
  assert.match(uuid, UUID);
  for (const not of [uuid.toUpperCase(), uuid.replaceAll('-', ''), `${uuid}0`, ` ${uuid}`, uuid.replace('0', 'g')]) assert.doesNotMatch(not, UUID);
});
