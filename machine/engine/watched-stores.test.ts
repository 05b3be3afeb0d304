// Stores to page tables in compiled code: a region expects those of an instruction that has made one, and goes on behind it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CPU, EXIT, REG } from '../cpu-state.ts';
import { STORE } from '../machine.ts';
import { BASE, FlatMachine } from '../testing/flat-machine.ts';
import { LateCompiler } from '../testing/late-compiler.ts';

const TABLE = 5, ROUNDS = 500;
/** XCHG [rdi], rax; ADD rbx, rax; MOV [rdi + 8], rbx; LOCK BTS [rdi], 3; SETC dl; MOV [r8], rdx; ADD rsi, rdx; DEC rcx; JNZ; UD2 */
const LOOP = '48 87 07 48 01 c3 48 89 5f 08 f0 48 0f ba 2f 03 0f 92 c2 49 89 10 48 01 d6 48 ff c9 75 e2 0f 0b';

/** What the hypervisor says to the nth store. */
type Answer = (n: number, locked: boolean) => number;

class Guest {
  readonly m: FlatMachine;
  stores = 0;

  constructor(compileAfter: number, answer: Answer) {
    this.m = new FlatMachine(compileAfter, {
      storeWatched: (_cpu, mfn) => mfn === this.m.frame(TABLE),
      storeDenied: (_cpu, va, _high, size, lo, hi, was) => {
        const done = answer(++this.stores, was !== undefined);
        const { u32 } = this.m.capsule, at = this.m.at(va - BASE) >>> 2;
        assert.equal(size, 8);
        if (was) assert.deepEqual([was.lo, was.hi], [u32[at], u32[at + 1]]);
        if (done === STORE.done) [u32[at], u32[at + 1]] = [lo, hi];
        return done;
      },
    });
    const { m } = this;
    m.map(TABLE, TABLE, false);
    m.put(0x100, LOOP);
    const { cpu } = m;
    for (const [r, value] of [[REG.rax, 0x1234n], [REG.rbx, 3n], [REG.rcx, BigInt(ROUNDS)], [REG.rdx, 0n], [REG.rsi, 0n], [REG.rdi, BigInt(BASE + TABLE * 4096 + 64)], [8, BigInt(BASE + 6 * 4096)]] as const) cpu.set(r, value);
    cpu.rip = BigInt(BASE + 0x100);
  }
  /** Runs to an exception, in slices of many lengths. @returns all that can be seen */
  run(): unknown {
    const { machine, cpu, capsule, at } = { ...this.m, at: this.m.at(TABLE * 4096 + 64) };
    for (let slice = 1; machine.run(cpu, slice) !== EXIT.exception; slice = slice % 300 + 7);
    return {
      registers: Array.from({ length: 16 }, (_, r) => cpu.get(r)), rip: cpu.rip, vector: cpu.field32(CPU.exitInfo), error: cpu.field32(CPU.errorCode), flags: machine.getFlags(cpu),
      retired: machine.retired(cpu), stores: this.stores, table: [...capsule.u32.subarray(at >>> 2, (at >>> 2) + 4)],
    };
  }
}

const answers: Record<string, Answer> = {
  'are carried out': () => STORE.done,
  'are refused in the middle': (n) => (n === 2 * ROUNDS + 1 ? STORE.refused : STORE.done),
  'are done again when somebody was faster': (n, locked) => (locked && n % 7 === 0 ? STORE.changed : STORE.done),
};
for (const [what, answer] of Object.entries(answers)) {
  test(`stores to page tables ${what}: the same in compiled code`, () => {
    const interpreted = new Guest(0, answer).run();
    for (const after of [1, 50]) {
      const guest = new Guest(after, answer);
      assert.deepEqual(guest.run(), interpreted);
      assert.ok(guest.m.machine.statistics().promoted > 0, 'it was compiled');
    }
  });
}

test('a region is made anew when an instruction in it is seen to store to a page table, once', () => {
  const guest = new Guest(1, () => STORE.done);
  const { m: { machine, cpu, capsule } } = guest;
  const pages = [TABLE, 6].map((n) => BigInt(BASE + n * 4096 + 64));
  cpu.set(REG.rdi, pages[1] as bigint); // the first rounds store elsewhere
  machine.run(cpu, 100);
  const before = machine.statistics().promoted;
  assert.ok(before > 0);
  cpu.set(REG.rdi, pages[0] as bigint);
  machine.run(cpu, 200);
  const after = machine.statistics().promoted;
  assert.ok(after > before);
  machine.run(cpu, 2000);
  assert.equal(machine.statistics().promoted, after);
  assert.equal(capsule.u32[(cpu.base + CPU.redo) >>> 2], 0);
});

test('a hot loop that is seldom left is compiled without waiting for other regions', () => {
  const compiler = new LateCompiler(() => 0);
  const m = new FlatMachine(2000, {}, compiler);
  m.put(0x100, '48 ff c0 48 ff c9 75 f8 0f 0b'); // INC rax; DEC rcx; JNZ; UD2
  m.cpu.set(REG.rcx, 1n << 40n);
  m.cpu.rip = BigInt(BASE + 0x100);
  for (let i = 0; i < 4; i++) m.machine.run(m.cpu, 500_000);
  assert.equal(compiler.made, 1);
});
