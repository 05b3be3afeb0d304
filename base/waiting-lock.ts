// Locks in capsules whose holder may take its time: who waits sleeps. A word is 0 when the lock is free, 1 when it is held, 2
// when it is held and somebody sleeps for it.

import { assert } from './assert.ts';

/**
 * Waits for a lock. Who has slept takes it as one that others sleep for: they may.
 * @param at index of its word
 * @param looks at a lock that is held, before the thread sleeps
 * @param patience ms: whoever holds it so long has failed
 */
export function takeLock(words: Int32Array<SharedArrayBuffer>, at: number, looks = 1, patience = Infinity): void {
  for (let i = 0; i < looks; i++) if (Atomics.compareExchange(words, at, 0, 1) === 0) return;
  while (Atomics.exchange(words, at, 2) !== 0) assert(Atomics.wait(words, at, 2, patience) !== 'timed-out', 'a lock is let go');
}
export function dropLock(words: Int32Array<SharedArrayBuffer>, at: number): void {
  if (Atomics.exchange(words, at, 0) === 2) Atomics.notify(words, at, 1);
}
