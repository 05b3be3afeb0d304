import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EBUSY, EEXIST, EFAULT, EINVAL, ENOENT, ENOSPC, ENOSYS, EPERM, ESRCH } from '#abi/errno.ts';
import {
  EVTCHNOP, EVTCHNSTAT, evtchn_alloc_unbound, evtchn_bind_interdomain, evtchn_bind_ipi, evtchn_bind_pirq, evtchn_bind_vcpu, evtchn_bind_virq,
  evtchn_port, evtchn_reset, evtchn_status,
} from '#abi/event-channel.ts';
import { shared_info, VIRQ, vcpu_info } from '#abi/xen.ts';
import { allocUnboundFor, bindBackend, closeBackendPort, notifyFromBackend, unbindBackend } from './event-backend.ts';
import { do_event_channel_op } from './event-channel.ts';
import { portIsPending, sendVcpuVirq } from './event-port.ts';
import { XEN_FRAME } from './layout.ts';
import { DomU, SELF, UNMAPPED } from './testing/domu.ts';
import { type Vcpu, VPF } from './vcpu.ts';

const op = do_event_channel_op;
const bindIpi = (u: DomU, vcpu = 0): number => {
  const { rc, out } = u.op(op, EVTCHNOP.bind_ipi, evtchn_bind_ipi, { vcpu });
  assert.equal(rc, 0);
  return out.port;
};
const send = (u: DomU, port: number): number => u.op(op, EVTCHNOP.send, evtchn_port, { port }).rc;
const mask = (u: DomU, port: number): void => {
  const at = u.fake.capsule.frame(XEN_FRAME.sharedInfo) + shared_info.offset.evtchn_mask + (port >>> 3);
  u.fake.capsule.u8[at] = (u.fake.capsule.u8[at] as number) | (1 << (port & 7));
};
const selector = (v: Vcpu): bigint => v.domain.capsule.u64[(v.info + vcpu_info.offset.evtchn_pending_sel) >>> 3] as bigint;

test('ports are numbered from 1, the lowest free one first', () => {
  const u = new DomU();
  assert.deepEqual([bindIpi(u), bindIpi(u), bindIpi(u)], [1, 2, 3]);
  assert.equal(u.op(op, EVTCHNOP.close, evtchn_port, { port: 2 }).rc, 0);
  assert.equal(bindIpi(u), 2);
  assert.equal(bindIpi(u), 4);
});

test('4095 ports and no more', () => {
  const u = new DomU();
  for (let port = 1; port < 4096; port++) assert.equal(allocUnboundFor(u.domain, 0), port);
  assert.equal(allocUnboundFor(u.domain, 0), -ENOSPC);
  assert.equal(u.op(op, EVTCHNOP.bind_ipi, evtchn_bind_ipi, { vcpu: 0 }).rc, -ENOSPC);
});

test('an event sets pending bit, selector and upcall flag, and wakes the vCPU that it is for', () => {
  const u = new DomU(2);
  const target = u.vcpu(1);
  target.unpause(VPF.down);
  for (let i = 0; i < 70; i++) bindIpi(u, 1);
  target.pause(VPF.blocked);
  assert.equal(send(u, 70), 0);
  assert.ok(portIsPending(u.domain, 70));
  assert.equal(selector(target), 1n << 1n);
  assert.ok(target.upcallPending);
  assert.ok(target.runnable);
  assert.equal(selector(u.v), 0n);
  assert.ok(!u.v.upcallPending);
});

test('a masked event stays pending and is delivered by the unmasking', () => {
  const u = new DomU();
  const port = bindIpi(u);
  mask(u, port);
  send(u, port);
  assert.ok(portIsPending(u.domain, port));
  assert.ok(!u.v.upcallPending);
  assert.equal(u.op(op, EVTCHNOP.unmask, evtchn_port, { port }).rc, 0);
  assert.ok(u.v.upcallPending);
  assert.equal(selector(u.v), 1n);
});

test('a free port can be unmasked, which does nothing', () => {
  const u = new DomU();
  mask(u, 5);
  const at = u.fake.capsule.frame(XEN_FRAME.sharedInfo) + shared_info.offset.evtchn_pending;
  u.fake.capsule.u8[at] = 1 << 5; // by the guest
  assert.equal(u.op(op, EVTCHNOP.unmask, evtchn_port, { port: 5 }).rc, 0);
  assert.ok(!u.v.upcallPending);
  assert.ok(!portIsPending(u.domain, 5));
  assert.equal(u.op(op, EVTCHNOP.unmask, evtchn_port, { port: 64 }).rc, -EINVAL);
});

test('an event that is pending already delivers nothing new', () => {
  const u = new DomU();
  const port = bindIpi(u);
  send(u, port);
  u.fake.capsule.u8[u.v.info] = 0;
  send(u, port);
  assert.ok(!u.v.upcallPending);
});

test('a closed port forgets its event', () => {
  const u = new DomU();
  const port = bindIpi(u);
  mask(u, port);
  send(u, port);
  u.op(op, EVTCHNOP.close, evtchn_port, { port });
  assert.ok(!portIsPending(u.domain, port));
});

test('virtual IRQs: once for each vCPU, the global ones on vCPU 0 only', () => {
  const u = new DomU(2);
  const bind = (virq: number, vcpu: number): number => u.op(op, EVTCHNOP.bind_virq, evtchn_bind_virq, { virq, vcpu }).rc;
  assert.equal(bind(VIRQ.TIMER, 0), 0);
  assert.equal(bind(VIRQ.TIMER, 0), -EEXIST);
  assert.equal(bind(VIRQ.TIMER, 1), 0);
  assert.equal(bind(VIRQ.TIMER, 2), -ENOENT);
  assert.equal(bind(24, 0), -EINVAL);
  assert.equal(bind(VIRQ.CONSOLE, 1), -EINVAL);
  assert.equal(bind(VIRQ.CONSOLE, 0), 0);
  sendVcpuVirq(u.vcpu(1), VIRQ.TIMER);
  assert.ok(u.vcpu(1).upcallPending);
  assert.ok(!u.v.upcallPending);
});

test('a closed virtual IRQ can be bound again and raises nothing meanwhile', () => {
  const u = new DomU();
  const bind = (): { rc: number; out: { port: number } } => u.op(op, EVTCHNOP.bind_virq, evtchn_bind_virq, { virq: VIRQ.TIMER, vcpu: 0 });
  const { port } = bind().out;
  u.op(op, EVTCHNOP.close, evtchn_port, { port });
  sendVcpuVirq(u.v, VIRQ.TIMER);
  assert.ok(!u.v.upcallPending);
  assert.equal(bind().rc, 0);
});

test('only a port of an IPI or an interdomain channel can be sent on', () => {
  const u = new DomU();
  const virq = u.op(op, EVTCHNOP.bind_virq, evtchn_bind_virq, { virq: VIRQ.TIMER, vcpu: 0 }).out.port;
  assert.equal(send(u, virq), -EINVAL);
  assert.equal(send(u, 0), -EINVAL); // reserved
  assert.equal(send(u, 40), -EINVAL); // free
  assert.equal(send(u, 64), -EINVAL); // beyond the valid ones
  assert.equal(send(u, 0xffff_ffff), -EINVAL);
  assert.equal(send(u, allocUnboundFor(u.domain, 0)), 0); // nobody there: dropped
});

test('a channel within the domain goes both ways, and closing one end leaves the other unbound', () => {
  const u = new DomU();
  const remote = u.op(op, EVTCHNOP.alloc_unbound, evtchn_alloc_unbound, { dom: SELF, remote_dom: SELF }).out.port;
  const bind = (port: number): { rc: number; out: { local_port: number } } => u.op(op, EVTCHNOP.bind_interdomain, evtchn_bind_interdomain, { remote_dom: SELF, remote_port: port });
  const bound = bind(remote);
  assert.equal(bound.rc, 0);
  const local = bound.out.local_port;
  assert.ok(portIsPending(u.domain, local), 'the binder gets an event in case one was lost');
  assert.equal(bind(remote).rc, -EINVAL, 'bound only once');
  send(u, local);
  assert.ok(portIsPending(u.domain, remote));
  u.op(op, EVTCHNOP.close, evtchn_port, { port: local });
  assert.equal(u.op(op, EVTCHNOP.status, evtchn_status, { dom: SELF, port: remote }).out.status, EVTCHNSTAT.unbound);
  assert.equal(bind(remote).rc, 0);
});

test('a port that waits for another domain cannot be bound by its owner', () => {
  const u = new DomU();
  const remote = u.op(op, EVTCHNOP.alloc_unbound, evtchn_alloc_unbound, { dom: SELF, remote_dom: 0 }).out.port;
  assert.equal(u.op(op, EVTCHNOP.bind_interdomain, evtchn_bind_interdomain, { remote_dom: SELF, remote_port: remote }).rc, -EINVAL);
});

test('other domains: Domain-0 is refused, others do not exist', () => {
  const u = new DomU();
  const alloc = (dom: number): number => u.op(op, EVTCHNOP.alloc_unbound, evtchn_alloc_unbound, { dom, remote_dom: 0 }).rc;
  assert.deepEqual([alloc(u.domain.domid), alloc(0), alloc(7)], [0, -EPERM, -ESRCH]);
  const status = (dom: number): number => u.op(op, EVTCHNOP.status, evtchn_status, { dom, port: 1 }).rc;
  assert.deepEqual([status(SELF), status(0), status(7)], [0, -EPERM, -ESRCH]);
  const reset = (dom: number): number => u.op(op, EVTCHNOP.reset, evtchn_reset, { dom }).rc;
  assert.deepEqual([reset(0), reset(7)], [-EPERM, -ESRCH]);
  const bind = (remote_dom: number): number => u.op(op, EVTCHNOP.bind_interdomain, evtchn_bind_interdomain, { remote_dom, remote_port: 1 }).rc;
  assert.deepEqual([bind(0), bind(7)], [-EINVAL, -ESRCH]);
});

test('status tells what each kind of port is bound to', () => {
  const u = new DomU(2);
  const status = (port: number): object => {
    const { rc, out } = u.op(op, EVTCHNOP.status, evtchn_status, { dom: SELF, port });
    return { rc, status: out.status, vcpu: out.vcpu, u: out.u_dom, port: out.u_port };
  };
  const ipi = bindIpi(u, 1);
  const virq = u.op(op, EVTCHNOP.bind_virq, evtchn_bind_virq, { virq: VIRQ.DEBUG, vcpu: 1 }).out.port;
  const console = allocUnboundFor(u.domain, 0);
  assert.deepEqual(status(0), { rc: 0, status: EVTCHNSTAT.closed, vcpu: 0, u: 0, port: 0 });
  assert.deepEqual(status(ipi), { rc: 0, status: EVTCHNSTAT.ipi, vcpu: 1, u: 0, port: 0 });
  assert.deepEqual(status(virq), { rc: 0, status: EVTCHNSTAT.virq, vcpu: 1, u: VIRQ.DEBUG, port: 0 });
  assert.deepEqual(status(console), { rc: 0, status: EVTCHNSTAT.unbound, vcpu: 0, u: 0, port: 0 });
  bindBackend(u.domain, console, () => {});
  assert.deepEqual(status(console), { rc: 0, status: EVTCHNSTAT.interdomain, vcpu: 0, u: 0, port: console });
  assert.equal(u.op(op, EVTCHNOP.status, evtchn_status, { dom: SELF, port: 64 }).rc, -EINVAL);
});

test('bind_vcpu moves channels, but not IPIs and virtual IRQs of a vCPU', () => {
  const u = new DomU(2);
  const move = (port: number, vcpu: number): number => u.op(op, EVTCHNOP.bind_vcpu, evtchn_bind_vcpu, { port, vcpu }).rc;
  const channel = allocUnboundFor(u.domain, 0);
  assert.equal(move(channel, 1), 0);
  assert.equal(move(channel, 2), -ENOENT);
  assert.equal(move(bindIpi(u), 1), -EINVAL);
  assert.equal(move(u.op(op, EVTCHNOP.bind_virq, evtchn_bind_virq, { virq: VIRQ.TIMER, vcpu: 0 }).out.port, 1), -EINVAL);
  assert.equal(move(u.op(op, EVTCHNOP.bind_virq, evtchn_bind_virq, { virq: VIRQ.CONSOLE, vcpu: 0 }).out.port, 1), 0);
  assert.equal(move(0, 0), -EINVAL);
  bindBackend(u.domain, channel, () => {});
  notifyFromBackend(u.domain, channel);
  assert.ok(u.vcpu(1).upcallPending);
});

test('reset closes everything', () => {
  const u = new DomU();
  let heard = 0;
  const port = allocUnboundFor(u.domain, 0);
  bindBackend(u.domain, port, () => { heard++; });
  bindIpi(u);
  assert.equal(u.op(op, EVTCHNOP.reset, evtchn_reset, { dom: SELF }).rc, 0);
  assert.equal(send(u, port), -EINVAL);
  assert.equal(heard, 0);
  assert.equal(bindIpi(u), 1);
});

test('close refuses what is not open', () => {
  const u = new DomU();
  for (const port of [0, 1, 63, 64, 4096, 0xffff_ffff]) assert.equal(u.op(op, EVTCHNOP.close, evtchn_port, { port }).rc, -EINVAL);
});

test('physical interrupts and unknown calls are refused, bad addresses are faults', () => {
  const u = new DomU();
  assert.equal(u.op(op, EVTCHNOP.bind_pirq, evtchn_bind_pirq, { pirq: 1 }).rc, -EPERM);
  assert.equal(u.op(op, EVTCHNOP.bind_pirq, evtchn_bind_pirq, { pirq: 1000 }).rc, -EINVAL);
  assert.equal(u.op(op, EVTCHNOP.reset_cont, evtchn_reset, { dom: SELF }).rc, -EBUSY);
  assert.equal(u.call(op, 15, 0), -ENOSYS);
  assert.equal(u.call(op, 0xffff_ffff, 0), -ENOSYS);
  for (let cmd = 0; cmd < 15; cmd++) assert.equal(u.call(op, cmd, UNMAPPED), -EFAULT);
});

test('back ends: events both ways, one kept while there is no back end', () => {
  const u = new DomU();
  const heard: string[] = [];
  const port = allocUnboundFor(u.domain, 0);
  assert.equal(notifyFromBackend(u.domain, port), -EINVAL, 'not bound yet');
  assert.equal(bindBackend(u.domain, port, () => heard.push('first')), 0);
  assert.equal(heard.length, 0);
  send(u, port);
  assert.equal(heard.join(), 'first');
  assert.equal(notifyFromBackend(u.domain, port), 0);
  assert.ok(portIsPending(u.domain, port));
  unbindBackend(u.domain, port);
  assert.equal(send(u, port), 0);
  assert.equal(notifyFromBackend(u.domain, port), -EINVAL);
  assert.equal(bindBackend(u.domain, port, () => heard.push('second')), 0);
  send(u, port);
  assert.equal(heard.join(), 'first,second');
  closeBackendPort(u.domain, port);
  assert.equal(send(u, port), -EINVAL);
  assert.equal(bindBackend(u.domain, port, () => {}), -EINVAL);
  assert.equal(bindBackend(u.domain, bindIpi(u), () => {}), -EINVAL);
  assert.equal(bindBackend(u.domain, 5000, () => {}), -EINVAL);
});

test('an event for a back end that a snapshot lost is told when it comes back', () => {
  const u = new DomU();
  const port = allocUnboundFor(u.domain, 0);
  bindBackend(u.domain, port, () => {});
  const copy = new DomU();
  copy.fake.capsule.u8.set(u.fake.capsule.u8.subarray(0, u.fake.capsule.scratch));
  assert.equal(send(copy, port), 0);
  let heard = 0;
  bindBackend(copy.domain, port, () => { heard++; });
  assert.equal(heard, 1);
});
