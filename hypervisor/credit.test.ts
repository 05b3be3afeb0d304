import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseNext, Share } from './credit.ts';

const SLICE = 5e6, SECOND = 1e9;

/** Lets all that want to run share a CPU for so long. @param wants when they do not sleep: always, if not given */
function share(weights: readonly number[], caps: readonly number[], ns: number, wants: (i: number, now: number) => boolean = () => true): number[] {
  const all = weights.map((weight, i) => Object.assign({ i }, { share: Object.assign(new Share(), { weight, cap: caps[i] ?? 0 }) }));
  for (let now = 1; now < ns;) {
    const next = chooseNext(all.filter((one) => wants(one.i, now) && one.share.parkedUntil(now) === 0));
    if (!next) { now += 1e5; continue; }
    const run = next.share.allowance(now, SLICE);
    next.share.charge(run);
    now += Math.max(run, 1);
  }
  return all.map((one) => one.share.ran / ns);
}
const near = (actual: number, expected: number): void => assert.ok(Math.abs(actual - expected) < 0.02, `${actual} is not ${expected}`);

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
test('who has slept goes first', () => {
  const [sleeper, worker] = [{ share: new Share() }, { share: new Share() }];
  worker.share.charge(SLICE);
  assert.equal(chooseNext([worker, sleeper]), sleeper);
  for (let i = 0; i < 1000; i++) { worker.share.charge(SLICE); chooseNext([worker]); }
  sleeper.share.charge(SLICE / 2);
  assert.equal(chooseNext([worker, sleeper]), sleeper, 'but does not save up for ever');
  assert.ok(sleeper.share.credit <= 10e6);
});
