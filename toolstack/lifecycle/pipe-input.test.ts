import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PipeInput } from './pipe-input.ts';

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));
const encode = (...texts: string[]): number[] => {
  const input = new PipeInput();
  return [...texts.flatMap((text) => [...input.encode(ascii(text))]), ...input.end()];
};

test('text passes as it is, then one end of file', () => {
  assert.deepEqual(encode('ab\n'), [0x61, 0x62, 0x0a, 0x04]);
  assert.deepEqual(encode(), [0x04]);
});

test('the end of file after an unfinished line is doubled', () => {
  assert.deepEqual(encode('a', 'b'), [0x61, 0x62, 0x04, 0x04]);
});

test('each byte that the line discipline acts upon is quoted, no other', () => {
  for (let byte = 0; byte < 256; byte++) {
    const special = [0x00, 0x04, 0x12, 0x15, 0x16, 0x17, 0x7f].includes(byte);
    const end = byte === 0x0a ? [0x04] : [0x04, 0x04];
    assert.deepEqual(encode(String.fromCharCode(byte)), [...(special ? [0x16] : []), byte, ...end]);
  }
});

test('a long line is passed on in pieces of 4,000 bytes', () => {
  const out = encode('x'.repeat(8000));
  assert.deepEqual([out[4000], out[8001], out.length], [0x04, 0x04, 8003]); // and the end, once: nothing is gathered
  assert.deepEqual(encode('x'.repeat(3999), 'y\n').slice(-3), [0x04, 0x0a, 0x04]);
});

test('the worst case fits', () => {
  assert.equal(encode('\0'.repeat(12_000)).length, 24_000 + 3 + 1);
});
