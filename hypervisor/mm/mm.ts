// One domain's memory management: the views that its parts share, and the domain-wide state. The rules are at the
// heads of the parts: frame-table.ts (counts), page-type.ts (types), entry.ts (what an entry may map), links.ts (which
// cached translations die), foreign-frames.ts (frames of other domains), m2p.ts (Xen's own tables).

import type { Capsule } from '#base/capsule.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import type { Host } from '#base/host.ts';
import type { Machine } from '#machine/machine.ts';
import { DomainRegistry, type Peers } from '../domain-registry.ts';
import { DOMAIN_STATE } from '../layout.ts';
import { ForeignFrames } from './foreign-frames.ts';
import { FrameTable } from './frame-table.ts';
import { FreedFrames } from './freed-frames.ts';
import { mm_state } from './mm-state.ts';

/** Work (Mm.work) after which a hypercall is continued later: some 10 ms. One operation alone may exceed it. */
export const WORK_LIMIT = 1 << 19;

export class Mm {
  readonly capsule: Capsule;
  readonly machine: Machine;
  readonly frames: FrameTable;
  readonly freed: FreedFrames;
  readonly u32: Uint32Array<SharedArrayBuffer>;
  /** number of frames: one more than the highest frame number */
  readonly total: number;
  readonly state: ReturnType<typeof mm_state.on>;
  /** frames of other domains that are mapped here */
  readonly foreign: ForeignFrames;
  private others: Peers = new DomainRegistry();
  /** index in u32 of the first word of frame 0 */
  private readonly ram: number;
  /**
   * What has been done for the guest so far, in table entries looked at or the like: about 20 ns each. A hypercall that
   * has done WORK_LIMIT of it leaves the rest to a continuation.
   */
  work = 0;

  /** @param host undefined for a domain that is on another thread: its frames are freed there */
  constructor(capsule: Capsule, machine: Machine, host?: Pick<Host, 'discard'>) {
    this.capsule = capsule;
    this.machine = machine;
    this.frames = new FrameTable(capsule);
    this.u32 = capsule.u32;
    this.total = capsule.totalFrames;
    this.state = mm_state.on(capsule.buffer).at(DOMAIN_STATE.mm);
    this.ram = capsule.frames >>> 2;
    this.foreign = new ForeignFrames(this);
    this.freed = new FreedFrames(this, host);
  }

  /** Domain.peers. To be set before others know of the domain. */
  get peers(): Peers { return this.others; }
  set peers(peers: Peers) {
    this.others = peers;
    this.frames.shared = true;
  }

  /** Index in u32 of the low half of entry `slot` of a table. */
  entry(mfn: number, slot: number): number { return this.ram + mfn * (PAGE_SIZE / 4) + slot * 2; }

  /** True when the guest turned this VMASST_TYPE on. */
  vmAssist(type: number): boolean {
    const word = this.u32[(DOMAIN_STATE.mm + mm_state.offset.vm_assist) / 4 + (type >>> 5)] as number;
    return (word & (1 << (type & 31))) !== 0;
  }
  setVmAssist(type: number, on: boolean): void {
    const i = (DOMAIN_STATE.mm + mm_state.offset.vm_assist) / 4 + (type >>> 5);
    const word = this.u32[i] as number;
    this.u32[i] = on ? word | (1 << (type & 31)) : word & ~(1 << (type & 31));
  }

  get linearEntries(): number { return this.u32[(DOMAIN_STATE.mm + mm_state.offset.linear_entries) / 4] as number; }
  set linearEntries(n: number) { this.u32[(DOMAIN_STATE.mm + mm_state.offset.linear_entries) / 4] = n; }
}
