// The door for management: each operation does what it says for Domain-0, is refused to a guest that stands before it, and to one that
// makes the hypercall of its name.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { XEN_DOMCTL, XEN_DOMCTL_INTERFACE_VERSION, xen_domctl } from '#abi/domctl.ts';
import { EPERM } from '#abi/errno.ts';
import { SCHEDOP, sched_remote_shutdown } from '#abi/sched.ts';
import { XEN_SYSCTL, XEN_SYSCTL_INTERFACE_VERSION, xen_sysctl } from '#abi/sysctl.ts';
import { SHUTDOWN, vcpu_guest_context } from '#abi/xen.ts';
import { Share } from './credit.ts';
import { DomainRegistry } from './domain-registry.ts';
import type { Domain } from './domain.ts';
import { do_domctl, do_sysctl } from './domctl.ts';
import { XEN_FRAME } from './layout.ts';
import { DOMAIN_0, domctl, mapForeign, Refusal, sched_op, sysctl } from './management.ts';
import type { Caller } from './privilege.ts';
import { do_sched_op } from './sched-op.ts';
import { DomU } from './testing/domu.ts';
import { fakeDomain } from './testing/fake-machine.ts';
import { TraceRing } from './trace-ring.ts';
import { guestHandle } from './version.ts';
import { VPF } from './vcpu.ts';

const isPaused = ({ vcpus }: Domain): boolean => vcpus.every((v) => (v.pauseFlags & VPF.paused) !== 0);
const HANDLE = Uint8Array.from({ length: 16 }, (_, i) => i);

type Operations<T> = { readonly [K in keyof T]: (caller: Caller, domain: Domain) => () => boolean };
/** Each does the operation, and gives what then holds. */
const DOMCTLS: Operations<ReturnType<typeof domctl>> = {
  createdomain(caller) {
    const { domain } = fakeDomain(16, 2, XEN_FRAME.m2p + 16);
    domctl(caller).createdomain(domain, { pages: 10, handle: HANDLE, deterministic: true });
    return () => domain.mm.state.tot_pages === 10 && guestHandle(domain)[15] === 15 && Share.of(domain.capsule).credit > 0 && domain.vcpus.every((v) => !v.runnable);
  },
  destroydomain(caller, domain) {
    domctl(caller).destroydomain(domain);
    return () => domain.peers.get(domain.domid) === undefined;
  },
  pausedomain(caller, domain) {
    domctl(caller).pausedomain(domain);
    return () => isPaused(domain) && !domain.vcpus[0]?.runnable;
  },
  unpausedomain(caller, domain) {
    for (const v of domain.vcpus) v.pause(VPF.paused);
    domctl(caller).unpausedomain(domain);
    return () => !isPaused(domain) && domain.vcpus[0]?.runnable === true;
  },
  getdomaininfo(caller, domain) {
    const { pages, online } = domctl(caller).getdomaininfo(domain.capsule, 2);
    return () => pages === 64 && online === 1;
  },
  getvcpucontext(caller, domain) {
    const contexts = domctl(caller).getvcpucontext(domain);
    return () => contexts.length === 2 && contexts.every((bytes) => bytes.length === vcpu_guest_context.size);
  },
  setdomainhandle(caller, domain) {
    domctl(caller).setdomainhandle(domain.capsule, HANDLE);
    return () => guestHandle(domain)[15] === 15;
  },
  setvcpucontext(caller, domain) {
    for (const v of domain.vcpus) v.pause(VPF.down);
    domctl(caller).setvcpucontext(domain);
    return () => domain.vcpus[0]?.runnable === true && domain.vcpus[1]?.runnable === false;
  },
  max_mem(caller, domain) {
    domctl(caller).max_mem(domain, 77);
    return () => domain.mm.state.max_pages === 77;
  },
  scheduler_op(caller, domain) {
    domctl(caller).scheduler_op(domain, 512, 50);
    return () => Share.of(domain.capsule).weight === 512 && Share.of(domain.capsule).cap === 50;
  },
};
const SYSCTLS: Operations<ReturnType<typeof sysctl>> = {
  tbuf_op(caller, domain) {
    const ring = new TraceRing(16);
    sysctl(caller).tbuf_op(domain, ring);
    for (const v of domain.vcpus) domain.trace.wake(v);
    return () => [...ring.records()].length === domain.vcpus.length;
  },
  debug_keys(caller, domain) {
    const lines: string[] = [];
    sysctl(caller).debug_keys('r', { pcpu: 0, domains: [{ domain, share: Share.of(domain.capsule), isReady: true }], now: 0 }, (line) => lines.push(line));
    return () => lines.length > 0;
  },
};
const SCHED_OPS: Operations<ReturnType<typeof sched_op>> = {
  remote_shutdown(caller, domain) {
    sched_op(caller).remote_shutdown(domain, 'somebody said so');
    return () => domain.shutdownReason === SHUTDOWN.crash && domain.crashText?.includes('somebody said so') === true;
  },
};

function pair(): { u: DomU; other: DomU } {
  const peers = new DomainRegistry();
  return { u: new DomU(1, { deterministic: true }, 1, peers), other: new DomU(2, { deterministic: true }, 5, peers) };
}
const bytes = ({ domain: { capsule } }: DomU): Buffer => Buffer.from(capsule.u8.slice());

for (const [name, operation] of Object.entries({ ...DOMCTLS, ...SYSCTLS, ...SCHED_OPS })) {
  test(`${name}: done for Domain-0`, () => {
    const { other } = pair();
    assert.ok(operation(DOMAIN_0, other.domain)());
  });

  test(`${name}: refused to a guest`, () => {
    const { u, other } = pair();
    for (const target of [other, u]) {
      for (const v of target.domain.vcpus) v.pause(VPF.paused | VPF.down); // as some operations want it
      const before = bytes(target);
      assert.throws(() => operation(u.domain, target.domain), (error) => error instanceof Refusal && error.errno === -EPERM);
      assert.deepEqual(bytes(target), before, 'nothing has changed');
    }
  });

  test(`${name}: refused to a guest's hypercall`, () => {
    const { u, other } = pair();
    const before = bytes(other);
    for (const domain of [other.domain.domid, u.domain.domid, 0]) {
      const rc = name in DOMCTLS ? u.call(do_domctl, u.put(xen_domctl, { cmd: XEN_DOMCTL[name as keyof typeof DOMCTLS], interface_version: XEN_DOMCTL_INTERFACE_VERSION, domain }).va)
        : name in SYSCTLS ? u.call(do_sysctl, u.put(xen_sysctl, { cmd: XEN_SYSCTL[name as keyof typeof SYSCTLS], interface_version: XEN_SYSCTL_INTERFACE_VERSION }).va)
          : u.op(do_sched_op, SCHEDOP[name as keyof typeof SCHED_OPS], sched_remote_shutdown, { domain_id: domain, reason: SHUTDOWN.crash }).rc;
      assert.equal(rc, -EPERM, `domain ${domain}`);
    }
    assert.deepEqual(bytes(other), before, 'nothing has changed');
    assert.ok(!u.domain.isShutDown && u.v.runnable);
  });
}

test('another domain’s memory is mapped for Domain-0 only', () => {
  const { u, other } = pair();
  const { shape } = other.domain.capsule;
  assert.equal(mapForeign(DOMAIN_0)(shape).u8.buffer, other.domain.capsule.u8.buffer);
  assert.throws(() => mapForeign(u.domain)(shape), (error) => error instanceof Refusal && error.errno === -EPERM);
});
