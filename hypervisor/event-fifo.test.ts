import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EACCES, EEXIST, EFAULT, EINVAL, ENOENT, ENOSPC, ENOSYS, EOPNOTSUPP } from '#abi/errno.ts';
import {
  EVTCHNOP, evtchn_alloc_unbound, evtchn_bind_ipi, evtchn_bind_vcpu, evtchn_bind_virq, evtchn_expand_array, evtchn_fifo_control_block, evtchn_init_control,
  evtchn_port, evtchn_reset, evtchn_set_priority,
} from '#abi/event-channel.ts';
import { SCHEDOP, sched_poll } from '#abi/sched.ts';
import { shared_info, VIRQ } from '#abi/xen.ts';
import { allocUnboundFor, bindBackend, notifyFromBackend } from './event-backend.ts';
import { destroyEventChannels, do_event_channel_op } from './event-channel.ts';
import { fifoFrames } from './event-fifo-pages.ts';
import { portIsPending, sendVcpuVirq } from './event-port.ts';
import { MAX_PORTS } from './event-table.ts';
import { XEN_FRAME } from './layout.ts';
import { PGC_count_mask, PGT_count_mask, PGT_l1_page_table } from './mm/frame-table.ts';
import { getPageAndType } from './mm/page-type.ts';
import { do_sched_op } from './sched-op.ts';
import { auditMemory } from './testing/audit-memory.ts';
import { DomU, SELF, UNMAPPED } from './testing/domu.ts';
import { type Vcpu, VPF } from './vcpu.ts';

const PENDING = 1 << 31, MASKED = 1 << 30, LINKED = 1 << 29, BUSY = 1 << 28, LINK = (1 << 17) - 1;
const op = do_event_channel_op;

/** A guest that uses the FIFO ABI as its design says: it takes events off the heads of queues, highest priority first. */
class FifoGuest extends DomU {
  private readonly heads: number[][];
  private readonly blocks: number[];
  private readonly array: number[] = [];

  /** @param pages of the event array */
  constructor(vcpus = 1, pages = 1) {
    super(vcpus);
    this.heads = this.domain.vcpus.map(() => Array<number>(16).fill(0));
    this.blocks = this.domain.vcpus.map((_, id) => this.free + id);
    for (const id of this.blocks.keys()) assert.equal(this.initControl(id), 0);
    for (let i = 0; i < pages; i++) assert.equal(this.expand(this.free + vcpus + i), 0);
  }

  initControl(vcpu: number, values: { offset?: number; control_gfn?: bigint } = {}): number {
    return this.op(op, EVTCHNOP.init_control, evtchn_init_control, { vcpu, control_gfn: BigInt(this.guest.mfn(this.blocks[vcpu] ?? 0)), ...values }).rc;
  }
  expand(page: number): number {
    const mfn = this.guest.mfn(page);
    const rc = this.op(op, EVTCHNOP.expand_array, evtchn_expand_array, { array_gfn: BigInt(mfn) }).rc;
    if (rc === 0) this.array.push(this.fake.capsule.frame(mfn) >>> 2);
    return rc;
  }
  bindIpi(vcpu = 0): number {
    const { rc, out } = this.op(op, EVTCHNOP.bind_ipi, evtchn_bind_ipi, { vcpu });
    assert.equal(rc, 0);
    return out.port;
  }
  send(port: number): void { assert.equal(this.op(op, EVTCHNOP.send, evtchn_port, { port }).rc, 0); }
  unmask(port: number): number { return this.op(op, EVTCHNOP.unmask, evtchn_port, { port }).rc; }
  setPriority(port: number, priority: number): number { return this.op(op, EVTCHNOP.set_priority, evtchn_set_priority, { port, priority }).rc; }
  close(port: number): number { return this.op(op, EVTCHNOP.close, evtchn_port, { port }).rc; }

  private at(port: number): number { return (this.array[port >>> 10] as number) + (port & 1023); }
  word(port: number): number { return this.fake.capsule.i32[this.at(port)] as number; }
  setWord(port: number, word: number): void { this.fake.capsule.i32[this.at(port)] = word; }
  private block(vcpu: number): number { return this.fake.capsule.frame(this.guest.mfn(this.blocks[vcpu] as number)) >>> 2; }
  ready(vcpu = 0): number { return this.fake.capsule.u32[this.block(vcpu)] as number; }
  head(priority: number, vcpu = 0): number { return this.fake.capsule.u32[this.block(vcpu) + 2 + priority] as number; }

  /** Takes one event off the queues of a vCPU, as a guest does that is interrupted in between. @returns 0: there is none */
  takeOne(vcpu = 0): number {
    const heads = this.heads[vcpu] as number[];
    const { i32 } = this.fake.capsule;
    for (let ready = this.ready(vcpu); ready !== 0; ready = this.ready(vcpu)) {
      const priority = 31 - Math.clz32(ready & -ready);
      const port = heads[priority] || this.head(priority, vcpu);
      const word = this.word(port);
      this.setWord(port, word & ~(LINKED | LINK));
      heads[priority] = word & LINK;
      if ((word & LINK) === 0) i32[this.block(vcpu)] = (i32[this.block(vcpu)] as number) & ~(1 << priority);
      if (word & PENDING && !(word & MASKED)) {
        this.setWord(port, this.word(port) & ~PENDING);
        return port;
      }
    }
    return 0;
  }
  /** Takes the upcall: all events, in the order in which a guest sees them. */
  take(vcpu = 0): number[] {
    this.fake.capsule.u8[this.vcpu(vcpu).info] = 0;
    const taken: number[] = [];
    for (let port = this.takeOne(vcpu); port !== 0; port = this.takeOne(vcpu)) taken.push(port);
    return taken;
  }
}
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

test('what was pending in the two-level ABI is so in the other', () => {
  const u = new DomU();
  const port = u.op(op, EVTCHNOP.bind_ipi, evtchn_bind_ipi, { vcpu: 0 }).out.port;
  u.op(op, EVTCHNOP.send, evtchn_port, { port });
  u.fake.capsule.u8[u.v.info] = 0;
  const init = u.op(op, EVTCHNOP.init_control, evtchn_init_control, { vcpu: 0, control_gfn: BigInt(u.guest.mfn(u.free)) });
  assert.deepEqual([init.rc, init.out.link_bits], [0, 17]);
  assert.ok(!pending(u.v));
  assert.equal(u.op(op, EVTCHNOP.expand_array, evtchn_expand_array, { array_gfn: BigInt(u.guest.mfn(u.free + 1)) }).rc, 0);
  assert.ok(pending(u.v));
  assert.equal(u.fake.capsule.i32[(u.fake.capsule.frame(u.guest.mfn(u.free + 1)) >>> 2) + port], PENDING | LINKED);
});

test('a vCPU without a control block: its events stay pending and are delivered nowhere', () => {
  const u = new DomU(2);
  const mfn = (page: number): bigint => BigInt(u.guest.mfn(u.free + page));
  u.op(op, EVTCHNOP.init_control, evtchn_init_control, { vcpu: 0, control_gfn: mfn(0) });
  u.op(op, EVTCHNOP.expand_array, evtchn_expand_array, { array_gfn: mfn(1) });
  const port = u.op(op, EVTCHNOP.bind_ipi, evtchn_bind_ipi, { vcpu: 1 }).out.port;
  u.op(op, EVTCHNOP.send, evtchn_port, { port });
  assert.ok(portIsPending(u.domain, port));
  assert.ok(!pending(u.vcpu(1)));
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

test('init_control: its errors', () => {
  const u = new FifoGuest();
  const size = evtchn_fifo_control_block.size;
  assert.equal(u.initControl(1), -ENOENT);
  assert.equal(u.initControl(0, { offset: 4096 }), -EINVAL);
  assert.equal(u.initControl(0), -EINVAL, 'it has one');
  const fresh = new DomU(2);
  const init = (offset: number, gfn = BigInt(fresh.guest.mfn(fresh.free)), vcpu = 0): number => fresh.op(op, EVTCHNOP.init_control, evtchn_init_control, { vcpu, offset, control_gfn: gfn }).rc;
  assert.equal(init(4096 - size + 1), -EINVAL);
  assert.equal(init(0xffff_fff8), -EINVAL);
  assert.equal(init(4), -EINVAL, 'aligned to 8 bytes');
  for (const gfn of [0n, BigInt(fresh.fake.capsule.totalFrames), 1n << 40n, (1n << 64n) - 1n, BigInt(fresh.guest.mfn(fresh.guest.l1))]) assert.equal(init(0, gfn), -EINVAL, `frame ${gfn}`);
  assert.equal(fresh.op(op, EVTCHNOP.set_priority, evtchn_set_priority, { port: 0 }).rc, -ENOSYS, 'the two-level ABI is still in use');
  assert.equal(init(4096 - size), 0);
  assert.equal(init(0, BigInt(fresh.guest.mfn(fresh.free)), 1), 0, 'two in one page');
  assert.deepEqual(fifoFrames(fresh.domain), [fresh.guest.mfn(fresh.free), fresh.guest.mfn(fresh.free)]);
});

test('expand_array: its errors, and 128 pages at the most', () => {
  const u = new DomU();
  const expand = (gfn: bigint): number => u.op(op, EVTCHNOP.expand_array, evtchn_expand_array, { array_gfn: gfn }).rc;
  const page = BigInt(u.guest.mfn(u.free));
  assert.equal(expand(page), -EOPNOTSUPP);
  u.op(op, EVTCHNOP.init_control, evtchn_init_control, { control_gfn: BigInt(u.guest.mfn(u.free + 1)) });
  for (const gfn of [0n, BigInt(u.fake.capsule.totalFrames), (1n << 64n) - 1n, BigInt(u.guest.mfn(u.guest.l1))]) assert.equal(expand(gfn), -EINVAL, `frame ${gfn}`);
  for (let i = 0; i < 128; i++) assert.equal(expand(page), 0);
  assert.equal(expand(page), -ENOSPC);
  assert.equal(expand(0n), -ENOSPC);
});

test('set_priority: its errors', () => {
  const u = new FifoGuest();
  const port = u.bindIpi();
  assert.deepEqual([0, 15, 16, 0xffff_ffff].map((priority) => u.setPriority(port, priority)), [0, 0, -EINVAL, -EINVAL]);
  assert.equal(u.setPriority(64, 0), -EINVAL);
  assert.equal(u.setPriority(0xffff_ffff, 99), -EINVAL);
  assert.equal(u.setPriority(0, 0), -EACCES);
  assert.equal(u.setPriority(port + 1, 99), -EACCES, 'free');
  u.op(op, EVTCHNOP.reset, evtchn_reset, { dom: SELF });
  assert.equal(u.setPriority(port, 0), -ENOSYS);
  for (const cmd of [EVTCHNOP.init_control, EVTCHNOP.expand_array, EVTCHNOP.set_priority]) assert.equal(u.call(op, cmd, UNMAPPED), -EFAULT);
});

test('more ports than the two-level ABI can number', () => {
  const u = new FifoGuest(1, MAX_PORTS / 1024);
  for (let port = 1; port < MAX_PORTS; port++) assert.equal(allocUnboundFor(u.domain, 0), port);
  assert.equal(allocUnboundFor(u.domain, 0), -ENOSPC);
  assert.equal(u.op(op, EVTCHNOP.bind_ipi, evtchn_bind_ipi, {}).rc, -ENOSPC);
  const last = MAX_PORTS - 1;
  assert.equal(u.close(last), 0);
  assert.equal(u.bindIpi(), last);
  u.send(last);
  assert.deepEqual(u.take(), [last]);
  u.op(op, EVTCHNOP.reset, evtchn_reset, { dom: SELF });
  assert.ok(!portIsPending(u.domain, last));
  assert.equal(u.op(op, EVTCHNOP.send, evtchn_port, { port: last }).rc, -EINVAL);
  assert.equal(u.unmask(last), 0);
  for (let port = 1; port < 4096; port++) assert.equal(allocUnboundFor(u.domain, 0), port);
  assert.equal(allocUnboundFor(u.domain, 0), -ENOSPC, 'the two-level ABI is in use again');
});

test('reset closes all, gives the pages back and returns to the two-level ABI; then FIFO can be chosen anew', () => {
  const u = new FifoGuest(2, 2);
  const frames = fifoFrames(u.domain);
  assert.equal(frames.length, 4);
  const counts = (): number[][] => frames.map((mfn) => [u.domain.mm.frames.count(mfn) & PGC_count_mask, u.domain.mm.frames.type(mfn) & PGT_count_mask]);
  const held = counts();
  u.send(u.bindIpi());
  assert.equal(u.op(op, EVTCHNOP.reset, evtchn_reset, { dom: SELF }).rc, 0);
  assert.deepEqual(fifoFrames(u.domain), []);
  assert.deepEqual(counts(), held.map(([count, type]) => [(count as number) - 1, (type as number) - 1]));
  const port = u.bindIpi();
  assert.equal(port, 1);
  u.fake.capsule.u8[u.v.info] = 0;
  u.send(port);
  assert.equal(u.fake.capsule.u8[u.fake.capsule.frame(XEN_FRAME.sharedInfo) + shared_info.offset.evtchn_pending], 1 << port);
  assert.equal(u.initControl(0), 0);
});

test('a page of the ABI cannot become a page table, and is let go at the end of the domain', () => {
  const u = new FifoGuest(1, 1);
  const held = (): { mfn: number; writable: true; why: string }[] => fifoFrames(u.domain).map((mfn) => ({ mfn, writable: true, why: 'FIFO' }));
  assert.equal(held().length, 2);
  assert.deepEqual(auditMemory(u.domain, held()), []);
  for (const mfn of fifoFrames(u.domain)) assert.equal(getPageAndType(u.domain.mm, mfn, PGT_l1_page_table), -EINVAL);
  u.send(u.bindIpi());
  destroyEventChannels(u.domain);
  assert.deepEqual(auditMemory(u.domain), []);
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
