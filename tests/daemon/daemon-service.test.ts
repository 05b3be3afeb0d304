// The daemon as a service: how it ends, what it writes where, and what it tells systemd.

import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, fstatSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { until, wait } from '#hosts/node/testing/wait.ts';
import { Daemon, paused } from './daemon-process.ts';
import { xenith, XENITH } from '../run/xenith.ts';

const daemons: Daemon[] = [];
function daemon(): Daemon {
  const d = new Daemon();
  daemons.push(d);
  return d;
}
const directory = mkdtempSync(join(tmpdir(), 'xenith-service-'));
after(async () => {
  await Promise.all(daemons.map((d) => d.remove()));
  rmSync(directory, { recursive: true });
});
const seconds = async (body: () => Promise<unknown>): Promise<number> => {
  const begin = performance.now();
  await body();
  return (performance.now() - begin) / 1000;
};
/** From now on a guest does not power off when it is asked to: what its kernel runs then does nothing. */
async function deafen(d: Daemon, name: string): Promise<void> {
  await d.converse(name, 'echo /bin/true > /proc/sys/kernel/poweroff_cmd && echo is de\'\'af\n', /is deaf/);
}
async function createDeaf(d: Daemon, name: string): Promise<void> {
  await d.create(paused(name, { paused: false }));
  await deafen(d, name);
}

describe('the end of a daemon', { timeout: 240_000 }, () => {
  test('guests power off first, and are started again with the next one, paused ones too', async () => {
    const d = daemon();
    await d.start();
    await d.create(paused('anna', { paused: false }));
    await d.create(paused('bert'));
    await d.create(paused('carl', { paused: false, onPoweroff: 'restart' }));
    for (const name of ['anna', 'carl']) await d.converse(name, '', /#|\$/);
    d.signal('SIGTERM');
    assert.equal(await d.ended(), 0);
    assert.match(d.log, /ending; asked to power off within 60 s: anna, carl\. /);
    assert.match(d.log, /\(anna\): poweroff; destroy\n/);
    assert.match(d.log, /\(carl\): poweroff; destroy\n/, 'on_poweroff = "restart" has its time with the next daemon');
    assert.match(d.log, /ended; domains that are started again with the next daemon: anna, bert, carl\n/);
    await d.start();
    assert.deepEqual((await d.list()).map((e) => [e.name, e.state.includes('p')]), [['anna', false], ['bert', true], ['carl', false]]);
  });

  test('also while it starts those of the last one', async () => {
    const d = daemon();
    await d.start();
    for (const name of ['anna', 'bert', 'carl', 'dora']) await d.create(paused(name, { paused: false }));
    await d.kill();
    d.spawn();
    await until('it starts', () => d.log.includes('domains of the last daemon'));
    d.signal('SIGTERM');
    assert.equal(await d.ended(), 0, d.log);
    assert.match(d.log, /ended; domains that are started again with the next daemon: anna, bert, carl, dora\n/);
    await d.start();
    assert.deepEqual((await d.list()).map((e) => e.name), ['anna', 'bert', 'carl', 'dora']);
  });

  test('while it waits, the daemon answers: who is destroyed now stays away, and nobody is created', async () => {
    const d = daemon();
    await d.start();
    for (const name of ['anna', 'bert']) await createDeaf(d, name);
    d.signal('SIGINT');
    await until('it is ending', () => d.log.includes('ending; '));
    await assert.rejects(d.create(paused('late')), /about to end/);
    await d.ask({ command: 'rename', domain: 'bert', name: 'berta' });
    await d.ask({ command: 'destroy', domain: 'anna' });
    await d.ask({ command: 'pause', domain: 'berta' });
    await wait(600); // what comes sooner is the same signal
    d.signal('SIGTERM');
    assert.equal(await d.ended(), 0);
    await d.start();
    assert.deepEqual((await d.list()).map((e) => [e.name, e.state.includes('p')]), [['berta', true]]);
  });

  test('it does not wait for ever: for the time that was given, or until a second signal', async () => {
    const d = daemon();
    await d.start(['--shutdown-timeout', '2']);
    await createDeaf(d, 'deaf');
    d.signal('SIGTERM');
    assert.ok(await seconds(() => d.ended()) >= 2);
    assert.match(d.log, /warning: ending after 2 s; these have not powered off: deaf\n/);
    await d.start();
    await deafen(d, 'deaf'); // it has booted anew
    d.signal('SIGTERM');
    await until('it is ending', () => d.log.includes('asked to power off within 60 s'));
    const took = seconds(() => d.ended());
    for (let i = 0; i < 3; i++) d.signal('SIGTERM'); // the same one, passed on by others
    await wait(1000);
    assert.doesNotMatch(d.log, /a second signal;/);
    d.signal('SIGTERM');
    assert.ok(await took < 40);
    assert.match(d.log, /ending after a second signal; these have not powered off: deaf\n/);
    await d.start(['--shutdown-timeout', '0']);
    assert.deepEqual(await d.names(), ['deaf']);
    d.signal('SIGHUP');
    assert.ok(await seconds(() => d.ended()) < 40);
  });

  test('its options are checked', async () => {
    for (const text of ['-1', 'x', '1e3', '']) {
      const r = await xenith(['daemon', `--shutdown-timeout=${text}`]);
      assert.equal(r.status, 2);
      assert.match(r.err, /--shutdown-timeout .*: not a number of seconds/);
    }
    assert.match((await xenith(['daemon', '--help'])).out, /DIR\/auto may hold xl\.cfg files/);
  });
});

describe('the log', { timeout: 240_000 }, () => {
  test('has timestamps on standard error, and is given up, not the daemon, when nobody reads it', async (context) => {
    const d = daemon();
    await d.start();
    await d.create(paused('anna'));
    for (const line of d.log.trimEnd().split('\n')) assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z xenith: /);
    const child = spawn(process.execPath, [XENITH, 'daemon', '--state', join(d.state, 'other')], { stdio: ['ignore', 'ignore', 'pipe'] });
    context.after(() => child.kill('SIGKILL'));
    const exit = new Promise((done) => { child.on('exit', done); });
    child.stderr.destroy();
    const other = new Daemon([], join(d.state, 'other'));
    await until('it answers', () => other.create(paused('a')).then(() => true, () => false));
    child.kill('SIGTERM');
    assert.equal(await exit, 0);
  });

  test('has priorities where standard error is the journal', async () => {
    const d = daemon();
    const path = join(directory, 'journal'), fd = openSync(path, 'a');
    const { dev, ino } = fstatSync(fd, { bigint: true });
    const child = spawn(process.execPath, [XENITH, 'daemon', '--state', d.state], { stdio: ['ignore', 'ignore', fd], env: { ...process.env, JOURNAL_STREAM: `${dev}:${ino}` } });
    const text = (): string => readFileSync(path, 'utf8');
    await until('it is ready', () => text().includes('<6>ready; state in'));
    await d.create(paused('c', { paused: false, cmdline: 'rdinit=/none init=/none' }));
    await until('the guest has crashed', () => text().includes('<3>last hypercalls'));
    assert.ok(text().trimEnd().split('\n').every((line) => /^<[346]>/.test(line)), text());
    child.kill('SIGKILL');
  });

  test('goes to a file, which is opened anew on SIGHUP', async () => {
    const d = daemon();
    const file = join(d.state, 'x.log');
    d.spawn(['--log', file]);
    const has = (path: string, what: string) => (): boolean => existsSync(path) && readFileSync(path, 'utf8').includes(what);
    await until('it is ready', has(file, 'ready;'));
    renameSync(file, `${file}.1`);
    await d.create(paused('old'));
    d.signal('SIGHUP');
    await until('there is a new file', () => existsSync(file));
    await d.create(paused('new'));
    assert.match(readFileSync(`${file}.1`, 'utf8'), /\(old\): created/);
    assert.doesNotMatch(readFileSync(`${file}.1`, 'utf8'), /\(new\)/);
    assert.match(readFileSync(file, 'utf8'), /^\S+Z xenith: domain 2 \(new\): created, paused\n$/);
    assert.equal(d.log, '');
    const other = await xenith(['daemon', '--state', join(d.state, 'o'), '--log', '/nowhere/x.log']);
    assert.equal(other.status, 1);
    assert.equal(other.err, 'xenith: --log /nowhere/x.log: no such file\n');
  });
});

const UNIT = fileURLToPath(new URL('../../hosts/node/systemd/xenith.service', import.meta.url));
const unit = readFileSync(UNIT, 'utf8');
const command = /^ExecStart=(.+)$/m.exec(unit)?.[1] ?? '';

describe('as a service of systemd', { timeout: 240_000 }, () => {
  const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0;
  const verify = (text: string): string => {
    const path = join(directory, 'xenith.service');
    writeFileSync(path, text.replaceAll('/usr/local/bin/xenith', XENITH));
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', path], { encoding: 'utf8' });
    return status === 0 ? stderr : `status ${status}\n${stderr}`;
  };

  test('systemd-analyze verify has nothing to say about the unit', { skip: has('systemd-analyze') ? false : 'no systemd-analyze' }, () => {
    assert.equal(verify(unit), '');
    assert.notEqual(verify(unit.replace('KillMode=mixed', 'KilMode=mixed')), '', 'it would find a mistake');
    assert.notEqual(verify(unit.replace('/usr/local/bin/xenith', '/nowhere/xenith')), '');
  });

  test('systemd waits longer than the daemon does for its guests', () => {
    const stop = Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1]), shutdown = Number(/--shutdown-timeout (\d+)/.exec(command)?.[1]);
    assert.ok(stop >= shutdown + 20, `${stop} and ${shutdown}`);
  });

  test('its command line runs, and says when it is ready and when it ends', { skip: has('systemd-notify') && has('python3') ? false : 'no systemd-notify, or no python3 to listen to it' }, async (context) => {
    const socket = join(directory, 'notify');
    const listener = spawn('python3', ['-uc', `import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(${JSON.stringify(socket)}); print("listening")
while True: print(s.recv(4096).decode())`]);
    context.after(() => listener.kill());
    let heard = '';
    listener.stdout.on('data', (bytes: Buffer) => { heard += bytes.toString(); });
    await until('somebody listens', () => heard.includes('listening'));
    const d = daemon();
    const [, ...words] = command.replaceAll('${STATE_DIRECTORY}', d.state).split(' ');
    const child = spawn(process.execPath, [XENITH, ...words], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, NOTIFY_SOCKET: socket } });
    context.after(() => child.kill('SIGKILL'));
    const exit = new Promise((done) => { child.on('exit', done); });
    await until('it is ready', () => heard.includes('READY=1'));
    await createDeaf(d, 'deaf');
    child.kill('SIGTERM');
    await until('it says that it ends, and for how long that may take', () => /STOPPING=1\nEXTEND_TIMEOUT_USEC=70000000/.test(heard));
    await wait(600);
    child.kill('SIGTERM');
    assert.equal(await exit, 0);
  });

  test('a manager that cannot be told is named in the log', async () => {
    const d = daemon();
    await d.start([], { NOTIFY_SOCKET: '/nowhere/notify', PATH: directory });
    await until('it complains', () => d.log.includes('warning: systemd-notify: '));
    assert.match(d.log, /without it the unit has to say Type=exec/);
  });
});

describe('the disk', { timeout: 240_000 }, () => {
  const mayMount = spawnSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'none', directory]).status === 0;
  /** Runs daemons, one after the other, with their state on a small disk of their own, which only they see; and through /proc, we. */
  function onSmallDisk(): { readonly state: string; readonly daemonPid: () => number; readonly stop: () => void } {
    const place = mkdtempSync(join(directory, 'disk-'));
    const script = 'mount -t tmpfs -o size=300k none "$1" && while [ -e "$1.on" ]; do "$2" "$3" daemon --state "$1/state"; done';
    writeFileSync(`${place}.on`, '');
    const child = spawn('unshare', ['-rm', 'sh', '-c', script, 'sh', place, process.execPath, XENITH], { stdio: 'ignore' });
    const daemonPid = (): number => Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim());
    const stop = (): void => {
      rmSync(`${place}.on`);
      process.kill(daemonPid(), 'SIGKILL');
    };
    return { state: `/proc/${child.pid}/root${place}/state`, daemonPid, stop };
  }

  test('when it is full, nothing that was acknowledged is lost, and the answer says what to do', { skip: mayMount ? false : 'may not mount (unshare -rm)' }, async (context) => {
    const disk = onSmallDisk();
    context.after(disk.stop);
    await until('there is a small disk', () => existsSync(disk.state));
    const d = new Daemon([], disk.state);
    const answers = (): Promise<boolean> => d.list().then(() => true, () => false);
    await until('the daemon is ready', answers);
    await d.create(paused('anna'));
    const filler = join(disk.state, 'filler');
    try {
      for (let size = 1024; size < 2 ** 20; size += 1024) writeFileSync(filler, new Uint8Array(size));
    } catch { /* that was the purpose */ }
    const made: string[] = [];
    await assert.rejects(async () => {
      for (let i = 0; i < 500; i++) {
        await d.create(paused(`d${i}`, { cmdline: 'x'.repeat(900) }));
        made.push(`d${i}`);
        if (i >= 4) await d.ask({ command: 'destroy', domain: made[made.length - 4] as string }).then(() => made.splice(made.length - 4, 1));
      }
    }, /the disk is full: make room on it, and try again/);
    assert.deepEqual((await d.names()).toSorted(), ['anna', ...made].toSorted(), 'what was refused did not happen');
    rmSync(filler);
    await d.create(paused('bert'));
    const pid = disk.daemonPid();
    process.kill(pid, 'SIGKILL');
    await until('another daemon runs', async () => await answers() && disk.daemonPid() !== pid);
    assert.deepEqual((await d.names()).toSorted(), ['anna', 'bert', ...made].toSorted());
  });

  test('when it is read-only, the daemon says so and ends', { skip: mayMount ? false : 'may not mount (unshare -rm)' }, () => {
    const place = mkdtempSync(join(directory, 'ro-'));
    for (const prepare of [':;', 'mkdir "$1/state";', 'mkdir "$1/state"; : > "$1/state/domains.db";']) {
      const script = `mount -t tmpfs none "$1"; ${prepare} mount -o remount,ro "$1"; "$2" "$3" daemon --state "$1/state"`;
      const { status, stderr } = spawnSync('unshare', ['-rm', 'sh', '-c', script, 'sh', place, process.execPath, XENITH], { encoding: 'utf8' });
      assert.equal(status, 1);
      assert.match(stderr, /^xenith: the state cannot be kept in \S+: the file system is read-only: mount it for writing, or choose another directory with --state DIR\n$/);
    }
  });

  test('a state directory that can be none is refused', async () => {
    for (const [state, reason] of [[UNIT, /is no directory/], [`${UNIT}/x`, /is no directory/], [join(directory, 'x'.repeat(120)), /path is too long for a socket/]] as const) {
      const r = await xenith(['daemon', '--state', state]);
      assert.equal(r.status, 1, r.err);
      assert.match(r.err, reason);
    }
  });
});

test('a state that was left by a killed daemon can be read with SQLite’s own tool', { skip: existsSync('/usr/bin/sqlite3') ? false : 'no sqlite3' }, async () => {
  const d = daemon();
  await d.start();
  await d.create(paused('anna', { weight: 99 }));
  await d.kill();
  assert.equal(execFileSync('sqlite3', [join(d.state, 'domains.db'), "SELECT name, request ->> 'weight', wanted FROM domain"], { encoding: 'utf8' }), 'anna|99|1\n');
});
