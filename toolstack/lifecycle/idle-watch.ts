// What was decoded of a guest's code in a busy time, its boot above all, is more than the guest itself needs when it is idle, and most
// of its memory is as that of others. A domain that has done next to nothing for a while gives back the one and shares the other. It
// decodes anew what it executes from then on, and has what was compiled of it from what all domains share.

import type { CommonFrames, FrameSharing } from '#hypervisor/common-frames.ts';
import type { Share } from '#hypervisor/credit.ts';
import type { Domain } from '#hypervisor/domain.ts';

/**
 * For how long a domain is watched, ns, and the part of that time which an idle one runs at the most: three times what a kernel does that has
 * nothing to do, and less than what one of 256 busy domains on one CPU gets.
 */
const WATCH_NS = 20e9, IDLE = 0.002;
/** Bytes of decoded code that are not worth the decoding: what an idle kernel executes is less. */
const SMALL = 2 << 20;
/** Others have the CPU for so long between two steps, ns. */
const PAUSE_NS = 10e6;
/** A domain that has run for so long since all was done is watched again, ns. */
const ANEW_NS = 200e6;

export class IdleWatch {
  /** host time when to look again, though the domain has done nothing since */
  next = Infinity;
  private since = 0;
  private ran = 0;
  private sharing: FrameSharing | undefined;
  private isDone = false;

  /**
   * To be called when a domain has nothing to do.
   * @param now host time, ns
   * @param frames what the domains of this CPU have in common
   * @returns another one that is to be told `again`
   */
  look(domain: Domain, share: Share, now: number, frames: CommonFrames | undefined): Domain | undefined {
    if (!domain.host.discard) return undefined;
    if (this.isDone && share.ran - this.ran < ANEW_NS) return undefined;
    if (this.sharing) return this.goOn(share, now);
    this.next = this.since + WATCH_NS;
    if (now < this.next) return undefined;
    const isIdle = this.since > 0 && share.ran - this.ran < IDLE * (now - this.since);
    this.since = now;
    this.ran = share.ran;
    this.next = now + WATCH_NS;
    this.isDone = false;
    if (!isIdle) return undefined;
    const { machine, capsule, host } = domain;
    const unused = machine.shed(SMALL);
    if (unused) host.discard?.(capsule.memory, unused.offset, unused.bytes);
    this.sharing = frames?.begin(domain);
    return this.goOn(share, now);
  }
  /** There is something to share now. */
  again(share: Share, now: number): void {
    if (this.sharing) return;
    this.isDone = false;
    this.since = now - WATCH_NS;
    this.ran = share.ran;
  }

  private goOn(share: Share, now: number): Domain | undefined {
    this.next = now + PAUSE_NS;
    if (this.sharing?.step()) return undefined;
    const other = this.sharing?.other;
    this.sharing = undefined;
    this.isDone = true;
    this.ran = share.ran;
    this.next = Infinity;
    return other;
  }
}
