import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CREDIT_INIT, Share } from './credit.ts';
import { BOOST_NS, RunQueue, type Sharer } from './run-queue.ts';

const SLICE = 5e6, SECOND = 1e9;

interface One extends Sharer { readonly i: number }
function one(i: number, weight = 256, cap = 0): One {
  const share = new Share();
  share.set(weight, cap);
  return { i, share, renewals: 0, boost: 0 };
}

/** Lets all that want to run share a CPU for so long. @param wants when they do not sleep: always, if not given */
function share(weights: readonly number[], caps: readonly number[], ns: number, wants: (i: number, now: number) => boolean = () => true): number[] {
  const all = weights.map((weight, i) => one(i, weight, caps[i] ?? 0));
  const queue = new RunQueue<One>();
  for (let now = 1; now < ns;) {
    for (const each of all) {
      if (wants(each.i, now) && each.share.parkedUntil(now) === 0) queue.put(each);
      else queue.remove(each);
    }
    const next = queue.next();
    if (!next) { now += 1e5; continue; }
    const run = next.share.allowance(now, SLICE);
    next.share.charge(run);
    now += Math.max(run, 1);
  }
  return all.map((each) => each.share.ran / ns);
}
const near = (actual: number, expected: number): void => assert.ok(Math.abs(actual - expected) < 0.01, `${actual} is not ${expected}`);

test('time is shared by weight', () => {
  const parts = share([256, 512, 1024, 2048], [], 20 * SECOND);
  [1, 2, 4, 8].forEach((weight, i) => near(parts[i] as number, weight / 15));
});
test('what nobody wants goes to the others', () => {
  const parts = share([256, 256, 256], [], 10 * SECOND, (i) => i !== 1);
  near(parts[0] as number, 0.5);
  assert.equal(parts[1], 0);
});
test('a cap holds, also when the CPU has nothing else to do', () => {
  near(share([256], [30], 10 * SECOND)[0] as number, 0.3);
  const [a, b] = share([256, 256], [20], 10 * SECOND) as [number, number];
  near(a, 0.2);
  near(b, 0.8);
});
test('what is run beyond a cap is taken off the next period', () => {
  const { share: capped } = one(0, 256, 10);
  assert.equal(capped.allowance(1, 50e6), 10e6);
  capped.charge(25e6);
  assert.equal(capped.parkedUntil(2), 1 + 100e6);
  assert.equal(capped.allowance(1 + 100e6, 50e6), 0, '15 ms are carried over');
  assert.equal(capped.parkedUntil(2 + 100e6), 1 + 200e6);
  assert.equal(capped.allowance(1 + 200e6, 50e6), 5e6);
});
test('who has slept goes first', () => {
  const [sleeper, worker] = [one(0), one(1)];
  const queue = new RunQueue<One>();
  queue.put(worker);
  worker.share.charge(SLICE);
  queue.put(worker);
  queue.put(sleeper);
  assert.equal(queue.next(), sleeper);
  queue.remove(sleeper);
  for (let i = 0; i < 1000; i++) {
    worker.share.charge(SLICE);
    queue.put(worker);
    queue.next();
  }
  sleeper.share.charge(SLICE / 2);
  queue.put(sleeper);
  assert.equal(queue.next(), sleeper);
  assert.equal(sleeper.share.credit, CREDIT_INIT, 'but does not save up for ever');
});
test('who wakes goes before others that have more credit, for as long as an answer takes', () => {
  const [waker, ...waiting] = [one(0), one(1), one(2)];
  const queue = new RunQueue<One>();
  for (const each of waiting) queue.put(each);
  for (let i = 0; i < 3; i++) {
    waker.share.charge(BOOST_NS / 4);
    queue.wake(waker);
    assert.equal(queue.next(), waker);
    assert.ok(queue.charge(waker, BOOST_NS / 2));
    queue.put(waker);
    assert.equal(queue.next(), waker);
    assert.ok(!queue.charge(waker, BOOST_NS / 2), 'it is over');
    queue.put(waker);
    assert.notEqual(queue.next(), waker);
    queue.remove(waker);
  }
  waker.share.charge(CREDIT_INIT);
  queue.wake(waker);
  assert.notEqual(queue.next(), waker, 'it has had its share');
});
test('who sleeps a little all the time gets no more than a share', () => {
  const all = Array.from({ length: 5 }, (_, i) => one(i));
  const sleeper = all[0] as One;
  const queue = new RunQueue<One>();
  for (const each of all) queue.put(each);
  let [now, wakeAt] = [0, Infinity];
  while (now < 10 * SECOND) {
    if (now >= wakeAt) queue.wake(sleeper);
    if (now >= wakeAt) wakeAt = Infinity;
    const next = queue.next() as One;
    now += BOOST_NS / 2;
    queue.charge(next, BOOST_NS / 2);
    if (next !== sleeper) queue.put(next);
    else {
      queue.remove(next);
      wakeAt = now + BOOST_NS / 4;
    }
  }
  const part = sleeper.share.ran / now;
  assert.ok(part > 0.15 && part < 0.21, `${part}`);
});
test('who ran far too long at once is not in debt for ever: somebody else who comes does not have the CPU to itself', () => {
  const [worker, newcomer] = [one(0), one(1)];
  const queue = new RunQueue<One>();
  queue.put(worker);
  for (let i = 0; i < 100; i++) {
    worker.share.charge(5 * CREDIT_INIT); // the host had other things to do in the middle of it
    queue.put(worker);
    queue.next();
    assert.ok(worker.share.credit > 0);
  }
  queue.join(newcomer);
  queue.put(newcomer);
  for (let i = 0; i < 100; i++) {
    const next = queue.next() as One;
    next.share.charge(SLICE);
    queue.put(next);
  }
  near(newcomer.share.ran / (100 * SLICE), 0.5);
});
test('who comes from another CPU gets none of the renewals that were there before', () => {
  const [here, newcomer] = [one(0), one(1)];
  const queue = new RunQueue<One>();
  queue.put(here);
  for (let i = 0; i < 10; i++) {
    here.share.charge(CREDIT_INIT);
    queue.put(here);
    queue.next();
  }
  newcomer.share.charge(CREDIT_INIT);
  queue.join(newcomer);
  queue.put(newcomer);
  assert.equal(newcomer.share.credit, 0);
});
