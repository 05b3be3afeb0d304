import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shared_info, vcpu_time_info } from '#abi/xen.ts';
import { XEN_FRAME } from './layout.ts';
import { DomU } from './testing/domu.ts';
import { Clock, clockOf, DETERMINISTIC_EPOCH, TSC_HZ } from './time.ts';
import { type Vcpu } from './vcpu.ts';

/** What a guest computes from a vCPU's time record and the time stamp counter (public/xen.h). */
function pvclock(v: Vcpu, tsc: bigint): bigint {
  const t = vcpu_time_info.on(v.domain.capsule.buffer).at(v.info + 32);
  assert.equal(t.version % 2, 0);
  const shift = BigInt(t.tsc_shift << 24 >> 24);
  const delta = tsc - t.tsc_timestamp;
  const shifted = shift < 0n ? delta >> -shift : delta << shift;
  return t.system_time + ((shifted * BigInt(t.tsc_to_system_mul)) >> 32n);
}
const wallClock = (u: DomU): { version: number; sec: number; nsec: number } => {
  const at = (u.fake.capsule.frame(XEN_FRAME.sharedInfo) + shared_info.offset.wc_version) >>> 2;
  const { u32 } = u.fake.capsule;
  return { version: u32[at] as number, sec: u32[at + 1] as number, nsec: u32[at + 2] as number };
};

test('virtual time is instructions of all vCPUs', () => {
  const u = new DomU(2);
  const clock = clockOf(u.domain);
  assert.equal(clock.now(), 0);
  u.retire(u.v, 1000);
  assert.equal(clock.now(), 1000);
  clock.switchTo(u.vcpu(1));
  assert.equal(clock.now(), 1000);
  u.retire(u.vcpu(1), 500);
  assert.equal(clock.now(), 1500);
  clock.switchTo(u.v);
  u.retire(u.v, 1);
  assert.equal(clock.now(), 1501);
});

test('an instruction can take more or less than a nanosecond', () => {
  const u = new DomU(1, { deterministic: true, nsPerInstruction: 0.25 });
  u.retire(u.v, 10);
  assert.equal(clockOf(u.domain).now(), 2);
  assert.equal(clockOf(u.domain).tsc(), 5);
});

test('virtual time jumps forward only', () => {
  const u = new DomU();
  const clock = clockOf(u.domain);
  u.retire(u.v, 100);
  clock.skipTo(5000);
  assert.equal(clock.now(), 5000);
  clock.skipTo(10);
  assert.equal(clock.now(), 5000);
  u.retire(u.v, 1);
  assert.equal(clock.now(), 5001);
});

test('nothing of the host shows in virtual time', () => {
  const u = new DomU();
  u.fake.host.time += 1e9;
  u.fake.host.wall += 1e9;
  clockOf(u.domain).updateWallClock();
  assert.equal(clockOf(u.domain).now(), 0);
  assert.deepEqual(wallClock(u), { version: 4, sec: DETERMINISTIC_EPOCH, nsec: 0 });
});

test('what a guest computes from pvclock and RDTSC is system time, exactly, years later too', () => {
  const u = new DomU();
  for (const ns of [0, 1, 12345, 1e9, 86400e9, 100 * 86400e9]) {
    clockOf(u.domain).skipTo(ns);
    const tsc = BigInt(clockOf(u.domain).tsc());
    assert.equal(tsc, BigInt(ns) * BigInt(TSC_HZ) / 1_000_000_000n);
    assert.equal(pvclock(u.v, tsc), BigInt(ns));
  }
});

test('real time follows the host and starts at zero', () => {
  const u = new DomU(1, { deterministic: false });
  const clock = clockOf(u.domain);
  assert.equal(clock.now(), 0);
  u.fake.host.time += 1234.75;
  assert.equal(clock.now(), 1234);
  assert.equal(pvclock(u.v, BigInt(clock.tsc())), 1234n);
});

test('wall clock and system time add up to the time of day', () => {
  const u = new DomU(1, { deterministic: false });
  u.fake.host.time += 2.5e9;
  u.fake.host.wall += 2.5e9;
  clockOf(u.domain).updateWallClock();
  const { sec, nsec } = wallClock(u);
  const sum = sec * 1e9 + nsec + clockOf(u.domain).now();
  assert.ok(Math.abs(sum - u.fake.host.wall) < 1000, `${sum} is ${u.fake.host.wall}`);
});

test('real time goes on from where it was recorded, on any host', () => {
  const u = new DomU(1, { deterministic: false });
  u.fake.host.time += 5e9;
  clockOf(u.domain).record();
  u.fake.host.time = 77;
  const later = new Clock(u.domain);
  assert.equal(later.now(), 5e9);
  u.fake.host.time += 10;
  assert.equal(later.now(), 5e9 + 10);
});
