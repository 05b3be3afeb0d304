// How domains of one physical CPU reach those of the same one, and those of others.

import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { EINVAL, ESRCH } from '#abi/errno.ts';
import { EVTCHNOP, evtchn_alloc_unbound, evtchn_bind_interdomain, evtchn_port } from '#abi/event-channel.ts';
import { GNTMAP_host_map, GNTMAP_readonly, GNTST } from '#abi/grant-table.ts';
import { shared_info } from '#abi/xen.ts';
import { Share } from '#hypervisor/credit.ts';
import { destroyDomain } from '#hypervisor/domain-destroy.ts';
import { do_event_channel_op } from '#hypervisor/event-channel.ts';
import { portIsPending } from '#hypervisor/event-port.ts';
import { DomU, SELF } from '#hypervisor/testing/domu.ts';
import { grant, map, unmap } from '#hypervisor/testing/grant-domains.ts';
import { VPF } from '#hypervisor/vcpu.ts';
import type { CpuReport, Mailbox } from './cpu-mail.ts';
import { CpuPeers } from './cpu-peers.ts';
import { PhysicalCpu } from './physical-cpu.ts';
import { PlacedDomain } from './placed-domain.ts';

class Over extends Error {}

class Cpu implements Mailbox {
  readonly sent: CpuReport[] = [];
  readonly hasMail: boolean = false;
  readonly cpu: PhysicalCpu = new PhysicalCpu(0, this, () => 1e9);
  readonly peers: CpuPeers = new CpuPeers(this.cpu);
  take(): undefined { return undefined; }
  send(report: CpuReport): void { this.sent.push(report); }
  async sleep(): Promise<void> { throw new Over(); }
  wake(): void {}
  async turn(): Promise<void> {}
  /** Runs until nobody can. */
  async run(): Promise<void> { await assert.rejects(this.cpu.run(() => {}), Over); }
  place(u: DomU): void {
    Share.begin(u.domain.capsule);
    this.peers.enter(u.domain);
    this.cpu.place(new PlacedDomain(u.domain, undefined));
  }
}

const send = (u: DomU, port: number): number => u.op(do_event_channel_op, EVTCHNOP.send, evtchn_port, { port }).rc;
const offer = (u: DomU, to: DomU): number => u.op(do_event_channel_op, EVTCHNOP.alloc_unbound, evtchn_alloc_unbound, { dom: SELF, remote_dom: to.domain.domid }).out.port;
const bind = (u: DomU, to: DomU, remote_port: number): { rc: number; port: number } => {
  const { rc, out } = u.op(do_event_channel_op, EVTCHNOP.bind_interdomain, evtchn_bind_interdomain, { remote_dom: to.domain.domid, remote_port });
  return { rc, port: out.local_port };
};
/** The guest takes all its events. */
function takeAll({ fake: { capsule }, v }: DomU): void {
  capsule.u8.fill(0, capsule.frame(1) + shared_info.offset.evtchn_pending, capsule.frame(1) + shared_info.offset.evtchn_mask);
  capsule.u8.fill(0, v.info, v.info + 16);
}

describe('domains on physical CPUs', () => {
  let here: Cpu;
  let there: Cpu;
  let a: DomU;
  let b: DomU;
  beforeEach(() => {
    [here, there] = [new Cpu(), new Cpu()];
    [a, b] = [new DomU(1, { deterministic: false }, 1), new DomU(1, { deterministic: false }, 2)];
    for (const u of [a, b]) {
      u.fake.machine.onRun = (_cpu, budget) => {
        u.retire(u.v, budget);
        u.v.pause(VPF.blocked);
        return 1;
      };
      for (const { peers } of [here, there]) peers.add(u.domain);
    }
    here.place(a);
  });

  test('an event for a domain that sleeps on the same CPU wakes it', async () => {
    here.place(b);
    await here.run();
    const port = offer(a, b);
    const { port: far } = bind(b, a, port);
    takeAll(b);
    b.v.upcallMask = 1; // it waits as SCHEDOP_poll does
    b.v.pause(VPF.blocked);
    let ran = 0;
    b.fake.machine.onRun = (_cpu, budget) => {
      b.retire(b.v, budget);
      b.v.pause(VPF.blocked);
      ran++;
      return 1;
    };
    assert.equal(send(a, port), 0);
    assert.ok(portIsPending(b.domain, far));
    await here.run();
    assert.ok(ran > 0);
    assert.deepEqual(here.sent, []);
  });

  test('one for a domain on another CPU is told to Domain-0, once a slice, with its sender', async () => {
    there.place(b);
    const port = offer(a, b);
    const { rc, port: far } = bind(b, a, port);
    takeAll(b);
    assert.equal(rc, 0);
    assert.equal(bind(b, a, port).rc, -EINVAL, 'it is bound in the table that both see');
    send(a, port);
    send(a, port);
    assert.ok(!portIsPending(b.domain, far), 'that is for its own CPU to do');
    await here.run();
    assert.deepEqual(here.sent, [{ kind: 'peerEvents', events: [2, far, 1] }]);
  });

  test('a domain that has moved here is reached itself', () => {
    there.place(b);
    const port = offer(a, b);
    const { port: far } = bind(b, a, port);
    const placed = there.cpu.get(2) as PlacedDomain;
    assert.notEqual(here.peers.get(2), b.domain);
    there.cpu.remove(placed);
    here.place(b);
    assert.equal(here.peers.get(2), b.domain);
    assert.notEqual(there.peers.get(2), b.domain);
    send(b, far);
    assert.ok(portIsPending(a.domain, port));
  });

  test('a destroyed domain is known until the last of its pages is let go; that CPU tells', () => {
    there.place(b);
    grant(a, 9, a.free, 2);
    const { status, handle } = map(b, b.free, a, 9, GNTMAP_host_map | GNTMAP_readonly);
    assert.equal(status, GNTST.okay);
    here.cpu.remove(here.cpu.get(1) as PlacedDomain);
    destroyDomain(a.domain);
    assert.deepEqual([...here.sent, ...there.sent], []);
    assert.ok(here.peers.get(1) && there.peers.get(1));
    assert.equal(unmap(b, b.free, handle), GNTST.okay);
    assert.deepEqual(here.sent, []);
    assert.deepEqual(there.sent, [{ kind: 'gone', domid: 1 }]);
    assert.equal(there.peers.get(1), undefined);
    here.peers.forget(1);
    assert.equal(here.peers.get(1), undefined);
    assert.equal(bind(b, a, 1).rc, -ESRCH);
  });
});
