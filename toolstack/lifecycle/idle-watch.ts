// What was decoded of a guest's code in a busy time, its boot above all, is more than the guest itself needs when it is idle. A
// domain that has done next to nothing for a while gives it back. It decodes anew what it executes from then on, and has what was
// compiled of it from what all domains share.

import type { Share } from '#hypervisor/credit.ts';
import type { Domain } from '#hypervisor/domain.ts';

/**
 * For how long a domain is watched, ns, and the part of that time which an idle one runs at the most: three times what a kernel does that has
 * nothing to do, and less than what one of 256 busy domains on one CPU gets.
 */
const WATCH_NS = 20e9, IDLE = 0.002;
/** Bytes of decoded code that are not worth the decoding: what an idle kernel executes is less. */
const SMALL = 2 << 20;

export class IdleWatch {
  private since = 0;
  private ran = 0;

  /** To be called when a domain has nothing to do. @param now host time, ns */
  look({ machine, capsule, host }: Domain, share: Share, now: number): void {
    const elapsed = now - this.since;
    if (elapsed < WATCH_NS) return;
    const isIdle = this.since > 0 && share.ran - this.ran < IDLE * elapsed;
    this.since = now;
    this.ran = share.ran;
    const unused = isIdle ? machine.shed(SMALL) : undefined;
    if (unused) host.discard?.(capsule.memory, unused.offset, unused.bytes);
  }
}
