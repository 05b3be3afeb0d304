// `xenith top` as scripts and people use it.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { Daemon } from './daemon-process.ts';
import { start, XENITH } from '../run/xenith.ts';

const daemon = new Daemon();
interface Sample {
  readonly time: number;
  readonly domains: readonly {
    readonly name: string; readonly time: number; readonly memory: number; readonly touched: number; readonly machine?: { readonly promoted: number };
    readonly vcpus: readonly { readonly instructions: number; readonly times: readonly number[]; readonly hypercalls: number; readonly byHypercall: Readonly<Record<string, number>>; readonly upcalls: number; readonly tlbMisses: number }[];
  }[];
}
const samples = (text: string): Sample[] => text.split('\n').map((line) => JSON.parse(line) as Sample);
const noScript = spawnSync('script', ['--version']).status !== 0 && 'needs script of util-linux';

describe('top', { timeout: 120_000 }, () => {
  before(async () => {
    await daemon.start();
    await daemon.ok('create', 'name="busy"', 'memory=48', 'vcpus=2');
    await daemon.converse('busy', 'while :; do ls / > /dev/null; done & echo sta""rted\n', /started/);
    await daemon.ok('create', 'name="idle"', 'memory=48');
    await daemon.converse('idle', 'echo re""ady\n', /ready/);
  });
  after(() => daemon.remove());

  test('-b writes tables: who is busy has most of the processor, who is idle next to nothing', async () => {
    const lines = (await daemon.ok('top', '-b', '-d', '2', '-i', '2')).split('\n');
    assert.equal(lines.length, 8);
    assert.deepEqual([lines[0], lines[4]].map((line) => /^ +NAME +STATE +CPU\(sec\) CPU\(%\)/.test(line ?? '')), [true, true]);
    const percent = (name: string): number => Number(lines.slice(5).find((line) => line.includes(` ${name} `))?.trim().split(/ +/)[3]);
    // it has two vCPUs, on as many CPUs
    assert.ok(percent('busy') > 30 && percent('busy') <= 201, `${percent('busy')}`);
    assert.ok(percent('idle') < 15, `${percent('idle')}`);
  });

  test('--json: what was counted grows where something was done', async () => {
    const [first, second] = samples(await daemon.ok('top', '--json', '-i', '2', '-d', '1')) as [Sample, Sample];
    const of = (s: Sample, name: string): Sample['domains'][number] => s.domains.find((d) => d.name === name) ?? assert.fail(name);
    const [before, now] = [of(first, 'busy'), of(second, 'busy')];
    const sum = (d: typeof before, field: 'instructions' | 'hypercalls' | 'upcalls' | 'tlbMisses'): number => d.vcpus.reduce((n, v) => n + v[field], 0);
    for (const field of ['instructions', 'hypercalls', 'upcalls', 'tlbMisses'] as const) assert.ok(sum(now, field) > sum(before, field), field);
    assert.ok(now.vcpus.some(({ byHypercall }) => (byHypercall['mmu_update'] ?? 0) > 0));
    for (const { times, hypercalls, byHypercall } of now.vcpus) {
      assert.equal(times.length, 4);
      assert.equal(Object.values(byHypercall).reduce((a, b) => a + b, 0) >= hypercalls, true, 'those by name are all');
    }
    assert.equal(now.memory, 48 * 1024);
    assert.ok(now.touched > 4000 && now.touched <= 48 * 1024 + 512, `${now.touched} KiB`);
    const ran = now.vcpus.reduce((n, { times }) => n + (times[0] ?? 0), 0) / 1e9;
    assert.ok(Math.abs(ran - now.time) < 0.3 * now.time, `${ran} s by runstate, ${now.time} s charged`);
    assert.equal(samples(await daemon.ok('top', '--json')).length, 1);
  });

  test('it ends when nobody reads any more', async () => {
    const child = start(['top', '--state', daemon.state, '-b', '-d', '0.2']);
    const ended = new Promise((done) => { child.on('close', done); });
    child.stdout.once('data', () => child.stdout.destroy());
    assert.equal(await ended, 0);
  });

  test('on a terminal: keys change what is shown, Q leaves, and the terminal is as it was', { skip: noScript }, async () => {
    const child = spawn('script', ['-qec', `stty rows 24 cols 100; '${process.execPath}' '${XENITH}' top --state '${daemon.state}' -d 0.3; echo "status $?"; stty -a | grep -o -e "[-]*icanon" -e "[-]*opost"`, '/dev/null'], { env: { ...process.env, TERM: 'vt100', SHELL: '/bin/sh' } });
    const steps: [RegExp, string][] = [[/3 domains: [^]*CPU\(%\)[^]*busy[^]*Q: quit/, 'v'], [/VCPUs\(sec\): +0: /, 'e'], [/Engine: insn [\d.]+M?k?\/s/, 'd'], [/Delay\(sec\): /, '0.2\r'], [/Q: quit/, 'q']];
    let screen = '', seen = 0;
    child.stdout.on('data', (bytes: Buffer) => {
      screen += bytes.toString();
      const [step] = steps;
      if (!step?.[0].test(screen.slice(seen))) return;
      seen = screen.length;
      steps.shift();
      child.stdin.write(step[1]);
    });
    await new Promise((done) => { child.on('close', done); });
    assert.deepEqual(steps, [], screen.slice(-500));
    assert.match(screen.split('\x1b[?1049l')[1] ?? '', /status 0\r\n/, 'the screen that was there before is back');
    assert.match(screen, /(?<!-)icanon\r\n/);
    assert.match(screen, /(?<!-)opost\r\n/);
  });

  test('what cannot be is refused with a reason', async () => {
    for (const [words, reason] of [[['-d', '0'], /--delay 0: not a number of seconds above 0/], [['-i', '1.5'], /--iterations 1.5: not a number/], [['anna'], /too many words/]] as const) {
      const r = await daemon.call('top', ...words);
      assert.equal(r.status, 2);
      assert.match(r.err, reason);
    }
  });
});
