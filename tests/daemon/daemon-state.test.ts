// What a daemon remembers: after a kill at any moment all that was acknowledged is there.

import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, truncateSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { until, wait } from '#hosts/node/testing/wait.ts';
import { guestFile } from '../../hosts/node/input-file.ts';
import type { VcpuInfo } from '../../hosts/node/daemon/protocol.ts';
import { Daemon, paused } from './daemon-process.ts';

const daemons: Daemon[] = [];
/** A daemon that is removed at the end. */
function daemon(args: readonly string[] = []): Daemon {
  const d = new Daemon(args);
  daemons.push(d);
  return d;
}
after(() => Promise.all(daemons.map((d) => d.remove())));

/** What is remembered of a domain, as it is compared. */
interface Kept { readonly uuid: string; readonly weight: number; readonly cap: number; readonly paused: boolean }
const keptOf = (list: Awaited<ReturnType<Daemon['list']>>): Map<string, Kept> => new Map(list.map((d) => [d.name, { uuid: d.uuid, weight: d.weight, cap: d.cap, paused: d.state.includes('p') }]));

describe('a daemon that is killed', { timeout: 240_000 }, () => {
  test('starts the domains again that ran, as they were, under new numbers; the others not', async () => {
    const d = daemon(['--cpus', '2']);
    await d.start();
    const kernel = join(d.state, 'kernel'), ramdisk = join(d.state, 'ramdisk');
    copyFileSync(guestFile('vmlinuz-xenith'), kernel);
    copyFileSync(guestFile('initramfs.cpio.gz'), ramdisk);
    await d.create(paused('gone'));
    const first = paused('first', { uuid: '12345678-1234-1234-1234-123456789abc', kernel, ramdisk, cmdline: 'console=hvc0 quiet', vcpus: 3, cap: 20, weight: 77, onCrash: 'preserve', onReboot: 'destroy' });
    await d.create(first);
    await d.create(paused('second'));
    await d.create(paused('off', { paused: false }));
    await d.ask({ command: 'rename', domain: 'first', name: 'erste' });
    await d.ask({ command: 'share', domain: 'erste', weight: 900, cap: undefined });
    await d.ask({ command: 'unpause', domain: 'second' });
    await d.ask({ command: 'pin', domain: 'erste', vcpu: 1, cpus: '0' });
    await d.ask({ command: 'destroy', domain: 'gone' });
    await d.converse('off', '', /#|\$/);
    await d.ask({ command: 'shutdown', domain: 'off' });
    await until('off ends', async () => !(await d.names()).includes('off'));
    const before = await d.list();
    await d.kill();
    await d.start();
    const list = await d.list();
    const lasting = (l: typeof list): unknown => l.map((e) => ({ ...e, domid: 0, cpu: 0, time: 0, uptime: 0, state: e.state.includes('p') }));
    assert.deepEqual(lasting(list), lasting(before));
    assert.deepEqual(list.map((e) => [e.domid, e.name, e.uuid === first.uuid, e.weight, e.cap, e.vcpus, e.kernel, e.onCrash]), [
      [1, 'erste', true, 900, 20, 3, kernel, 'preserve'], [2, 'second', false, 256, 0, 1, undefined, 'destroy'],
    ]);
    assert.deepEqual((await d.ask<VcpuInfo[]>({ command: 'vcpus' })).map((v) => [v.name, v.vcpu, v.affinity]), [['erste', 0, 'all'], ['erste', 1, '0'], ['erste', 2, 'all'], ['second', 0, 'all']]);
    await d.converse('second', '', /#|\$/);
  });

  test('does not start one that had been asked to power off; one that was asked to reboot it does', async () => {
    const d = daemon();
    await d.start();
    for (const name of ['off', 'on', 'again']) await d.create(paused(name, name === 'again' ? { onPoweroff: 'restart' } : {})); // paused: they cannot obey
    for (const domain of ['off', 'again']) await d.ask({ command: 'shutdown', domain });
    await d.ask({ command: 'reboot', domain: 'on' });
    await d.kill();
    await d.start();
    assert.deepEqual(await d.names(), ['on', 'again']);
    assert.match(d.log, /domain off: had been asked to power off; it is not started again/);
    await d.kill();
    await d.start();
    assert.deepEqual(await d.names(), ['on', 'again']);
  });

  test('knows all that was acknowledged, whenever it was killed', async () => {
    const d = daemon();
    const workers = ['a', 'b', 'c', 'd'].map((prefix) => new Worker(d, prefix));
    const acknowledged = (): number => workers.reduce((sum, w) => sum + w.acknowledged, 0);
    for (let round = 0; round < 10; round++) {
      await d.start();
      const found = keptOf(await d.list());
      for (const w of workers) w.check(found);
      assert.equal(found.size, 0, `nobody made ${[...found.keys()].join()}`);
      const work = Promise.all(workers.map((w) => w.work()));
      const enough = acknowledged() + Math.random() * 30;
      await until('commands are acknowledged', () => acknowledged() >= enough);
      await wait(Math.random() * 30);
      await d.kill();
      await work;
    }
    assert.ok(acknowledged() > 50, `${acknowledged()} commands were acknowledged`);
  });
});

/** A client that changes domains of its own, and knows how they must stand: as acknowledged, or as the command that was cut off has it. */
class Worker {
  acknowledged = 0;
  private readonly daemon: Daemon;
  private readonly prefix: string;
  private n = 0;
  private domains = new Map<string, Kept>();
  /** after the command in flight */
  private next: Map<string, Kept> | undefined;

  constructor(d: Daemon, prefix: string) {
    this.daemon = d;
    this.prefix = prefix;
  }
  /** Works until the daemon is gone. */
  async work(): Promise<void> {
    try {
      for (;;) {
        await this.step();
        this.acknowledged++;
        this.domains = this.next as Map<string, Kept>;
        this.next = undefined;
      }
    } catch (error) {
      assert.match(String(error), /the daemon closed the connection|no daemon runs|ECONNRESET|EPIPE/);
    }
  }
  /** Compares with what a daemon found, takes over which of the two it is, and takes its domains out of `found`. */
  check(found: Map<string, Kept>): void {
    const mine = new Map([...found].filter(([name]) => name.startsWith(this.prefix)));
    for (const name of mine.keys()) found.delete(name);
    const text = (domains: Map<string, Kept> | undefined): string => JSON.stringify([...domains ?? []].map(([name, k]) => [name, k.uuid, k.weight, k.cap, k.paused]).toSorted());
    const allowed = [text(this.domains), text(this.next)];
    assert.ok(allowed.includes(text(mine)), `found ${text(mine)}\nnot ${allowed.join('\nnor ')}`);
    this.domains = mine;
    this.next = undefined;
  }

  private step(): Promise<unknown> {
    const names = [...this.domains.keys()];
    const name = names[Math.floor(Math.random() * names.length)];
    const kind = Math.floor(Math.random() * 6);
    if (name === undefined || (kind < 2 && names.length < 4)) return this.create();
    const k = this.domains.get(name) as Kept;
    const { daemon: d } = this;
    switch (kind) {
      case 0: case 1: return this.to(name, undefined, () => d.ask({ command: 'destroy', domain: name }));
      case 2: {
        const other = `${this.prefix}${this.n++}`;
        this.next = new Map([...this.domains].map(([n, v]) => [n === name ? other : n, v]));
        return d.ask({ command: 'rename', domain: name, name: other });
      }
      case 3: case 4: {
        const weight = 1 + Math.floor(Math.random() * 1000), cap = Math.floor(Math.random() * 100);
        return this.to(name, { ...k, weight, cap }, () => d.ask({ command: 'share', domain: name, weight, cap }));
      }
      default: return this.to(name, { ...k, paused: !k.paused }, () => d.ask({ command: k.paused ? 'unpause' : 'pause', domain: name }));
    }
  }
  private create(): Promise<unknown> {
    const name = `${this.prefix}${this.n++}`, uuid = crypto.randomUUID();
    return this.to(name, { uuid, weight: 256, cap: 0, paused: true }, () => this.daemon.create(paused(name, { uuid })));
  }
  private to(name: string, kept: Kept | undefined, act: () => Promise<unknown>): Promise<unknown> {
    this.next = new Map(this.domains);
    if (kept) this.next.set(name, kept);
    else this.next.delete(name);
    return act();
  }
}

describe('domains that cannot be as they were', { timeout: 240_000 }, () => {
  test('one whose kernel is gone waits for the next start; its name is kept for it, until it is forgotten', async () => {
    const d = daemon();
    await d.start();
    const kernel = join(d.state, 'kernel');
    copyFileSync(guestFile('vmlinuz-xenith'), kernel);
    const { uuid } = await d.create(paused('anna', { kernel }));
    await d.create(paused('bert'));
    await d.kill();
    rmSync(kernel);
    await d.start();
    assert.deepEqual(await d.names(), ['bert']);
    assert.match(d.log, /error: domain anna: cannot be started: kernel .*: no such file\. It is tried again .*; xenith destroy anna forgets it/);
    await assert.rejects(d.create(paused('anna')), /anna: .*could not be started; xenith destroy anna forgets it/);
    await assert.rejects(d.create(paused('other', { uuid })), /could not be started; xenith destroy anna forgets it/);
    await assert.rejects(d.ask({ command: 'rename', domain: 'bert', name: 'anna' }), /could not be started/);
    await d.kill();
    copyFileSync(guestFile('vmlinuz-xenith'), kernel);
    await d.start();
    assert.deepEqual((await d.list()).map((e) => [e.name, e.name !== 'anna' || e.uuid === uuid]), [['anna', true], ['bert', true]]);
    await d.kill();
    rmSync(kernel);
    await d.start();
    await d.ask({ command: 'destroy', domain: 'anna' });
    await d.create(paused('anna'));
    await d.kill();
    await d.start();
    assert.deepEqual(await d.names(), ['bert', 'anna']);
  });

  test('one that may only be on a CPU that is not there any more waits for a daemon that has it', async () => {
    const d = daemon();
    await d.start(['--cpus', '2']);
    await d.create(paused('anna', { cpus: ['1'] }));
    await d.kill();
    await d.start(['--cpus', '1']);
    assert.deepEqual(await d.names(), []);
    assert.match(d.log, /error: domain anna: cannot be started: the vCPUs cannot be distributed so/);
    await d.kill();
    await d.start(['--cpus', '2']);
    assert.deepEqual((await d.list()).map((e) => [e.name, e.cpu]), [['anna', 1]]);
  });

  test('one that crashes again and again is started less and less often, and then not any more', async () => {
    const d = daemon();
    await d.start();
    await d.create(paused('crashes', { paused: false, cmdline: 'rdinit=/none init=/none', onCrash: 'restart' }));
    await until('it waits', () => d.log.includes('it is started again in 2 s'));
    assert.match((await d.list())[0]?.state ?? '', /c/, 'until then it is there, crashed');
    await assert.rejects(d.create(paused('crashes')), /there is a domain of that name/);
    await until('it is given up', () => d.log.includes('crashed 5 times soon after its start; it is not started again'));
    assert.equal(d.log.match(/\(crashes\): created/g)?.length, 5);
    assert.deepEqual([...d.log.matchAll(/started again in (\d+) s/g)].map((m) => m[1]), ['1', '2', '4']);
    assert.deepEqual(await d.names(), []);
    await d.kill();
    await d.start();
    assert.deepEqual(await d.names(), []);
  });

  test('one that waits for its restart can be destroyed, and is started again by the next daemon', async () => {
    const d = daemon();
    await d.start();
    for (const name of ['x', 'y']) await d.create(paused(name, { paused: false, cmdline: 'rdinit=/none init=/none', onCrash: 'restart' }));
    await until('both wait', async () => (await d.list()).every((e) => e.state.includes('c')) && ['x', 'y'].every((name) => d.log.includes(`(${name}): crashed soon after`)));
    await d.ask({ command: 'destroy', domain: 'x' });
    await d.kill();
    await d.start();
    assert.deepEqual(await d.names(), ['y']);
  });
});

describe('domains that start with the daemon', { timeout: 240_000 }, () => {
  test('those of files and links in auto, in their order, unless they run; what is wrong with a file is said', async () => {
    const d = daemon();
    mkdirSync(join(d.state, 'auto'));
    const file = (name: string, text: string): void => writeFileSync(join(d.state, name), text);
    file('auto/10-anna.cfg', 'name = "anna"\nmemory = 48\n');
    file('linked=.cfg', 'name = "linked"\nmemory = 48\ncpu_weight = 99\n');
    symlinkSync(join(d.state, 'linked=.cfg'), join(d.state, 'auto/05=linked'));
    file('auto/07-bad.cfg', 'name = "bad"\nmemory = \n');
    file('auto/20-anna.cfg~', 'name = "backup"\nmemory = 48\n');
    file('auto/.hidden', 'name = "hidden"\nmemory = 48\n');
    symlinkSync('/nowhere', join(d.state, 'auto/30-dangling'));
    await d.start();
    assert.deepEqual((await d.list()).map((e) => [e.name, e.weight]), [['linked', 99], ['anna', 256]]);
    assert.match(d.log, /error: \S+auto\/07-bad\.cfg: not started: .*07-bad\.cfg:2/);
    assert.match(d.log, /error: \S+auto\/30-dangling: not started: .*no such file/);
    const { uuid } = (await d.list())[1] as { uuid: string };
    await d.ask({ command: 'destroy', domain: 'linked' });
    await d.kill();
    await d.start();
    assert.deepEqual((await d.list()).map((e) => [e.name, e.uuid === uuid]), [['anna', true], ['linked', false]], 'anna ran and goes on as it was; linked starts as the file says');
  });
});

describe('a damaged database', { timeout: 240_000 }, () => {
  test('is kept aside, and what can be read of it is used', async () => {
    const d = daemon();
    const path = join(d.state, 'domains.db');
    await d.start();
    for (let i = 0; i < 12; i++) await d.create(paused(`d${i}`, { cmdline: 'x'.repeat(900) }));
    d.signal('SIGTERM');
    assert.equal(await d.ended(), 0);
    truncateSync(path, statSync(path).size - 4096);
    const bytes = readFileSync(path);
    await d.start();
    const names = await d.names();
    assert.ok(names.length > 0 && names.length < 12, names.join());
    assert.match(d.log, /error: .*domains\.db is damaged \(.+\); it is kept as .*damaged-\S+, and a new one has the \d+ domains that could be read: d0, d1/);
    const aside = readdirSync(d.state).find((name) => /damaged-\w+$/.test(name)) as string;
    assert.deepEqual(readFileSync(join(d.state, aside)), bytes);
    await d.kill();
    await d.start();
    assert.deepEqual(await d.names(), names, 'they are in the new one');
  });
  test('that is none at all leaves an empty machine', async () => {
    const d = daemon();
    writeFileSync(join(d.state, 'domains.db'), 'nothing of the kind');
    await d.start();
    assert.deepEqual(await d.names(), []);
    assert.match(d.log, /is damaged .*could be read: none/);
    await d.create(paused('anna'));
    await d.kill();
    await d.start();
    assert.deepEqual(await d.names(), ['anna']);
    assert.ok(existsSync(join(d.state, 'domains.db')));
  });
});
