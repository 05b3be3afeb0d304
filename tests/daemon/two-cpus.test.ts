// Two guests that share channels and pages, each on a physical CPU of its own, that is on a thread: what they do to each other is
// right while they both run, and while one of them is moved.

import assert from 'node:assert/strict';
import { after, afterEach, describe, test } from 'node:test';
import type { EventAction, ManagedDomain } from '#toolstack/lifecycle/managed-domain.ts';
import { World } from './world.ts';

describe('domains on two CPUs', { timeout: 280_000 }, () => {
  const w = new World(2);
  const { domains } = w;
  /** the number that the next domain gets */
  let next = 1;
  const create = async (guest: string, name: string, cmdline: string, cpu: number, onPoweroff: EventAction = 'destroy'): Promise<ManagedDomain> => {
    const domain = await w.create(guest, name, cmdline, { onPoweroff, cpus: [String(cpu)] });
    assert.deepEqual([domain.domid, domain.cpu], [next++, cpu]);
    return domain;
  };
  afterEach(async () => { await Promise.all(domains.list().map((domain) => domains.destroy(domain))); });
  after(() => domains.close());

  for (const [how, moved] of [['where they are', false], ['while one is moved', true]] as const) {
    test(`events go through a channel between them, to and fro, ${how}`, async () => {
      const offers = await create('peers', 'offers', `offer ${next + 1}`, 0, 'preserve');
      const binds = await create('peers', 'binds', `bind ${offers.domid} 3`, 1, 'preserve');
      await domains.unpause(offers);
      await w.until('there is a port', () => w.output('offers').includes('ok 2'));
      const moves = moved ? w.toAndFro(binds, 10) : undefined;
      await domains.unpause(binds);
      if (moves) assert.ok(await moves > 0, 'it was moved');
      await w.until('both have ended', () => offers.ended !== undefined && binds.ended !== undefined);
      for (const domain of [offers, binds]) {
        w.assertAllOk(domain.spec.name);
        await domains.destroy(domain);
      }
      assert.deepEqual(domains.numbers, []);
    });
  }

  for (const version of [1, 2]) for (const who of ['nobody', 'the granter', 'the mapper'] as const) {
    test(`pages are mapped, copied and transferred between them, by version ${version}, while ${who} is moved`, async () => {
      const granter = await create('neighbours', 'granter', `granter peer=${next + 1} version=${version}`, 0);
      const mapper = await create('neighbours', 'mapper', `mapper peer=${granter.domid} version=${version}`, 1, 'preserve');
      const moves = who === 'nobody' ? undefined : w.toAndFro(who === 'the granter' ? granter : mapper, 5);
      for (const domain of [granter, mapper]) await domains.unpause(domain);
      if (moves) assert.ok(await moves > 0, 'it was moved');
      await w.until('both have ended', () => granter.ended !== undefined && mapper.ended !== undefined);
      await w.until('the granter is gone', () => !domains.numbers.includes(granter.domid));
      w.assertAllOk('granter');
      w.assertAllOk('mapper');
      await domains.destroy(mapper);
      assert.deepEqual(domains.numbers, []);
    });
  }
});
