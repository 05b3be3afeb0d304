// The toolstack's domains over CPUs that cannot be started.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Store } from '../xenstore/store.ts';
import type { CpuRequest } from './cpu-mail.ts';
import { Domains } from './domains.ts';

test('a CPU that dies as soon as it is started is started again less and less often; what is asked meanwhile waits for it', async () => {
  let now = 0, starts = 0, good = false;
  const timers: [ms: number, act: () => void][] = [];
  const posted: CpuRequest['service'][] = [];
  const domains = new Domains(new Store(), { now: () => now, wallClock: () => 0, random: () => {}, log: () => {} }, {
    cpus: 1, later: (...timer) => timers.push(timer), saveCore: async () => '',
    start(_id, report, died) {
      assert.ok(++starts < 50, 'started again and again without a pause');
      if (!good) queueMicrotask(() => died('no memory'));
      return { post(request) {
        posted.push(request.service);
        if (good) report({ kind: 'answer', id: request.id, value: null });
      }, end() {} };
    },
  }, () => {});
  const turn = (): Promise<void> => new Promise((done) => { setImmediate(done); });
  const waits: number[] = [];
  for (let i = 0; i < 6; i++) {
    await turn();
    assert.equal(timers.length, 1);
    const [[ms, act]] = timers.splice(0) as [(typeof timers)[number]];
    waits.push(ms);
    now += ms * 1e6;
    if (i === 5) {
      good = true;
      const answered = domains.collect();
      await turn();
      assert.deepEqual(posted, []);
      act();
      await answered;
    } else act();
  }
  assert.deepEqual([waits, posted], [[1000, 2000, 4000, 15_000, 15_000, 15_000], ['collect']]);
});
