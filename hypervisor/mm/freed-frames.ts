// Frames that have become free, on their way back to the host. They are gathered, for guests give pages back in runs. What the host is
// told of is free and zero: with the lock of free frames, under which others take them, those that are not free any more are left out.

import { PAGE_SIZE } from '#base/capsule.ts';
import type { Host } from '#base/host.ts';
import { OWNER } from './frame-table.ts';
import type { Mm } from './mm.ts';
import { withFreePages } from './pages-lock.ts';

/** Frames that are gathered: as many as a balloon driver gives back in one call. */
const MOST = 512;

export class FreedFrames {
  private readonly mm: Mm;
  private readonly host: Pick<Host, 'discard'> | undefined;
  private readonly gathered: number[] = [];

  /** @param host one without `discard`, or none: free frames are kept */
  constructor(mm: Mm, host: Pick<Host, 'discard'> | undefined) {
    this.mm = mm;
    this.host = host;
  }

  /** A frame is free, and cleared. To be called without the lock. */
  add(mfn: number): void {
    if (!this.host?.discard) return;
    this.gathered.push(mfn);
    if (this.gathered.length >= MOST) this.giveBack();
  }
  /** Tells the host of all that were gathered. Likewise. */
  giveBack(): void {
    if (this.gathered.length === 0) return;
    withFreePages(this.mm, () => this.discardRuns(this.gathered.filter((mfn) => this.mm.frames.owner(mfn) === OWNER.nobody).sort((a, b) => a - b)));
    this.gathered.length = 0;
  }
  private discardRuns(free: readonly number[]): void {
    const { capsule } = this.mm;
    for (let first = 0, end = 1; first < free.length; first = end++) {
      while (end < free.length && free[end] === (free[end - 1] as number) + 1) end++;
      this.host?.discard?.(capsule.memory, capsule.frame(free[first] as number), (end - first) * PAGE_SIZE);
    }
  }
}
