// A trace of a run, as Perfetto opens it.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { checkTrace, type ChromeEvent } from '#toolstack/trace/testing/check-trace.ts';
import { wait } from '#hosts/node/testing/wait.ts';
import { Daemon } from './daemon-process.ts';
import { inGuest } from '../run/xenith.ts';

const directory = mkdtempSync(join(tmpdir(), 'xenith-trace-'));
after(() => rmSync(directory, { recursive: true }));

test('--trace-out: slices, hypercalls within them, events, faults, compiling', async () => {
  const path = join(directory, 'trace.json');
  const { status, err, out } = await inGuest(['sh', '-c', 'sleep 0.1; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done'], '', ['--vcpus', '2', '--name', 'tracy', '--trace-out', path]);
  assert.equal(status, 0);
  assert.equal(out, 'done');
  assert.equal(err, `xenith: trace written to ${path}\n`);
  const { threads, names, trace } = checkTrace(readFileSync(path, 'utf8'));
  assert.equal(trace.otherData['recordsLost'], '0');
  assert.deepEqual(['0', '0.0', '1', '1.0', '1.1'].map((key) => names.get(key)), ['physical CPUs', 'pCPU 0', 'tracy (domain 1)', 'vCPU 0', 'vCPU 1']);
  const seen = new Set([...threads.get('1.0') ?? [], ...threads.get('1.1') ?? []].map(({ name }) => name));
  for (const name of ['run', 'block', 'wake', 'mmu_update', 'multicall', 'sched_op', 'event_channel_op', 'event sent', 'event delivered', 'page_fault', 'compile', 'v0 TLB misses']) assert.ok(seen.has(name), name);
  const ran = (threads.get('0.0') ?? []).reduce((sum, { dur = 0 }) => sum + dur, 0);
  assert.ok(ran > 100_000 && ran < 120e6, `${ran} us`);
});

test('a trace that cannot be written is said, and changes nothing else', async () => {
  const { status, err } = await inGuest(['sh', '-c', 'exit 3'], '', ['--trace-out', join(directory, 'none', 'trace.json')]);
  assert.equal(status, 3);
  assert.match(err, /trace .*none\/trace\.json: no such file/);
});

describe('a trace of a daemon', { timeout: 120_000 }, () => {
  const daemon = new Daemon(['--cpus', '2']);
  const path = join(directory, 'daemon.json');
  before(() => daemon.start());
  after(() => daemon.remove());

  test('has all domains, one that comes meanwhile too, each with its slices of the processor', async () => {
    for (const name of ['anna', 'bert']) {
      await daemon.ok('create', `name="${name}"`, 'memory=48');
      await daemon.converse(name, 'while :; do :; done & echo bu""sy\n', /busy/);
      await daemon.ok('vcpu-pin', name, 'all', name === 'anna' ? '0' : '1');
    }
    const tracing = daemon.ok('trace', '-s', '10', path);
    await wait(1000);
    assert.match((await daemon.call('trace', join(directory, 'other.json'))).err, /a trace is being taken already/);
    await daemon.ok('create', 'name="carl"', 'memory=48');
    await daemon.ok('vcpu-pin', 'bert', 'all', '0');
    await tracing;
    const { threads, names } = checkTrace(readFileSync(path, 'utf8'));
    assert.deepEqual([1, 2, 3].map((domid) => names.get(`${domid}`)), ['anna (domain 1)', 'bert (domain 2)', 'carl (domain 3)']);
    assert.deepEqual(['0.0', '0.1'].map((key) => names.get(key)), ['pCPU 0', 'pCPU 1']);
    const on = (pcpu: number, name: string): readonly ChromeEvent[] => (threads.get(`0.${pcpu}`) ?? []).filter((e) => e.name === `${name} v0`);
    assert.deepEqual([0, 1].map((pcpu) => [on(pcpu, 'anna').length > 0, on(pcpu, 'bert').length > 0]), [[true, true], [false, true]], 'bert was moved');
    assert.ok(on(0, 'carl').length + on(1, 'carl').length > 0);
    const [anna, bert] = [on(0, 'anna'), on(1, 'bert')].map((events) => ({ begin: events[0]?.ts ?? NaN, end: events.at(-1)?.ts ?? NaN })) as [Record<'begin' | 'end', number>, Record<'begin' | 'end', number>];
    assert.ok(anna.begin < bert.end && bert.begin < anna.end, `two processors at the same time: ${JSON.stringify([anna, bert])}`);
    assert.ok(threads.get('3.0')?.some(({ name }) => name === 'set_trap_table'), 'the new one has booted in it');
  });

  test('afterwards nothing is traced; another one can be taken', async () => {
    await daemon.ok('trace', '--seconds', '0.3', path);
    assert.equal(checkTrace(readFileSync(path, 'utf8')).names.get('1'), 'anna (domain 1)');
  });

  test('what cannot be is refused with a reason', async () => {
    for (const [words, reason] of [
      [[], /words are missing/], [['-s', 'x', path], /-s x: not a number of seconds/], [['-s', '0', path], /-s 0: not a number of seconds above 0/], [['-s', '4000', path], /up to 3600 seconds/],
      [['-s', '0.1', join(directory, 'none', 'x')], /trace .*no such file/],
    ] as const) {
      const r = await daemon.call('trace', ...words);
      assert.notEqual(r.status, 0);
      assert.match(r.err, reason);
    }
  });
});
