import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LocalClient } from './local-client.ts';
import { restoreClient, saveClient, type SavedClient } from './saved-client.ts';
import { Store } from './store.ts';
import { storeOf, WireClient } from './testing/wire-client.ts';

/** A store with domain 1, whose home is Domain-0's with two nodes of its own in it. */
function setUp(): { store: Store; dom0: LocalClient; guest: WireClient } {
  const store = storeOf(new Store(), 1);
  const dom0 = new LocalClient(store);
  dom0.setPermissions('/local/domain/1', [{ domid: 0, read: false, write: false }, { domid: 1, read: true, write: false }]);
  dom0.write('/local/domain/1/name', 'old');
  for (const name of ['data', 'control']) {
    dom0.mkdir(`/local/domain/1/${name}`);
    dom0.setPermissions(`/local/domain/1/${name}`, [{ domid: 1, read: false, write: false }]);
  }
  return { store, dom0, guest: new WireClient(store, 1) };
}

/** As it comes out of a file. */
const kept = (saved: SavedClient | undefined): SavedClient => JSON.parse(JSON.stringify(saved)) as SavedClient;

test('a domain has its nodes and watches in another store, and learns of no change that was none', () => {
  const before = setUp();
  before.guest.call('WRITE', 'data/a/b\0caf\xe9');
  before.guest.call('SET_PERMS', 'data/a/b\0n1\0r7\0');
  for (const watch of ['data\0relative\0', '/local/domain/1/data\0absolute\0', '@releaseDomain\0special\0']) before.guest.call('WATCH', watch);
  before.guest.takeEvents();
  const saved = kept(saveClient(before.store, before.guest.connection));

  const { store, dom0, guest } = setUp();
  dom0.write('/local/domain/1/name', 'new');
  restoreClient(store, guest.connection, saved);
  assert.deepEqual(guest.takeEvents(), []);
  assert.equal(guest.call('READ', 'data/a/b\0'), 'caf\xe9');
  assert.equal(guest.call('GET_PERMS', 'data/a/b\0'), 'n1\0r7\0');
  assert.equal(guest.call('READ', 'name\0'), 'new\0'.slice(0, -1));
  guest.call('WRITE', 'data/c\0');
  assert.deepEqual(guest.takeEvents(), ['data/c\0relative\0', '/local/domain/1/data/c\0absolute\0']);
  assert.equal(guest.call('UNWATCH', 'data\0relative\0'), 'OK\0');
});

test('there is nothing to save of a domain in the middle of a transaction', () => {
  const { store, guest } = setUp();
  const transaction = guest.begin();
  assert.equal(saveClient(store, guest.connection), undefined);
  guest.call('TRANSACTION_END', 'F\0', transaction);
  assert.notEqual(saveClient(store, guest.connection), undefined);
});
