// A machine of several domains, from the outside: the daemon and the commands that it answers.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { DomainInfo } from '#hosts/node/daemon/protocol.ts';
import { wait } from '#hosts/node/testing/wait.ts';
import { Daemon } from '../daemon/daemon-process.ts';
import { xenith } from './xenith.ts';

const daemon = new Daemon(['--cpus', '2']);
const { state, socket } = daemon;
const call: Daemon['call'] = (...words) => daemon.call(...words);
const ok: Daemon['ok'] = (...words) => daemon.ok(...words);
const list: Daemon['list'] = (...which) => daemon.list(...which);
const one: Daemon['one'] = (which) => daemon.one(which);
const until: Daemon['until'] = (what, holds) => daemon.until(what, holds);
const converse: Daemon['converse'] = (which, input, pattern) => daemon.converse(which, input, pattern);

/** A small guest (tests/guests/src/peers.c). */
const PEERS = join(import.meta.dirname, '../guests/prebuilt/peers.elf.gz');
/** Bert gets this part of the time that anna and bert have together, over a few seconds; over some more on a machine that is busy with other things. */
async function expectPartOfBert(part: number, tolerance: number): Promise<void> {
  const before = await list('anna', 'bert');
  let got = NaN;
  for (let i = 0; i < 8 && !(Math.abs(got - part) < tolerance); i++) {
    await wait(3000);
    const [anna, bert] = (await list('anna', 'bert')).map((d, j) => d.time - (before[j] as DomainInfo).time) as [number, number];
    got = bert / (anna + bert);
  }
  assert.ok(Math.abs(got - part) < tolerance, `bert got ${got}, not ${part}`);
}

describe('a machine of several domains', { timeout: 290_000 }, () => {
  before(() => daemon.start());
  after(() => daemon.remove());

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

  test('domains have event channels between them', async () => {
    await ok('create', '-p', 'name="before"', 'memory=48');
    const offers = (await one('before')).domid + 1; // the numbers that the next two get
    await ok('destroy', 'before');
    const peer = (name: string, extra: string): Promise<string> => ok('create', `name="${name}"`, `kernel="${PEERS}"`, `extra="${extra}"`, 'memory=8', 'on_poweroff="preserve"');
    await peer('offers', `offer ${offers + 1}`);
    await peer('binds', `bind ${offers} 3`);
    for (const name of ['offers', 'binds']) {
      const said = await converse(name, '', /^1\.\.\d+/m);
      assert.doesNotMatch(said, /not ok|Bail/);
      await until('it has ended', async () => (await one(name)).state === '---s--');
      await ok('destroy', name);
    }
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
    for (const name of ['anna', 'bert']) await ok('vcpu-pin', name, 'all', '0');
    await expectPartOfBert(0.5, 0.1);
    await ok('sched-credit2', '-d', 'bert', '-w', '768');
    assert.match(await ok('sched-credit2'), /bert +2 +768 +0/);
    await expectPartOfBert(0.75, 0.08);
    await ok('sched-credit2', '-d', 'bert', '-w', '256');
    const begin = performance.now();
    await converse('idle', 'echo at on""ce\n', /at once/);
    assert.ok(performance.now() - begin < 2000);
  });

  test('domains on two CPUs run at the same time, and a list says where', async () => {
    await ok('vcpu-pin', 'bert', '0', '1');
    const before = await list('anna', 'bert');
    const begin = performance.now();
    await wait(3000);
    const [anna, bert] = (await list('anna', 'bert')).map((d, i) => (d.time - (before[i] as DomainInfo).time) / (performance.now() - begin) * 1000) as [number, number];
    assert.ok(anna > 0.7 && bert > 0.7, `parts of the time: ${anna}, ${bert}`);
    assert.match(await ok('vcpu-list'), /\nanna +1 +0 +0 +[r-][b-]- +\d+\.\d +0 \/ all\nbert +2 +0 +1 +[r-][b-]- +\d+\.\d +1 \/ all\n/);
    assert.deepEqual((JSON.parse(await ok('vcpu-list', '--json', 'bert')) as { cpu: number; affinity: string }[]).map(({ cpu, affinity }) => [cpu, affinity]), [[1, '1']]);
  });

  test('a domain moves by itself when that evens out the load', async () => {
    await ok('vcpu-pin', 'bert', 'all', '0');
    assert.equal((await one('bert')).cpu, 0);
    for (const name of ['anna', 'bert']) await ok('vcpu-pin', name, 'all', 'all');
    await until('each has a CPU of its own', async () => new Set((await list('anna', 'bert')).map((d) => d.cpu)).size === 2);
  });

  test('pins that cannot be are refused; cpus= of a file holds', async () => {
    assert.match((await call('vcpu-pin', 'anna', '1', '0')).err, /vCPU 1: the domain has vCPUs 0 to 0/);
    assert.match((await call('vcpu-pin', 'anna', 'all', '7')).err, /the vCPUs cannot be distributed so/);
    assert.match((await call('vcpu-pin', 'anna', 'all', 'x')).err, /cpus: “x” is not a CPU/);
    assert.match((await call('vcpu-pin', 'anna', 'x', '0')).err, /neither the number of a vCPU nor all/);
    assert.match((await call('create', 'name="three"', 'memory=48', 'vcpus=3', 'cpus=["0","0","1"]')).err, /the vCPUs cannot be distributed so: there are CPUs 0 to 1/);
    await ok('create', 'name="each"', 'memory=48', 'vcpus=2', 'cpus=["1","0"]');
    await converse('each', 'echo cp""us $(grep -c ^processor /proc/cpuinfo)\n', /cpus 2/);
    assert.match(await ok('vcpu-list', 'each'), /each +\d+ +0 +1 .* 1 \/ all\neach +\d+ +1 +0 .* 0 \/ all$/);
    await ok('destroy', 'each');
    await ok('create', '-p', 'name="two"', 'memory=48', 'vcpus=2', 'cpus=["0-1","1"]');
    assert.match(await ok('vcpu-list', 'two'), /two +\d+ +0 +0 +--- .* all \/ all\ntwo +\d+ +1 +- +--p .* 1 \/ all$/);
    await ok('destroy', 'two');
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
      assert.match(await daemon.raw(bytes), /^\{"ok":false,"error":".+"\}\n$/, bytes.slice(0, 40));
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

  test('killed, it can be started again, with the domains that ran; told to end, it asks them to power off, and leaves nothing', async () => {
    const names = (await list()).map((d) => d.name);
    await daemon.kill();
    assert.match((await call('list')).err, /no daemon runs/);
    await daemon.start();
    assert.deepEqual((await list()).map((d) => d.name), names);
    assert.equal(await daemon.stop(), 0);
    assert.ok(!existsSync(socket));
    assert.ok(!existsSync(join(state, 'xenstored.sock')));
    assert.match(daemon.log, /domain 1 \(anna\): poweroff; destroy\n/);
  });
});
