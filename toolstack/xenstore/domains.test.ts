// What domain 0 asks about domains, what a domain that acts for another may do, and what is left of one that is gone.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkStore } from './check.ts';
import { Store } from './store.ts';
import { storeOf, WireClient } from './testing/wire-client.ts';

function setUp(domains = 3): { store: Store; dom0: WireClient; clients: WireClient[] } {
  const store = storeOf(new Store(), domains);
  return { store, dom0: new WireClient(store, 0), clients: Array.from({ length: domains + 1 }, (_, d) => new WireClient(store, d)) };
}

describe('requests', () => {
  test('GET_DOMAIN_PATH, IS_DOMAIN_INTRODUCED', () => {
    const { dom0 } = setUp();
    assert.equal(dom0.call('GET_DOMAIN_PATH', '7\0'), '/local/domain/7\0');
    for (const [id, is] of [['0', 'T'], ['1', 'T'], ['9', 'F'], ['32752', 'T']]) assert.equal(dom0.call('IS_DOMAIN_INTRODUCED', `${id}\0`), `${is}\0`);
    for (const id of ['', 'x\0', '70000\0', '-1\0', '1']) assert.equal(dom0.call('IS_DOMAIN_INTRODUCED', id), '!EINVAL');
  });

  test('INTRODUCE of a domain that is known lets it begin anew', () => {
    const { dom0, clients: [, guest] } = setUp();
    guest?.call('WATCH', '/local/domain/1\0t\0');
    const t = guest?.begin();
    assert.equal(dom0.call('INTRODUCE', '1\x001\x005\0'), 'OK\0');
    assert.equal(guest?.call('READ', '/local/domain/1\0', t), '!ENOENT');
    guest?.takeEvents();
    guest?.call('WRITE', 'a\0');
    assert.deepEqual(guest?.takeEvents(), []);
    for (const payload of ['9\x001\x005\0', '0\x001\x005\0', '1\x001\x000\0', '1\x001\0', '1\0x\0y\0', '']) assert.equal(dom0.call('INTRODUCE', payload), '!EINVAL', payload);
  });

  test('RELEASE ends a connection', () => {
    const { store, dom0, clients: [, guest] } = setUp();
    dom0.call('WATCH', '@releaseDomain\0r\0');
    dom0.takeEvents();
    assert.equal(dom0.call('RELEASE', '1\0'), 'OK\0');
    assert.deepEqual(dom0.takeEvents(), ['@releaseDomain\0r\0']);
    assert.equal(guest?.connection.closed, true);
    assert.equal(store.isIntroduced(1), false);
    assert.equal(dom0.call('RELEASE', '1\0'), '!ENOENT');
    assert.equal(dom0.call('RELEASE', '0\0'), '!EINVAL');
  });

  test('a shutdown is told once, and again after RESUME', () => {
    const { store, dom0 } = setUp();
    dom0.call('WATCH', '@releaseDomain\0r\0');
    const told = (): number => dom0.takeEvents().length;
    told();
    store.shutdownDomain(1);
    store.shutdownDomain(1);
    assert.equal(told(), 1);
    assert.equal(dom0.call('RESUME', '1\0'), 'OK\0');
    store.shutdownDomain(1);
    assert.equal(told(), 1);
    assert.equal(dom0.call('RESUME', '9\0'), '!ENOENT');
  });

  test('CONTROL', () => {
    const { dom0, clients: [, guest] } = setUp();
    guest?.call('WATCH', 'a\0t\0');
    assert.equal(dom0.call('CONTROL', 'check\0'), 'OK\0');
    assert.equal(dom0.call('CONTROL', 'help\0'), 'check\nhelp\nquota\0');
    assert.match(dom0.call('CONTROL', 'quota\0'), /^nodesPerDomain +: +1000\n/);
    assert.match(dom0.call('CONTROL', 'quota\x001\0'), /^Domain 1:\nnodes +: +1\nwatches +: +1\n/);
    assert.equal(dom0.call('CONTROL', 'quota\x009\0'), '!ENOENT');
    for (const payload of ['', 'check', 'toString\0', 'nope\0']) assert.equal(dom0.call('CONTROL', payload), '!EINVAL');
  });
});

describe('SET_TARGET', () => {
  test('gives the target\'s rights beside the own ones', () => {
    const { dom0, clients: [, guest, , model] } = setUp();
    assert.ok(guest && model);
    guest.call('WRITE', 'a\x001');
    assert.equal(model.call('READ', '/local/domain/1/a\0'), '!EACCES');
    assert.equal(dom0.call('SET_TARGET', '3\x001\0'), 'OK\0');
    assert.equal(model.call('READ', '/local/domain/1/a\0'), '1');
    assert.equal(model.call('WRITE', '/local/domain/1/b\x002'), 'OK\0');
    assert.equal(model.call('GET_PERMS', '/local/domain/1/b\0'), 'n3\0');
    assert.equal(model.call('SET_PERMS', '/local/domain/1/a\0n1\0r2\0'), 'OK\0');
    assert.equal(model.call('SET_PERMS', '/local/domain/1/a\0n3\0'), '!EPERM');
    assert.equal(model.call('WRITE', 'own\0'), 'OK\0');
    assert.equal(guest.call('READ', '/local/domain/3/own\0'), '!EACCES', 'not the other way round');
    model.call('WATCH', '/local/domain/1\0t\0');
    model.takeEvents();
    guest.call('WRITE', 'a\x003');
    assert.deepEqual(model.takeEvents(), ['/local/domain/1/a\0t\0']);
  });

  test('ends with the target', () => {
    const { store, dom0, clients: [, , , model] } = setUp();
    assert.ok(model);
    dom0.call('SET_TARGET', '3\x001\0');
    store.releaseDomain(1);
    storeOf(store, 1);
    new WireClient(store, 1).call('WRITE', 'secret\x001');
    assert.equal(model.call('READ', '/local/domain/1/secret\0'), '!EACCES');
  });

  test('of what is not connected', () => {
    const { dom0 } = setUp();
    for (const payload of ['9\x001\0', '1\x009\0']) assert.equal(dom0.call('SET_TARGET', payload), '!ENOENT');
    for (const payload of ['1\0', 'x\0y\0']) assert.equal(dom0.call('SET_TARGET', payload), '!EINVAL');
  });
});

describe('special events', () => {
  test('go to whom their permissions let read', () => {
    const { store, dom0, clients: [, guest] } = setUp();
    assert.ok(guest);
    guest.call('WATCH', '@releaseDomain\0t\0');
    assert.deepEqual(guest.takeEvents(), ['@releaseDomain\0t\0']);
    store.shutdownDomain(2);
    assert.deepEqual(guest.takeEvents(), []);
    assert.equal(guest.call('SET_PERMS', '@releaseDomain\0n0\0r1\0'), '!EACCES');
    assert.equal(dom0.call('SET_PERMS', '@releaseDomain\0n0\0r1\0'), 'OK\0');
    store.shutdownDomain(3);
    assert.deepEqual(guest.takeEvents(), ['@releaseDomain\0t\0']);
    assert.equal(dom0.call('SET_PERMS', '@nothing\0n0\0'), '!ENOENT');
  });

  test('are no nodes', () => {
    const { dom0 } = setUp();
    for (const type of ['READ', 'WRITE', 'MKDIR', 'RM', 'DIRECTORY', 'GET_PERMS'] as const) assert.equal(dom0.call(type, '@releaseDomain\0'), '!EINVAL');
  });
});

describe('a domain that is gone', () => {
  test('leaves no node, no right, no watch, no transaction', () => {
    const { store, dom0, clients: [, one, two] } = setUp();
    assert.ok(one && two);
    one.call('WRITE', 'shared\x001');
    one.call('SET_PERMS', 'shared\0n1\0r2\0b3\0');
    dom0.call('WRITE', '/elsewhere/own/below\x001');
    dom0.call('SET_PERMS', '/elsewhere/own\0n2\0');
    two.call('WATCH', 'x\0t\0');
    two.begin();
    dom0.call('WATCH', '/elsewhere/own/below\0w\0');
    dom0.takeEvents();
    store.releaseDomain(2);
    assert.equal(one.call('GET_PERMS', 'shared\0'), 'n1\0b3\0');
    assert.equal(dom0.call('DIRECTORY', '/elsewhere\0'), '');
    assert.deepEqual(dom0.takeEvents(), ['/elsewhere/own/below\0w\0']);
    assert.deepEqual({ ...store.usageOf(2) }, { nodes: 0, watches: 0, transactions: 0, memory: 0 });
    assert.deepEqual(checkStore(store), []);
  });

  test('does not take the root or a special event with it', () => {
    const { store, dom0 } = setUp();
    for (const path of ['/', '@releaseDomain']) dom0.call('SET_PERMS', `${path}\0r2\0`);
    store.releaseDomain(2);
    assert.equal(dom0.call('GET_PERMS', '/\0'), 'r0\0');
    assert.deepEqual(checkStore(store), []);
  });
});
