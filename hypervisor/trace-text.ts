// A record of a trace as a line of text.

import { EXIT } from '#machine/cpu-state.ts';
import { hypercallName } from './hypercall-names.ts';
import { OUTCOME, TRACE_KIND, type TraceRecord } from './trace-ring.ts';
import { TRAP, trapName } from './trap-names.ts';
import { hex64 } from './words.ts';

const EXIT_NAMES: readonly string[] = Object.keys(EXIT);
const NONE = 0xffff_ffff_ffff_ffffn;

const WRITERS: Readonly<Record<number, (r: TraceRecord) => string>> = {
  [TRACE_KIND.hypercall]: (r) => {
    const values = [0, 1, 2, 3].map((i) => r.value(i).toString(16));
    const result = r.outcome === OUTCOME.answered ? ` = ${BigInt.asIntN(64, r.value(5))}` : r.outcome === OUTCOME.continued ? ' continues' : '';
    return `${hypercallName(r.code)}(${values.join(', ')}) from ${hex64(r.value(4))}${result}`;
  },
  [TRACE_KIND.upcall]: (r) => `upcall at ${hex64(r.value(0))}`,
  [TRACE_KIND.send]: (r) => `sends an event by port ${r.value(0)}`,
  [TRACE_KIND.wake]: () => 'wakes',
  [TRACE_KIND.exception]: (r) => {
    const where = r.code === TRAP.page_fault ? ` address ${hex64(r.value(2))}` : '';
    const error = r.value(1) === NONE ? '' : ` error code 0x${r.value(1).toString(16)}`;
    return `${trapName(r.code)} at ${hex64(r.value(0))}${error}${where}`;
  },
  [TRACE_KIND.exit]: (r) => `${EXIT_NAMES[r.code]} ${r.value(0)} at ${hex64(r.value(1))} (${r.value(2) === 1n ? 'kernel' : 'user'}) after ${r.value(3)}`,
};

/** One line: who, and what. */
export function traceText(r: TraceRecord): string { return `d${r.domid}v${r.vcpu} ${WRITERS[r.kind]?.(r) ?? `record of kind ${r.kind}`}`; }
