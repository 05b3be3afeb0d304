// What an operation costs does not depend on how many domains there are, nor on what they watch. Steps are counted, not
// time: V8 counts how often each block of the store's code is executed.

import assert from 'node:assert/strict';
import { Session } from 'node:inspector';
import { after, before, test } from 'node:test';
import { Store } from './store.ts';
import { storeOf, WireClient } from './testing/wire-client.ts';

interface Coverage { result: { url: string; functions: { ranges: { count: number }[] }[] }[] }

const session = new Session();
before(() => {
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
});
after(() => session.disconnect());

/** Blocks of the store's code that `body` executes. */
function steps(body: () => void): number {
  const take = (): number => {
    let sum = 0;
    session.post('Profiler.takePreciseCoverage', (error, coverage) => {
      if (error) throw error;
      for (const { url, functions } of (coverage as Coverage).result) {
        if (/toolstack\/xenstore\/[\w-]+\.ts$/.test(url) && !url.endsWith('.test.ts')) for (const f of functions) for (const r of f.ranges) sum += r.count;
      }
    });
    return sum;
  };
  take();
  body();
  return take();
}

/** Many domains, each with nodes, an open transaction, and watches on what they may not read, the root among it. */
function crowd(domains: number): { store: Store; dom0: WireClient; one: WireClient } {
  const store = storeOf(new Store(), domains);
  const one = new WireClient(store, 1);
  for (let d = 2; d <= domains; d++) {
    const client = new WireClient(store, d);
    for (const path of ['/', '/local/domain', '/local/domain/1', 'data', '@releaseDomain']) client.call('WATCH', `${path}\0t\0`);
    for (let n = 0; n < 5; n++) client.call('WRITE', `data/${n}\0value`);
    client.call('READ', 'data/1\0', client.begin());
  }
  for (let n = 0; n < 5; n++) one.call('WRITE', `data/${n}\0value`);
  one.call('WATCH', 'data\0mine\0');
  one.takeEvents();
  return { store, dom0: new WireClient(store, 0), one };
}

const OPERATIONS: Readonly<Record<string, (world: ReturnType<typeof crowd>) => void>> = {
  READ: ({ one }) => one.call('READ', 'data/1\0'),
  'READ of nothing': ({ one }) => one.call('READ', 'data/nothing/at/all\0'),
  'WRITE, with a watch': ({ one }) => one.call('WRITE', 'data/1\0new'),
  'WRITE of a new node': ({ one }) => one.call('WRITE', 'data/new/node\0'),
  RM: ({ one }) => one.call('RM', 'data\0'),
  DIRECTORY: ({ one }) => one.call('DIRECTORY', 'data\0'),
  SET_PERMS: ({ one }) => one.call('SET_PERMS', 'data/1\0n1\0r2\0'),
  'WATCH and UNWATCH': ({ one }) => {
    one.call('WATCH', '/local/domain\0t\0');
    one.call('UNWATCH', '/local/domain\0t\0');
  },
  'a transaction': ({ one }) => {
    const t = one.begin();
    one.call('READ', 'data/1\0', t);
    one.call('WRITE', 'data/1\0new', t);
    one.call('RM', 'data/2\0', t);
    one.end(t);
  },
  'a write by domain 0': ({ dom0 }) => dom0.call('WRITE', '/local/domain/1/data/1\0new'),
};

for (const [name, operation] of Object.entries(OPERATIONS)) {
  test(`${name} costs the same among 600 domains as among 6`, () => {
    const cost = (domains: number): number => {
      const world = crowd(domains);
      return steps(() => operation(world));
    };
    cost(6); // what is executed for the first time is counted otherwise
    const few = cost(6), many = cost(600);
    assert.ok(few > 30, `${few}`);
    assert.ok(many <= few + 10, `${few} steps among 6 domains, ${many} among 600`);
  });
}

// /local/domain has a child for each domain: a tree of that depth
const LOGARITHMIC: typeof OPERATIONS = {
  'making a domain known': ({ store, dom0 }) => {
    dom0.call('MKDIR', '/local/domain/9999\0');
    store.introduceDomain(9999);
  },
  RELEASE: ({ dom0 }) => dom0.call('RELEASE', '1\0'),
};

for (const [name, operation] of Object.entries(LOGARITHMIC)) {
  test(`${name} costs the logarithm of their number more`, () => {
    const cost = (domains: number): number => {
      const world = crowd(domains);
      return steps(() => operation(world));
    };
    cost(6);
    const few = cost(6), many = cost(600);
    assert.ok(many <= few + 40 * Math.log2(100), `${few} steps among 6 domains, ${many} among 600`);
  });
}

test('the count sees a scan', () => {
  const { dom0, store } = crowd(600);
  dom0.call('SET_PERMS', '/local/domain/1\0r1\0');
  const everybody = steps(() => dom0.call('WRITE', '/local/domain/1\0new'));
  assert.ok(everybody > 600, `${everybody}: each of 600 watches gets its event`);
  assert.equal(store.watches.size, 600 * 5 - 4);
});
