// What machines share of compiled code, and what they do not.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REG } from '../cpu-state.ts';
import { BASE, FlatMachine } from '../testing/flat-machine.ts';
import { cacheOf, SharedCompiler } from '../testing/shared-compiler.ts';
import type { RegionCache } from './region-cache.ts';

const PLENTY = 64 << 20;
const PAGE = 4096;
/** Slices enough that a region that waits for others is compiled alone, and executed. */
const SLICES = 400, ROUNDS = 5000;

/** A loop that adds `n` to rax, by a function on the next page; with `offset` in its page. */
const loop = (n: number): string => `48 81 c0 ${n.toString(16).padStart(2, '0')} 00 00 00 e8 f4 0f 00 00 48 ff c9 75 ef f4`; // ADD rax, n; CALL +0x1000; DEC rcx; JNZ; HLT
const CALLED = '48 ff c3 c3'; // INC rbx; RET

class Guest {
  readonly compiler: SharedCompiler;
  readonly m: FlatMachine;

  constructor(cache: RegionCache) {
    this.compiler = new SharedCompiler(cache);
    this.m = new FlatMachine(20, {}, this.compiler);
  }
  /** Puts the loop at an offset, and its function on the page behind. */
  load(at: number, n: number): void {
    this.m.put(at, loop(n));
    this.m.put(at + PAGE, CALLED);
  }
  /** @returns rax and rbx after so many rounds */
  run(at: number, rounds = ROUNDS, slices = SLICES): [bigint, bigint] {
    const { cpu, machine } = this.m;
    for (const r of [REG.rax, REG.rbx]) cpu.set(r, 0n);
    cpu.set(REG.rcx, BigInt(rounds));
    cpu.rip = BigInt(BASE + at);
    for (let i = 0; i < slices; i++) machine.run(cpu, Math.ceil(rounds * 6 / slices));
    assert.equal(cpu.get(REG.rcx), 0n, 'it has come to its end');
    return [cpu.get(REG.rax), cpu.get(REG.rbx)];
  }
}

test('two machines with the same code compile it once, wherever it is', () => {
  const cache = cacheOf(PLENTY);
  const [a, b] = [new Guest(cache), new Guest(cache)];
  a.load(0x100, 7);
  b.load(3 * PAGE + 0x100, 7); // other frames, another address; records elsewhere too, after this:
  b.m.put(0x800, '90 90 90 f4');
  b.m.run(0x800);
  assert.deepEqual(a.run(0x100), [7n * BigInt(ROUNDS), BigInt(ROUNDS)]);
  assert.deepEqual(b.run(3 * PAGE + 0x100), [7n * BigInt(ROUNDS), BigInt(ROUNDS)]);
  assert.ok(a.compiler.modules.size > 0 && a.m.machine.statistics().promoted > 0);
  assert.deepEqual([...b.compiler.modules], [...a.compiler.modules]);
  assert.equal(b.m.machine.statistics().promoted, a.m.machine.statistics().promoted);
});

test('code of other content is other code, as is what it is overwritten with', () => {
  const cache = cacheOf(PLENTY);
  const [a, b] = [new Guest(cache), new Guest(cache)];
  a.load(0x100, 7);
  b.load(0x100, 9);
  a.run(0x100);
  assert.deepEqual(b.run(0x100), [9n * BigInt(ROUNDS), BigInt(ROUNDS)]);
  assert.ok([...b.compiler.modules].some((module) => !a.compiler.modules.has(module)));
  b.load(0x100, 7);
  assert.deepEqual(b.run(0x100), [7n * BigInt(ROUNDS), BigInt(ROUNDS)]);
  assert.ok([...a.compiler.modules].every((module) => b.compiler.modules.has(module)), 'the same as of the other one now');
});

test('a function that is moved away from under shared code is looked up anew', () => {
  const cache = cacheOf(PLENTY);
  const [a, b] = [new Guest(cache), new Guest(cache)];
  for (const guest of [a, b]) {
    guest.load(0x100, 7);
    guest.run(0x100);
  }
  b.m.put(5 * PAGE + 0x100, '48 83 c3 03 c3'); // ADD rbx, 3; RET
  b.m.map(1, 5);
  b.m.machine.flushTlb();
  assert.deepEqual(b.run(0x100), [7n * BigInt(ROUNDS), 3n * BigInt(ROUNDS)]);
  assert.deepEqual(a.run(0x100), [7n * BigInt(ROUNDS), BigInt(ROUNDS)]);
});

test('the same code twice in one machine is a function twice, though it comes in one job', () => {
  const cache = cacheOf(PLENTY);
  const a = new Guest(cache);
  for (const at of [0x100, 4 * PAGE + 0x100]) {
    a.load(at, 7);
    assert.deepEqual(a.run(at, 40, 1), [280n, 40n]); // both wait for others to be compiled with
  }
  assert.equal(a.compiler.jobs.length, 0);
  a.run(0x100, ROUNDS);
  const job = a.compiler.jobs[0];
  assert.ok(job && job.regions.length >= 2);
  const words = job.regions.map((region) => region.join());
  assert.ok(new Set(words).size < words.length, 'alike');
  for (const at of [0x100, 4 * PAGE + 0x100]) assert.deepEqual(a.run(at), [7n * BigInt(ROUNDS), BigInt(ROUNDS)]);
  const done = cache.compile(job);
  const made = done.modules.flatMap(({ regions }) => regions).filter((r) => r !== undefined).sort((x, y) => x - y);
  assert.deepEqual(made, job.regions.map((_, i) => i));
  assert.equal(new Set(done.modules.map(({ module }) => module)).size, 1);
});

test('what was not used for long is forgotten, and compiled again', () => {
  const one = new Guest(cacheOf(PLENTY));
  one.load(0x100, 1);
  one.run(0x100);
  const [job] = one.compiler.jobs;
  assert.ok(job);
  const size = cacheOf(PLENTY).compile(job).modules[0]?.size as number;
  const cache = cacheOf(3 * size);
  const jobs = Array.from({ length: 4 }, (_, i) => {
    const guest = new Guest(cacheOf(PLENTY));
    guest.load(0x100, i + 1);
    guest.run(0x100);
    return guest.compiler.jobs[0] as typeof job;
  });
  const moduleOf = (i: number): unknown => cache.compile(jobs[i] as typeof job).modules[0]?.module;
  const [m0, m1, m2] = [moduleOf(0), moduleOf(1), moduleOf(2)];
  assert.equal(moduleOf(0), m0);
  moduleOf(3); // one too many: the one used longest ago goes
  assert.equal(moduleOf(0), m0);
  assert.equal(moduleOf(2), m2);
  assert.notEqual(moduleOf(1), m1);
});
