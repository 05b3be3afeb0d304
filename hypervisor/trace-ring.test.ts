import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OUTCOME, TRACE_KIND, TraceRing } from './trace-ring.ts';

const names = (ring: TraceRing): number[] => [...ring.records()].map(({ code }) => code);

test('records come back as they were written, in the order of their beginnings', () => {
  const ring = new TraceRing(16);
  const outer = ring.begin(TRACE_KIND.hypercall, 7, 3, 2, 13, 100);
  ring.set(outer, 0, 0xdead_beef, 0x1234);
  const inner = ring.begin(TRACE_KIND.upcall, 7, 3, 2, 0x12_3456, 110);
  ring.end(inner, 120);
  ring.end(outer, 130, OUTCOME.continued);
  const [first, second] = [...ring.records()];
  assert.deepEqual([first?.kind, first?.domid, first?.vcpu, first?.pcpu, first?.code, first?.begin, first?.end, first?.outcome], [TRACE_KIND.hypercall, 7, 3, 2, 13, 100, 130, OUTCOME.continued]);
  assert.deepEqual([first?.value(0), first?.value(1)], [0x1234_dead_beefn, 0n]);
  assert.deepEqual([second?.code, second?.end], [0x12_3456, 120]);
});

test('the newest overwrite the oldest, and how many is known', () => {
  const ring = new TraceRing(8);
  for (let i = 0; i < 8; i++) ring.end(ring.begin(TRACE_KIND.wake, 1, 0, 0, i, i), i);
  assert.equal(ring.lost, 0);
  for (let i = 8; i < 21; i++) ring.end(ring.begin(TRACE_KIND.wake, 1, 0, 0, i, i), i);
  assert.deepEqual(names(ring), [13, 14, 15, 16, 17, 18, 19, 20]);
  assert.equal(ring.lost, 13);
});

test('a record that is overwritten before it ends leaves its successor alone', () => {
  const ring = new TraceRing(4);
  const old = ring.begin(TRACE_KIND.run, 1, 0, 0, 0, 1);
  for (let i = 1; i <= 4; i++) ring.end(ring.begin(TRACE_KIND.wake, 1, 0, 0, i, i), i);
  ring.set(old, 0, 99, 99);
  ring.end(old, 1000, 0, 99);
  assert.deepEqual(names(ring), [1, 2, 3, 4]);
  assert.ok([...ring.records()].every((r) => r.end < 10 && r.value(0) === 0n));
  assert.equal(ring.get(old), undefined);
});

test('a slot is clean when it is used again', () => {
  const ring = new TraceRing(1);
  const first = ring.begin(TRACE_KIND.hypercall, 1, 0, 0, 1, 1);
  for (let i = 0; i < 6; i++) ring.set(first, i, 1, 1);
  ring.end(first, 2, OUTCOME.noReturn);
  const second = ring.get(ring.begin(TRACE_KIND.wake, 1, 0, 0, 0, 3));
  assert.deepEqual([second?.end, second?.outcome, ...[0, 1, 2, 3, 4, 5].map((i) => second?.value(i))], [0, 0, 0n, 0n, 0n, 0n, 0n, 0n]);
});

test('another thread sees the same through the buffer', () => {
  const ring = new TraceRing(4);
  ring.end(ring.begin(TRACE_KIND.wake, 5, 1, 0, 0, 1), 1);
  assert.deepEqual([...new TraceRing(ring.buffer).records()].map(({ domid, vcpu }) => [domid, vcpu]), [[5, 1]]);
});

test('where the count of records wraps, order stays, and no record is number 0', () => {
  const ring = new TraceRing(8);
  new Uint32Array(ring.buffer)[0] = 0xffff_fffc;
  for (let i = 0; i < 6; i++) ring.end(ring.begin(TRACE_KIND.wake, 1, 0, 0, i, i), i);
  assert.deepEqual(names(ring).filter((code) => code !== 3), [0, 1, 2, 4, 5]);
});
