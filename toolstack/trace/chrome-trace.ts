// Trace rings as Chrome's trace events, which chrome://tracing and Perfetto open (Trace Event Format, Google 2016): a process for
// each domain with a thread for each vCPU, and a process of physical CPUs with the domains that each ran. Hypercalls lie within
// the slice in which they were made, those of a multicall within it.

import { RUNSTATE, RUNSTATE_NAMES } from '#abi/vcpu.ts';
import { hypercallName } from '#hypervisor/hypercall-names.ts';
import { OUTCOME, TRACE_KIND, type TraceRecord, type TraceRing } from '#hypervisor/trace-ring.ts';
import { TRAP, trapName } from '#hypervisor/trap-names.ts';
import { hex64 } from '#hypervisor/words.ts';

/** The process of physical CPUs: no domain that is traced has this number. */
const PHYSICAL = 0;

interface TraceEvent {
  /** X: complete, i: instant, C: counter, M: metadata */
  readonly ph: 'X' | 'i' | 'C' | 'M';
  readonly name: string;
  readonly cat?: string;
  readonly pid: number;
  readonly tid: number;
  /** in us */
  readonly ts?: number;
  readonly dur?: number;
  readonly s?: 't';
  readonly args?: Readonly<Record<string, string | number | boolean>>;
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;

type Writer = (r: TraceRecord, us: (ns: number) => number) => readonly Omit<TraceEvent, 'pid' | 'tid'>[];
/** What lasts. One that had not ended when the trace did is shown as a moment. */
const span = (r: TraceRecord, us: (ns: number) => number, name: string, cat: string, args: NonNullable<TraceEvent['args']>): Omit<TraceEvent, 'pid' | 'tid'> => (
  r.end === 0 ? { ph: 'i', s: 't', name, cat, ts: us(r.begin), args: { ...args, unfinished: true } } : { ph: 'X', name, cat, ts: us(r.begin), dur: (r.end - r.begin) / 1000, args }
);
const moment = (r: TraceRecord, us: (ns: number) => number, name: string, cat: string, args: NonNullable<TraceEvent['args']> = {}): Omit<TraceEvent, 'pid' | 'tid'> => ({ ph: 'i', s: 't', name, cat, ts: us(r.begin), args });

const WRITERS: Readonly<Record<number, Writer>> = {
  [TRACE_KIND.run]: (r, us) => {
    const [instructions, misses] = [Number(r.value(0)), Number(r.value(1))];
    const becomes = RUNSTATE_NAMES[r.code] ?? '';
    return [
      span(r, us, 'run', 'sched', { becomes, instructions, 'TLB misses': misses, pcpu: r.pcpu }),
      { ph: 'C', name: `v${r.vcpu} TLB misses`, cat: 'machine', ts: us(r.begin), args: { misses } },
      ...(r.code === RUNSTATE.blocked && r.end !== 0 ? [{ ph: 'i', s: 't', name: 'block', cat: 'sched', ts: us(r.end) } as const] : []),
    ];
  },
  [TRACE_KIND.hypercall]: (r, us) => {
    const args = { arguments: [0, 1, 2, 3].map((i) => hex(r.value(i))).join(' '), rip: hex64(r.value(4)) };
    const result = r.outcome === OUTCOME.answered ? BigInt.asIntN(64, r.value(5)).toString() : r.outcome === OUTCOME.continued ? 'continues' : 'no return';
    return [span(r, us, hypercallName(r.code), 'hypercall', r.end === 0 ? args : { ...args, result })];
  },
  [TRACE_KIND.upcall]: (r, us) => [moment(r, us, 'event delivered', 'event', { rip: hex64(r.value(0)) })],
  [TRACE_KIND.send]: (r, us) => [moment(r, us, 'event sent', 'event', { port: Number(r.value(0)) })],
  [TRACE_KIND.wake]: (r, us) => [moment(r, us, 'wake', 'sched')],
  [TRACE_KIND.exception]: (r, us) => [moment(r, us, trapName(r.code), 'exception', { rip: hex64(r.value(0)), ...(r.code === TRAP.page_fault ? { address: hex64(r.value(2)), 'error code': hex(r.value(1)) } : {}) })],
  [TRACE_KIND.compile]: (r, us) => [span(r, us, 'compile', 'machine', {})],
};

/** The records of several rings, each of which has a writer of its own, in the order of beginnings. */
function* merged(rings: readonly TraceRing[]): Generator<TraceRecord, void, undefined> {
  const heads = rings.flatMap((ring) => {
    const records = ring.records();
    const { value } = records.next();
    return value ? [{ records, record: value }] : [];
  });
  while (heads.length > 0) {
    const first = heads.reduce((a, b) => (b.record.begin < a.record.begin ? b : a));
    yield first.record;
    const { value } = first.records.next();
    if (value) first.record = value;
    else heads.splice(heads.indexOf(first), 1);
  }
}

/**
 * Yields the JSON text, piece by piece.
 * @param rings whose times are of one clock
 * @param names of domains, by number; others are called by their number
 * @param others what an administrator may want to know of the run: it goes into otherData
 */
export function* chromeTrace(rings: readonly TraceRing[], names: ReadonlyMap<number, string>, others: Readonly<Record<string, string>> = {}): Generator<string, void, undefined> {
  const first = merged(rings).next().value?.begin ?? 0; // records come in the order in which they began
  const us = (ns: number): number => (ns - first) / 1000;
  const seen = new Set<string>();
  yield `{"displayTimeUnit":"ns","otherData":${JSON.stringify({ ...others, recordsLost: String(rings.reduce((n, { lost }) => n + lost, 0)) })},"traceEvents":[\n`;
  let separator = '';
  for (const record of merged(rings)) {
    for (const event of eventsOf(record, us, names, seen)) {
      yield separator + JSON.stringify(event);
      separator = ',\n';
    }
  }
  yield '\n]}\n';
}

function* eventsOf(r: TraceRecord, us: (ns: number) => number, names: ReadonlyMap<number, string>, seen: Set<string>): Generator<TraceEvent, void, undefined> {
  const name = names.get(r.domid) ?? `domain ${r.domid}`;
  yield* nameOnce(seen, r.domid, r.vcpu, `${name} (domain ${r.domid})`, `vCPU ${r.vcpu}`);
  for (const event of WRITERS[r.kind]?.(r, us) ?? []) yield { ...event, pid: r.domid, tid: r.vcpu };
  if (r.kind !== TRACE_KIND.run || r.end === 0) return;
  yield* nameOnce(seen, PHYSICAL, r.pcpu, 'physical CPUs', `pCPU ${r.pcpu}`);
  yield { ph: 'X', name: `${name} v${r.vcpu}`, cat: 'sched', pid: PHYSICAL, tid: r.pcpu, ts: us(r.begin), dur: (r.end - r.begin) / 1000 };
}

/** Names a process and a thread when they are first seen. */
function* nameOnce(seen: Set<string>, pid: number, tid: number, process: string, thread: string): Generator<TraceEvent, void, undefined> {
  for (const [key, name, text] of [[`${pid}`, 'process_name', process], [`${pid}.${tid}`, 'thread_name', thread]] as const) {
    if (seen.has(key)) continue;
    seen.add(key);
    yield { ph: 'M', name, pid, tid, args: { name: text } };
  }
}
