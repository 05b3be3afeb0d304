// Time of one domain. System time is nanoseconds since the domain was made; the time stamp counter is system time
// read at TSC_HZ, always: the two never drift, pvclock records are written once, and what a guest computes from them
// with RDTSC is exact.
//
// Two clocks stand behind it:
// - real: the host's monotonic clock. `start` is system time when the domain last stopped running; a domain that is
//   taken up again (snapshot, other host) goes on from there.
// - deterministic: instructions retired by all vCPUs of the domain, plus the jumps made while all were blocked. Wall
//   clock time starts at a fixed epoch. Nothing of the host shows.

import { assert } from '#base/assert.ts';
import { struct, type View } from '#base/struct.ts';
import { shared_info, vcpu_info, vcpu_time_info, XEN_PVCLOCK_TSC_STABLE_BIT } from '#abi/xen.ts';
import type { Domain } from './domain.ts';
import { DOMAIN_STATE, XEN_FRAME } from './layout.ts';
import type { Vcpu } from './vcpu.ts';

/** Frequency of the time stamp counter: 2 GHz, so that a nanosecond is two ticks and scaling is exact. */
export const TSC_HZ = 2_000_000_000;
/** pvclock scale: ns = (ticks << TSC_SHIFT) × TSC_TO_SYSTEM_MUL / 2^32 */
export const TSC_TO_SYSTEM_MUL = 0x8000_0000;
export const TSC_SHIFT = 0;
/** Wall clock at system time 0 of a deterministic domain: 2026-01-01 00:00:00 UTC. */
export const DETERMINISTIC_EPOCH = 1_767_225_600;

export interface TimeOptions {
  readonly deterministic: boolean;
  /** virtual time that one instruction takes, in ns; a power of two keeps the sums exact. Default 1 */
  readonly nsPerInstruction?: number;
}

const domain_time = struct('domain_time', 24, {
  deterministic: 'u32',
  current: 'u32', // vCPU whose retired instructions `start` does not count yet
  start: 'f64', // ns: see above
  nsPerInstruction: 'f64',
});
const shared = shared_info.offset;

export class Clock {
  private readonly domain: Domain;
  private readonly state: View<{ deterministic: 'u32'; current: 'u32'; start: 'f64'; nsPerInstruction: 'f64' }>;
  private readonly virtual: boolean;
  /** host time at system time 0 (real clock) */
  private origin: number;

  /** Takes up the clock that the capsule describes: time goes on from where it stopped. */
  constructor(domain: Domain) {
    this.domain = domain;
    this.state = domain_time.on(domain.capsule.buffer).at(DOMAIN_STATE.time);
    this.virtual = this.state.deterministic !== 0;
    this.origin = domain.host.now() - this.state.start;
    clocks.set(domain, this);
  }

  get deterministic(): boolean { return this.virtual; }
  get nsPerInstruction(): number { return this.state.nsPerInstruction; }

  /** System time in whole nanoseconds. */
  now(): number { return Math.floor(this.exact()); }
  /** The time stamp counter, a whole number: exact below 2^53. */
  tsc(): number { return Math.floor(this.exact() * (TSC_HZ / 1e9)); }

  private exact(): number {
    if (!this.virtual) return this.domain.host.now() - this.origin;
    const { start, current, nsPerInstruction } = this.state;
    return start + this.retired(current) * nsPerInstruction;
  }
  private retired(id: number): number { return this.domain.machine.retired((this.domain.vcpus[id] as Vcpu).cpu); }

  /** The vCPU that runs from here on: its instructions are what makes virtual time pass. */
  switchTo(v: Vcpu): void {
    const { state } = this;
    if (this.virtual) state.start += (this.retired(state.current) - this.retired(v.id)) * state.nsPerInstruction;
    state.current = v.id;
  }

  /** Nobody runs: virtual time jumps to `time`. The real clock needs no help. */
  skipTo(time: number): void {
    assert(this.virtual, 'only virtual time can jump');
    this.state.start += Math.max(0, time - this.exact());
  }

  /** Records where the real clock stands, so that a copy of the capsule made now goes on from here. @returns the host time of that */
  record(): number {
    if (!this.virtual) this.state.start = this.now();
    return this.hostTime(this.state.start);
  }
  /** Host time of a system time of the real clock; Infinity stays. */
  hostTime(time: number): number { return time + this.origin; }
  /** Another thread of the domain, on the same host, has it that system time 0 was at this host time. */
  agree(origin: number): void { this.origin = origin; }
  /** The domain was moved: no time has been lost since `record` was called at a host time that is this host's too. */
  goOn(recordedAt: number): void { this.origin = recordedAt - this.state.start; }

  /**
   * Sets wall clock time in the shared info page from the host's clock, or the epoch of a deterministic domain.
   * @returns by how many nanoseconds what was there before was late
   */
  updateWallClock(): number {
    const { capsule, host } = this.domain;
    const now = host.wallClock() - this.now();
    const sec = this.virtual ? DETERMINISTIC_EPOCH : Math.floor(now / 1e9);
    const nsec = this.virtual ? 0 : now - sec * 1e9;
    const page = capsule.frame(XEN_FRAME.sharedInfo);
    const word = (offset: number): number => capsule.u32[(page + offset) >>> 2] as number;
    const late = (sec - word(shared.wc_sec) - word(shared.wc_sec_hi) * 0x1_0000_0000) * 1e9 + nsec - word(shared.wc_nsec);
    const version = (word(shared.wc_version) + 1) | 1;
    capsule.u32[(page + shared.wc_version) >>> 2] = version;
    capsule.u32[(page + shared.wc_sec) >>> 2] = sec;
    capsule.u32[(page + shared.wc_sec_hi) >>> 2] = Math.floor(sec / 0x1_0000_0000);
    capsule.u32[(page + shared.wc_nsec) >>> 2] = nsec;
    capsule.u32[(page + shared.wc_version) >>> 2] = version + 1;
    return late;
  }
}
const clocks = new WeakMap<Domain, Clock>();

/** The domain's clock; made from the capsule when first asked for. */
export function clockOf(domain: Domain): Clock { return clocks.get(domain) ?? new Clock(domain); }

/** Starts the clock of a new domain, at system time 0, and fills in the time of day and the vCPUs' time records. */
export function initTime(domain: Domain, options: TimeOptions): void {
  const state = domain_time.on(domain.capsule.buffer).at(DOMAIN_STATE.time);
  state.deterministic = options.deterministic ? 1 : 0;
  state.current = 0;
  state.start = 0;
  state.nsPerInstruction = options.nsPerInstruction ?? 1;
  const clock = new Clock(domain);
  clock.updateWallClock();
  for (const v of domain.vcpus) writeTimeInfo(domain, v.info + vcpu_info.offset.time);
}

/** Fills a vcpu_time_info at a capsule offset, by the version protocol (odd while fields change). */
function writeTimeInfo(domain: Domain, at: number): void {
  const info = vcpu_time_info.on(domain.capsule.buffer).at(at);
  const version = (info.version + 1) | 1;
  info.version = version;
  info.tsc_timestamp = 0n;
  info.system_time = 0n;
  info.tsc_to_system_mul = TSC_TO_SYSTEM_MUL;
  info.tsc_shift = TSC_SHIFT;
  info.flags = XEN_PVCLOCK_TSC_STABLE_BIT;
  info.version = version + 1;
}
