// What one client may see and do of another's, and how much of the store it can take.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkStore } from './check.ts';
import type { Pace } from './conflicts.ts';
import { LocalClient } from './local-client.ts';
import { QUOTA } from './quota.ts';
import { Store } from './store.ts';
import { storeOf, WireClient } from './testing/wire-client.ts';

/** Time that passes when told to. */
class FakePace implements Pace {
  private time = 0;
  private timers: { at: number; fire: () => void }[] = [];
  now(): number { return this.time; }
  later(ms: number, fire: () => void): void { this.timers.push({ at: this.time + ms, fire }); }
  get waiting(): number { return this.timers.length; }
  pass(ms: number): void {
    this.time += ms;
    const due = this.timers.filter((t) => t.at <= this.time);
    this.timers = this.timers.filter((t) => t.at > this.time);
    for (const { fire } of due) fire();
  }
}

function setUp(pace?: Pace): { store: Store; dom0: WireClient; one: WireClient; two: WireClient } {
  const store = storeOf(new Store(pace), 3);
  return { store, dom0: new WireClient(store, 0), one: new WireClient(store, 1), two: new WireClient(store, 2) };
}
const HOME = '/local/domain/1';

describe('permissions', () => {
  // letter of the default, letter of the entry for domain 2, what domain 2 may: read, write
  const ROWS = [['n', '', false, false], ['r', '', true, false], ['w', '', false, true], ['b', '', true, true], ['b', 'n', false, false], ['n', 'r', true, false], ['r', 'w', false, true], ['n', 'b', true, true]] as const;
  for (const [all, other, read, write] of ROWS) {
    test(`${all}1${other && ` ${other}2`}`, () => {
      const { one, two } = setUp();
      one.call('WRITE', 'x\0old');
      assert.equal(one.call('SET_PERMS', `x\0${all}1\0${other && `${other}2\0`}`), 'OK\0');
      assert.equal(two.call('READ', `${HOME}/x\0`), read ? 'old' : '!EACCES');
      assert.equal(two.call('READ', `${HOME}/x/y\0`), read ? '!ENOENT' : '!EACCES', 'who may not read is not told what is missing');
      assert.equal(two.call('WRITE', `${HOME}/x\0new`), write ? 'OK\0' : '!EACCES');
      assert.equal(two.call('MKDIR', `${HOME}/x/y/z\0`), write ? 'OK\0' : '!EACCES');
      assert.equal(two.call('SET_PERMS', `${HOME}/x\0n1\0`), '!EACCES');
      assert.equal(one.call('READ', 'x\0'), write ? 'new' : 'old');
    });
  }

  test('a new node has its parent\'s, but belongs to who made it, if that is not domain 0', () => {
    const { dom0, one, two } = setUp();
    one.call('MKDIR', 'x\0');
    one.call('SET_PERMS', 'x\0n1\0b2\0');
    two.call('MKDIR', `${HOME}/x/two/below\0`);
    dom0.call('MKDIR', `${HOME}/x/dom0\0`);
    assert.equal(one.call('GET_PERMS', 'x/dom0\0'), 'n1\0b2\0');
    assert.equal(two.call('GET_PERMS', `${HOME}/x/two/below\0`), 'n2\0b2\0');
    assert.equal(one.call('READ', 'x/two\0'), '!EACCES');
  });
});

describe('watches', () => {
  test('a watch of what one may not read stays silent', () => {
    const { one, two } = setUp();
    for (const path of ['/', '/local', HOME, `${HOME}/x`]) two.call('WATCH', `${path}\0${path}\0`);
    two.takeEvents();
    one.call('WRITE', 'x\x001');
    one.call('RM', 'x\0');
    assert.deepEqual(two.takeEvents(), []);
    one.call('WRITE', 'x\x001');
    one.call('SET_PERMS', 'x\0n1\0r2\0');
    assert.equal(two.takeEvents().length, 4);
  });

  test('fire in the order in which they were set, and once for each node that a transaction changed', () => {
    const { one } = setUp();
    for (const path of ['x/y', '/', 'x']) one.call('WATCH', `${path}\0${path}\0`);
    one.takeEvents();
    const t = one.begin();
    for (let i = 0; i < 5; i++) one.call('WRITE', `x/y\0${i}`, t);
    one.call('WRITE', 'x/z\0', t);
    one.call('WRITE', 'made\0', t);
    one.call('RM', 'made\0', t);
    assert.deepEqual(one.takeEvents(), []);
    one.end(t);
    assert.deepEqual(one.takeEvents(), ['x/y\0x/y\0', `${HOME}/x/y\0/\0`, 'x/y\0x\0', `${HOME}/x/z\0/\0`, 'x/z\0x\0']);
  });

  test('on nodes that go with one above them name their own', () => {
    const { one } = setUp();
    one.call('WRITE', 'a/b/c\0');
    one.call('WATCH', 'a/b/c\0t\0');
    one.takeEvents();
    one.call('RM', 'a\0');
    assert.deepEqual(one.takeEvents(), ['a/b/c\0t\0']);
  });

  test('relative and absolute are the same watch; UNWATCH of no path finds none', () => {
    const { one } = setUp();
    assert.equal(one.call('WATCH', 'x\0t\0'), 'OK\0');
    assert.equal(one.call('WATCH', `${HOME}/x\0t\0`), '!EEXIST');
    assert.equal(one.call('UNWATCH', `${HOME}/x\0t\0`), 'OK\0');
    assert.equal(one.call('UNWATCH', 'x//\0t\0'), '!ENOENT');
    assert.equal(one.call('WATCH', 'x\0t\0behind'), 'OK\0', 'what has no zero byte behind it is ignored');
    assert.equal(one.call('WATCH', 'x\0t\0more\0'), '!EINVAL');
  });
});

describe('transactions', () => {
  test('see a node as it was when they first looked', () => {
    const { dom0, one } = setUp();
    one.call('WRITE', 'x\0old');
    const t = one.begin();
    assert.equal(one.call('READ', 'x\0', t), 'old');
    assert.equal(one.call('DIRECTORY', '/local/domain/1\0', t), 'x\0');
    dom0.call('WRITE', `${HOME}/x\0new`);
    dom0.call('WRITE', `${HOME}/y\0new`);
    assert.equal(one.call('READ', 'x\0', t), 'old');
    assert.equal(one.call('DIRECTORY', '/local/domain/1\0', t), 'x\0');
    assert.equal(one.end(t), '!EAGAIN');
  });

  test('the same value written again is a conflict, a node that came and went is none', () => {
    const { dom0, one } = setUp();
    one.call('WRITE', 'x/y\0same');
    let t = one.begin();
    one.call('READ', 'x/y\0', t);
    dom0.call('WRITE', `${HOME}/x/y\0same`);
    assert.equal(one.end(t), '!EAGAIN');
    t = one.begin();
    one.call('READ', 'x/y/z\0', t);
    assert.equal(one.end(t), 'OK\0');
  });

  test('of two that change the same directory the second is refused', () => {
    const { one } = setUp();
    one.call('MKDIR', 'x\0');
    const [t, u] = [one.begin(), one.begin()];
    one.call('MKDIR', 'x/t\0', t);
    one.call('MKDIR', 'x/u\0', u);
    assert.equal(one.end(t), 'OK\0');
    assert.equal(one.end(u), '!EAGAIN');
    assert.equal(one.call('DIRECTORY', 'x\0'), 't\0');
  });

  for (const removes of [false, true]) {
    test(`a domain that keeps coming between waits until the other is through: ${removes ? 'it removes' : 'it writes'}`, () => {
      const pace = new FakePace();
      const { dom0, one, two } = setUp(pace);
      dom0.call('WRITE', '/both/x\0');
      dom0.call('SET_PERMS', '/both/x\0b0\0');
      let commits = 0, resumed = 0;
      two.connection.onOutput = () => { resumed++; };
      for (let i = 0; i < 20; i++) {
        const t = one.begin();
        one.call('READ', '/both/x\0', t);
        one.call('WRITE', 'x\0', t);
        if (two.connection.accepting) two.call(removes ? 'RM' : 'WRITE', '/both/x\0');
        if (one.end(t) === 'OK\0') commits++;
        dom0.call('WRITE', '/both/x\0');
        dom0.call('SET_PERMS', '/both/x\0b0\0');
      }
      assert.equal(commits, 20 - QUOTA.conflictBurst);
      assert.equal(two.connection.accepting, false);
      assert.equal(one.connection.accepting, true);
      assert.equal(pace.waiting, 1, 'one timer, however often it is asked');
      resumed = 0;
      pace.pass(1000);
      assert.equal(resumed, 1);
      assert.equal(two.connection.accepting, true);
    });
  }
});

describe('who fills domain 0\'s queue', () => {
  const write = (guest: WireClient): number => {
    let n = 0;
    while (n < 2000 && guest.connection.accepting) guest.call('WRITE', `d${n % 10}/${n++}\0`);
    return n;
  };

  test('waits until it is read', () => {
    const { dom0, one, two } = setUp(new FakePace());
    dom0.call('WATCH', '/local\0t\0');
    dom0.takeEvents();
    assert.equal(write(one), QUOTA.undeliveredEvents);
    assert.equal(two.connection.accepting, true);
    let resumed = 0;
    one.connection.onOutput = () => { resumed++; };
    dom0.connection.sent();
    assert.deepEqual([resumed, one.connection.accepting], [1, true]);
    assert.equal(dom0.takeEvents().length, QUOTA.undeliveredEvents - 1);
  });

  test('need not wait for ever: who does not read is cut off, who reads is not', () => {
    for (const reads of [false, true]) {
      const pace = new FakePace();
      const { dom0, one } = setUp(pace);
      dom0.call('WATCH', '/local\0t\0');
      dom0.takeEvents();
      write(one);
      if (reads) dom0.connection.sent();
      pace.pass(QUOTA.eventTimeout);
      assert.equal(dom0.connection.closed, !reads);
      assert.equal(one.connection.accepting, true);
    }
  });
});

describe('quotas', () => {
  test('of nodes hold over transactions too', () => {
    const { store, one } = setUp();
    const open = Array.from({ length: 5 }, () => one.begin());
    for (const [i, t] of open.entries()) for (let n = 0; n < 300; n++) assert.equal(one.call('MKDIR', `${i}-${n % 20}/${n}\0`, t), 'OK\0');
    open.map((t) => one.end(t));
    for (let i = 0; i < 5; i++) {
      const t = one.begin();
      for (let n = 0; n < 300; n++) one.call('MKDIR', `d${i}/${n}\0`, t);
      one.end(t);
    }
    assert.equal(store.usageOf(1).nodes, QUOTA.nodesPerDomain);
    assert.deepEqual(checkStore(store), []);
  });

  test('two transactions that fit alone do not both', () => {
    const { dom0, one, store } = setUp();
    for (const d of ['a', 'b']) dom0.call('SET_PERMS', `${d === 'a' ? HOME : '/local/domain/2'}\0b${d === 'a' ? 1 : 2}\0`);
    const [t, u] = [one.begin(), one.begin()];
    for (let n = 0; n < 700; n++) one.call('MKDIR', `a${n % 20}/${n}\0`, t);
    for (let n = 0; n < 700; n++) one.call('MKDIR', `/local/domain/2/b${n % 20}/${n}\0`, u);
    assert.equal(one.end(t), 'OK\0');
    assert.equal(one.end(u), '!ENOSPC');
    assert.deepEqual(checkStore(store), []);
  });

  test('of memory: nodes, watches and what transactions hold', () => {
    const { store, one } = setUp();
    for (let n = 0; n < 700; n++) one.call('WRITE', `d${n % 20}/${n}\0${'x'.repeat(1900)}`);
    const t = one.begin();
    let answer = '', n = 0;
    while (answer !== '!ENOMEM' && n < 700) answer = one.call('READ', `d${n % 20}/${n++}\0`, t);
    assert.equal(answer, '!ENOMEM');
    assert.equal(one.call('WRITE', `big\0${'x'.repeat(1990)}`), '!ENOMEM');
    for (n = 0, answer = ''; answer !== '!ENOMEM' && n < 100; n++) answer = one.call('WATCH', `x\0${'t'.repeat(3000)}${n}\0`);
    assert.equal(answer, '!ENOMEM');
    assert.ok(store.usageOf(1).memory <= QUOTA.memory);
    assert.equal(one.end(t), '!ENOMEM', 'what went beyond a quota is not committed');
    one.call('RESET_WATCHES', '\0');
    assert.equal(one.call('WRITE', 'again\0'), 'OK\0');
    assert.ok(store.usageOf(1).memory <= QUOTA.memory);
    assert.deepEqual(checkStore(store), []);
  });

  test('of memory: the first change of a node in a transaction is charged as a whole', () => {
    for (const change of [
      (one: WireClient, n: number, t: number) => one.call('WRITE', `d${n % 20}/${n}\0${'y'.repeat(1900)}`, t), // another value
      (one: WireClient, n: number, t: number) => one.call('WRITE', `p${n}/new\0`, t), // its parent has one child more
      (one: WireClient, n: number, t: number) => one.call('RM', `p${n}/old\0`, t), // and one less
      (one: WireClient, n: number, t: number) => one.call('SET_PERMS', `d${n % 20}/${n}\0n1\0r2\0`, t),
    ]) {
      const { store, one } = setUp();
      for (let n = 0; n < 700; n++) one.call('WRITE', `d${n % 20}/${n}\0${'x'.repeat(1900)}`);
      for (let n = 0; n < 100; n++) one.call('WRITE', `p${n}/old\0`);
      for (let n = 0; n < 100; n++) one.call('WRITE', `p${n}\0${'x'.repeat(1800)}`);
      for (let n = 0; store.usageOf(1).memory < QUOTA.memory - 300_000; n++) one.call('WATCH', `x\0${'t'.repeat(3000)}${n}\0`);
      const t = one.begin();
      let refused = false;
      for (let n = 0; n < 100; n++) {
        refused = change(one, n, t) === '!ENOMEM' || refused;
        assert.ok(store.usageOf(1).memory <= QUOTA.memory, `${change}, ${n}: ${store.usageOf(1).memory}`);
      }
      assert.ok(refused, `${change}`);
      one.end(t);
      assert.deepEqual(checkStore(store), []);
    }
  });

  test('of nodes in a transaction', () => {
    const { one } = setUp();
    const t = one.begin();
    let n = 0;
    while (n < 2000 && one.call('READ', `missing${n}\0`, t) === '!ENOENT') n++;
    assert.equal(one.call('READ', 'one-more\0', t), '!ENOSPC');
    assert.ok(n > 1000 && n <= QUOTA.nodesPerTransaction, `${n}`);
    assert.equal(one.end(t), '!ENOMEM');
  });

  test('what one has used up is there for the others', () => {
    const { dom0, one, two } = setUp();
    for (let n = 0; n < 1100; n++) one.call('MKDIR', `d${n % 30}/${n}\0`);
    for (let n = 0; n < 200; n++) one.call('WATCH', `x\0${n}\0`);
    for (let n = 0; n < 20; n++) one.call('TRANSACTION_START', '\0');
    for (const client of [two, dom0]) {
      assert.equal(client.call('MKDIR', 'mine\0'), 'OK\0');
      assert.equal(client.call('WATCH', 'mine\0t\0'), 'OK\0');
      assert.ok(client.begin() > 0);
    }
    assert.equal(dom0.call('MKDIR', `${HOME}/for-one\0`), 'OK\0', 'the toolstack is not bound by a guest\'s quotas');
  });

  test('domain 0 has none', () => {
    const { store } = setUp();
    const dom0 = new LocalClient(store);
    dom0.atomically((client) => { for (let n = 0; n < 3000; n++) client.write(`/many/${n}`, 'x'.repeat(3000)); });
    assert.equal(dom0.directory('/many').length, 3000);
    assert.deepEqual(checkStore(store), []);
  });

  test('paths: 3072 bytes, 2048 of them one\'s own', () => {
    const { dom0, one } = setUp();
    for (const client of [dom0, one]) {
      for (const [path, fits] of [['x'.repeat(2048), true], ['x'.repeat(2049), false], [`/${'x'.repeat(2047)}`, true], [`/${'x'.repeat(2048)}`, false]] as const) {
        assert.equal(client.call('WATCH', `${path}\0t\0`), fits ? 'OK\0' : '!EINVAL', `${path.length}`);
      }
    }
  });
});
