import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { XENSTORE_ERROR_COMM, XENSTORE_ERROR_PROTO, XENSTORE_ERROR_RINGIDX, XENSTORE_SERVER_FEATURE_ERROR, XS } from '#abi/io/xs-wire.ts';
import { introduceDomain, releaseDomain } from './domain-tree.ts';
import { LocalClient } from './local-client.ts';
import { Store } from './store.ts';
import { RingGuest } from './testing/ring-guest.ts';
import { encode } from './wire.ts';

const UUID = '7a1ad6c6-e649-11f1-98dc-eb5bf4235513';
const TREE = { domid: 1, name: 'domu', uuid: UUID, memoryKiB: 262144, vcpus: 1, storePort: 1, storeMfn: 378881, consolePort: 2, consoleMfn: 378882 };

function setUp(): { store: Store; dom0: LocalClient; guest: RingGuest } {
  const store = new Store();
  introduceDomain(store, TREE);
  return { store, dom0: new LocalClient(store), guest: new RingGuest(store, 1) };
}

describe('a new domain', () => {
  // What Debian's Xen 4.17 shows for a guest of one vCPU and 256 MiB (its tty aside).
  const EXPECTED = `vm = "/vm/${UUID}"
name = "domu"
cpu = ""
cpu/0 = ""
cpu/0/availability = "online"
memory = ""
memory/static-max = "262144"
memory/target = "262144"
memory/videoram = "0"
device = ""
device/suspend = ""
device/suspend/event-channel = ""
control = ""
control/shutdown = ""
control/feature-poweroff = ""
control/feature-reboot = ""
control/feature-suspend = ""
control/sysrq = ""
control/platform-feature-multiprocessor-suspend = "1"
control/platform-feature-xs_reset_watches = "1"
data = ""
drivers = ""
feature = ""
attr = ""
error = ""
domid = "1"
store = ""
store/port = "1"
store/ring-ref = "378881"
console = ""
console/backend = "/local/domain/0/backend/console/1/0"
console/backend-id = "0"
console/limit = "1048576"
console/type = "xenconsoled"
console/output = "pty"
console/tty = ""
console/port = "2"
console/ring-ref = "378882"`;

  test('finds the tree that xl writes', () => {
    const { dom0 } = setUp();
    const lines: string[] = [];
    const list = (path: string, prefix: string): void => {
      for (const leaf of dom0.directory(path)) {
        lines.push(`${prefix}${leaf} = "${dom0.read(`${path}/${leaf}`)}"`);
        list(`${path}/${leaf}`, `${prefix}${leaf}/`);
      }
    };
    list('/local/domain/1', '');
    assert.deepEqual(lines, EXPECTED.split('\n'));
  });

  test('reads its nodes, writes only those that are its own', () => {
    const { guest } = setUp();
    assert.equal(guest.call(XS.READ, 'name\0'), 'domu');
    assert.equal(guest.call(XS.READ, '/local/domain/1/console/port\0'), '2');
    assert.equal(guest.call(XS.READ, `/vm/${UUID}/uuid\0`), UUID);
    assert.equal(guest.call(XS.WRITE, 'name\0other'), '!EACCES');
    assert.equal(guest.call(XS.WRITE, 'memory/target\x001'), '!EACCES');
    assert.equal(guest.call(XS.WRITE, 'control/feature-poweroff\x001'), 'OK\0');
    assert.equal(guest.call(XS.WRITE, 'data/a/b\0deep'), 'OK\0');
    assert.equal(guest.call(XS.DIRECTORY, 'data/a\0'), 'b\0');
    assert.equal(guest.call(XS.GET_PERMS, 'data/a/b\0'), 'n1\0');
    assert.equal(guest.call(XS.GET_PERMS, 'name\0'), 'n0\0r1\0');
  });

  test('is gone after its release', () => {
    const { store, dom0, guest } = setUp();
    assert.equal(store.isIntroduced(1), true);
    releaseDomain(store, 1, UUID);
    assert.equal(store.isIntroduced(1), false);
    assert.deepEqual([dom0.read('/local/domain/1/name'), dom0.directory('/vm')], [undefined, []]);
    assert.equal(guest.get('error'), XENSTORE_ERROR_COMM);
  });
});

describe('requests', () => {
  test('DIRECTORY and READ', () => {
    const { guest } = setUp();
    assert.equal(guest.call(XS.DIRECTORY, 'store\0'), 'port\0ring-ref\0');
    assert.equal(guest.call(XS.DIRECTORY, 'store/port\0'), '');
    assert.equal(guest.call(XS.READ, 'nothing\0'), '!ENOENT');
    assert.equal(guest.call(XS.READ, '/local/domain/0/x\0'), '!EACCES'); // it may not even know
    assert.equal(guest.call(XS.DIRECTORY, '/local/domain\0'), '!EACCES');
  });

  test('malformed payloads', () => {
    const { guest } = setUp();
    for (const text of ['', 'name', 'name\0x', '//\0', 'a//b\0', 'name/\0', 'na me\0', 'n\xffme\0', `${'x'.repeat(2049)}\0`, `/${'x'.repeat(3072)}\0`, '\0', '@introduceDomain\0x\0']) {
      assert.equal(guest.call(XS.READ, text), '!EINVAL', JSON.stringify(text));
    }
    assert.equal(guest.call(XS.WRITE, 'data'), '!EINVAL');
    assert.equal(guest.call(XS.WATCH, 'data\0'), '!EINVAL');
    assert.equal(guest.call(XS.TRANSACTION_END, 'X\0'), '!EINVAL');
    assert.equal(guest.call(XS.SET_PERMS, 'data\0'), '!EINVAL');
    assert.equal(guest.call(XS.SET_PERMS, 'data\0q1\0'), '!EINVAL');
    assert.equal(guest.call(XS.GET_DOMAIN_PATH, 'one\0'), '!EINVAL');
  });

  test('RM', () => {
    const { guest } = setUp();
    guest.call(XS.WRITE, 'data/a/b\x001');
    assert.equal(guest.call(XS.RM, 'data/a\0'), 'OK\0');
    assert.equal(guest.call(XS.READ, 'data/a/b\0'), '!ENOENT');
    assert.equal(guest.call(XS.DIRECTORY, 'data\0'), '');
    assert.equal(guest.call(XS.RM, 'data/a\0'), 'OK\0'); // its parent exists
    assert.equal(guest.call(XS.RM, 'data/x/y\0'), '!ENOENT');
    assert.equal(guest.call(XS.RM, 'name\0'), '!EACCES');
    assert.equal(guest.call(XS.RM, '/\0'), '!EACCES');
  });

  test('MKDIR leaves an existing node alone', () => {
    const { guest } = setUp();
    guest.call(XS.WRITE, 'data/a\0value');
    assert.equal(guest.call(XS.MKDIR, 'data/a\0'), 'OK\0');
    assert.equal(guest.call(XS.READ, 'data/a\0'), 'value');
    assert.equal(guest.call(XS.MKDIR, 'data/b/c\0'), 'OK\0');
    assert.equal(guest.call(XS.READ, 'data/b/c\0'), '');
  });

  test('SET_PERMS', () => {
    const { store, guest } = setUp();
    guest.call(XS.WRITE, 'data/a\0value');
    const other = new LocalClient(store, 2);
    assert.throws(() => other.read('/local/domain/1/data/a'), /EACCES/);
    assert.equal(guest.call(XS.SET_PERMS, 'data/a\0n1\0r2\0'), 'OK\0');
    assert.equal(other.read('/local/domain/1/data/a'), 'value');
    assert.throws(() => other.write('/local/domain/1/data/a', 'x'), /EACCES/);
    assert.equal(guest.call(XS.SET_PERMS, 'data/a\0b1\0'), 'OK\0');
    other.write('/local/domain/1/data/a', 'theirs');
    assert.equal(guest.call(XS.READ, 'data/a\0'), 'theirs');
    assert.equal(guest.call(XS.SET_PERMS, 'data/a\0n2\0'), '!EPERM');
    assert.equal(guest.call(XS.SET_PERMS, 'name\0n1\0'), '!EACCES');
  });

  test('what a guest may not ask', () => {
    const { guest } = setUp();
    for (const type of [XS.CONTROL, XS.INTRODUCE, XS.RELEASE, XS.RESUME, XS.SET_TARGET, XS.IS_DOMAIN_INTRODUCED]) assert.equal(guest.call(type, '1\0'), '!EACCES');
    for (const type of [XS.WATCH_EVENT, XS.ERROR, 20, 23, 0xffff, 0xffffffff]) assert.equal(guest.call(type, '1\0'), '!ENOSYS');
    assert.equal(guest.call(XS.GET_DOMAIN_PATH, '7\0'), '/local/domain/7\0');
  });

  test('DIRECTORY of many children, in parts', () => {
    const { dom0, guest } = setUp();
    const names = Array.from({ length: 600 }, (_, i) => `child-number-${i}`);
    dom0.mkdir('/local/domain/1/many');
    for (const n of names) dom0.mkdir(`/local/domain/1/many/${n}`);
    assert.equal(guest.call(XS.DIRECTORY, 'many\0'), '!E2BIG');
    const found: string[] = [];
    let offset = 0, generation: string | undefined;
    for (;;) {
      const [g, ...list] = guest.call(XS.DIRECTORY_PART, `many\0${offset}\0`).slice(0, -1).split('\0');
      generation ??= g;
      assert.equal(g, generation);
      const whole = list.filter((n) => n !== '');
      found.push(...whole);
      offset += whole.reduce((n, l) => n + l.length + 1, 0);
      if (list.at(-1) === '') break;
    }
    assert.deepEqual(found, names);
    assert.match(guest.call(XS.DIRECTORY_PART, 'many\x00999999\0'), /^\d+\0\0$/);
  });
});

describe('watches', () => {
  test('fire once at the start, behind the reply, then on each change at or below the node', () => {
    const { dom0, guest } = setUp();
    guest.send(XS.WATCH, 'control/shutdown\0token\0');
    assert.deepEqual(guest.messages().map((m) => m.text), ['OK\0', 'control/shutdown\0token\0']);
    dom0.write('/local/domain/1/control/shutdown', 'poweroff');
    dom0.write('/local/domain/1/control/other', 'x');
    assert.deepEqual(guest.takeEvents(), ['control/shutdown\0token\0']);
    dom0.write('/local/domain/1/control/shutdown/below', '');
    assert.deepEqual(guest.takeEvents(), ['control/shutdown/below\0token\0']);
  });

  test('name nodes as the watch did: absolute or relative', () => {
    const { guest } = setUp();
    guest.call(XS.WATCH, '/local/domain/1/data\0abs\0');
    guest.call(XS.WATCH, 'data\0rel\0');
    guest.takeEvents();
    guest.call(XS.WRITE, 'data/x\x001');
    assert.deepEqual(guest.takeEvents(), ['/local/domain/1/data/x\0abs\0', 'data/x\0rel\0']);
  });

  test('on a removed subtree: one for the top, one for each watched node in it', () => {
    const { guest } = setUp();
    guest.call(XS.WRITE, 'data/a/b/c\x001');
    guest.call(XS.WATCH, 'data\0top\0');
    guest.call(XS.WATCH, 'data/a/b\0inner\0');
    guest.takeEvents();
    guest.call(XS.RM, 'data/a\0');
    assert.deepEqual(guest.takeEvents(), ['data/a\0top\0', 'data/a/b\0inner\0']);
  });

  test('tell nothing of what the watcher may not read', () => {
    const { store, dom0, guest } = setUp();
    const other = new RingGuest(store, 2);
    other.call(XS.WATCH, '/local/domain/1\0spy\0');
    other.takeEvents();
    guest.call(XS.WRITE, 'data/x\x001');
    assert.deepEqual(other.takeEvents(), []);
    dom0.setPermissions('/local/domain/1/data/x', [{ domid: 1, read: false, write: false }, { domid: 2, read: true, write: false }]);
    assert.deepEqual(other.takeEvents(), ['/local/domain/1/data/x\0spy\0']);
    dom0.setPermissions('/local/domain/1/data/x', [{ domid: 1, read: false, write: false }]);
    assert.deepEqual(other.takeEvents(), ['/local/domain/1/data/x\0spy\0']); // it could read it before
  });

  test('twice the same, removed, unknown', () => {
    const { guest } = setUp();
    assert.equal(guest.call(XS.WATCH, 'data\0t\0'), 'OK\0');
    assert.equal(guest.call(XS.WATCH, 'data\0t\0'), '!EEXIST');
    assert.equal(guest.call(XS.UNWATCH, 'data\0t\0'), 'OK\0');
    assert.equal(guest.call(XS.UNWATCH, 'data\0t\0'), '!ENOENT');
    guest.takeEvents();
    guest.call(XS.WRITE, 'data\x001');
    assert.deepEqual(guest.takeEvents(), []);
  });

  test('RESET_WATCHES forgets watches and transactions', () => {
    const { guest } = setUp();
    guest.call(XS.WATCH, 'data\0t\0');
    const id = Number(guest.call(XS.TRANSACTION_START, '\0').slice(0, -1));
    guest.takeEvents();
    assert.equal(guest.call(XS.RESET_WATCHES, '\0'), 'OK\0');
    guest.call(XS.WRITE, 'data\x001');
    assert.deepEqual(guest.takeEvents(), []);
    assert.equal(guest.call(XS.READ, 'name\0', id), '!ENOENT');
  });

  test('special events go to domain 0', () => {
    const { store, dom0, guest } = setUp();
    const seen: string[] = [];
    const end = dom0.watch('@introduceDomain', (path) => seen.push(path));
    guest.call(XS.WATCH, '@introduceDomain\0t\0');
    guest.takeEvents();
    introduceDomain(store, { ...TREE, domid: 2, uuid: 'u2' });
    end();
    introduceDomain(store, { ...TREE, domid: 3, uuid: 'u3' });
    assert.deepEqual(seen, ['@introduceDomain', '@introduceDomain']);
    assert.deepEqual(guest.takeEvents(), []);
  });

  test('a watcher that writes does so after the writer has finished', () => {
    const { dom0 } = setUp();
    const order: string[] = [];
    dom0.watch('/local/domain/1/data', (path) => {
      order.push(`begin ${path}`);
      if (path.endsWith('/data')) dom0.write(`${path}/sub`, '');
      order.push(`end ${path}`);
    });
    assert.deepEqual(order, ['begin /local/domain/1/data', 'end /local/domain/1/data', 'begin /local/domain/1/data/sub', 'end /local/domain/1/data/sub']);
  });
});

describe('transactions', () => {
  const start = (guest: RingGuest): number => Number(guest.call(XS.TRANSACTION_START, '\0').slice(0, -1));

  test('show nothing before the end, all of it then, and fire watches then', () => {
    const { dom0, guest } = setUp();
    guest.call(XS.WATCH, 'data\0t\0');
    guest.takeEvents();
    const id = start(guest);
    assert.equal(guest.call(XS.WRITE, 'data/a\x001', id), 'OK\0');
    assert.equal(guest.call(XS.READ, 'data/a\0', id), '1');
    assert.equal(guest.call(XS.READ, 'data/a\0'), '!ENOENT');
    assert.equal(dom0.read('/local/domain/1/data/a'), undefined);
    assert.deepEqual(guest.takeEvents(), []);
    assert.equal(guest.call(XS.TRANSACTION_END, 'T\0', id), 'OK\0');
    assert.equal(guest.call(XS.READ, 'data/a\0'), '1');
    assert.deepEqual(guest.takeEvents(), ['data/a\0t\0']);
    assert.equal(guest.call(XS.TRANSACTION_END, 'T\0', id), '!ENOENT');
    assert.equal(guest.call(XS.TRANSACTION_END, 'T\0'), '!ENOENT');
  });

  test('dropped', () => {
    const { guest } = setUp();
    const id = start(guest);
    guest.call(XS.WRITE, 'data/a\x001', id);
    assert.equal(guest.call(XS.TRANSACTION_END, 'F\0', id), 'OK\0');
    assert.equal(guest.call(XS.READ, 'data/a\0'), '!ENOENT');
  });

  test('overtaken: on a node that it read, wrote, or found missing', () => {
    for (const [type, text] of [[XS.READ, 'data/seen\0'], [XS.WRITE, 'data/seen\0mine'], [XS.READ, 'data/missing\0']] as const) {
      const { dom0, guest } = setUp();
      dom0.write('/local/domain/1/data/seen', 'old');
      const id = start(guest);
      guest.call(type, text, id);
      dom0.write(`/local/domain/1/data/${text.includes('missing') ? 'missing' : 'seen'}`, 'new');
      assert.equal(guest.call(XS.TRANSACTION_END, 'T\0', id), '!EAGAIN');
      assert.equal(dom0.read('/local/domain/1/data/seen'), text.includes('missing') ? 'old' : 'new');
    }
  });

  test('not overtaken by changes elsewhere', () => {
    const { dom0, guest } = setUp();
    const id = start(guest);
    guest.call(XS.WRITE, 'data/a\x001', id);
    dom0.write('/local/domain/1/memory/target', '1');
    assert.equal(guest.call(XS.TRANSACTION_END, 'T\0', id), 'OK\0');
  });

  test('none within another, none of an unknown number', () => {
    const { guest } = setUp();
    assert.equal(guest.call(XS.TRANSACTION_START, '\0', start(guest)), '!EBUSY');
    assert.equal(guest.call(XS.READ, 'name\0', 4711), '!ENOENT');
  });
});

describe('quotas', () => {
  test('nodes', () => {
    const { guest } = setUp();
    let made = 0;
    for (; made < 2000; made++) if (guest.call(XS.MKDIR, `data/${made % 30}/${made}\0`) === '!ENOSPC') break;
    assert.ok(made > 900 && made < 1000, `${made}`);
    assert.equal(guest.call(XS.RM, 'data\0'), 'OK\0');
  });
  test('the size of a node', () => {
    const { guest } = setUp();
    assert.equal(guest.call(XS.WRITE, `data/a\0${'x'.repeat(1900)}`), 'OK\0');
    assert.equal(guest.call(XS.WRITE, `data/a\0${'x'.repeat(2100)}`), '!ENOSPC');
    assert.equal(guest.call(XS.READ, 'data/a\0').length, 1900);
  });
  test('watches, transactions, permissions', () => {
    const { guest } = setUp();
    for (let i = 0; i < 128; i++) assert.equal(guest.call(XS.WATCH, `data\0${i}\0`), 'OK\0');
    assert.equal(guest.call(XS.WATCH, 'data\0more\0'), '!E2BIG');
    for (let i = 0; i < 10; i++) assert.match(guest.call(XS.TRANSACTION_START, '\0'), /^\d+\0$/);
    assert.equal(guest.call(XS.TRANSACTION_START, '\0'), '!ENOSPC');
    assert.equal(guest.call(XS.SET_PERMS, 'data\0n1\0r2\0r3\0r4\0r5\0r6\0'), '!ENOSPC');
  });
});

describe('the ring', () => {
  test('announces its features', () => assert.equal(setUp().guest.get('server_features'), XENSTORE_SERVER_FEATURE_ERROR));

  test('carries messages longer than itself, at any position, across the wrap of the indices', () => {
    const { guest } = setUp();
    for (const field of ['req_cons', 'req_prod', 'rsp_cons', 'rsp_prod'] as const) guest.set(field, 0xffff_fe00);
    const value = 'abcdefghij'.repeat(190);
    for (let i = 0; i < 5; i++) {
      assert.equal(guest.call(XS.WRITE, `data/long\0${value}${i}`), 'OK\0');
      assert.equal(guest.call(XS.READ, 'data/long\0'), `${value}${i}`);
    }
    assert.equal(guest.server.error, 0);
  });

  test('keeps an unread reply until there is room, and stops reading requests meanwhile', () => {
    const { guest } = setUp();
    guest.call(XS.WRITE, `data/long\0${'x'.repeat(900)}`);
    const request = encode({ type: XS.READ, requestId: 9, transactionId: 0, payload: Uint8Array.from('data/long\0', (c) => c.charCodeAt(0)) });
    for (let i = 0; i < 25; i++) guest.put(request);
    assert.ok(guest.get('req_prod') - guest.get('req_cons') > 0, 'requests wait');
    assert.equal(guest.messages().length, 25);
  });

  test('notifies when something moved, and only then', () => {
    const { guest } = setUp();
    guest.notified = 0;
    guest.server.onEvent();
    assert.equal(guest.notified, 0);
    guest.send(XS.READ, 'name\0');
    assert.ok(guest.notified > 0);
  });

  test('senseless indices end the connection', () => {
    for (const field of ['req_prod', 'req_cons', 'rsp_prod', 'rsp_cons'] as const) {
      const { guest, dom0 } = setUp();
      guest.set(field, 5000);
      guest.send(XS.READ, 'name\0');
      assert.equal(guest.get('error'), XENSTORE_ERROR_RINGIDX, field);
      const before = guest.get('req_cons');
      guest.server.onEvent();
      assert.equal(guest.get('req_cons'), before);
      dom0.write('/local/domain/1/data', 'the store lives');
    }
  });

  test('a payload beyond the maximum ends the connection', () => {
    const { guest } = setUp();
    const request = encode({ type: XS.READ, requestId: 1, transactionId: 0, payload: new Uint8Array(0) });
    new DataView(request.buffer).setUint32(12, 4097, true);
    guest.put(request);
    assert.equal(guest.get('error'), XENSTORE_ERROR_PROTO);
  });

  test('a guest that never reads its events is cut off, others are served', () => {
    const { store, guest } = setUp();
    const other = new RingGuest(store, 0);
    for (let i = 0; i < 120; i++) guest.call(XS.WATCH, `data\0${'t'.repeat(1900)}${i}\0`);
    for (let i = 0; i < 30 && guest.server.error === 0; i++) new LocalClient(store).write(`/local/domain/1/data/${i}`, '');
    guest.server.onEvent();
    assert.equal(guest.get('error'), XENSTORE_ERROR_COMM);
    assert.equal(other.call(XS.READ, '/local/domain/1/name\0'), 'domu');
  });

  test('random bytes and indices: never an exception of ours, never a byte outside the page', () => {
    let seed = 7;
    const random = (n: number): number => { seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0; return Math.floor((seed / 2 ** 32) * n); };
    for (let round = 0; round < 300; round++) {
      const { guest, dom0 } = setUp();
      for (let i = 0; i < 40; i++) {
        const kind = random(10);
        if (kind === 0) guest.set((['req_cons', 'req_prod', 'rsp_cons', 'rsp_prod'] as const)[random(4)] ?? 'req_prod', random(2) ? random(2 ** 32) : random(3000));
        else if (kind < 4) guest.server.onEvent();
        else {
          const payload = Uint8Array.from({ length: random(60) }, () => random(4) ? 97 + random(3) : [0, 47, 48, 64][random(4)] ?? 0);
          const bytes = encode({ type: random(25), requestId: random(9), transactionId: random(3) ? 0 : random(4), payload });
          if (random(12) === 0) bytes[random(bytes.length)] = random(256);
          if (guest.server.error === 0 && guest.get('req_prod') - guest.get('req_cons') <= 1024) guest.put(bytes);
          if (random(3)) guest.server.onEvent();
        }
      }
      const page = guest.ring;
      assert.ok(guest.capsule.u8.subarray(page - 4096, page).every((b) => b === 0) && guest.capsule.u8.subarray(page + 4096, page + 8192).every((b) => b === 0));
      assert.equal(dom0.read('/local/domain/1/name'), 'domu');
    }
  });
});
