// The memory of a domain that is gone goes back to the system when every thread that knew it has collected its garbage. V8 is in no
// hurry with that: seen from its heap a domain is a few small objects.

import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

let collect: (() => void) | undefined;

/** Collects the garbage of this thread: 5 to 20 ms. */
export function collectGarbage(): void {
  if (!collect) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
}

/** Heap growth, in bytes and as a part of what was there, that is worth a collection, and how often it is looked at: ms. */
const WORTHWHILE = 24 << 20, PART = 0.25, LOOK = 5000;
let looked = 0, used = 0;

/** To be called now and then by a thread with many domains: V8, which takes their memory for a large heap, would let garbage pile up. */
export function collectIfWorthwhile(): void {
  const now = performance.now();
  if (now < looked + LOOK) return;
  looked = now;
  const { used_heap_size: size } = getHeapStatistics();
  if (size < used + Math.max(WORTHWHILE, used * PART)) return; // a collection takes the longer the more there is
  collectGarbage();
  used = getHeapStatistics().used_heap_size;
}
