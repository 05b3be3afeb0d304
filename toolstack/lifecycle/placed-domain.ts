// A domain on a physical CPU that runs it, or some of its vCPUs.

import { Share } from '#hypervisor/credit.ts';
import type { Domain } from '#hypervisor/domain.ts';
import type { Sharer } from '#hypervisor/run-queue.ts';
import { clockOf } from '#hypervisor/time.ts';
import { nextTimer } from '#hypervisor/timer.ts';
import { VPF } from '#hypervisor/vcpu.ts';
import type { RegionCompiler } from '#machine/engine/region-job.ts';
import { IdleWatch } from './idle-watch.ts';

export class PlacedDomain implements Sharer {
  readonly domain: Domain;
  readonly compiler: RegionCompiler | undefined;
  readonly share: Share;
  readonly idleWatch: IdleWatch = new IdleWatch();
  renewals = 0;
  boost = 0;
  /** host time when it has to be looked at, while it sleeps */
  wakeAt = Infinity;
  /** host time up to which its wish to run is noted, while it wants to */
  wantsSince = 0;

  constructor(domain: Domain, compiler: RegionCompiler | undefined) {
    this.domain = domain;
    this.compiler = compiler;
    this.share = Share.of(domain.capsule, domain.threads.me);
  }

  get domid(): number { return this.domain.domid; }
  /** It is another CPU that tells of its end. */
  get isHelper(): boolean { return this.domain.threads.me > 0; }
  get isPaused(): boolean { return this.domain.threads.vcpus.every((v) => (v.pauseFlags & VPF.paused) !== 0); }
  get isRunnable(): boolean { return this.domain.threads.vcpus.some((v) => v.runnable); }
  /** Host time of its next timer; Infinity when none is set. */
  private get nextTimer(): number { return clockOf(this.domain).hostTime(nextTimer(this.domain)); }
  /** Host time when to look at it, if nothing happens before. */
  get nextLook(): number { return Math.min(this.nextTimer, this.idleWatch.next); }
}
