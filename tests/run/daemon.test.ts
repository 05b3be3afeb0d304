// A machine of several domains, from the outside: the daemon and the commands that it answers.

import assert from 'node:assert/strict';
import { execFileSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ended, start, xenith, type Ended } from './xenith.ts';

interface Info { readonly domid: number; readonly name: string; readonly state: string; readonly time: number; readonly vcpus: number; readonly memory: number }

const state = mkdtempSync(join(tmpdir(), 'xenith-daemon-'));
const socket = join(state, 'xenith.sock');
let daemon: ChildProcess;
let log = '';

async function startDaemon(): Promise<void> {
  const child = start(['daemon', '--state', state]);
  child.stderr.on('data', (bytes: Buffer) => { log += bytes.toString(); });
  daemon = child;
  const count = log.split('ready;').length;
  for (let i = 0; log.split('ready;').length === count; i++) {
    assert.ok(i < 200, `the daemon gets ready: ${log}`);
    await wait(50);
  }
}
const wait = (ms: number): Promise<void> => new Promise((done) => { setTimeout(done, ms); });
const call = (command: string, ...words: string[]): Promise<Ended> => xenith([command, '--state', state, ...words]);
async function ok(command: string, ...words: string[]): Promise<string> {
  const r = await call(command, ...words);
  assert.equal(r.status, 0, r.err);
  return r.out;
}
const list = async (...which: string[]): Promise<Info[]> => JSON.parse(await ok('list', '--json', ...which)) as Info[];
const one = async (which: string): Promise<Info> => (await list(which))[0] as Info;
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let i = 0; !await holds(); i++) {
    assert.ok(i < 100, what);
    await wait(200);
  }
}
/** What bert gets of the time that anna and bert have together, over a few seconds. */
async function partOfBert(): Promise<number> {
  const before = await list('anna', 'bert');
  await wait(3000);
  const [anna, bert] = (await list('anna', 'bert')).map((d, i) => d.time - (before[i] as Info).time) as [number, number];
  return bert / (anna + bert);
}
/** Types at a console until it says something. */
function converse(which: string, input: string, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    const c = connect(socket);
    let heard = '';
    const timer = setTimeout(() => reject(new Error(`the console said: ${heard}`)), 30_000);
    c.on('data', (bytes: Buffer) => {
      heard += bytes.toString();
      if (!pattern.test(heard)) return;
      clearTimeout(timer);
      c.destroy();
      resolve(heard);
    });
    c.write(`${JSON.stringify({ command: 'console', domain: which })}\n${input}`);
  });
}
/** Sends bytes as they are; what comes back until the connection ends. */
function raw(bytes: string | Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    const c = connect(socket);
    let heard = '';
    c.on('data', (b: Buffer) => { heard += b.toString(); });
    c.on('close', () => resolve(heard));
    c.on('error', reject);
    c.write(bytes);
  });
}

describe('a machine of several domains', { timeout: 240_000 }, () => {
  before(startDaemon);
  after(() => {
    daemon.kill('SIGKILL');
    rmSync(state, { recursive: true, force: true });
  });

  test('domains are created, listed in the columns of xl, and found by name and number', async () => {
    for (const name of ['anna', 'bert', 'carl']) await ok('create', `name="${name}"`, 'memory=48');
    const text = await ok('list');
    assert.match(text, /^Name +ID +Mem VCPUs\tState\tTime\(s\)\nDomain-0 +0 /);
    assert.match(text, /\nanna +1 +48 +1 +[r-][b-]---- +\d+\.\d/);
    assert.equal(await ok('domid', 'bert'), '2');
    assert.equal(await ok('domname', '3'), 'carl');
    assert.match(await ok('uptime', 'carl'), /carl +3 00:0\d:\d\d/);
  });

  test('domains that start at the same time do not get in each other’s way', async () => {
    const names = ['e1', 'e2', 'e3', 'e4', 'e5', 'e6'];
    await Promise.all(names.map((name) => ok('create', `name="${name}"`, 'memory=48')));
    await Promise.all(names.map((name) => converse(name, 'echo up and run""ning\n', /up and running/)));
    for (const name of names) await ok('destroy', name);
  });

  test('each has a console of its own, which lives on when nobody looks', async () => {
    for (const name of ['anna', 'bert']) assert.match(await converse(name, 'hostname; expr 40 + 2\n', /42/), new RegExp(name));
    assert.match(await converse('anna', '', /42/), /anna/, 'what was said before is still there');
  });

  test('a paused domain does not run; one that goes on does', async () => {
    await ok('create', '-p', 'name="dora"', 'memory=48');
    assert.equal((await one('dora')).state, '--p---');
    await wait(300);
    assert.equal((await one('dora')).time, 0);
    await ok('unpause', 'dora');
    await until('it runs', async () => (await one('dora')).time > 0.1);
    await ok('pause', 'dora');
    const { time } = await one('dora');
    await wait(300);
    assert.equal((await one('dora')).time, time);
    await ok('destroy', 'dora');
    assert.match((await call('list', 'dora')).err, /dora: no such domain/);
  });

  test('guests power off and reboot when they are asked to', async () => {
    await converse('carl', '\n', /#|\$/);
    await ok('reboot', 'carl');
    await until('it comes back under another number', async () => (await list()).some((d) => d.name === 'carl' && d.domid > 3));
    await converse('carl', 'echo ag""ain\n', /again/);
    await ok('shutdown', '-w', 'carl');
    assert.ok(!(await list()).some((d) => d.name === 'carl'));
  });

  test('busy domains share the processor, and an idle one beside them answers', async () => {
    for (const name of ['anna', 'bert']) await converse(name, 'while :; do :; done & echo bu""sy\n', /busy/);
    await ok('create', 'name="idle"', 'memory=48');
    await converse('idle', 'echo re""ady\n', /ready/);
    assert.ok(Math.abs(await partOfBert() - 0.5) < 0.15, 'equal weights');
    await ok('sched-credit2', '-d', 'bert', '-w', '768');
    assert.match(await ok('sched-credit2'), /bert +2 +768 +0/);
    assert.ok(Math.abs(await partOfBert() - 0.75) < 0.12, 'three times the weight');
    await ok('sched-credit2', '-d', 'bert', '-w', '256');
    const begin = performance.now();
    await converse('idle', 'echo at on""ce\n', /at once/);
    assert.ok(performance.now() - begin < 2000);
  });

  test('a domain gets another name, once', async () => {
    await ok('rename', 'idle', 'ida');
    assert.equal((await one('ida')).name, 'ida');
    assert.match((await call('rename', 'ida', 'anna')).err, /anna: there is a domain of that name/);
  });

  test('what cannot be is refused with a reason', async () => {
    for (const [words, reason] of [
      [['destroy', 'nobody'], /nobody: no such domain/], [['destroy', 'Domain-0'], /Domain-0 is the machine itself/], [['create', 'name="anna"'], /there is a domain of that name/],
      [['create', 'name="x"', 'memory=1'], /too little memory/], [['create', 'name="x"', 'kernel="/nowhere"'], /\/nowhere: no such file/],
      [['rename', 'anna'], /words are missing/], [['sched-credit2', '-d', 'anna', '-w', '0'], /weight 0: not from 1 to 65535/], [['sched-credit2', '-w', '1'], /need -d DOMAIN/], [['list', '--frob'], /list: .*--frob/],
    ] as const) {
      const [command, ...rest] = words;
      const r = await call(command, ...rest);
      assert.notEqual(r.status, 0);
      assert.match(r.err, reason);
    }
    assert.match((await xenith(['list', '--state', join(state, 'none')])).err, /no daemon runs .*xenith daemon/);
  });

  test('hostile requests are answered or cut off, and harm nobody', async () => {
    for (const bytes of ['\n', 'nonsense\n', '{"command":"create"}\n', '{"command":"console"}\n', '{"command":"toString"}\n', 'null\n', '[]\n', `{"command":"list","x":"${'y'.repeat(100_000)}"}\n`]) {
      assert.match(await raw(bytes), /^\{"ok":false,"error":".+"\}\n$/, bytes.slice(0, 40));
    }
    assert.ok((await list()).length >= 3);
  });

  test('xenstore-ls sees the domains', { skip: existsSync('/usr/bin/xenstore-ls') ? false : 'no xenstore-ls (Debian: xenstore-utils)' }, () => {
    const tree = execFileSync('xenstore-ls', ['/local/domain/1'], { encoding: 'utf8', env: { ...process.env, XENSTORED_PATH: join(state, 'xenstored.sock') } });
    assert.match(tree, /^name = "anna"$/m);
  });

  test('the socket is its owner’s, and there is one daemon for each state', async () => {
    assert.equal(statSync(socket).mode & 0o777, 0o600);
    const second = await xenith(['daemon', '--state', state]);
    assert.equal(second.status, 1);
    assert.match(second.err, /a daemon runs already/);
  });

  test('killed, it can be started again; told to end, it leaves nothing', async () => {
    const killed = new Promise((done) => { daemon.once('close', done); });
    daemon.kill('SIGKILL');
    await killed;
    assert.match((await call('list')).err, /no daemon runs/);
    await startDaemon();
    await ok('create', 'name="anna"', 'memory=48');
    const result = ended(daemon as Parameters<typeof ended>[0]);
    daemon.kill('SIGTERM');
    assert.equal((await result).status, 0);
    assert.ok(!existsSync(socket));
    assert.ok(!existsSync(join(state, 'xenstored.sock')));
    assert.match(log, /domain 1 \(anna\): destroyed/);
  });
});
