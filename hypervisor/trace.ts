// What a domain does, for `--trace` line by line and for `--trace-out` in a ring. Both are made of the same records
// (trace-ring.ts). Off, a category costs one property read at the place that would trace: callers write
// `if (trace.hypercalls) trace.…`.

import type { Host } from '#base/host.ts';
import { CPU } from '#machine/cpu-state.ts';
import { CONTINUE, type HypercallArgs, NO_RETURN } from './hypercall.ts';
import { OUTCOME, TRACE_KIND, TraceRing } from './trace-ring.ts';
import { traceText } from './trace-text.ts';
import type { Vcpu } from './vcpu.ts';

/** Categories, as the command line names them: what can be written line by line. */
export const TRACE_CATEGORIES = ['hypercalls', 'events', 'faults', 'exec'] as const;
export type TraceCategory = (typeof TRACE_CATEGORIES)[number];
const CATEGORY_OF: Readonly<Record<number, TraceCategory>> = {
  [TRACE_KIND.hypercall]: 'hypercalls', [TRACE_KIND.upcall]: 'events', [TRACE_KIND.send]: 'events', [TRACE_KIND.wake]: 'events', [TRACE_KIND.exception]: 'faults', [TRACE_KIND.exit]: 'exec',
};
/** Records that are enough to write lines from: more than the calls of a multicall, which all end before it does. */
const SMALL_RING = 1024;
/** No record was begun. */
export const UNTRACED = 0;
const NO_CODE = 0xffff_ffff;

export class Trace {
  /** every hypercall: name, arguments, result */
  hypercalls = false;
  /** events sent and delivered, vCPUs that wake */
  events = false;
  /** exceptions delivered to the guest */
  faults = false;
  /** every return from the machine: why, and where; not in a ring, for there are too many */
  exec = false;
  /** when which vCPU runs, and when guest code is compiled: in a ring only */
  work = false;
  /** every event has its line: system calls that need no exit make one */
  isComplete = false;
  /** the physical CPU that runs the domain */
  pcpu = 0;
  private readonly host: Host;
  private readonly text = new Set<TraceCategory>();
  private kept: TraceRing | undefined;
  private ring: TraceRing | undefined;
  private retiredBefore = 0;
  private missesBefore = 0;

  constructor(host: Host) { this.host = host; }

  /** Writes a category line by line to the log. */
  set(category: TraceCategory, on: boolean): void {
    if (on) this.text.add(category);
    else this.text.delete(category);
    this.update();
  }
  /** Keeps records in a ring, or no longer. Not while the domain runs. */
  keep(ring: TraceRing | undefined): void {
    this.kept = ring;
    this.update();
  }
  private update(): void {
    const kept = this.kept !== undefined;
    this.isComplete = this.text.size > 0;
    this.ring = this.kept ?? (this.isComplete ? new TraceRing(SMALL_RING) : undefined);
    for (const category of TRACE_CATEGORIES) this[category] = this.text.has(category) || (kept && category !== 'exec');
    this.work = kept;
  }

  /** A hypercall begins. @returns what `hypercallDone` takes */
  hypercall(v: Vcpu, number: number, a: HypercallArgs): number {
    const record = this.begin(TRACE_KIND.hypercall, v, number);
    for (let i = 0; i < 4; i++) this.ring?.set(record, i, a.lo(i), a.hi(i));
    this.setRip(record, 4, v);
    return record;
  }
  hypercallDone(record: number, value: number): void {
    const outcome = value === NO_RETURN ? OUTCOME.noReturn : value === CONTINUE ? OUTCOME.continued : OUTCOME.answered;
    if (outcome === OUTCOME.answered) this.ring?.set(record, 5, value >>> 0, Math.floor(value / 0x1_0000_0000) >>> 0);
    this.end(record, outcome);
  }
  upcall(v: Vcpu): void {
    const record = this.begin(TRACE_KIND.upcall, v, 0);
    this.setRip(record, 0, v);
    this.end(record);
  }
  send(v: Vcpu, port: number): void {
    const record = this.begin(TRACE_KIND.send, v, 0);
    this.ring?.set(record, 0, port, 0);
    this.end(record);
  }
  wake(v: Vcpu): void { this.end(this.begin(TRACE_KIND.wake, v, 0)); }
  /** @param errorCode undefined for a vector that has none */
  exception(v: Vcpu, vector: number, errorCode: number | undefined): void {
    const record = this.begin(TRACE_KIND.exception, v, vector);
    this.setRip(record, 0, v);
    this.ring?.set(record, 1, errorCode ?? NO_CODE, errorCode === undefined ? NO_CODE : 0);
    this.ring?.set(record, 2, v.cpu.field32(CPU.cr2), v.cpu.field32(CPU.cr2 + 4));
    this.end(record);
  }
  exit(v: Vcpu, exit: number): void {
    const record = this.begin(TRACE_KIND.exit, v, exit);
    this.ring?.set(record, 0, v.cpu.field32(CPU.exitInfo), 0);
    this.setRip(record, 1, v);
    this.ring?.set(record, 2, v.kernelMode ? 1 : 0, 0);
    this.setNumber(record, 3, v.domain.machine.retired(v.cpu));
    this.end(record);
  }
  /** A vCPU gets the processor: one of the domain's at a time. @returns what `ran` takes */
  runs(v: Vcpu): number {
    const { machine } = v.domain;
    this.retiredBefore = machine.retired(v.cpu);
    this.missesBefore = machine.tlbMisses;
    return this.begin(TRACE_KIND.run, v, 0);
  }
  /** @param runstate RUNSTATE of the vCPU from now on */
  ran(record: number, v: Vcpu, runstate: number): void {
    const { machine } = v.domain;
    this.setNumber(record, 0, machine.retired(v.cpu) - this.retiredBefore);
    this.setNumber(record, 1, machine.tlbMisses - this.missesBefore);
    this.end(record, 0, runstate);
  }
  /** A vCPU's thread begins to compile guest code. @returns what `compiled` takes */
  compiles(v: Vcpu): number { return this.begin(TRACE_KIND.compile, v, 0); }
  compiled(record: number): void { this.end(record); }

  private begin(kind: number, v: Vcpu, code: number): number {
    return this.ring?.begin(kind, v.domain.domid, v.id, this.pcpu, code, Math.floor(this.host.now())) ?? UNTRACED;
  }
  private setRip(record: number, index: number, v: Vcpu): void { this.ring?.set(record, index, v.cpu.field32(CPU.rip), v.cpu.field32(CPU.rip + 4)); }
  private setNumber(record: number, index: number, n: number): void { this.ring?.set(record, index, n >>> 0, Math.floor(n / 0x1_0000_0000)); }
  private end(record: number, outcome = 0, code?: number): void {
    this.ring?.end(record, Math.floor(this.host.now()), outcome, code);
    if (!this.isComplete) return;
    const done = this.ring?.get(record);
    const category = done && CATEGORY_OF[done.kind];
    if (done && category && this.text.has(category)) this.host.log('debug', traceText(done));
  }
}
