// The state that a case starts from where it does not choose a value itself: pseudo-random, from a 32-bit seed, so
// that a recorded case carries only what matters to it. Part of the vector format: a change here makes every recorded
// vector wrong. The native runner has the same function.

import { ARENA_SIZE, FS_BASE, FX_SIZE, GS_BASE, IMAGE, SELECTOR, STACK, STATUS_FLAGS } from './layout.ts';

/** Marsaglia's xorshift32 with the shifts 13, 17, 5. */
export function xorshift(x: number): number {
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  return x >>> 0;
}

const PATTERN_SEED = 0x2545_f491;

/** What the arena holds where a case does not poke bytes into it. */
export const ARENA_PATTERN: Uint8Array = (() => {
  const words = new Uint32Array(ARENA_SIZE / 4);
  let x = PATTERN_SEED;
  for (let i = 0; i < words.length; i++) words[i] = x = xorshift(x);
  return new Uint8Array(words.buffer);
})();

const ST = IMAGE.fx + 32;
const XMM = IMAGE.fx + 160;

/**
 * Writes the initial state for a seed into an image (layout.ts).
 * @param compat for 32-bit code: upper halves of the general registers are zero
 */
export function fillImage(image: DataView, seed: number, compat: boolean): void {
  let x = seed || 1;
  for (let at = 0; at < IMAGE.fx + FX_SIZE; at += 4) image.setUint32(at, 0, true);
  for (let at = 0; at < 128; at += 8) {
    image.setUint32(at, x = xorshift(x), true);
    x = xorshift(x);
    image.setUint32(at + 4, compat ? 0 : x, true);
  }
  image.setBigUint64(4 * 8, BigInt(STACK), true);
  image.setUint32(IMAGE.rflags, 0x202 | ((x = xorshift(x)) & STATUS_FLAGS), true);
  image.setUint32(IMAGE.fsBase, FS_BASE, true);
  image.setUint32(IMAGE.gsBase, GS_BASE, true);
  const thread = compat ? SELECTOR.data : 0; // 32-bit code cannot use a segment with a null selector
  const selectors = [SELECTOR.data, compat ? SELECTOR.code32 : SELECTOR.code64, SELECTOR.data, SELECTOR.data, thread, thread];
  for (const [i, selector] of selectors.entries()) image.setUint16(IMAGE.selectors + i * 2, selector, true);
  image.setUint16(IMAGE.fx, 0x37f, true);
  image.setUint32(IMAGE.fx + 24, 0x1f80, true);
  for (let at = ST; at < ST + 128; at += 16) {
    image.setUint32(at, x = xorshift(x), true);
    image.setUint32(at + 4, ((x = xorshift(x)) | 0x8000_0000) >>> 0, true);
    x = xorshift(x);
    image.setUint16(at + 8, (0x3fff - 16 + (x & 31)) | (x >>> 31) << 15, true);
  }
  for (let at = XMM; at < XMM + 256; at += 4) image.setUint32(at, x = xorshift(x), true);
}
