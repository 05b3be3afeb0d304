// Physical CPUs as threads, in this process: what becomes of domains whose CPU dies, and of what they leave.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { type DomainStatistics, readStatistics, total } from '#hypervisor/statistics.ts';
import { parseCore, type Core } from '#toolstack/dump/testing/parse-core.ts';
import { Domains } from '#toolstack/lifecycle/domains.ts';
import type { ManagedDomain } from '#toolstack/lifecycle/managed-domain.ts';
import { LocalClient } from '#toolstack/xenstore/local-client.ts';
import { domainPath } from '#toolstack/xenstore/path.ts';
import { Store } from '#toolstack/xenstore/store.ts';
import { nodeHost } from '../host.ts';
import { CompilerThread } from '../region-compiler.ts';
import { until, wait } from '../testing/wait.ts';
import { storePace } from '../xenstore-socket.ts';
import { WorkerCpu } from './cpu-thread.ts';
import { specOf } from './domain-spec.ts';
import type { CreateRequest } from './protocol.ts';
import { requestOf } from './testing/requests.ts';
import { topSample } from './top-sample.ts';

test('all threads have one clock', async () => {
  const host = nodeHost(() => {});
  const words = new Int32Array(new SharedArrayBuffer(8));
  const reading = new Float64Array(new SharedArrayBuffer(8));
  const worker = new Worker(`const { workerData: [module, words, reading] } = require('node:worker_threads');
    import(module).then(({ nodeHost }) => {
      const host = nodeHost(() => {});
      for (;;) {
        Atomics.wait(words, 0, 0);
        reading[0] = host.now();
        Atomics.store(words, 0, 0);
        Atomics.store(words, 1, 1);
        Atomics.notify(words, 1);
      }
    });`, { eval: true, workerData: [new URL('../host.ts', import.meta.url).href, words, reading] });
  let [least, most] = [-Infinity, Infinity]; // how far the other one is ahead
  for (let i = 0; i < 200; i++) {
    Atomics.store(words, 1, 0);
    const before = host.now();
    Atomics.store(words, 0, 1);
    Atomics.notify(words, 0);
    Atomics.wait(words, 1, 0);
    const after = host.now();
    [least, most] = [Math.max(least, (reading[0] as number) - after), Math.min(most, (reading[0] as number) - before)];
  }
  await worker.terminate();
  assert.ok(least < 10_000 && most > -10_000, `ahead by ${least} to ${most} ns`);
});

describe('physical CPUs', { timeout: 240_000 }, () => {
  const log: string[] = [];
  const threads: WorkerCpu[] = [];
  const bells = new Int32Array(new SharedArrayBuffer(8));
  const compilers = new CompilerThread((reason) => log.push(reason));
  const cores = new Map<string, Core>();
  const saveCore = async (name: string, pieces: Iterable<Uint8Array>): Promise<string> => {
    cores.set(name, parseCore(Uint8Array.from(Buffer.concat([...pieces]))));
    return name;
  };
  const domains = new Domains(new Store(storePace), nodeHost(() => {}), { cpus: 2, start: (...parameters) => {
    const thread = new WorkerCpu(compilers, bells, ...parameters);
    threads.push(thread);
    return thread;
  }, later: storePace.later, saveCore }, (line) => log.push(line));
  const create = async (name: string, more: Partial<CreateRequest> = {}): Promise<ManagedDomain> => domains.create(specOf(requestOf(name, more)), more.paused ?? false);
  const names = (): string[] => domains.list().map((d) => d.spec.name).sort();
  after(() => domains.close());

  test('new domains come to the CPU with the least to do', async () => {
    const made = await Promise.all(['a', 'b', 'c', 'd'].map((name) => create(name, { paused: true })));
    assert.deepEqual([0, 1].map((cpu) => made.filter((d) => d.cpu === cpu).length), [2, 2]);
    for (const d of made) await domains.destroy(d);
  });

  test('whoever sees that a domain has another name sees it everywhere', async () => {
    const d = await create('first', { paused: true });
    const client = new LocalClient(domains.store);
    const seen: unknown[] = [];
    const unwatch = client.watch(`${domainPath(d.domid)}/name`, () => seen.push(client.read(`/vm/${d.spec.uuid}/name`)));
    domains.rename(d, 'second');
    unwatch();
    assert.deepEqual(seen, ['first', 'second']);
    await domains.destroy(d);
  });

  test('a paused domain takes no time and does not move by itself; one that goes on boots', async () => {
    const d = await create('p', { paused: true });
    assert.deepEqual([d.state, d.glance.share.ran], ['--p---', 0]);
    await domains.moveTo(d, 1 - d.cpu);
    assert.equal(d.glance.share.ran, 0, 'nor when it is moved');
    await domains.unpause(d);
    await until('it boots', () => d.glance.share.ran > 50e6);
    const counted = (): DomainStatistics => readStatistics(d.capsule, 1, d.systemTime(domains.now()));
    await domains.pause(d);
    const before = counted();
    await domains.moveTo(d, 1 - d.cpu);
    await domains.unpause(d);
    await until('it works there', () => total(counted(), 'instructions') > total(before, 'instructions'));
    await domains.pause(d);
    const after = counted();
    assert.ok(after.machine.blocks > before.machine.blocks && total(after, 'tlbMisses') > total(before, 'tlbMisses'), 'what was counted goes on when it is moved');
    const times = after.vcpus[0]?.times.reduce((a, b) => a + b, 0) ?? 0;
    assert.ok(Math.abs(times - d.systemTime(domains.now())) < 20e6, `${times} ns of all runstates: those since it was made`);
    const { ran } = d.glance.share;
    await wait(100);
    assert.equal(d.glance.share.ran, ran);
    await domains.destroy(d);
  });

  test('what memory is in use is looked at for who wants to see it', async () => {
    const d = await create('t');
    await until('it boots', () => d.glance.share.ran > 50e6);
    const touched = (wanted: boolean): number | undefined => topSample(domains, wanted).domains.find((e) => e.domid === d.domid)?.touched;
    assert.equal(touched(false), undefined);
    assert.ok((touched(true) ?? 0) > 1024);
    await domains.destroy(d);
  });

  test('moves that are asked for at once follow each other, and whoever asks the domain something meanwhile finds it', async () => {
    const d = await create('m');
    await until('it boots', () => d.glance.share.ran > 50e6);
    for (let round = 0; round < 10; round++) {
      await Promise.all([domains.moveTo(d, 1), domains.moveTo(d, 0), domains.moveTo(d, 1), domains.pause(d), domains.unpause(d)]);
    }
    assert.equal(d.moving, undefined);
    await domains.pause(d);
    assert.deepEqual([d.ended, d.state], [undefined, '--p---']);
    await domains.destroy(d);
  });

  test('a CPU that dies takes its domains with it, and no others; another takes its place', async () => {
    const [victim, survivor] = [await create('victim', { cpus: ['0'] }), await create('survivor', { cpus: ['1'] })];
    const again = await create('again', { cpus: ['0'], onCrash: 'restart' });
    await create('kept', { cpus: ['0'], onCrash: 'preserve' });
    await create('dumped', { cpus: ['0'], vcpus: 2, onCrash: 'coredump-destroy' });
    await threads[0]?.worker.terminate();
    await until('it is found out', () => log.some((line) => line.includes('physical CPU 0 died')));
    await until('the domain is gone, or there anew', () => !domains.list().includes(victim) && !names().includes('dumped') && domains.list().some((d) => d.spec.name === 'again' && d !== again));
    assert.deepEqual(names(), ['again', 'kept', 'survivor']);
    assert.ok(!domains.numbers.includes(victim.domid), 'the CPU in its place has taken it apart');
    assert.match(domains.get('kept').state, /c-$/);
    assert.deepEqual([cores.get('dumped')?.vcpus.length, cores.get('dumped')?.p2m.length], [2, 48 * 256], 'its core is read by another CPU');
    assert.ok(log.some((line) => /Domain \d+ crashed: physical CPU 0 died/.test(line)));
    const { ran } = survivor.glance.share;
    await until('the other goes on', () => survivor.glance.share.ran > ran);
    const fresh = await create('fresh', { cpus: ['0'] });
    await until('the new CPU works', () => fresh.glance.share.ran > 10e6);
  });

  test('a domain stands still while its core is dumped, whoever lets it go on meanwhile; others do not wait', async () => {
    const d = await create('still');
    await until('it boots', () => d.glance.share.ran > 50e6);
    const { promise: mayEnd, resolve: end } = Promise.withResolvers<void>();
    const pieces: number[] = [];
    const dump = domains.dumpCore(d, async (core) => {
      for (const piece of core) pieces.push(piece.length);
      await mayEnd;
    }, { live: false, crash: false });
    await until('it is read', () => pieces.length > 0);
    const { ran } = d.glance.share;
    await domains.unpause(d);
    await domains.pause(d);
    await domains.unpause(d);
    await domains.destroy(await create('other'));
    await wait(100);
    assert.equal(d.glance.share.ran, ran);
    end();
    await dump;
    await until('it goes on', () => d.glance.share.ran > ran);
    await domains.dumpCore(d, async (core) => { for (const _ of core); }, { live: true, crash: true });
    await until('it has crashed and is gone', () => !names().includes('still'));
    assert.ok(log.some((line) => line.includes('a core was dumped, with -c')));
  });

  test('what is asked while a CPU dies is answered with an error', async () => {
    const cpu = domains.get('fresh').link;
    void threads.at(-1)?.worker.terminate();
    await assert.rejects(cpu.ask('pause', domains.get('fresh').domid), { message: 'physical CPU 0 died: its thread ended with 1' });
    await until('another is there', () => !names().includes('fresh'));
  });

  test('a domain on its way to a CPU that dies ends there', async () => {
    const d = await create('traveller', { cpus: ['1'] });
    await domains.pin(d, 'all', undefined);
    const moving = domains.moveTo(d, 0);
    void threads.at(-1)?.worker.terminate();
    await moving;
    await until('it is gone', () => !names().includes('traveller'));
    assert.ok(log.some((line) => line.includes('(traveller): crash; destroy')));
  });

  test('a domain that cannot be made leaves its name and its CPU as they were', async () => {
    await assert.rejects(create('small', { memory: 1 }), { name: 'BuilderError', code: 'too-little-memory' });
    await assert.rejects(create('none', { kernel: '/nowhere' }), /no such file/);
    await assert.rejects(create('bad', { cpus: ['x'] }), /cpus: “x”/);
    const d = await create('small', { paused: true });
    await assert.rejects(create('small'), /there is a domain of that name/);
    await domains.destroy(d);
    await domains.destroy(d);
    assert.ok(!names().includes('small'));
  });
});
