// What another thread than a domain's own may look at while the domain runs: words of its capsule that change as a whole. It
// changes nothing.

import { RUNSTATE } from '#abi/vcpu.ts';
import type { Capsule } from '#base/capsule.ts';
import { MAX_MACHINES } from '#machine/engine/siblings.ts';
import { Share } from './credit.ts';
import { cpuOfVcpu } from './domain-threads.ts';
import { domain_state } from './domain.ts';
import { DOMAIN_STATE, VCPU_STATE } from './layout.ts';
import { mm_state } from './mm/mm-state.ts';
import { vcpu_sched } from './vcpu-sched.ts';
import { vcpu_state, VPF } from './vcpu.ts';

export class DomainGlance {
  readonly share: Share;
  private readonly capsule: Capsule;
  private readonly vcpus: number;

  constructor(capsule: Capsule, vcpus: number) {
    this.capsule = capsule;
    this.vcpus = vcpus;
    this.share = Share.of(capsule);
  }

  /** Frames of RAM that it has. */
  get pages(): number { return Atomics.load(this.capsule.u32, (DOMAIN_STATE.mm + mm_state.offset.tot_pages) >>> 2); }
  /** vCPUs that are not down. */
  get online(): number {
    let count = 0;
    for (let vcpu = 0; vcpu < this.vcpus; vcpu++) if ((this.pauseFlags(vcpu) & VPF.down) === 0) count++;
    return count;
  }
  /** VPF bits of a vCPU. */
  pauseFlags(vcpu: number): number { return Atomics.load(this.capsule.i32, (this.capsule.vcpu(vcpu) + VCPU_STATE.vcpu + vcpu_state.offset.pause_flags) >>> 2); }
  isRunning(vcpu: number): boolean { return this.word(vcpu, vcpu_sched.offset.runstate) === RUNSTATE.running; }
  /** ns that its threads have run, all in all. */
  get ran(): number {
    let sum = 0;
    for (let thread = 0; thread < MAX_MACHINES; thread++) sum += Share.of(this.capsule, thread).ran;
    return sum;
  }
  /** Physical CPU of a vCPU; undefined for a domain whose vCPUs are on one. */
  cpuOf(vcpu: number): number | undefined { return cpuOfVcpu(this.capsule, vcpu); }
  /** ns that a vCPU has run, up to its last stop. */
  timeRunning(vcpu: number): number { return this.capsule.f64[(this.capsule.vcpu(vcpu) + VCPU_STATE.sched + vcpu_sched.offset.timeRunning) >>> 3] as number; }

  /** The SHUTDOWN reason, undefined while the domain runs. */
  get shutdownReason(): number | undefined {
    const shutdown = Atomics.load(this.capsule.u32, (DOMAIN_STATE.domain + domain_state.offset.shutdown) >>> 2);
    return shutdown === 0 ? undefined : shutdown - 1;
  }
  /** The toolstack has paused it. */
  get isPaused(): boolean { return this.every((flags) => (flags & VPF.paused) !== 0); }
  /** It has nothing to do. */
  get isBlocked(): boolean { return this.every((flags) => (flags & ~VPF.paused) !== 0); }

  private word(vcpu: number, offset: number): number { return Atomics.load(this.capsule.u32, (this.capsule.vcpu(vcpu) + VCPU_STATE.sched + offset) >>> 2); }
  private every(holds: (flags: number) => boolean): boolean {
    for (let vcpu = 0; vcpu < this.vcpus; vcpu++) if (!holds(this.pauseFlags(vcpu))) return false;
    return true;
  }
}
