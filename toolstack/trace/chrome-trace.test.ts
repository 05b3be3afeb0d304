import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RUNSTATE } from '#abi/vcpu.ts';
import { HYPERVISOR } from '#abi/xen.ts';
import { OUTCOME, TRACE_KIND, TraceRing } from '#hypervisor/trace-ring.ts';
import { TRAP } from '#hypervisor/trap-names.ts';
import { chromeTrace } from './chrome-trace.ts';
import { checkTrace, type ChromeEvent } from './testing/check-trace.ts';

const START = 5_000_000_000_123;

/** Two domains on two processors; a multicall with two calls in it. */
function example(): TraceRing {
  const ring = new TraceRing(64);
  const begin = (kind: number, domid: number, vcpu: number, code: number, at: number, pcpu = 0): number => ring.begin(kind, domid, vcpu, pcpu, code, START + at);
  const end = (record: number, at: number, outcome: number = OUTCOME.answered, code?: number): void => ring.end(record, START + at, outcome, code);
  const run = begin(TRACE_KIND.run, 1, 0, 0, 0);
  const multicall = begin(TRACE_KIND.hypercall, 1, 0, HYPERVISOR.multicall, 1000);
  for (const [at, number] of [[1100, HYPERVISOR.mmu_update], [1400, HYPERVISOR.update_va_mapping]] as const) {
    const inner = begin(TRACE_KIND.hypercall, 1, 0, number, at);
    ring.set(inner, 0, 0xabcd, 0xffff_8000);
    ring.set(inner, 5, 0xffff_fff2, 0xffff_ffff);
    end(inner, at + 250);
  }
  end(multicall, 2000);
  const fault = begin(TRACE_KIND.exception, 1, 0, TRAP.page_fault, 2100);
  ring.set(fault, 2, 0x1000, 0xffff_8880);
  end(fault, 2100);
  end(begin(TRACE_KIND.send, 1, 0, 0, 2200), 2200);
  end(begin(TRACE_KIND.wake, 2, 1, 0, 2250), 2250);
  end(begin(TRACE_KIND.compile, 1, 0, 0, 2300), 2900);
  ring.set(run, 0, 77_000, 0);
  ring.set(run, 1, 12, 0);
  end(run, 3000, 0, RUNSTATE.blocked);
  const other = begin(TRACE_KIND.run, 2, 1, 0, 2500, 1);
  end(begin(TRACE_KIND.upcall, 2, 1, 0, 2600, 1), 2600);
  end(other, 9000, 0, RUNSTATE.runnable);
  return ring;
}
const names = new Map([[1, 'anna']]);
const textOf = (ring: TraceRing): string => [...chromeTrace([ring], names)].join('');
const find = (events: readonly ChromeEvent[] | undefined, name: string): ChromeEvent => events?.find((e) => e.name === name) ?? assert.fail(`no ${name}`);

test('domains are processes, vCPUs threads, physical CPUs have tracks; all have names', () => {
  const { threads, names: known } = checkTrace(textOf(example()));
  assert.deepEqual(Object.fromEntries(known), { 0: 'physical CPUs', 1: 'anna (domain 1)', 2: 'domain 2 (domain 2)', '0.0': 'pCPU 0', '0.1': 'pCPU 1', '1.0': 'vCPU 0', '2.1': 'vCPU 1' });
  assert.deepEqual(threads.get('0.0')?.map(({ name, ts, dur }) => [name, ts, dur]), [['anna v0', 0, 3]]);
  assert.deepEqual(threads.get('0.1')?.map(({ name, ts, dur }) => [name, ts, dur]), [['domain 2 v1', 2.5, 6.5]]);
});

test('each kind has its name, time and values', () => {
  const { threads } = checkTrace(textOf(example()));
  const anna = threads.get('1.0');
  assert.deepEqual(find(anna, 'run').args, { becomes: 'blocked', instructions: 77_000, 'TLB misses': 12, pcpu: 0 });
  assert.deepEqual(find(anna, 'v0 TLB misses').args, { misses: 12 });
  assert.equal(find(anna, 'block').ts, 3);
  assert.deepEqual([find(anna, 'multicall').ts, find(anna, 'multicall').dur], [1, 1]);
  assert.deepEqual(find(anna, 'mmu_update').args, { arguments: '0xffff80000000abcd 0x0 0x0 0x0', rip: '0000000000000000', result: '-14' });
  assert.deepEqual(find(anna, 'page_fault').args, { rip: '0000000000000000', address: 'ffff888000001000', 'error code': '0x0' });
  assert.equal(find(anna, 'event sent').ts, 2.2);
  assert.equal(find(anna, 'compile').dur, 0.6);
  const other = threads.get('2.1');
  assert.deepEqual(other?.map(({ name }) => name), ['wake', 'run', 'v1 TLB misses', 'event delivered']);
});

test('several rings, one a processor, are told in one order; a domain that was moved is in two', () => {
  const rings = [new TraceRing(4), new TraceRing(8), new TraceRing(8)] as const;
  for (let n = 0; n < 12; n++) {
    const pcpu = n % 3;
    const ring = rings[pcpu] as TraceRing;
    ring.end(ring.begin(TRACE_KIND.run, n < 6 ? 1 : 1 + pcpu, 0, pcpu, 0, START + n * 1000), START + n * 1000 + 900, 0, RUNSTATE.runnable);
  }
  for (let n = 0; n < 2; n++) rings[0].end(rings[0].begin(TRACE_KIND.wake, 7, 0, 0, 0, START + 20_000), START + 20_000); // two of the first are overwritten
  const { threads, trace } = checkTrace([...chromeTrace(rings, names)].join(''));
  assert.equal(trace.otherData['recordsLost'], '2');
  assert.deepEqual(threads.get('1.0')?.filter(({ ph }) => ph === 'X').map(({ ts }) => ts), [0, 1, 3, 4, 5, 8], 'times begin with the first that there is');
  assert.deepEqual([0, 1, 2].map((pcpu) => threads.get(`0.${pcpu}`)?.length), [2, 4, 4]);
});

test('what had not ended is a moment, and the rest is as it should be', () => {
  const ring = new TraceRing(8);
  ring.begin(TRACE_KIND.run, 1, 0, 0, 0, 100);
  ring.begin(TRACE_KIND.hypercall, 1, 0, 0, HYPERVISOR.iret, 200);
  const { threads } = checkTrace(textOf(ring));
  assert.deepEqual(threads.get('1.0')?.map(({ name, ph, args }) => [name, ph, args?.['unfinished']]), [['run', 'i', true], ['v0 TLB misses', 'C', undefined], ['iret', 'i', true]]);
});

test('nothing happened: a trace all the same; what was lost is told', () => {
  assert.deepEqual(checkTrace(textOf(new TraceRing(8))).trace.traceEvents, []);
  const ring = new TraceRing(2);
  for (let i = 0; i < 5; i++) ring.end(ring.begin(TRACE_KIND.wake, 1, 0, 0, 0, i), i);
  assert.equal(checkTrace(textOf(ring)).trace.otherData['recordsLost'], '3');
});

test('a name that JSON has to quote', () => {
  const ring = new TraceRing(2);
  ring.end(ring.begin(TRACE_KIND.wake, 1, 0, 0, 0, 1), 1);
  assert.equal(checkTrace([...chromeTrace([ring], new Map([[1, 'a"\\\n']]))].join('')).names.get('1'), 'a"\\\n (domain 1)');
});
