import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EVTCHNOP, evtchn_bind_virq } from '#abi/event-channel.ts';
import { SCHEDOP } from '#abi/sched.ts';
import { SHUTDOWN, VIRQ } from '#abi/xen.ts';
import { do_event_channel_op } from '#hypervisor/event-channel.ts';
import { do_sched_op } from '#hypervisor/sched-op.ts';
import { DomU } from '#hypervisor/testing/domu.ts';
import { clockOf } from '#hypervisor/time.ts';
import { do_set_timer_op } from '#hypervisor/timer.ts';
import { schedOf } from '#hypervisor/vcpu-sched.ts';
import type { Vcpu } from '#hypervisor/vcpu.ts';
import { DomainLoop, type Pacer } from './domain-loop.ts';

const MS = 1e6;

/** Notes what the loop asks for; sleeps end at once, after `onSleep`. */
class FakePacer implements Pacer {
  readonly log: string[] = [];
  onSleep: () => void = () => {};
  onTurn: () => void = () => {};
  async turn(): Promise<void> { this.log.push('turn'); this.onTurn(); }
  async sleep(ns: number): Promise<void> { this.log.push(`sleep ${ns}`); this.onSleep(); }
  wake(): void { this.log.push('wake'); }
}

/** A domain of one vCPU whose only timer is at 5 ms. */
function timed(deterministic: boolean): DomU {
  const u = new DomU(1, { deterministic });
  u.op(do_event_channel_op, EVTCHNOP.bind_virq, evtchn_bind_virq, { virq: VIRQ.TIMER, vcpu: 0 });
  schedOf(u.v).periodicPeriod = 0;
  u.call(do_set_timer_op, 5 * MS);
  return u;
}
const block = (u: DomU, v: Vcpu): void => {
  u.fake.capsule.u8[v.info] = 0;
  u.retire(v, 100);
  u.callOn(v, do_sched_op, SCHEDOP.block, 0);
};

test('a domain that is shut down ends the loop', async () => {
  const u = new DomU(1);
  const pacer = new FakePacer();
  assert.equal(await new DomainLoop(u.domain, pacer, { paced: false, runVcpu: () => u.domain.shutdown(SHUTDOWN.poweroff) }).run(), true);
  assert.deepEqual(pacer.log, []);
});

test('a guest that works lets the host have its turns, and stops when told to', async () => {
  const u = new DomU(1);
  const pacer = new FakePacer();
  const loop = new DomainLoop(u.domain, pacer, { paced: false, runVcpu: (v, budget) => u.retire(v, budget) });
  let turns = 0;
  pacer.onTurn = () => { if (++turns === 3) loop.stop(); };
  assert.equal(await loop.run(), false);
  assert.deepEqual(pacer.log, ['turn', 'turn', 'turn', 'wake']);
});

test('virtual time jumps to the timer without a sleep', async () => {
  const u = timed(true);
  const pacer = new FakePacer();
  const times: number[] = [];
  const run = (v: Vcpu): void => {
    times.push(clockOf(u.domain).now());
    if (times.length === 2) u.domain.shutdown(SHUTDOWN.poweroff);
    else block(u, v);
  };
  assert.equal(await new DomainLoop(u.domain, pacer, { paced: false, runVcpu: run }).run(), true);
  assert.deepEqual(times, [0, 5 * MS]);
  assert.deepEqual(pacer.log, ['turn']);
});

test('with a person at the console virtual time waits for as long as it jumps', async () => {
  const u = timed(true);
  const pacer = new FakePacer();
  let runs = 0;
  const run = (v: Vcpu): void => { if (++runs === 2) u.domain.shutdown(SHUTDOWN.poweroff); else block(u, v); };
  await new DomainLoop(u.domain, pacer, { paced: true, runVcpu: run }).run();
  assert.deepEqual(pacer.log, [`sleep ${5 * MS - 100}`]);
});

test('under the real clock the loop sleeps until the timer; without one, until it is woken', async () => {
  for (const timer of [true, false]) {
    const u = timed(false);
    if (!timer) schedOf(u.v).singleshot = 0;
    const pacer = new FakePacer();
    const loop = new DomainLoop(u.domain, pacer, { paced: false, runVcpu: (v) => block(u, v) });
    pacer.onSleep = () => loop.stop();
    assert.equal(await loop.run(), false);
    const ns = Number(/^sleep (\S+)$/.exec(pacer.log[0] ?? '')?.[1]);
    if (timer) assert.ok(ns > 0 && ns <= 5 * MS, String(ns));
    else assert.equal(ns, Infinity);
  }
});
