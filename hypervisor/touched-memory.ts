// How much of a domain's memory holds anything but zeros: what of it takes room on the host. A page that was found used counts as
// used from then on, so that a look again is cheap. Reads the capsule only, while the domain runs if need be.

import { type Capsule, isZeroPage, PAGE_SIZE } from '#base/capsule.ts';

export class TouchedMemory {
  private readonly capsule: Capsule;
  /** by frame, 1 for one that is used */
  private readonly used: Uint8Array;
  /** the frame that the next look begins with */
  private next = 0;
  private pages = 0;

  constructor(capsule: Capsule) {
    this.capsule = capsule;
    this.used = new Uint8Array(capsule.totalFrames);
  }

  /** Bytes in pages that are known to be used. */
  get bytes(): number { return this.pages * PAGE_SIZE; }

  /** Looks at pages that were not used when last looked at. @param most frames to pass, all of them if not given; what is left is for the next look */
  look(most: number = this.used.length): this {
    const { used, capsule } = this;
    for (let n = Math.min(most, used.length); n > 0; n--) {
      const frame = this.next;
      this.next = frame + 1 === used.length ? 0 : frame + 1;
      if (used[frame] !== 0 || isZeroPage(capsule, capsule.frame(frame))) continue;
      used[frame] = 1;
      this.pages++;
    }
    return this;
  }
}
