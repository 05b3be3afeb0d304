// What a domain does, line by line, for `--trace`. Off, a category costs one property read at the place that would
// trace: callers write `if (trace.hypercalls) trace.line(…)`.

import type { Host } from '#base/host.ts';

/** Categories, as the command line names them. */
export const TRACE_CATEGORIES = ['hypercalls', 'events', 'faults', 'exec'] as const;
export type TraceCategory = (typeof TRACE_CATEGORIES)[number];

export class Trace {
  /** every hypercall: name, arguments, result */
  hypercalls = false;
  /** upcalls, and vCPUs that block and wake */
  events = false;
  /** exceptions delivered to the guest */
  faults = false;
  /** every return from the machine: why, and where */
  exec = false;
  private readonly host: Host;

  constructor(host: Host) { this.host = host; }

  get any(): boolean { return this.hypercalls || this.events || this.faults || this.exec; }
  set(category: TraceCategory, on: boolean): void { this[category] = on; }
  line(text: string): void { this.host.log('debug', text); }
}

/** A 64-bit value as the tools print it, e.g. ffffffff81000000. */
export function hex64(value: bigint): string { return BigInt.asUintN(64, value).toString(16).padStart(16, '0'); }
