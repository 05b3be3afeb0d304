// Locks in capsules, for what threads change together: a word that is 1 while somebody holds the lock. Whoever does, reads and
// writes, clears pages at the most, and waits for nobody. No lock is taken twice.

import { assert } from './assert.ts';

/** Some seconds: whoever holds a lock so long has failed. */
const TRIES = 2 ** 28;

/** Does something with a lock, which is let go even if it fails. @param at index of its word */
export function withLock<T>(words: Uint32Array<SharedArrayBuffer> | Int32Array<SharedArrayBuffer>, at: number, body: () => T): T {
  for (let tries = 0; Atomics.compareExchange(words, at, 0, 1) !== 0; tries++) assert(tries < TRIES, 'a lock is let go');
  try {
    return body();
  } finally {
    Atomics.store(words, at, 0);
  }
}
