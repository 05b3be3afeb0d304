// Calls that compiled code waits for: what they return to goes on in the same function, unless something has changed meanwhile.
// Whatever happens is the same as interpreted.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CPU, EXIT, REG } from '../cpu-state.ts';
import type { MachineHooks } from '../machine.ts';
import { BASE, FlatMachine } from '../testing/flat-machine.ts';

const ROUNDS = 300;
/** Enough instructions for a callee that is not copied into its callers' regions. */
const PAD = '90 '.repeat(10);
interface Scene {
  /** code by its offset */
  readonly code: Readonly<Record<number, string>>;
  readonly registers?: Readonly<Record<number, bigint>>;
  /** what RDTSC does to the machine, the nth time */
  readonly rdtsc?: (m: FlatMachine, n: number) => void;
  /** handles an exception in the middle of the run */
  readonly exception?: (m: FlatMachine) => number;
}

function finalState(scene: Scene, compileAfter: number, slice: (n: number) => number): unknown {
  let times = 0;
  const hooks: Partial<MachineHooks> = { rdtsc: () => { scene.rdtsc?.(m, ++times); return 0; }, exception: () => scene.exception?.(m) ?? EXIT.exception };
  const m = new FlatMachine(compileAfter, hooks);
  for (const [offset, bytes] of Object.entries(scene.code)) m.put(Number(offset), bytes);
  m.cpu.set(REG.rcx, BigInt(ROUNDS));
  for (const [register, value] of Object.entries(scene.registers ?? {})) m.cpu.set(Number(register), value);
  m.cpu.rip = BigInt(BASE + 0x1000);
  for (let n = 0, exit: number = EXIT.budget; exit === EXIT.budget; n++) {
    assert.ok(n < 100_000, 'it ends');
    exit = m.machine.run(m.cpu, slice(n));
  }
  assert.equal(m.machine.statistics().promoted > 0, compileAfter > 0);
  assert.equal(m.cpu.field64(CPU.returnsEnd), 0n, 'no more wait than may');
  const registers = Array.from({ length: 16 }, (_, r) => m.cpu.get(r));
  return { registers, rip: m.cpu.rip, flags: m.machine.getFlags(m.cpu), retired: m.machine.retired(m.cpu), times, data: m.capsule.u64.slice(m.at(8 * 4096) >>> 3, m.at(16 * 4096) >>> 3).join() };
}

const scenes: Record<string, Scene> = {
  // f: test rcx; jz out; dec rcx; call f; inc rax; out: ret
  'recursion that is deeper than so many may wait': { code: { 0x1000: 'e8 0b 00 00 00 0f 0b', 0x1010: '48 85 c9 74 0b 48 ff c9 e8 f3 ff ff ff 48 ff c0 c3' }, registers: { [REG.rcx]: 1000n } },
  // again: call f; add rbx, 1; dec rcx; jnz again; ud2. f: test cl, 31; jnz out; inc byte [rip + that 1]; out: ret
  'code behind a call that the callee changes': { code: { 0x1000: 'e8 fb 0f 00 00 48 83 c3 01 48 ff c9 75 f2 0f 0b', 0x2000: `${PAD}f6 c1 1f 75 06 fe 05 f3 ef ff ff c3` } },
  // f: rdtsc; ret, where RDTSC puts another page with other code in the place of the caller's
  'a page of code that is another when the callee returns': {
    code: { 0x1000: 'e8 fb 0f 00 00 48 83 c3 01 48 ff c9 75 f2 0f 0b', 0x5000: 'e8 fb 0f 00 00 48 83 c3 64 48 ff c9 75 f2 0f 0b', 0x2000: `${PAD}0f 31 48 ff c6 c3` },
    rdtsc: (m, n) => {
      if (n % 50 !== 0) return;
      const other = n % 100 === 0;
      m.map(1, other ? 1 : 5);
      m.machine.flushTlbPage(BASE + 0x1000, 0, m.frame(other ? 5 : 1));
    },
  },
  // again: call f; nop × 3 (or inc rbx, where f skips 3 bytes); dec rcx; jnz again. f: test cl, 1; jz out; add qword [rsp], 3; out: ret
  'a callee that returns elsewhere': { code: { 0x1000: 'e8 fb 0f 00 00 48 ff c3 48 ff c9 75 f3 0f 0b', 0x2000: `${PAD}f6 c1 01 74 05 48 83 04 24 03 c3` } },
  // two coroutines, each with a stack of its own: again: call swap; add rax, rcx; dec rcx; jnz again; ud2. swap: xchg rsp, rdi; ret
  'stacks that change': {
    code: { 0x1000: 'e8 fb 0f 00 00 48 01 c8 48 ff c9 75 f3 0f 0b', 0x1100: '48 ff c3 e8 f8 0e 00 00 eb f6', 0x2000: `${PAD}48 87 fc c3`, 0xe000: '00 11 00 10 00 00 00 00' },
    registers: { [REG.rdi]: BigInt(BASE + 0xe000) },
  },
  // again: lea rax, [rip + f]; call rax; dec rcx; jnz again; ud2. f: call g; add rsi, rcx; ret. g: push rax; pop rdx; ret 
  'computed calls, and calls in callees': { code: { 0x1000: '48 8d 05 f9 0f 00 00 ff d0 48 ff c9 75 f2 0f 0b', 0x2000: 'e8 fb 0f 00 00 48 01 ce c3', 0x3000: `${PAD}50 5a c3` } },
  // again: call stub; add rbx, rax; dec rcx; jnz again; ud2. stub: jmp [rip + where f is]; f in another page: add rax, rcx; ret
  'a callee that jumps to the one who returns': {
    code: { 0x1000: 'e8 fb 0f 00 00 48 01 c3 48 ff c9 75 f3 0f 0b', 0x2000: 'ff 25 fa cf 00 00', 0x3000: `${PAD}48 01 c8 c3`, 0xf000: '00 30 00 10 00 00 00 00' },
  },
  // f: mov rax, [rdi]; add rdi, 8; ret, in pages that are mapped when they are missed
  'an exception in a callee that the hypervisor handles': {
    code: { 0x1000: 'e8 fb 0f 00 00 48 ff c3 48 ff c9 75 f3 0f 0b', 0x2000: `${PAD}48 8b 07 48 81 c7 f8 01 00 00 c3` },
    registers: { [REG.rcx]: 64n, [REG.rdi]: BigInt(BASE + 0x10000) },
    exception: (m) => {
      if (m.cpu.field32(CPU.exitInfo) !== 14) return EXIT.exception;
      const page = Number(m.cpu.field64(CPU.cr2)) - BASE >>> 12;
      m.map(page, page % 16);
      m.cpu.set(REG.rdx, m.cpu.get(REG.rdx) + BigInt(page));
      return EXIT.none;
    },
  },
  // f returns to no address that is one
  'a return to nowhere': { code: { 0x1000: 'e8 fb 0f 00 00 48 ff c9 75 f6 0f 0b', 0x2000: `${PAD}48 83 f9 05 75 0b 48 c7 c0 ff ff ff ff 48 89 04 24 c3` } },
};
for (const [what, scene] of Object.entries(scenes)) {
  test(`${what}: the same compiled and interpreted`, () => {
    const expected = finalState(scene, 0, () => 1_000_000);
    for (const after of [1, 3, 20]) {
      for (const [size, slice] of [['one slice', (): number => 1_000_000], ['slices', (n: number): number => n % 40 + 1], ['longer slices', (n: number): number => n % 700 + 100]] as const) {
        assert.deepEqual(finalState(scene, after, slice), expected, `compiled after ${after}, ${size}`);
      }
    }
  });
}
