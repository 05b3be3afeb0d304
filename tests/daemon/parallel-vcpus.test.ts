// Several vCPUs of one domain on several physical CPUs, that is threads: they run at the same time, and see what x86 promises.

import assert from 'node:assert/strict';
import { after, afterEach, describe, test } from 'node:test';
import { nodeHost } from '#hosts/node/host.ts';
import { auditDomain } from '#hypervisor/testing/audit-domain.ts';
import { corpseOf } from '#toolstack/lifecycle/make-domain.ts';
import type { ManagedDomain } from '#toolstack/lifecycle/managed-domain.ts';
import { World } from './world.ts';

const PATIENCE_MS = 100_000;

/** What its frame table says of a domain that has ended is right. */
function audit({ domid, capsule, spec: { maxvcpus } }: ManagedDomain): void { assert.deepEqual(auditDomain(corpseOf(domid, capsule, maxvcpus, nodeHost(() => {}))), []); }

describe('vCPUs on two CPUs', { timeout: 280_000 }, () => {
  const w = new World(2, PATIENCE_MS);
  const { domains } = w;
  const create = (guest: string, more = {}): Promise<ManagedDomain> => w.create(guest, guest, '', { vcpus: 2, onPoweroff: 'preserve', ...more });
  const runs = async (domain: ManagedDomain): Promise<void> => {
    await domains.unpause(domain);
    await w.until('it has ended', () => domain.ended !== undefined);
  };
  afterEach(async () => { await Promise.all(domains.list().map((domain) => domains.destroy(domain))); });
  after(() => domains.close());

  test('atomic instructions, the order of memory, translations, page tables, code and events', async () => {
    const domain = await create('parallel');
    assert.deepEqual([0, 1].map((vcpu) => domain.glance.cpuOf(vcpu)), [0, 1]);
    await runs(domain);
    w.assertAllOk('parallel');
    audit(domain);
  });
  test('they come together on one CPU and part again, and the domain is moved, while they run', async () => {
    const domain = await create('parallel', { cmdline: 'short' });
    const moves = w.again(domain, 30, async () => {
      const here = domain.cpu;
      await domains.pin(domain, 'all', [{ first: 1 - here, last: 1 - here }]);
      if (domain.ended === undefined) assert.deepEqual([domain.cpu, domain.glance.cpuOf(1)], [1 - here, undefined]);
      await domains.pin(domain, 'all', undefined);
    });
    await runs(domain);
    assert.ok(await moves > 0, 'it was moved');
    w.assertAllOk('parallel');
    audit(domain);
  });
  test('each goes to the CPU that it is pinned to, while they run', async () => {
    const domain = await create('parallel', { cmdline: 'short' });
    const only = (cpu: number) => [{ first: cpu, last: cpu }];
    const moves = w.again(domain, 20, async () => {
      const here = domain.cpu, there = 1 - here;
      for (const [vcpu, cpu] of [[0, there], [1, here]] as const) {
        await domains.pin(domain, vcpu, only(cpu));
        if (domain.ended === undefined) assert.deepEqual([0, 1].map((each) => domain.glance.cpuOf(each)), [there, here]);
      }
      await domains.pin(domain, 1, only(there)); // both are there
      if (domain.ended === undefined) assert.deepEqual([domain.cpu, domain.glance.cpuOf(1)], [there, undefined]);
      await domains.pin(domain, 'all', undefined);
    });
    await runs(domain);
    assert.ok(await moves > 0, 'they were moved');
    w.assertAllOk('parallel');
    audit(domain);
  });
  test('all stand still while the domain is paused', async () => {
    const domain = await create('parallel', { cmdline: 'short' });
    const times = (): number[] => [0, 1].map((vcpu) => domain.glance.timeRunning(vcpu));
    await domains.unpause(domain);
    const pauses = await w.again(domain, 20, async () => {
      const ended = (error: unknown): void => { if (domain.ended === undefined) throw error; };
      await domains.pause(domain).catch(ended);
      const before = times();
      await new Promise((done) => { setTimeout(done, 5); });
      assert.deepEqual(times(), before);
      await domains.unpause(domain).catch(ended);
    });
    assert.ok(pauses > 0, 'it was paused');
    w.assertAllOk('parallel');
  });
  for (const guest of ['smp', 'page-types', 'writable-tables', 'code']) {
    test(`the guest ${guest} finds nothing different`, async () => {
      const domain = await create(guest);
      await runs(domain);
      w.assertAllOk(guest);
      audit(domain);
    });
  }
});

test('four vCPUs agree on the order of stores', { timeout: 280_000 }, async (context) => {
  const w = new World(4, PATIENCE_MS);
  context.after(() => w.domains.close());
  const domain = await w.create('parallel', 'parallel', 'four', { vcpus: 4, onPoweroff: 'preserve' });
  await w.domains.unpause(domain);
  await w.until('it has ended', () => domain.ended !== undefined);
  assert.equal(domain.ended, 'poweroff', w.log.join('\n'));
  w.assertAllOk('parallel');
});
