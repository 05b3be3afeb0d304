// A Machine that executes nothing, for tests of the hypervisor: a real capsule, a real walk of four levels over the
// guest's frames with accessed and dirty bits, and a record of what the hypervisor asked for. It has no TLB, so a
// forgotten flush shows only in the record.

import { Capsule, PAGE_SIZE } from '#base/capsule.ts';
import type { Host, LogLevel } from '#base/host.ts';
import { CPU, FLAG, MODE } from '#machine/cpu-state.ts';
import { Cpu } from '#machine/cpu.ts';
import { ACCESS, type Extent, type ForeignMemory, type Machine, type MachineStatistics, PFEC } from '#machine/machine.ts';
import { Domain } from '../domain.ts';
import { xenFrameCount } from '../mm/m2p.ts';

const PRESENT = 1, WRITABLE = 2, USER = 4, ACCESSED = 0x20, DIRTY = 0x40, PSE = 0x80;
/** bits 51:40 of an entry, in its high half: beyond any frame that a capsule can hold */
const RESERVED_HI = 0x000f_ff00;

export type MachineCall =
  | { call: 'setBase'; cpu: number; mfn: number; kernel: boolean }
  | { call: 'flushTlb' }
  | { call: 'flushTlbPage'; vaLo: number; vaHi: number }
  | { call: 'dropBase'; mfn: number }
  | { call: 'frameWritten'; mfn: number }
  | { call: 'shed'; most: number }
  | { call: 'setWriteProtected'; mfn: number; on: boolean };

export class FakeMachine implements Machine {
  readonly capsule: Capsule;
  readonly cpus: readonly Cpu[];
  /** what the hypervisor called, oldest first; tests may empty it */
  readonly calls: MachineCall[] = [];
  faultCode = 0;
  foreignAt = -1;
  /** memory of other domains, as a machine has it from its hooks */
  foreign: ForeignMemory | undefined;
  tlbMisses = 0;
  charged = 0;
  /** what `run` does; a test that lets vCPUs run sets it */
  onRun: ((cpu: Cpu, budget: number) => number) | undefined;
  /** what exitLength answers */
  instructionLength = 2;
  private readonly rflags: number[];

  constructor(capsule: Capsule, vcpus: number) {
    this.capsule = capsule;
    this.cpus = Array.from({ length: vcpus }, (_, id) => new Cpu(capsule, id));
    this.rflags = this.cpus.map(() => 2 | FLAG.if);
  }

  run(cpu: Cpu, budget: number): number {
    if (!this.onRun) throw new Error('the fake machine runs nothing: set onRun');
    return this.onRun(cpu, budget);
  }
  getFlags(cpu: Cpu): number { return this.rflags[cpu.id] as number; }
  setFlags(cpu: Cpu, rflags: number): void { this.rflags[cpu.id] = rflags | 2; }
  exitLength(): number { return this.instructionLength; }
  shed(most: number): Extent {
    this.calls.push({ call: 'shed', most });
    return { offset: this.capsule.scratch, bytes: 2 * most };
  }
  statistics(): MachineStatistics { return { blocks: 0, promoted: 0, resets: 0, moduleBytes: 0 }; }
  retired(cpu: Cpu): number { return this.capsule.f64[(cpu.base + CPU.retired) >>> 3] as number; }
  charge(_cpu: Cpu, instructions: number): void { this.charged += instructions; }

  setBase(cpu: Cpu, mfn: number, kernel: boolean): void {
    this.calls.push({ call: 'setBase', cpu: cpu.id, mfn, kernel });
    cpu.setField32(CPU.cr3, mfn);
    const mode = cpu.field32(CPU.mode);
    cpu.setField32(CPU.mode, kernel ? mode | MODE.kernel : mode & ~MODE.kernel);
  }
  readonly dropped = 0;
  settle(): void {}
  finishAccesses(): void {}
  interrupt(): void {}
  outside<T>(body: () => T): T { return body(); }
  flushTlb(): void { this.calls.push({ call: 'flushTlb' }); }
  flushTlbPage(vaLo: number, vaHi: number): void { this.calls.push({ call: 'flushTlbPage', vaLo, vaHi }); }
  dropBase(mfn: number): void { this.calls.push({ call: 'dropBase', mfn }); }
  frameWritten(mfn: number): void { this.calls.push({ call: 'frameWritten', mfn }); }
  setWriteProtected(mfn: number, on: boolean): void { this.calls.push({ call: 'setWriteProtected', mfn, on }); }

  /** How often a call of this name was made. */
  count(call: MachineCall['call']): number { return this.calls.filter((c) => c.call === call).length; }

  translate(cpu: Cpu, vaLo: number, vaHi: number, access: number): number {
    this.foreignAt = -1;
    const wanted = access & (ACCESS.write | ACCESS.execute);
    if (vaHi >>> 15 !== 0 && vaHi >>> 15 !== 0x1_ffff) return this.fault(0);
    const index = [((vaHi & 0xffff) >>> 7) & 511, ((vaHi & 0x7f) << 2) | (vaLo >>> 30), (vaLo >>> 21) & 511, (vaLo >>> 12) & 511];
    const path: number[] = [];
    let mfn = cpu.field32(CPU.cr3);
    let flags = WRITABLE | USER;
    let noExecute = false;
    for (const [depth, slot] of index.entries()) {
      const entry = (this.capsule.frame(mfn) + slot * 8) >>> 2;
      const lo = this.capsule.u32[entry] as number;
      const hi = this.capsule.u32[entry + 1] as number;
      if (!(lo & PRESENT)) return this.fault(wanted);
      mfn = ((hi & 0xf_ffff) * 0x10_0000) + (lo >>> 12);
      if ((hi & RESERVED_HI) !== 0 || (mfn >= this.capsule.totalFrames && !(depth === 3 && this.foreign?.has(mfn))) || (lo & PSE && depth < 3)) return this.fault(wanted | PFEC.present | PFEC.reserved);
      flags &= lo;
      noExecute ||= hi >>> 31 === 1;
      path.push(entry);
    }
    const denied = !(flags & USER) || (access & ACCESS.write && !(flags & WRITABLE)) || (access & ACCESS.execute && noExecute);
    if (denied) return this.fault(wanted | PFEC.present);
    for (const [depth, entry] of path.entries()) this.mark(entry, depth === 3 && (access & ACCESS.write) !== 0 ? ACCESSED | DIRTY : ACCESSED);
    if (mfn < this.capsule.totalFrames) return this.capsule.frames + mfn * PAGE_SIZE + (vaLo & 4095);
    this.foreignAt = mfn * PAGE_SIZE + (vaLo & 4095);
    return -1;
  }

  private mark(entry: number, bits: number): void { this.capsule.u32[entry] = (this.capsule.u32[entry] as number) | bits; }
  private fault(code: number): number { this.faultCode = code; return -1; }
}

/** A host whose clocks stand still until a test moves them; log lines are kept. */
export class FakeHost implements Host {
  time = 1_000_000_000;
  wall = 1_700_000_000_000_000_000;
  readonly lines: string[] = [];
  /** a test sets it */
  discard?: NonNullable<Host['discard']>;
  now(): number { return this.time; }
  wallClock(): number { return this.wall; }
  random(into: Uint8Array): void { into.fill(0x5a); }
  log(level: LogLevel, message: string): void { this.lines.push(`${level}: ${message}`); }
}

export interface FakeDomain { domain: Domain; machine: FakeMachine; host: FakeHost; capsule: Capsule }

/**
 * A domain over a fake machine, its memory zero and its tables not yet made.
 * @param guestFrames guest RAM in frames
 * @param xenFrames Xen's frames; the default is what it needs
 */
export function fakeDomain(guestFrames = 256, vcpus = 1, xenFrames: number = xenFrameCount(guestFrames), domid = 1): FakeDomain {
  const capsule = new Capsule(guestFrames, xenFrames, 0x1_0000);
  const machine = new FakeMachine(capsule, vcpus);
  const host = new FakeHost();
  const domain = new Domain(domid, machine, host);
  machine.foreign = domain.mm.foreign;
  return { domain, machine, host, capsule };
}
