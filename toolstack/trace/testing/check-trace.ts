// What a trace in Chrome's format must be, for tests: names for all that has events, spans that lie within each other or apart,
// in the order of time.

import { assert } from '#base/assert.ts';

export interface ChromeEvent {
  readonly ph: string;
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts?: number;
  readonly dur?: number;
  readonly args?: Readonly<Record<string, unknown>>;
}
export interface ChromeTrace { readonly traceEvents: readonly ChromeEvent[]; readonly otherData: Readonly<Record<string, string>> }

/** Nanoseconds: what is written in us has three places. */
const ns = (us: number): number => Math.round(us * 1000);

/** Parses and checks. @returns the events of each thread, by "pid.tid", without metadata */
export function checkTrace(text: string): { readonly trace: ChromeTrace; readonly threads: ReadonlyMap<string, readonly ChromeEvent[]>; readonly names: ReadonlyMap<string, string> } {
  const trace = JSON.parse(text) as ChromeTrace;
  const names = new Map<string, string>();
  const threads = new Map<string, ChromeEvent[]>();
  for (const e of trace.traceEvents) {
    const key = `${e.pid}.${e.tid}`;
    if (e.ph === 'M') {
      names.set(e.name === 'process_name' ? `${e.pid}` : key, String(e.args?.['name']));
      continue;
    }
    assert(['X', 'i', 'C'].includes(e.ph) && e.name !== '' && typeof e.ts === 'number' && e.ts >= 0, `an event that is known: ${JSON.stringify(e)}`);
    assert(names.has(key) && names.has(`${e.pid}`), `thread ${key} has a name before it has events`);
    const thread = threads.get(key);
    if (thread) thread.push(e);
    else threads.set(key, [e]);
  }
  for (const [key, events] of threads) checkNesting(key, events.filter(({ ph }) => ph === 'X'));
  return { trace, threads, names };
}

function checkNesting(thread: string, spans: readonly ChromeEvent[]): void {
  const open: number[] = [];
  let last = 0;
  for (const { name, ts = NaN, dur = NaN } of spans) {
    const [begin, end] = [ns(ts), ns(ts) + ns(dur)];
    assert(begin >= last && end >= begin, `${thread}: ${name} at ${ts} is in the order of time`);
    last = begin;
    while (open.length > 0 && (open.at(-1) as number) <= begin) open.pop();
    assert(open.length === 0 || end <= (open.at(-1) as number), `${thread}: ${name} at ${ts} ends within what it began in`);
    open.push(end);
  }
}
