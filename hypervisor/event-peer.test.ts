import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { EINVAL, ENOSPC, EPERM, ESRCH } from '#abi/errno.ts';
import {
  EVTCHNOP, EVTCHNSTAT, evtchn_alloc_unbound, evtchn_bind_interdomain, evtchn_bind_ipi, evtchn_bind_vcpu, evtchn_expand_array, evtchn_init_control, evtchn_port,
  evtchn_reset, evtchn_status,
} from '#abi/event-channel.ts';
import { destroyDomain } from './domain-destroy.ts';
import { DomainRegistry } from './domain-registry.ts';
import { allocUnboundFor } from './event-backend.ts';
import { do_event_channel_op } from './event-channel.ts';
import { deliver } from './event-peer.ts';
import { portIsPending } from './event-port.ts';
import { DomU, SELF } from './testing/domu.ts';
import { VPF } from './vcpu.ts';

const op = do_event_channel_op;

/** Domains that see each other, and events between them that are on their way until `arrive`. */
class Neighbours {
  readonly registry = new DomainRegistry();
  readonly domains: DomU[];
  private readonly mail: (() => void)[] = [];

  constructor(domids: readonly number[], late = false) {
    this.domains = domids.map((domid) => {
      const u = new DomU(2, { deterministic: true }, domid, this.registry);
      if (late) u.domain.notify = (port, from) => { this.mail.push(() => deliver(u.domain, port, from)); };
      return u;
    });
  }
  get a(): DomU { return this.domains[0] as DomU; }
  get b(): DomU { return this.domains[1] as DomU; }
  arrive(): void { for (const message of this.mail.splice(0)) message(); }
}
const offer = (u: DomU, remote_dom: number): number => {
  const { rc, out } = u.op(op, EVTCHNOP.alloc_unbound, evtchn_alloc_unbound, { dom: SELF, remote_dom });
  assert.equal(rc, 0);
  return out.port;
};
const bind = (u: DomU, remote_dom: number, remote_port: number): { rc: number; out: { local_port: number } } => u.op(op, EVTCHNOP.bind_interdomain, evtchn_bind_interdomain, { remote_dom, remote_port });
const send = (u: DomU, port: number): number => u.op(op, EVTCHNOP.send, evtchn_port, { port }).rc;
const close = (u: DomU, port: number): number => u.op(op, EVTCHNOP.close, evtchn_port, { port }).rc;
const status = (u: DomU, port: number): number[] => {
  const { rc, out } = u.op(op, EVTCHNOP.status, evtchn_status, { dom: SELF, port });
  return [rc, out.status, out.u_dom, out.u_port];
};
/** A port of `a`'s that is bound to one of `b`'s, with nothing pending. */
function channel(n: Neighbours): { atA: number; atB: number } {
  const atA = offer(n.a, n.b.domain.domid);
  const bound = bind(n.b, n.a.domain.domid, atA);
  assert.equal(bound.rc, 0);
  take(n.b, bound.out.local_port);
  return { atA, atB: bound.out.local_port };
}
/** The guest handles the port's event, if there is one. */
function take(u: DomU, port: number): boolean {
  const was = portIsPending(u.domain, port);
  const { capsule } = u.fake;
  const at = capsule.frame(1) + 2048 + (port >>> 3);
  capsule.u8[at] = (capsule.u8[at] as number) & ~(1 << (port & 7));
  for (const v of u.domain.vcpus) capsule.u8.fill(0, v.info, v.info + 16);
  return was;
}

test('a channel between two domains: bound, and events both ways', () => {
  const n = new Neighbours([3, 7]);
  offer(n.a, 7);
  const atA = offer(n.a, 7);
  const { rc, out: { local_port: atB } } = bind(n.b, 3, atA);
  assert.equal(rc, 0);
  assert.notEqual(atA, atB);
  assert.deepEqual(status(n.a, atA), [0, EVTCHNSTAT.interdomain, 7, atB]);
  assert.deepEqual(status(n.b, atB), [0, EVTCHNSTAT.interdomain, 3, atA]);
  assert.ok(take(n.b, atB), 'the binder gets an event in case one was lost');
  n.b.v.pause(VPF.blocked);
  assert.equal(send(n.a, atA), 0);
  assert.ok(n.b.v.upcallPending);
  assert.ok(n.b.v.runnable);
  assert.ok(take(n.b, atB));
  assert.ok(!portIsPending(n.a.domain, atA));
  assert.equal(send(n.b, atB), 0);
  assert.ok(take(n.a, atA));
  assert.ok(!portIsPending(n.b.domain, atB));
});

test('each end chooses the vCPU that its events are for', () => {
  const n = new Neighbours([3, 7]);
  const { atA, atB } = channel(n);
  assert.equal(n.a.op(op, EVTCHNOP.bind_vcpu, evtchn_bind_vcpu, { port: atA, vcpu: 1 }).rc, 0);
  send(n.b, atB);
  assert.deepEqual(n.a.domain.vcpus.map((v) => v.upcallPending), [false, true]);
  send(n.a, atA);
  assert.deepEqual(n.b.domain.vcpus.map((v) => v.upcallPending), [true, false]);
});

test('events reach a domain by the ABI that it uses', () => {
  const n = new Neighbours([3, 7]);
  const { atA, atB } = channel(n);
  const mfn = (page: number): bigint => BigInt(n.b.guest.mfn(n.b.free + page));
  n.b.op(op, EVTCHNOP.init_control, evtchn_init_control, { control_gfn: mfn(0) });
  n.b.op(op, EVTCHNOP.expand_array, evtchn_expand_array, { array_gfn: mfn(1) });
  send(n.a, atA);
  assert.equal(n.b.guest.peek(n.b.free + 1, atB >>> 1) >> BigInt((atB & 1) * 32 + 29) & 7n, 5n, 'PENDING and LINKED');
});

test('who may bind: the domain that the port waits for, once', () => {
  const n = new Neighbours([3, 7, 9]);
  const [, , c] = n.domains as [DomU, DomU, DomU];
  const port = offer(n.a, 7);
  assert.equal(bind(c, 3, port).rc, -EINVAL);
  assert.equal(bind(n.a, 3, port).rc, -EINVAL, 'not even its owner');
  assert.equal(bind(n.b, 3, port + 1).rc, -EINVAL, 'free');
  assert.equal(bind(n.b, 3, 0).rc, -EINVAL);
  assert.equal(bind(n.b, 3, 64).rc, -EINVAL, 'not valid');
  assert.equal(bind(n.b, 3, 0xffff_ffff).rc, -EINVAL);
  const ipi = n.a.op(op, EVTCHNOP.bind_ipi, evtchn_bind_ipi, {}).out.port;
  assert.equal(bind(n.b, 3, ipi).rc, -EINVAL);
  assert.equal(bind(n.b, 4, port).rc, -ESRCH);
  assert.equal(bind(n.b, 0, port).rc, -EINVAL, 'Domain-0 offers nothing');
  assert.equal(bind(n.b, 3, port).rc, 0);
  assert.equal(bind(n.b, 3, port).rc, -EINVAL);
});

test('a domain without a free port cannot bind', () => {
  const n = new Neighbours([3, 7]);
  const port = offer(n.a, 7);
  while (allocUnboundFor(n.b.domain, 0) > 0);
  assert.equal(bind(n.b, 3, port).rc, -ENOSPC);
  assert.equal(bind(n.b, 3, 0).rc, -ENOSPC);
  assert.equal(bind(n.b, 0, 0).rc, -ENOSPC);
  assert.equal(bind(n.b, 4, 0).rc, -ESRCH);
  assert.deepEqual(status(n.a, port), [0, EVTCHNSTAT.unbound, 7, 0]);
});

test('another domain\'s ports are its own affair', () => {
  const n = new Neighbours([3, 7]);
  const port = offer(n.a, 7);
  const refused = (dom: number, p = port): number[] => [
    n.b.op(op, EVTCHNOP.alloc_unbound, evtchn_alloc_unbound, { dom, remote_dom: SELF }).rc,
    n.b.op(op, EVTCHNOP.status, evtchn_status, { dom, port: p }).rc,
    n.b.op(op, EVTCHNOP.reset, evtchn_reset, { dom }).rc,
  ];
  assert.deepEqual(refused(3), [-EPERM, -EPERM, -EPERM]);
  assert.deepEqual(refused(3, 64), [-EPERM, -EINVAL, -EPERM]);
  assert.deepEqual(refused(4), [-ESRCH, -ESRCH, -ESRCH]);
});

test('whoever closes leaves the other end waiting for it again', () => {
  for (const closer of ['a', 'b'] as const) {
    const n = new Neighbours([3, 7]);
    const { atA, atB } = channel(n);
    const [far, port, own, mine] = closer === 'a' ? [n.b, atB, n.a, atA] : [n.a, atA, n.b, atB];
    assert.equal(close(own, mine), 0);
    assert.deepEqual(status(own, mine), [0, EVTCHNSTAT.closed, 0, 0]);
    assert.deepEqual(status(far, port).slice(0, 3), [0, EVTCHNSTAT.unbound, own.domain.domid]);
    assert.equal(send(far, port), 0, 'dropped');
    assert.equal(bind(own, far.domain.domid, port).rc, 0);
    assert.equal(close(far, port), 0);
  }
});

test('both ends can be closed, one after the other', () => {
  const n = new Neighbours([3, 7]);
  const { atA, atB } = channel(n);
  assert.deepEqual([close(n.b, atB), close(n.a, atA), close(n.a, atA)], [0, 0, -EINVAL]);
});

test('reset and the end of a domain leave the other ends waiting', () => {
  const n = new Neighbours([3, 7]);
  const first = channel(n);
  n.a.op(op, EVTCHNOP.reset, evtchn_reset, { dom: SELF });
  assert.deepEqual(status(n.b, first.atB).slice(0, 3), [0, EVTCHNSTAT.unbound, 3]);
  const second = channel(n);
  destroyDomain(n.a.domain);
  assert.deepEqual(status(n.b, second.atB).slice(0, 3), [0, EVTCHNSTAT.unbound, 3]);
  assert.equal(send(n.b, second.atB), 0);
  assert.equal(bind(n.b, 3, 1).rc, -ESRCH);
  assert.equal(close(n.b, second.atB), 0);
});

test('a domain of the same number may take the other\'s place', () => {
  const n = new Neighbours([3, 7]);
  const { atB } = channel(n);
  destroyDomain(n.a.domain);
  const again = new DomU(1, { deterministic: true }, 3, n.registry);
  const bound = bind(again, 7, atB);
  assert.equal(bound.rc, 0);
  send(n.b, atB);
  assert.ok(portIsPending(again.domain, bound.out.local_port));
});

test('late: an event that was sent before its sender closed is not lost', () => {
  const n = new Neighbours([3, 7], true);
  const { atA, atB } = channel(n);
  send(n.a, atA);
  close(n.a, atA);
  assert.ok(!portIsPending(n.b.domain, atB));
  n.arrive();
  assert.ok(portIsPending(n.b.domain, atB));
});

test('late: an event for a port that was closed meanwhile is dropped, whatever the port is now', () => {
  const n = new Neighbours([3, 7, 9], true);
  const uses: readonly ((u: DomU) => void)[] = [
    () => {},
    (u) => { assert.equal(u.op(op, EVTCHNOP.bind_ipi, evtchn_bind_ipi, {}).rc, 0); },
    (u) => { offer(u, 9); },
    (u) => { offer(u, SELF); },
    (u) => { assert.equal(allocUnboundFor(u.domain, 0) > 0, true); },
  ];
  for (const use of uses) {
    const { atA, atB } = channel(n);
    assert.equal(atB, 1);
    send(n.a, atA);
    close(n.b, atB);
    use(n.b);
    n.arrive();
    assert.ok(!portIsPending(n.b.domain, atB));
    assert.ok(!n.b.v.upcallPending);
    close(n.b, atB);
    close(n.a, atA);
  }
});

test('late: an event finds its port on the vCPU and with the mask of when it arrives', () => {
  const n = new Neighbours([3, 7], true);
  const { atA, atB } = channel(n);
  send(n.a, atA);
  n.b.op(op, EVTCHNOP.bind_vcpu, evtchn_bind_vcpu, { port: atB, vcpu: 1 });
  n.arrive();
  assert.deepEqual(n.b.domain.vcpus.map((v) => v.upcallPending), [false, true]);
});

test('late: no port number and no sender can do harm', () => {
  const { b } = new Neighbours([3, 7]);
  for (const port of [0, 1, 63, 64, 8191, 8192, 0xffff_ffff]) for (const from of [0, 3, 7]) deliver(b.domain, port, from);
  assert.ok(!b.v.upcallPending);
});

/** Enters the lock's region often, and does there what two threads must not do at once; a function that a worker can be given. */
function contend(events: { lock(): void; unlock(): void }, words: Int32Array, at: number): void {
  Atomics.add(words, at + 1, 1);
  while (Atomics.load(words, at + 1) < 2);
  for (let i = 0; i < 3000; i++) {
    events.lock();
    const before = words[at] as number;
    for (let spin = 0; spin < 200; spin++) Atomics.load(words, at + 1);
    words[at] = before + 1;
    events.unlock();
  }
}

test('the lock of a table is waited for, on another thread', async () => {
  const { a } = new Neighbours([3]);
  const { events, capsule } = a.domain;
  const at = capsule.scratch >>> 2;
  const worker = new Worker(`
    const { buffer, table, at } = require('node:worker_threads').workerData;
    ${contend.toString()}
    import(table).then(({ PortTable }) => {
      const i32 = new Int32Array(buffer);
      contend(new PortTable({ buffer, i32 }), i32, at);
    });`, { eval: true, workerData: { buffer: capsule.buffer, table: new URL('./event-table.ts', import.meta.url).href, at } });
  const ended = new Promise((resolve, reject) => { worker.on('error', reject).on('exit', resolve); });
  contend(events, capsule.i32, at);
  await ended;
  assert.equal(capsule.i32[at], 6000);
});
