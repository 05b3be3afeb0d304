import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EEXIST } from '#abi/errno.ts';
import { EVTCHNOP, evtchn_alloc_unbound, evtchn_bind_vcpu, evtchn_bind_virq, evtchn_port, evtchn_reset } from '#abi/event-channel.ts';
import { SCHEDOP, sched_poll } from '#abi/sched.ts';
import { shared_info, VIRQ } from '#abi/xen.ts';
import { bindBackend, notifyFromBackend } from './event-backend.ts';
import { do_event_channel_op } from './event-channel.ts';
import { fifoFrames } from './event-fifo-pages.ts';
import { portIsPending, sendVcpuVirq } from './event-port.ts';
import { XEN_FRAME } from './layout.ts';
import { do_sched_op } from './sched-op.ts';
import { auditMemory } from './testing/audit-memory.ts';
import { SELF } from './testing/domu.ts';
import { BUSY, FifoGuest, LINK, LINKED, MASKED, PENDING } from './testing/fifo-guest.ts';
import { type Vcpu, VPF } from './vcpu.ts';

const op = do_event_channel_op;
const pending = (v: Vcpu): boolean => v.upcallPending;

test('an event is linked to its queue and raises the upcall; the guest sees events in the order in which they came', () => {
  const u = new FifoGuest();
  const ports = [u.bindIpi(), u.bindIpi(), u.bindIpi()];
  u.v.pause(VPF.blocked);
  for (const port of [...ports].reverse()) u.send(port);
  assert.ok(pending(u.v));
  assert.ok(u.v.runnable);
  assert.equal(u.ready(), 1 << 7, 'the priority that ports begin with');
  assert.equal(u.head(7), 3);
  assert.deepEqual([3, 2, 1].map((port) => u.word(port)), [PENDING | LINKED | 2, PENDING | LINKED | 1, PENDING | LINKED]);
  assert.deepEqual(u.take(), [3, 2, 1]);
  assert.deepEqual(ports.map((port) => u.word(port)), [0, 0, 0]);
  for (const port of ports) u.send(port);
  assert.deepEqual(u.take(), [1, 2, 3]);
});

test('shared info is left alone', () => {
  const u = new FifoGuest();
  u.send(u.bindIpi());
  const at = u.fake.capsule.frame(XEN_FRAME.sharedInfo) + shared_info.offset.evtchn_pending;
  assert.ok(u.fake.capsule.u8.subarray(at, at + 512).every((byte) => byte === 0));
});

test('an event that is linked already is not linked again, nor raises another upcall', () => {
  const u = new FifoGuest();
  const port = u.bindIpi();
  u.send(port);
  u.fake.capsule.u8[u.v.info] = 0;
  u.send(port);
  assert.ok(!pending(u.v));
  assert.deepEqual(u.take(), [port]);
  assert.deepEqual(u.take(), []);
});

test('an event for a queue that is not empty raises no second upcall', () => {
  const u = new FifoGuest();
  const [a, b] = [u.bindIpi(), u.bindIpi()];
  u.send(a);
  u.fake.capsule.u8[u.v.info] = 0;
  u.send(b);
  assert.ok(!pending(u.v));
  assert.deepEqual(u.take(), [a, b]);
});

test('events that come while the guest empties the queue are not lost', () => {
  const u = new FifoGuest();
  const [a, b, c] = [u.bindIpi(), u.bindIpi(), u.bindIpi()];
  u.send(a);
  u.send(b);
  assert.equal(u.takeOne(), a);
  u.send(c);
  u.send(a);
  assert.equal(u.takeOne(), b);
  assert.equal(u.takeOne(), c);
  assert.equal(u.takeOne(), a, 'the queue is empty now');
  u.send(b);
  assert.equal(u.head(7), b, 'and begins anew');
  u.send(a);
  assert.deepEqual(u.take(), [b, a]);
});

test('a masked event is pending, in no queue, and joins it when it is unmasked', () => {
  const u = new FifoGuest();
  const port = u.bindIpi();
  u.setWord(port, MASKED);
  u.send(port);
  assert.equal(u.word(port), MASKED | PENDING);
  assert.ok(!pending(u.v));
  assert.ok(portIsPending(u.domain, port));
  assert.equal(u.unmask(port), 0);
  assert.ok(pending(u.v));
  assert.deepEqual(u.take(), [port]);
  u.setWord(port, MASKED);
  assert.equal(u.unmask(port), 0);
  assert.equal(u.word(port), 0, 'nothing was pending');
  assert.ok(!pending(u.v));
});

test('an event that is masked while it is linked is passed over, and comes after the unmasking', () => {
  const u = new FifoGuest();
  const [a, b] = [u.bindIpi(), u.bindIpi()];
  u.send(a);
  u.send(b);
  u.setWord(a, u.word(a) | MASKED);
  assert.deepEqual(u.take(), [b]);
  assert.equal(u.word(a), PENDING | MASKED);
  u.unmask(a);
  assert.deepEqual(u.take(), [a]);
});

test('16 priorities: the lowest number first, whatever came first', () => {
  const u = new FifoGuest();
  const ports = Array.from({ length: 16 }, () => u.bindIpi());
  for (const [i, port] of ports.entries()) assert.equal(u.setPriority(port, 15 - i), 0);
  for (const port of ports) u.send(port);
  assert.equal(u.ready(), 0xffff);
  assert.deepEqual(u.take(), [...ports].reverse());
});

test('a new priority or vCPU counts from the next event on', () => {
  const u = new FifoGuest(2);
  const port = u.op(op, EVTCHNOP.alloc_unbound, evtchn_alloc_unbound, { dom: SELF, remote_dom: 0 }).out.port;
  const ipi = u.bindIpi();
  assert.equal(bindBackend(u.domain, port, () => {}), 0);
  const notify = (): void => { assert.equal(notifyFromBackend(u.domain, port), 0); };
  notify();
  u.setPriority(port, 0);
  u.op(op, EVTCHNOP.bind_vcpu, evtchn_bind_vcpu, { port, vcpu: 1 });
  notify();
  assert.equal(u.head(7), port, 'it stays where it is');
  assert.equal(u.ready(1), 0);
  assert.deepEqual(u.take(), [port]);
  notify();
  assert.ok(pending(u.vcpu(1)));
  assert.equal(u.head(0, 1), port);
  u.send(ipi);
  assert.deepEqual(u.take(), [ipi], 'its old queue does not lead to the new one');
  assert.deepEqual(u.take(1), [port]);
});

test('the tail of a queue moves to another one: the old queue is empty, and stays apart', () => {
  const u = new FifoGuest();
  const [a, b] = [u.bindIpi(), u.bindIpi()];
  u.send(a);
  u.take();
  u.setPriority(a, 3);
  u.send(a); // linked again, and still the last that joined queue 7
  u.send(b);
  assert.equal(u.head(7), b);
  assert.equal(u.word(a) & LINK, 0);
  assert.deepEqual(u.take(), [a, b]);
});

test('an event that goes to another vCPU leaves its old queue empty there', () => {
  const u = new FifoGuest(2);
  const port = u.op(op, EVTCHNOP.alloc_unbound, evtchn_alloc_unbound, { dom: SELF, remote_dom: 0 }).out.port;
  bindBackend(u.domain, port, () => {});
  const ipi = u.bindIpi(1);
  for (const vcpu of [1, 0]) {
    u.op(op, EVTCHNOP.bind_vcpu, evtchn_bind_vcpu, { port, vcpu });
    notifyFromBackend(u.domain, port);
    if (vcpu === 1) assert.deepEqual(u.take(1), [port]);
  }
  u.send(ipi);
  assert.equal(u.head(7, 1), ipi);
  assert.deepEqual([u.take(1), u.take(0)], [[ipi], [port]]);
});

test('a queue that the guest still knows to be ready needs no upcall', () => {
  const u = new FifoGuest();
  const port = u.bindIpi();
  u.send(port);
  u.fake.capsule.u8[u.v.info] = 0;
  u.setWord(port, 0); // taken off, READY not yet looked at again
  u.send(port);
  assert.ok(!pending(u.v));
  assert.deepEqual(u.take(), [port]);
});

test('a closed port is given out again only when the guest has taken it off its queue', () => {
  const u = new FifoGuest();
  const [a, b] = [u.bindIpi(), u.bindIpi()];
  u.send(a);
  u.send(b);
  assert.equal(u.close(a), 0);
  assert.equal(u.word(a), LINKED | b, 'not pending any more');
  assert.equal(u.bindIpi(), 3);
  assert.deepEqual(u.take(), [b]);
  assert.equal(u.bindIpi(), a);
});

test('a new binding begins with the usual priority, on vCPU 0', () => {
  const u = new FifoGuest(2);
  const port = u.bindIpi(1);
  u.setPriority(port, 2);
  u.close(port);
  assert.equal(u.bindIpi(), port);
  u.send(port);
  assert.equal(u.ready(), 1 << 7);
  assert.deepEqual(u.take(), [port]);
});

test('virtual IRQs come by FIFO, each on its vCPU', () => {
  const u = new FifoGuest(2);
  const { port } = u.op(op, EVTCHNOP.bind_virq, evtchn_bind_virq, { virq: VIRQ.TIMER, vcpu: 1 }).out;
  assert.equal(u.op(op, EVTCHNOP.bind_virq, evtchn_bind_virq, { virq: VIRQ.TIMER, vcpu: 1 }).rc, -EEXIST);
  sendVcpuVirq(u.vcpu(1), VIRQ.TIMER);
  assert.deepEqual(u.take(1), [port]);
  assert.ok(!pending(u.v));
});

test('an event of a port without a word waits for the page of the event array', () => {
  const u = new FifoGuest(1, 0);
  const [a, b] = [u.bindIpi(), u.bindIpi()];
  u.send(b);
  assert.ok(!pending(u.v));
  assert.ok(!portIsPending(u.domain, b));
  assert.equal(u.unmask(b), 0, 'there is no word to unmask either');
  assert.equal(u.expand(u.free + 1), 0);
  assert.deepEqual(u.take(), [b]);
  u.send(a);
  assert.deepEqual(u.take(), [a]);
  u.expand(u.free + 2);
  assert.ok(!pending(u.v), 'told once');
  assert.equal(u.domain.events.at(b).pending, 0);
});

test('an event that was kept for a missing page is forgotten when its port is closed', () => {
  const u = new FifoGuest(1, 0);
  const port = u.bindIpi();
  u.send(port);
  u.close(port);
  assert.equal(u.bindIpi(), port);
  u.expand(u.free + 1);
  assert.deepEqual(u.take(), []);
});

test('SCHEDOP_poll: a pending port does not wait, one that becomes pending wakes, masked or not', () => {
  const u = new FifoGuest();
  const port = u.bindIpi();
  const ports = u.put(evtchn_port, { port }, u.free + 4).va;
  const poll = (): number => u.op(do_sched_op, SCHEDOP.poll, sched_poll, { ports, nr_ports: 1, timeout: 0n }).rc;
  u.setWord(port, MASKED);
  assert.equal(poll(), 0);
  assert.ok(!u.v.runnable);
  u.send(port);
  assert.ok(u.v.runnable);
  assert.equal(poll(), 0);
  assert.ok(u.v.runnable, 'it is pending');
});

test('the machine is told of each page that an event changes', () => {
  const u = new FifoGuest();
  const [a, b] = [u.bindIpi(), u.bindIpi()];
  const pages = (act: () => void): number[] => {
    u.fake.machine.calls.length = 0;
    act();
    return [...new Set(u.fake.machine.calls.flatMap((c) => c.call === 'frameWritten' ? [c.mfn] : []))].filter((mfn) => fifoFrames(u.domain).includes(mfn)).sort();
  };
  const [block, array] = fifoFrames(u.domain) as [number, number];
  assert.deepEqual(pages(() => u.send(a)), [block, array]);
  assert.deepEqual(pages(() => u.send(b)), [array]);
  assert.deepEqual(pages(() => u.unmask(b)), [array]);
  assert.deepEqual(pages(() => u.close(b)), [array]);
});

for (const [what, change, taken] of [
  ['masks it', (word: number) => word | MASKED, 'b'],
  ['clears PENDING', (word: number) => word & ~PENDING, 'b'],
  ['takes it off', (word: number) => word & ~(PENDING | LINKED | LINK), 'b'],
] as const) {
  test(`the guest changes the tail's word in the moment in which an event is linked to it: it ${what}`, (t) => {
    const u = new FifoGuest();
    const [a, b] = [u.bindIpi(), u.bindIpi()];
    u.send(a);
    const real = Atomics.compareExchange.bind(Atomics);
    let calls = 0;
    t.mock.method(Atomics, 'compareExchange', (...args: Parameters<typeof real>) => {
      if (calls++ === 0) u.setWord(a, change(u.word(a)));
      return real(...args);
    });
    u.send(b);
    t.mock.restoreAll();
    assert.ok(calls > 0);
    assert.equal(u.word(a) & BUSY, 0);
    assert.deepEqual(u.take().map((port) => (port === b ? 'b' : 'a')).join(), taken);
  });
}

test('a guest that changes the tail\'s word for ever is not waited for', (t) => {
  const u = new FifoGuest();
  const [a, b] = [u.bindIpi(), u.bindIpi()];
  u.send(a);
  const real = Atomics.compareExchange.bind(Atomics);
  let calls = 0;
  let busy = 0;
  t.mock.method(Atomics, 'compareExchange', (...args: Parameters<typeof real>) => {
    if (calls++ > 0) busy += u.word(a) & BUSY ? 1 : 0;
    u.setWord(a, u.word(a) ^ MASKED);
    return real(...args);
  });
  u.send(b);
  t.mock.restoreAll();
  assert.deepEqual([calls, busy], [5, 4], 'BUSY from the second time on');
  assert.equal(u.word(a) & BUSY, 0);
});

test('whatever is in the words and the control block, only the guest suffers', () => {
  const u = new FifoGuest(2);
  const ports = Array.from({ length: 40 }, (_, i) => u.bindIpi(i % 2));
  let x = 1;
  const random = (): number => { x ^= x << 13; x ^= x >>> 17; x ^= x << 5; return x; };
  const block = u.fake.capsule.frame(u.guest.mfn(u.free)) >>> 2;
  for (let i = 0; i < 5000; i++) {
    const port = ports[(random() >>> 0) % ports.length] as number;
    switch (random() & 7) {
      case 0: u.setWord(port, random()); break;
      case 1: u.fake.capsule.i32[block + ((random() >>> 0) % 18)] = random(); break;
      case 2: u.unmask(port); break;
      case 3: u.setPriority(port, random() & 15); break;
      case 4: u.setWord(port, (random() & LINK) | BUSY | LINKED); break;
      default: u.send(port);
    }
  }
  assert.deepEqual(auditMemory(u.domain, fifoFrames(u.domain).map((mfn) => ({ mfn, writable: true, why: 'FIFO' }))), []);
  u.op(op, EVTCHNOP.reset, evtchn_reset, { dom: SELF });
  assert.deepEqual(auditMemory(u.domain), []);
});
