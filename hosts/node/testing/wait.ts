// Waiting for what takes an unknown time: the machine may have other things to do.

import assert from 'node:assert/strict';

export const PATIENCE_MS = 60_000;

export const wait = (ms: number): Promise<void> => new Promise((done) => { setTimeout(done, ms); });
/** Waits until something holds. @param what for the message when it does not @param patience ms */
export async function until(what: string | (() => string), holds: () => boolean | Promise<boolean>, patience = PATIENCE_MS): Promise<void> {
  for (const end = performance.now() + patience; !await holds();) {
    assert.ok(performance.now() < end, typeof what === 'string' ? what : what());
    await wait(20);
  }
}
