import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EVTCHNOP, evtchn_bind_ipi, evtchn_bind_virq, evtchn_port } from '#abi/event-channel.ts';
import { EFAULT, EINVAL, ENOSPC, ENOSYS, EPERM, ESRCH } from '#abi/errno.ts';
import { SCHEDOP, sched_poll, sched_remote_shutdown, sched_shutdown, sched_watchdog } from '#abi/sched.ts';
import { RUNSTATE } from '#abi/vcpu.ts';
import { SHUTDOWN, VIRQ } from '#abi/xen.ts';
import { do_event_channel_op } from './event-channel.ts';
import { setPortPending } from './event-port.ts';
import { runDomain, skipToNextTimer } from './sched.ts';
import { do_sched_op, do_sched_op_compat } from './sched-op.ts';
import { DomU, SELF, UNMAPPED } from './testing/domu.ts';
import { clockOf } from './time.ts';
import { do_set_timer_op, nextTimer, SLICE_NS } from './timer.ts';
import { schedOf } from './vcpu-sched.ts';
import { type Vcpu, VPF } from './vcpu.ts';

const MS = 1e6;

/** A domain whose vCPUs are all up. */
function domain(vcpus: number, real = false): DomU {
  const u = new DomU(vcpus, { deterministic: !real });
  for (const v of u.domain.vcpus) v.unpause(VPF.down);
  return u;
}
const bindTimer = (u: DomU, vcpu = 0): number => u.op(do_event_channel_op, EVTCHNOP.bind_virq, evtchn_bind_virq, { virq: VIRQ.TIMER, vcpu }).out.port;
const bindIpi = (u: DomU, vcpu: number): number => u.op(do_event_channel_op, EVTCHNOP.bind_ipi, evtchn_bind_ipi, { vcpu }).out.port;
const block = (u: DomU, v: Vcpu): number => u.callOn(v, do_sched_op, SCHEDOP.block, 0);

test('vCPUs that never stop take turns, a slice each', () => {
  const u = domain(3);
  const turns: string[] = [];
  const result = runDomain(u.domain, 6 * SLICE_NS, (v, budget) => {
    turns.push(`${v.id}:${budget}`);
    u.retire(v, budget);
  });
  assert.deepEqual(result, { reason: 'slice', nextTimer: Infinity });
  assert.deepEqual(turns, ['0:1000000', '1:1000000', '2:1000000', '0:1000000', '1:1000000', '2:1000000']);
  assert.equal(clockOf(u.domain).now(), 6 * SLICE_NS);
});

test('the turn goes on where it was at the next call', () => {
  const u = domain(2);
  const turns: number[] = [];
  const run = (v: Vcpu, budget: number): void => { turns.push(v.id); u.retire(v, budget); };
  runDomain(u.domain, SLICE_NS, run);
  runDomain(u.domain, SLICE_NS, run);
  assert.deepEqual(turns, [0, 1]);
});

test('a domain whose vCPUs all wait is blocked until its next timer', () => {
  const u = domain(1);
  bindTimer(u);
  schedOf(u.v).periodicPeriod = 0;
  u.call(do_set_timer_op, 5 * MS);
  const result = runDomain(u.domain, 100 * MS, (v) => { u.retire(v, 100); block(u, v); });
  assert.deepEqual(result, { reason: 'blocked', nextTimer: 5 * MS });
  assert.equal(clockOf(u.domain).now(), 100);
  assert.ok(skipToNextTimer(u.domain));
  let woken = 0;
  runDomain(u.domain, MS, (v) => {
    woken = clockOf(u.domain).now();
    assert.ok(v.upcallPending);
    u.fake.capsule.u8[v.info] = 0;
    block(u, v);
  });
  assert.equal(woken, 5 * MS);
  assert.ok(!skipToNextTimer(u.domain), 'a single-shot timer fires once');
});

test('a timer ends the slice it falls in, to the instruction', () => {
  const u = domain(1);
  bindTimer(u);
  schedOf(u.v).periodicPeriod = 0;
  u.call(do_set_timer_op, 1234);
  const seen: [number, boolean][] = [];
  runDomain(u.domain, 3000, (v, budget) => {
    u.retire(v, budget);
    seen.push([clockOf(u.domain).now(), v.upcallPending]);
  });
  assert.deepEqual(seen, [[1234, false], [3000, true]]);
});

test('a timer that a running vCPU sets within its slice ends it early', () => {
  const u = domain(1);
  bindTimer(u);
  schedOf(u.v).periodicPeriod = 0;
  const budgets: number[] = [];
  runDomain(u.domain, MS, (v, budget) => {
    budgets.push(budget);
    if (budgets.length === 1) {
      u.retire(v, 1000);
      u.call(do_set_timer_op, 5000);
    } else u.retire(v, budget);
  });
  assert.deepEqual(budgets, [MS, 4000, MS - 5000]);
});

test('a deadline that has passed fires at once', () => {
  const u = domain(1);
  bindTimer(u);
  u.retire(u.v, 1000);
  u.call(do_set_timer_op, 1000);
  assert.ok(u.v.upcallPending);
  assert.equal(nextTimer(u.domain), Infinity);
});

test('set_timer_op: 0 stops, and what is absurdly far becomes 100 ms as in Xen', () => {
  const u = domain(1);
  bindTimer(u);
  assert.equal(u.call(do_set_timer_op, 1n << 49n), 0);
  assert.equal(nextTimer(u.domain), 2 ** 49);
  assert.equal(u.call(do_set_timer_op, 0), 0);
  assert.equal(nextTimer(u.domain), Infinity);
  for (const far of [1n << 51n, (1n << 63n) - 1n, -1n, -5000n]) {
    u.call(do_set_timer_op, far);
    assert.equal(nextTimer(u.domain), 100 * MS);
  }
});

test('the periodic timer ticks 100 times a second while its vCPU runs, and does not wake it', () => {
  const u = domain(1);
  bindTimer(u);
  let ticks = 0;
  const count = (v: Vcpu): void => {
    if (v.upcallPending) ticks++;
    u.fake.capsule.u8.fill(0, v.info, v.info + 16);
    u.fake.capsule.u8.fill(0, u.fake.capsule.frame(1) + 2048, u.fake.capsule.frame(1) + 2056);
  };
  runDomain(u.domain, 100 * MS, (v, budget) => { count(v); u.retire(v, budget); });
  assert.equal(ticks, 9);
  const result = runDomain(u.domain, 100 * MS, (v) => { count(v); block(u, v); });
  assert.deepEqual(result, { reason: 'blocked', nextTimer: Infinity });
});

test('an event for another vCPU lets it run next', () => {
  const u = domain(3);
  const ipi = bindIpi(u, 2);
  const turns: number[] = [];
  runDomain(u.domain, 3 * SLICE_NS, (v, budget) => {
    turns.push(v.id);
    if (turns.length === 1) {
      u.retire(v, 1000);
      u.op(do_event_channel_op, EVTCHNOP.send, evtchn_port, { port: ipi }, v);
    } else u.retire(v, budget);
  });
  assert.deepEqual(turns, [0, 2, 0, 1]);
});

test('yield gives the slice to another vCPU that can run', () => {
  const u = domain(3);
  u.vcpu(1).pause(VPF.blocked);
  const turns: number[] = [];
  runDomain(u.domain, 2 * SLICE_NS, (v, budget) => {
    turns.push(v.id);
    u.retire(v, turns.length === 1 ? 10 : budget);
    if (turns.length === 1) assert.equal(u.callOn(v, do_sched_op, SCHEDOP.yield, 0), 0);
  });
  assert.deepEqual(turns.slice(0, 2), [0, 2]);
});

test('block unmasks events, and does not wait when one is there', () => {
  const u = domain(1);
  const ipi = bindIpi(u, 0);
  u.v.upcallMask = 1;
  assert.equal(block(u, u.v), 0);
  assert.equal(u.v.upcallMask, 0);
  assert.ok(!u.v.runnable);
  setPortPending(u.domain, ipi);
  assert.ok(u.v.runnable);
  u.v.upcallMask = 1;
  block(u, u.v);
  assert.ok(u.v.runnable);
});

test('a guest that only faults does not make virtual time stand still', () => {
  const u = domain(1);
  let runs = 0;
  const result = runDomain(u.domain, 3 * SLICE_NS, () => { runs++; });
  assert.equal(result.reason, 'slice');
  assert.equal(runs, 3);
});

test('a domain that is shut down does not run', () => {
  const u = domain(1);
  let runs = 0;
  const run = (v: Vcpu): void => {
    runs++;
    u.op(do_sched_op, SCHEDOP.shutdown, sched_shutdown, { reason: SHUTDOWN.reboot }, v);
  };
  assert.equal(runDomain(u.domain, MS, run).reason, 'shutdown');
  assert.equal(u.domain.shutdownReason, SHUTDOWN.reboot);
  assert.equal(runDomain(u.domain, MS, run).reason, 'shutdown');
  assert.equal(runs, 1);
});

test('runstates: times of running, runnable and blocked add up to system time', () => {
  const u = domain(2);
  const ipi = bindIpi(u, 0);
  let step = 0;
  runDomain(u.domain, 10 * SLICE_NS, (v, budget) => {
    u.retire(v, budget);
    if (++step === 1) block(u, v);
    if (step === 4) setPortPending(u.domain, ipi);
  });
  for (const v of u.domain.vcpus) {
    const s = schedOf(v);
    const spell = clockOf(u.domain).now() - s.runstateEntry;
    assert.equal(s.timeRunning + s.timeRunnable + s.timeBlocked + s.timeOffline + spell, 10 * SLICE_NS);
  }
  assert.equal(schedOf(u.v).timeBlocked, 3 * SLICE_NS);
  assert.equal(schedOf(u.vcpu(1)).timeBlocked, 0);
  assert.notEqual(schedOf(u.vcpu(1)).runstate, RUNSTATE.blocked);
});

test('under the real clock budgets follow the speed of the machine', () => {
  const u = domain(1, true);
  const budgets: number[] = [];
  runDomain(u.domain, 100 * MS, (v, budget) => {
    budgets.push(budget);
    u.retire(v, budget);
    u.fake.host.time += budget / 0.5; // half an instruction in a nanosecond
  });
  const last = budgets[budgets.length - 2] as number;
  assert.ok(Math.abs(last - 0.5 * SLICE_NS) < 0.05 * SLICE_NS, `budget ${last}`);
});

test('poll waits for its ports, for any event that is taken, or for its time-out', () => {
  const u = domain(1);
  const a = bindIpi(u, 0);
  const b = bindIpi(u, 0);
  const { va } = u.put(evtchn_port, { port: b }, u.free);
  const poll = (timeout: bigint, nr_ports = 1): number => u.op(do_sched_op, SCHEDOP.poll, sched_poll, { ports: va, nr_ports, timeout }).rc;
  u.v.upcallMask = 1;
  assert.equal(poll(0n), 0);
  assert.ok(!u.v.runnable);
  u.fake.capsule.u8[u.v.info] = 1; // as if an upcall were pending already: an event then wakes by its port only
  setPortPending(u.domain, a);
  assert.ok(!u.v.runnable, 'another port');
  setPortPending(u.domain, b);
  assert.ok(u.v.runnable);
  assert.equal(poll(0n), 0);
  assert.ok(u.v.runnable, 'pending already');
  assert.equal(poll(5000n, 0), 0);
  assert.equal(nextTimer(u.domain), 5000);
  skipToNextTimer(u.domain);
  assert.equal(runDomain(u.domain, 1000, (v) => { assert.ok(!(v.pauseFlags & VPF.polling)); block(u, v); }).nextTimer, Infinity);
});

test('poll checks its arguments and leaves the vCPU running when it refuses', () => {
  const u = domain(1);
  const poll = (values: { ports: bigint; nr_ports: number; timeout: bigint }): number => u.op(do_sched_op, SCHEDOP.poll, sched_poll, values).rc;
  const { va } = u.put(evtchn_port, { port: 64 }, u.free);
  assert.equal(poll({ ports: va, nr_ports: 129, timeout: 0n }), -EINVAL);
  assert.equal(poll({ ports: UNMAPPED, nr_ports: 1, timeout: 0n }), -EFAULT);
  assert.equal(poll({ ports: 0xffff_8000_0000_0000n, nr_ports: 1, timeout: 0n }), -EFAULT);
  assert.equal(poll({ ports: va, nr_ports: 1, timeout: 0n }), -EINVAL, 'port not valid');
  assert.ok(u.v.runnable);
});

test('watchdogs: two, told apart by number, and the domain goes when one expires', () => {
  const u = domain(1);
  const dog = (id: number, timeout: number): number => u.op(do_sched_op, SCHEDOP.watchdog, sched_watchdog, { id, timeout }).rc;
  assert.equal(dog(1, 5), -EINVAL);
  assert.equal(dog(3, 5), -EINVAL);
  assert.equal(dog(0, 10), 1);
  assert.equal(dog(0, 20), 2);
  assert.equal(dog(0, 30), -ENOSPC);
  assert.equal(nextTimer(u.domain), 10e9);
  assert.equal(dog(1, 15), 0);
  assert.equal(nextTimer(u.domain), 15e9);
  assert.equal(dog(1, 0), 0);
  assert.equal(nextTimer(u.domain), 20e9);
  u.v.pause(VPF.blocked);
  skipToNextTimer(u.domain);
  assert.equal(runDomain(u.domain, MS, () => {}).reason, 'shutdown');
  assert.equal(u.domain.shutdownReason, SHUTDOWN.watchdog);
});

test('a new watchdog without a time-out expires at once, as under Xen', () => {
  const u = domain(1);
  assert.equal(u.op(do_sched_op, SCHEDOP.watchdog, sched_watchdog, { id: 0, timeout: 0 }).rc, 1);
  assert.equal(runDomain(u.domain, MS, () => {}).reason, 'shutdown');
});

test('a latched shutdown code goes before the reason given later', () => {
  const u = domain(1);
  assert.equal(u.op(do_sched_op, SCHEDOP.shutdown_code, sched_shutdown, { reason: SHUTDOWN.crash }).rc, 0);
  assert.equal(u.op(do_sched_op, SCHEDOP.shutdown_code, sched_shutdown, { reason: SHUTDOWN.reboot }).rc, 0);
  assert.ok(!u.domain.isShutDown);
  assert.equal(u.call(do_sched_op_compat, SCHEDOP.shutdown, SHUTDOWN.poweroff), 0);
  assert.equal(u.domain.shutdownReason, SHUTDOWN.crash);
});

test('sched_op for other domains and unknown calls', () => {
  const u = domain(1);
  const remote = (domain_id: number): number => u.op(do_sched_op, SCHEDOP.remote_shutdown, sched_remote_shutdown, { domain_id, reason: 0 }).rc;
  assert.deepEqual([remote(SELF), remote(u.domain.domid), remote(0), remote(9)], [-ESRCH, -EPERM, -EPERM, -ESRCH]);
  assert.equal(u.call(do_sched_op, SCHEDOP.pin_override, 0), -EPERM);
  assert.equal(u.call(do_sched_op, 8, 0), -ENOSYS);
  assert.equal(u.call(do_sched_op_compat, 3, 0), -ENOSYS);
  for (const cmd of [SCHEDOP.shutdown, SCHEDOP.poll, SCHEDOP.remote_shutdown, SCHEDOP.shutdown_code, SCHEDOP.watchdog]) {
    assert.equal(u.call(do_sched_op, cmd, UNMAPPED), -EFAULT);
  }
});

test('what hypercalls do takes virtual time', () => {
  const u = domain(1);
  let runs = 0;
  runDomain(u.domain, SLICE_NS, (v) => {
    runs++;
    u.retire(v, 10);
    v.state.hypercall_count += 100;
    u.domain.mm.work += 10_000;
  });
  assert.ok(runs > 10 && runs < 100, `${runs} runs in a slice`);
});
