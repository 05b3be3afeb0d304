import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, afterEach, describe, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { XS } from '#abi/io/xs-wire.ts';
import { introduceDomain } from '#toolstack/xenstore/domain-tree.ts';
import { LocalClient } from '#toolstack/xenstore/local-client.ts';
import { QUOTA } from '#toolstack/xenstore/quota.ts';
import { Store } from '#toolstack/xenstore/store.ts';
import { decodeHeader, encode, HEADER_SIZE, toBytes, toText } from '#toolstack/xenstore/wire.ts';
import { storePace, XenstoreSocket } from './xenstore-socket.ts';

const UUID = '7a1ad6c6-e649-11f1-98dc-eb5bf4235513';
const TREE = { domid: 1, name: 'domu', uuid: UUID, memoryKiB: 262144, vcpus: 1, storePort: 1, storeMfn: 378881, consolePort: 2, consoleMfn: 378882 };

const directory = mkdtempSync(join(tmpdir(), 'xenith-xenstore-'));
const path = join(directory, 'socket');
let store: Store, server: XenstoreSocket;
beforeEach(async () => {
  store = new Store(storePace);
  introduceDomain(store, TREE);
  server = await XenstoreSocket.listen(store, path);
});
afterEach(() => server.close());
after(() => rmSync(directory, { recursive: true, force: true }));

const sleep = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms); });
async function until(what: () => boolean): Promise<void> {
  for (const end = performance.now() + 5000; !what(); await sleep(2)) assert.ok(performance.now() < end, `waited in vain: ${what}`);
}

const message = (type: number, text: string, requestId = 1): Uint8Array => encode({ type, requestId, transactionId: 0, payload: toBytes(text) });

class Client {
  readonly socket: Socket = createConnection({ path, allowHalfOpen: true });
  received: Uint8Array = new Uint8Array(0);
  closed = false;
  constructor(reads = true) {
    if (reads) this.socket.on('data', (bytes: Buffer) => { this.received = Buffer.concat([this.received, bytes]); });
    this.socket.on('error', () => {});
    this.socket.on('close', () => { this.closed = true; });
    this.socket.on('end', () => this.socket.end());
  }
  /** Messages that are here in full, taken out. */
  messages(): { type: number; requestId: number; text: string }[] {
    const list = [];
    while (this.received.length >= HEADER_SIZE) {
      const { type, requestId, length } = decodeHeader(Uint8Array.from(this.received.subarray(0, HEADER_SIZE)));
      if (this.received.length < HEADER_SIZE + length) break;
      list.push({ type, requestId, text: toText(this.received.subarray(HEADER_SIZE, HEADER_SIZE + length)) });
      this.received = this.received.subarray(HEADER_SIZE + length);
    }
    return list;
  }
  async answers(n: number): Promise<string[]> {
    const list: string[] = [];
    await until(() => { list.push(...this.messages().map((m) => m.text)); return list.length >= n || this.closed; });
    return list;
  }
}

describe('the tools of xenstore-utils', () => {
  let missing: string | false = false;
  before(async () => {
    try {
      await promisify(execFile)('xenstore-ls', ['-h']);
    } catch (e) {
      if ((e as { code?: unknown }).code === 'ENOENT') missing = 'xenstore-ls is not there: apt-get install xenstore-utils';
    }
  });
  const env = (): NodeJS.ProcessEnv => ({ ...process.env, XENSTORED_PATH: path });
  /** Output and exit status of a tool. */
  const run = async (tool: string, ...args: string[]): Promise<{ out: string; status: number }> => new Promise((resolve) => {
    execFile(`xenstore-${tool}`, args, { env: env(), timeout: 10_000 }, (error, out) => resolve({ out, status: error ? Number(error.code) : 0 }));
  });
  const tool = (name: string, body: (t: TestContext) => Promise<void>): void => {
    test(name, async (t) => {
      if (missing !== false) { t.skip(missing); return; }
      await body(t);
    });
  };

  tool('ls', async () => {
    const { out, status } = await run('ls', '-f', '-p', '/local/domain/1/console');
    assert.equal(status, 0);
    assert.deepEqual(out.trim().split('\n').slice(0, 3), ['/local/domain/1/console/backend = "/local/domain/0/backend/console/1/0"   (n0,r1)', '/local/domain/1/console/backend-id = "0"   (n0,r1)', '/local/domain/1/console/limit = "1048576"   (n0,r1)']);
    assert.equal((await run('ls', '/nothing')).status, 1);
  });

  tool('read, write, exists, list, rm', async () => {
    assert.deepEqual(await run('write', '/a/b', 'one', '/a/c', 'two words'), { out: '', status: 0 });
    assert.deepEqual(await run('read', '/a/b', '/a/c'), { out: 'one\ntwo words\n', status: 0 });
    assert.deepEqual(await run('read', '-p', '/local/domain/1/name'), { out: '/local/domain/1/name: domu\n', status: 0 });
    assert.deepEqual(await run('list', '/a'), { out: 'b\nc\n', status: 0 });
    assert.equal((await run('exists', '/a/b')).status, 0);
    assert.equal((await run('exists', '/a/nothing')).status, 1);
    assert.equal((await run('read', '/a/nothing')).status, 1);
    assert.equal((await run('rm', '/a')).status, 0);
    assert.equal((await run('exists', '/a/b')).status, 1);
    assert.equal(new LocalClient(store).read('/a'), undefined);
  });

  tool('chmod', async () => {
    await run('write', '/a/b', 'x');
    assert.equal((await run('chmod', '-r', '/a', 'n1', 'r2')).status, 0);
    assert.equal((await run('ls', '-f', '-p', '/a')).out, '/a/b = "x"   (n1,r2)\n');
    assert.equal(new LocalClient(store, 2).read('/a/b'), 'x');
  });

  tool('watch', async () => {
    const watch = spawn('xenstore-watch', ['-n', '3', '/local/domain/1/data'], { env: env(), stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '';
    watch.stdout.on('data', (bytes) => { out += bytes; });
    const ended = new Promise<number | null>((resolve) => { watch.on('close', resolve); });
    await until(() => out !== '');
    new LocalClient(store).write('/local/domain/1/data/x', '1');
    await run('write', '/local/domain/1/data/y', '2');
    assert.equal(await ended, 0);
    assert.equal(out, ['', '/x', '/y'].map((leaf) => `/local/domain/1/data${leaf}\n`).join(''));
  });

  tool('many at once', async () => {
    const results = await Promise.all(Array.from({ length: 12 }, (_, i) => run('write', `/many/${i}`, `${i}`)));
    assert.ok(results.every((r) => r.status === 0));
    assert.equal(new LocalClient(store).directory('/many').length, 12);
  });

  test('Xen\'s own test of a xenstored', async (t) => {
    const [program] = globSync('/usr/lib/xen-*/bin/test-xenstore');
    if (program === undefined) { t.skip('test-xenstore is not there: apt-get install xen-utils-4.17'); return; }
    const { stdout } = await promisify(execFile)(program, [], { env: env(), timeout: 20_000 });
    assert.match(stdout, /ta err +: +\d+ ns/);
  });

  tool('find it by its directory too', async () => {
    const { stdout } = await promisify(execFile)('xenstore-read', ['/local/domain/1/name'], { env: { ...process.env, XENSTORED_PATH: undefined, XENSTORED_RUNDIR: directory } });
    assert.equal(stdout, 'domu\n');
  });
});

describe('clients', () => {
  test('send in pieces, and several messages at once', async () => {
    const client = new Client();
    const bytes = Buffer.concat([message(XS.WRITE, '/x\0value'), message(XS.READ, '/x\0')]);
    for (const b of bytes) {
      client.socket.write(Uint8Array.of(b));
      await sleep(0);
    }
    assert.deepEqual(await client.answers(2), ['OK\0', 'value']);
    client.socket.write(Buffer.concat(Array.from({ length: 500 }, (_, i) => message(XS.WRITE, `/many/${i}\0`, i))));
    assert.equal((await client.answers(500)).length, 500);
    client.socket.destroy();
  });

  test('that have said their last still get their replies', async () => {
    const client = new Client();
    client.socket.end(message(XS.READ, '/local/domain/1/name\0'));
    assert.deepEqual(await client.answers(1), ['domu']);
    await until(() => client.closed);
    await until(() => server.size === 0);
  });

  test('take their watches and transactions with them', async () => {
    const client = new Client();
    client.socket.write(message(XS.WATCH, '/x\0t\0'));
    client.socket.write(message(XS.TRANSACTION_START, '\0'));
    await client.answers(3);
    assert.deepEqual([store.watches.size, store.usageOf(0).transactions], [1, 1]);
    client.socket.destroy();
    await until(() => server.size === 0);
    assert.deepEqual([store.watches.size, store.usageOf(0).transactions], [0, 0]);
  });

  test('that send no messages are cut off, others are served', async () => {
    const bad = new Client(), good = new Client();
    bad.socket.write(Uint8Array.from({ length: 64 }, () => 0xff));
    await until(() => bad.closed);
    good.socket.write(message(XS.READ, '/local/domain/1/name\0'));
    assert.deepEqual(await good.answers(1), ['domu']);
    good.socket.destroy();
  });

  test('random bytes and half messages end nothing but their connection', async () => {
    let seed = 3;
    const random = (n: number): number => { seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0; return Math.floor((seed / 2 ** 32) * n); };
    for (let i = 0; i < 60; i++) {
      const client = new Client(random(2) === 0);
      const bytes = message(random(30), Array.from({ length: random(4) }, () => ['/x', 'T', '', '1'][random(4)]).join('\0'), random(99));
      if (random(2)) bytes[random(bytes.length)] = random(256);
      client.socket.write(bytes.subarray(0, random(3) ? bytes.length : random(bytes.length)));
      await sleep(1);
      client.socket.destroy();
    }
    await until(() => server.size === 0);
    const client = new Client();
    client.socket.write(message(XS.READ, '/local/domain/1/name\0'));
    assert.deepEqual(await client.answers(1), ['domu']);
    client.socket.destroy();
  });

  test('that do not read are not read from; nothing piles up', async () => {
    new LocalClient(store).write('/big', 'x'.repeat(4000));
    const slow = new Client(false);
    let sent = 0, blocked = false;
    while (!blocked && sent < 20_000) {
      blocked = !slow.socket.write(message(XS.READ, '/big\0', ++sent));
      if (blocked) await Promise.race([new Promise((resolve) => { slow.socket.once('drain', resolve); }), sleep(200)]).then(() => { blocked = slow.socket.writableNeedDrain; });
    }
    assert.ok(blocked, 'the server stopped reading');
    slow.socket.on('data', (bytes: Buffer) => { slow.received = Buffer.concat([slow.received, bytes]); });
    const replies: number[] = [];
    await until(() => { replies.push(...slow.messages().map((m) => m.requestId)); return replies.length === sent; });
    assert.deepEqual(replies, replies.map((_, i) => i + 1), 'in order, none lost');
    slow.socket.destroy();
  });

  test('that do not read their events are cut off', async () => {
    const slow = new Client(false);
    for (let i = 0; i < 100; i++) slow.socket.write(message(XS.WATCH, `/w\0${'t'.repeat(3000)}${i}\0`));
    await until(() => store.watches.size === 100 || slow.closed);
    const writer = new LocalClient(store);
    for (let i = 0; i < 400 && store.watches.size > 0; i++) writer.write(`/w/${i}`, '');
    assert.equal(store.watches.size, 0, `more than ${QUOTA.privilegedOutputBytes} bytes waited`);
    await until(() => server.size === 0);
    slow.socket.destroy();
  });
});

describe('the socket file', () => {
  test('is its owner\'s alone, and goes with the server', async () => {
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const client = new Client();
    await until(() => server.size === 1);
    await server.close();
    assert.equal(existsSync(path), false);
    await until(() => client.closed);
    await server.close();
  });

  test('is not taken from a server that lives, nor from what is no socket', async () => {
    await assert.rejects(XenstoreSocket.listen(store, path), { code: 'EADDRINUSE' });
    const file = join(directory, 'file');
    writeFileSync(file, 'precious');
    await assert.rejects(XenstoreSocket.listen(store, file), { code: 'EADDRINUSE' });
    await assert.rejects(XenstoreSocket.listen(store, join(directory, 'nowhere/socket')), { code: 'ENOENT' });
  });

  test('of a server that died is replaced; one that took our place stays', async () => {
    const dead = join(directory, 'dead');
    await new Promise((resolve) => { spawn(process.execPath, ['-e', `require('net').createServer().listen(${JSON.stringify(dead)}, () => process.kill(process.pid, 'SIGKILL'))`]).on('close', resolve); });
    assert.ok(existsSync(dead));
    const first = await XenstoreSocket.listen(store, dead);
    rmSync(dead);
    const second = await XenstoreSocket.listen(store, dead);
    await first.close();
    assert.ok(existsSync(dead));
    await second.close();
    assert.ok(!existsSync(dead));
  });
});
