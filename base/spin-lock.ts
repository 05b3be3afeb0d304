// Locks in capsules, for what threads change together: a word that is 1 while somebody holds the lock. Whoever does, reads and
// writes, clears pages at the most, and waits for nobody. No lock is taken twice.

import { assert } from '#base/assert.ts';

/** Seconds: whoever holds it has failed. */
const TRIES = 2 ** 28;

/** Waits for a lock. @param at index of its word */
function spinLock(words: Uint32Array<SharedArrayBuffer>, at: number): void {
  for (let tries = 0; Atomics.compareExchange(words, at, 0, 1) !== 0; tries++) assert(tries < TRIES, 'a lock is let go');
}
function spinUnlock(words: Uint32Array<SharedArrayBuffer>, at: number): void { Atomics.store(words, at, 0); }
/** Does something with a lock, which is let go even if it fails. */
export function withLock<T>(words: Uint32Array<SharedArrayBuffer>, at: number, body: () => T): T {
  spinLock(words, at);
  try {
    return body();
  } finally {
    spinUnlock(words, at);
  }
}
