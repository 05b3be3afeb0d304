import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Capsule, PAGE_SIZE } from '#base/capsule.ts';
import type { CommonMemories } from '#base/host.ts';
import { copyingCommons } from '#hypervisor/testing/copying-commons.ts';
import { commonBytes, placeBytes } from './common-bytes.ts';

test('the memory of a domain is the same, mapped or copied', () => {
  let mapped = 0;
  const capsule = new Capsule(64, 8, 0x1_0000), copied = new Capsule(64, 8, 0x1_0000);
  const commons = copyingCommons((memory, offset, bytes) => {
    assert.equal(memory, capsule.memory);
    for (const n of [offset, bytes]) assert.equal(n % PAGE_SIZE, 0);
    mapped += bytes;
  });
  const put: CommonMemories['put'] = (common, from, ...to) => {
    assert.equal(from % PAGE_SIZE, 0);
    return commons.put(common, from, ...to);
  };
  const bytes = Uint8Array.from({ length: 30 * PAGE_SIZE + 77 }, (_, i) => i % 251 + 1);
  for (const at of [0, 1, 4095]) {
    const image = commonBytes(bytes, at, commons);
    for (const [from, to] of [[0, bytes.length], [1, bytes.length - 1], [PAGE_SIZE, 17 * PAGE_SIZE], [5000, 6000]] as const) {
      mapped = 0;
      for (const { u8 } of [capsule, copied]) u8.fill(0);
      placeBytes(capsule, capsule.frame(10) + at, image, from, to, { ...commons, put });
      placeBytes(copied, copied.frame(10) + at, { bytes }, from, to, undefined);
      assert.ok(Buffer.from(capsule.buffer).equals(Buffer.from(copied.buffer)), `${at}: ${from}-${to}`);
      assert.ok(to - from < 18 * PAGE_SIZE || mapped >= to - from - 2 * PAGE_SIZE);
      assert.ok(to - from >= 16 * PAGE_SIZE || mapped === 0);
    }
  }
});
