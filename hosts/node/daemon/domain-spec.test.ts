import assert from 'node:assert/strict';
import { test } from 'node:test';
import { guestFile } from '../input-file.ts';
import { specOf } from './domain-spec.ts';
import { requestOf } from './testing/requests.ts';

test('a file that is kernel and ramdisk is read as both', () => {
  const kernel = guestFile('vmlinuz-xenith');
  for (let round = 0; round < 2; round++) {
    const images = specOf(requestOf('both', { kernel, ramdisk: kernel })).images();
    assert.ok(images.kernel.segments.length > 0);
    assert.ok(images.initrd && images.initrd.length > 0);
  }
});
