// The engine's own rules, on both ways to run a block: exact counts, exact state at faults, code that changes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Capsule } from '#base/capsule.ts';
import type { Cpu } from '../cpu.ts';
import { CPU, EXIT, FX, MODE, NO_ERROR_CODE, REG } from '../cpu-state.ts';
import { distantMachine } from '../distant-machine.ts';
import { ACCESS, PFEC, STORE } from '../machine.ts';
import { BASE, FlatMachine, NO_HOOKS } from '../testing/flat-machine.ts';
import { Interpreter, scratchSize } from './interpreter.ts';

const both = (name: string, body: (make: (hooks?: ConstructorParameters<typeof FlatMachine>[1], machines?: number) => FlatMachine) => void): void => {
  for (const [how, compileAfter] of [['interpreted', 0], ['compiled at once', 1], ['compiled soon', 3]] as const) test(`${name} (${how})`, () => body((hooks, machines) => new FlatMachine(compileAfter, hooks, undefined, machines)));
};
const UD2 = '0f 0b';

both('a slice retires as many instructions whatever its size', (make) => {
  const counts = [7, 100, 1_000_000].map((slice) => {
    const m = make();
    m.put(0, `b9 e8 03 00 00 48 01 c8 48 ff c9 75 f8 ${UD2}`); // mov ecx,1000; add rax,rcx; dec rcx; jnz
    m.cpu.rip = BigInt(BASE);
    while (m.machine.run(m.cpu, slice) === EXIT.budget);
    assert.equal(m.cpu.get(REG.rax), 500500n);
    return m.machine.retired(m.cpu);
  });
  assert.deepEqual(counts, [3001, 3001, 3001]);
});

both('a block that goes on behind its jumps counts as one that was decoded whole', (make) => {
  const counts = [1, 2, 3, 5, 1_000_000].map((slice) => {
    const m = make();
    // mov ecx,9; dec rcx; jz end; test cl,1; jz again; inc rax; test cl,2; jz again; inc rbx; again: jmp back; end: ud2
    m.put(0, `b9 09 00 00 00 48 ff c9 74 14 f6 c1 01 74 0d 48 ff c0 f6 c1 02 74 03 48 ff c3 eb e9 ${UD2} 90 90 ${UD2}`);
    m.put(0x1c, `eb e7 ${UD2}`);
    m.cpu.rip = BigInt(BASE);
    while (m.machine.run(m.cpu, slice) === EXIT.budget);
    return [m.machine.retired(m.cpu), Number(m.cpu.get(REG.rax)), Number(m.cpu.get(REG.rbx)), Number(m.cpu.rip) - BASE];
  });
  for (const count of counts) assert.deepEqual(count, counts[0]);
});

both('displacements from the next instruction have all of 32 bits', (make) => {
  const m = make();
  for (let i = 0; i < 6; i++) {
    // at 0xff0: lea rax,[rip+0x7fffffff]; lea rbx,[rip-0x80000000]; ud2
    m.put(0xff0, `48 8d 05 ff ff ff 7f 48 8d 1d 00 00 00 80`);
    m.put(0x0ffe, UD2);
    m.finish(0xff0);
    assert.equal(m.cpu.get(REG.rax), BigInt(BASE) + 0xff7n + 0x7fff_ffffn);
    assert.equal(m.cpu.get(REG.rbx), BigInt.asUintN(64, BigInt(BASE) + 0xffen - 0x8000_0000n));
  }
});

both('SERIALIZE changes nothing, and has no prefix', (make) => {
  const m = make({ unimplemented: () => {} });
  m.put(0, `0f 01 e8 ff c0 66 0f 01 e8`); // serialize; inc eax; #UD
  m.cpu.set(REG.rax, 1n);
  assert.equal(m.finish(0), 5);
  assert.equal(m.cpu.get(REG.rax), 2n);
});

both('a jump behind a compare may go far', (make) => {
  const m = make();
  m.put(0, `b9 14 00 00 00 ff c0 39 c8 0f 84 f1 9f 00 00 e9 f1 8f 00 00`); // mov ecx,20; 5: inc eax; cmp eax,ecx; jz 0xa000; jmp 0x9005
  m.put(0x9005, `e9 fb 6f ff ff`); // jmp 5
  m.put(0xa000, UD2);
  m.cpu.set(REG.rax, 0n);
  assert.equal(m.finish(0), 0xa000);
  assert.equal(m.cpu.get(REG.rax), 20n);
});

test('blocks follow the way that control took first, and no other', () => {
  const m = new FlatMachine(0);
  m.put(0, `85 c0 75 04 85 db 75 04 ${UD2} 90 90 ${UD2}`); // test eax,eax; jnz 8; test ebx,ebx; jnz 12; ud2; 8: ud2
  const made = (): number => m.machine.statistics().blocks;
  m.run(0);
  assert.deepEqual([made(), m.machine.retired(m.cpu)], [1, 4], 'neither jump was taken');
  m.cpu.set(REG.rbx, 1n);
  m.run(0);
  assert.deepEqual([made(), m.machine.retired(m.cpu)], [2, 8], 'the second was');
  m.cpu.set(REG.rax, 1n);
  m.run(0);
  assert.deepEqual([made(), m.machine.retired(m.cpu)], [3, 10], 'the first was');
});

both('a store to what comes behind a jump is seen there', (make) => {
  const m = make();
  m.put(0, `c7 05 04 00 00 00 ff c0 ${UD2} 85 c9 75 02 90 90 90 90`); // mov dword [rip+…], inc eax; ud2; test ecx,ecx; jnz; nop nop nop nop
  m.finish(0);
  assert.equal(m.cpu.get(REG.rax), 1n);
});

both('a fault counts what came before it and shows its state', (make) => {
  const m = make();
  m.map(5, -1);
  m.put(0, `b8 01 00 00 00 bb 00 50 00 10 48 8b 0b ${UD2}`); // mov eax,1; mov ebx,BASE+0x5000; mov rcx,[rbx]
  assert.equal(m.run(0), EXIT.exception);
  assert.deepEqual([m.cpu.field32(CPU.exitInfo), m.cpu.field32(CPU.errorCode), m.cpu.field64(CPU.cr2)], [14, 0, BigInt(BASE + 0x5000)]);
  assert.equal(m.cpu.rip, BigInt(BASE + 10));
  assert.equal(m.machine.retired(m.cpu), 2);
});

both('a write fault leaves the flags that the instruction is to read again', (make) => {
  const m = make();
  m.map(5, 5, false);
  m.put(0, `bb 00 50 00 10 f9 83 13 00 ${UD2}`); // mov ebx,…; stc; adc dword [rbx],0
  assert.equal(m.run(0), EXIT.exception);
  assert.equal(m.cpu.field32(CPU.errorCode), PFEC.present | PFEC.write);
  m.map(5, 5, true);
  m.machine.flushTlbPage(BASE + 0x5000, 0);
  m.finish(6);
  assert.equal(m.capsule.u32[m.at(0x5000) >>> 2], 1);
});

both('a store across pages reaches both, and neither when the second faults', (make) => {
  const m = make();
  m.put(0, `48 c7 03 44 33 22 11 ${UD2}`); // mov qword [rbx],0x11223344
  m.cpu.set(REG.rbx, BigInt(BASE + 0x5ffd));
  m.finish(0);
  assert.equal(m.capsule.dv.getBigUint64(m.at(0x5ffd), true), 0x11223344n);
  m.map(6, -1);
  m.machine.flushTlbPage(BASE + 0x6000, 0);
  m.cpu.set(REG.rbx, BigInt(BASE + 0x5ffe));
  m.run(0);
  assert.equal(m.cpu.field64(CPU.cr2), BigInt(BASE + 0x6000));
  assert.equal(m.capsule.u8[m.at(0x5ffe)], 0x33);
});

both('pushes in a row reach across pages, and stop where one faults', (make) => {
  const m = make();
  m.map(4, -1);
  m.put(0, `50 53 51 52 ${UD2}`); // push rax; push rbx; push rcx; push rdx
  [REG.rax, REG.rbx, REG.rcx, REG.rdx].forEach((r, i) => m.cpu.set(r, BigInt(i + 1)));
  for (let round = 0; round < 5; round++) {
    m.cpu.set(REG.rsp, BigInt(BASE + 0x5010));
    assert.equal(m.run(0), EXIT.exception);
    assert.deepEqual([m.cpu.field32(CPU.exitInfo), m.cpu.field64(CPU.cr2)], [14, BigInt(BASE + 0x4ff8)]);
    assert.deepEqual([m.cpu.rip, m.cpu.get(REG.rsp)], [BigInt(BASE + 2), BigInt(BASE + 0x5000)]);
    assert.equal(m.machine.retired(m.cpu), round * 2 + 2);
  }
  m.map(4, 9);
  m.cpu.set(REG.rsp, BigInt(BASE + 0x5010));
  m.finish(0);
  assert.deepEqual([0x5008, 0x5000, 0x9ff8, 0x9ff0].map((at) => m.capsule.u64[m.at(at) >>> 3]), [1n, 2n, 3n, 4n]);
});

both('pushes go on in their page after an access to another page of the stack', (make) => {
  const m = make();
  m.map(4, 9);
  m.put(0, `50 48 89 9c 24 00 10 00 00 51 52 5e 5f ${UD2}`); // push rax; mov [rsp+4096],rbx; push rcx; push rdx; pop rsi; pop rdi
  for (let round = 1; round < 6; round++) {
    const [a, b, c, d] = [1, 2, 3, 4].map((n) => BigInt(n * round)) as [bigint, bigint, bigint, bigint];
    ([[REG.rax, a], [REG.rbx, b], [REG.rcx, c], [REG.rdx, d], [REG.rsp, BigInt(BASE + 0x4f00)]] as const).forEach(([r, value]) => m.cpu.set(r, value));
    m.finish(0);
    assert.deepEqual([0x9ef8, 0x5ef8, 0x9ef0, 0x9ee8].map((at) => m.capsule.u64[m.at(at) >>> 3]), [a, b, c, d]);
    assert.deepEqual([m.cpu.get(REG.rsi), m.cpu.get(REG.rdi)], [d, c]);
  }
});

both('fields of a structure lie in one page or in two', (make) => {
  const m = make();
  m.map(6, 9);
  m.map(7, 7, false);
  m.put(0, `48 8b 03 48 8b 4b 08 48 89 43 10 48 8b 53 10 ${UD2}`); // mov rax,[rbx]; mov rcx,[rbx+8]; mov [rbx+16],rax; mov rdx,[rbx+16]
  for (const [at, fields] of [[0x5000, [0x5000, 0x5008, 0x5010]], [0x5ff0, [0x5ff0, 0x5ff8, 0x9000]], [0x5ff8, [0x5ff8, 0x9000, 0x9008]], [0x6008, [0x9008, 0x9010, 0x9018]]] as const) {
    for (let round = 0; round < 4; round++) {
      const [first, second, third] = fields.map((f) => m.at(f) >>> 3) as [number, number, number];
      m.capsule.u64.set([BigInt(at + round)], first);
      m.capsule.u64.set([BigInt(at - round)], second);
      m.cpu.set(REG.rbx, BigInt(BASE + at));
      m.finish(0);
      assert.deepEqual([m.cpu.get(REG.rax), m.cpu.get(REG.rcx), m.cpu.get(REG.rdx), m.capsule.u64[third]], [BigInt(at + round), BigInt(at - round), BigInt(at + round), BigInt(at + round)]);
    }
  }
  m.cpu.set(REG.rbx, BigInt(BASE + 0x7000)); // what may be read may not be written
  assert.equal(m.run(0), EXIT.exception);
  assert.deepEqual([m.cpu.rip, m.cpu.field64(CPU.cr2), m.cpu.field32(CPU.errorCode)], [BigInt(BASE + 7), BigInt(BASE + 0x7010), PFEC.present | PFEC.write]);
});

/** A loop that begins at BASE + 0x100 and touches page 4 first, then what begins at its end in page 3: frames far from each other. */
function acrossIntoKnownPage(m: FlatMachine, code: string, register: number): void {
  m.map(3, 7);
  m.map(4, 5);
  for (const page of [5, 7]) m.capsule.u8.fill(page, m.at(page * 4096), m.at((page + 1) * 4096));
  m.capsule.u8.fill(0xcc, m.at(4 * 4096), m.at(5 * 4096)); // before the frame of page 4
  m.put(0x100, `${code} ff c9 75 ${(0x100 - code.split(' ').length - 4).toString(16)} ${UD2}`);
  m.cpu.set(register, BigInt(BASE + 4 * 4096));
  m.cpu.set(REG.rax, 0x1122_3344_5566_7788n);
  m.cpu.set(REG.rcx, 50n);
  assert.equal(m.run(0x100), EXIT.exception);
  assert.equal(m.cpu.get(REG.rcx), 0n);
  assert.ok(m.capsule.u8.subarray(m.at(4 * 4096), m.at(5 * 4096)).every((byte) => byte === 0xcc), 'the neighbour is as it was');
}
both('an access that reaches into a page that is known begins in the page before it', (make) => {
  const stored = (m: FlatMachine): bigint => m.capsule.u64[m.at(8 * 4096 - 8) >>> 3] as bigint;
  let m = make();
  acrossIntoKnownPage(m, '48 89 06 48 89 46 fc', REG.rsi); // mov [rsi],rax; mov [rsi-4],rax
  assert.equal(stored(m), 0x5566_7788_0707_0707n);
  m = make();
  acrossIntoKnownPage(m, '48 8b 06 48 8b 5e fc', REG.rsi); // mov rax,[rsi]; mov rbx,[rsi-4]
  assert.equal(m.cpu.get(REG.rbx), 0x0505_0505_0707_0707n);
  m = make();
  acrossIntoKnownPage(m, '48 8b 5e fc 48 8b 06', REG.rsi); // mov rbx,[rsi-4]; mov rax,[rsi]
  assert.deepEqual([m.cpu.get(REG.rbx), m.cpu.get(REG.rax)], [0x0505_0505_0707_0707n, 0x0505_0505_0505_0505n]);
  m = make();
  acrossIntoKnownPage(m, '48 89 44 24 10 48 89 44 24 fc', REG.rsp); // mov [rsp+16],rax; mov [rsp-4],rax
  assert.equal(stored(m), 0x5566_7788_0707_0707n);
  m = make();
  acrossIntoKnownPage(m, '0f 11 44 24 10 0f 10 44 24 f8', REG.rsp); // movups [rsp+16],xmm0; movups xmm0,[rsp-8]
  assert.deepEqual([0, 8].map((at) => m.capsule.dv.getBigUint64(m.cpu.base + CPU.fxState + FX.xmm + at, true)), [0x0707_0707_0707_0707n, 0x0505_0505_0505_0505n]);
});

both('a repeated instruction that faults in a later round is left with what the rounds before have done', (make) => {
  const m = make();
  m.map(6, -1);
  m.put(0, `ff c2 f3 a4 ff c2 ${UD2}`); // inc edx; rep movsb; inc edx; ud2
  for (let i = 0; i < 5; i++) { // it ends four times
    for (const [register, value] of [[REG.rcx, i < 4 ? 16 : 0x3000], [REG.rsi, BASE + 0x2100], [REG.rdi, BASE + 0x4000]] as const) m.cpu.set(register, BigInt(value));
    assert.equal(m.run(0), EXIT.exception);
  }
  assert.deepEqual([REG.rsi, REG.rdi, REG.rcx].map((register) => m.cpu.get(register)), [BigInt(BASE + 0x4100), BigInt(BASE + 0x6000), 0x1000n]);
  assert.deepEqual([m.cpu.rip, m.cpu.field64(CPU.cr2)], [BigInt(BASE + 2), BigInt(BASE + 0x6000)]);
});

both('pushes to the last page of all fault when there is none', (make) => {
  const m = make();
  m.put(0x100, `50 50 58 58 ff c9 75 f8 ${UD2}`); // push rax; push rax; pop; pop; loop
  const at = (rsp: bigint, rounds: bigint): number => {
    m.cpu.set(REG.rsp, rsp);
    m.cpu.set(REG.rcx, rounds);
    return m.run(0x100);
  };
  at(BigInt(BASE + 0x4800), 50n);
  assert.deepEqual([at(-64n & (1n << 64n) - 1n, 50n), m.cpu.field32(CPU.exitInfo), m.cpu.field64(CPU.cr2)], [EXIT.exception, 14, (1n << 64n) - 72n]);
});

both('what is decoded and compiled can be dropped between slices, and is not looked for where it was', (make) => {
  const m = make();
  m.put(0x100, `ff c3 e8 08 00 00 00 ff c9 75 f5 ${UD2} 90 90 48 01 d8 c3`); // inc ebx; call; dec ecx; jnz; ud2; add rax,rbx; ret
  const sum = (): [number, bigint] => {
    for (const [register, value] of [[REG.rax, 0n], [REG.rbx, 0n], [REG.rcx, 50n]] as const) m.cpu.set(register, value);
    m.cpu.rip = BigInt(BASE + 0x100);
    let exit: number = EXIT.budget;
    while (exit === EXIT.budget) {
      exit = m.machine.run(m.cpu, 20);
      if (m.cpu.get(REG.rcx) % 10n !== 0n) continue;
      const was = m.machine.shed(0);
      if (was) m.capsule.u8.fill(0xa5, was.offset, was.offset + was.bytes);
    }
    return [exit, m.cpu.get(REG.rax)];
  };
  assert.equal(m.machine.shed(0), undefined, 'there is nothing yet');
  assert.deepEqual(sum(), [EXIT.exception, 1275n]);
  assert.ok(m.machine.statistics().resets > 0);
  assert.equal(m.machine.shed(1 << 20), undefined, 'it is little');
  m.put(0x10f, '48 29'); // sub rax,rbx: still seen
  assert.deepEqual(sum(), [EXIT.exception, -1275n & (1n << 64n) - 1n]);
});

both('a store into the instructions that follow it is seen by them', (make) => {
  const m = make();
  // mov byte [rip+1],42 changes the immediate of the next instruction: mov eax,7
  m.put(0, `c6 05 01 00 00 00 2a b8 07 00 00 00 ${UD2}`);
  m.finish(0);
  assert.equal(m.cpu.get(REG.rax), 42n);
});

both('code that is changed through another mapping is new code', (make) => {
  const m = make();
  m.put(0x1000, `b8 01 00 00 00 ${UD2}`);
  m.finish(0x1000);
  m.map(9, 1);
  m.put(0, `c6 04 25 01 90 00 10 05 e9 f3 0f 00 00`); // mov byte [BASE+0x9001],5; jmp BASE+0x1000
  m.finish(0);
  assert.equal(m.cpu.get(REG.rax), 5n);
});

both('code is changed by a string instruction, and across a page boundary', (make) => {
  const m = make();
  m.put(0x1fff, `b8 01 00 00 00 ${UD2}`); // mov eax,1 with its immediate in the next page
  m.finish(0x1fff);
  m.put(0x5000, '09 00 00 00');
  m.put(0, `bf 00 20 00 10 be 00 50 00 10 b9 04 00 00 00 f3 a4 e9 e9 1f 00 00`); // rep movsb to the immediate; jmp
  m.finish(0);
  assert.equal(m.cpu.get(REG.rax), 9n);
});

both('a jump to an instruction that reaches into the next page finds the page that is there now', (make) => {
  const m = make();
  m.put(0, 'e9 f8 0f 00 00'); // jmp 4093
  m.put(4093, 'b8 01 00'); // mov $…, %eax over the page's end
  m.put(4096, '00 00 0f 0b'); // … 1; ud2
  m.put(2 * 4096, '00 07 0f 0b'); // or 0x7000001
  for (const [page, value] of [[1, 1n], [2, 0x0700_0001n], [1, 1n]] as const) {
    m.map(1, page);
    m.machine.flushTlb();
    for (let i = 0; i < 5; i++) {
      m.finish(0);
      assert.equal(m.cpu.get(0), value, `page ${page}`);
    }
  }
});
both('a page that is mapped anew runs its new code after the flush', (make) => {
  const m = make();
  m.put(0x1000, `b8 01 00 00 00 ${UD2}`);
  m.put(0x2000, `b8 02 00 00 00 ${UD2}`);
  m.put(0, 'e9 fb 0f 00 00'); // jmp BASE+0x1000
  m.finish(0);
  assert.equal(m.cpu.get(REG.rax), 1n);
  m.map(1, 2);
  m.machine.flushTlbPage(BASE + 0x1000, 0, m.frame(1));
  m.finish(0);
  assert.equal(m.cpu.get(REG.rax), 2n);
  m.map(1, -1);
  m.machine.flushTlb(m.frame(2));
  m.run(0);
  assert.deepEqual([m.cpu.field32(CPU.exitInfo), m.cpu.field32(CPU.errorCode)], [14, PFEC.fetch]);
});

both('the same frame at two addresses runs with each address', (make) => {
  const m = make();
  m.map(9, 1);
  m.put(0x1000, `48 8d 05 00 00 00 00 ${UD2}`); // lea rax,[rip]
  for (const page of [0x1000, 0x9000, 0x1000]) {
    m.finish(page);
    assert.equal(m.cpu.get(REG.rax), BigInt(BASE + page + 7));
  }
});

both('a watched store is handed over with its value, and faults when it is refused', (make) => {
  const seen: unknown[] = [];
  let accept = true;
  const m = make({ storeWatched: (_c, mfn) => mfn === 8 + 5, storeDenied: (_c, lo, _hi, size, value, high) => { seen.push([lo, size, value >>> 0, high >>> 0]); return accept ? STORE.done : STORE.refused; } });
  m.map(5, 5, false);
  m.capsule.u32[m.at(0x5000) >>> 2] = 5;
  m.put(0, `48 89 03 f0 83 03 02 ${UD2}`); // mov [rbx],rax; lock add dword [rbx],2
  m.cpu.set(REG.rbx, BigInt(BASE + 0x5000));
  m.cpu.set(REG.rax, 0x1122_3344_5566_7788n);
  m.finish(0);
  assert.deepEqual(seen, [[BASE + 0x5000, 8, 0x5566_7788, 0x1122_3344], [BASE + 0x5000, 4, 7, 0]]);
  assert.equal(m.capsule.u32[m.at(0x5000) >>> 2], 5);
  accept = false;
  assert.equal(m.run(0), EXIT.exception);
  assert.deepEqual([m.cpu.field32(CPU.exitInfo), m.cpu.rip], [14, BigInt(BASE)]);
});

both('pushes in a row are looked up where nothing is known of the stack, wherever it is', (make) => {
  const m = make();
  m.put(0, `50 50 50 ${UD2}`); // push rax, three times
  for (let i = 0; i < 5; i++) {
    m.cpu.set(REG.rsp, BigInt(BASE + 0x4080));
    m.finish(0);
  }
  for (const rsp of [0xffff_ffff_ffff_ff80n, 0x1080n]) { // nothing is there
    m.machine.flushTlb();
    m.cpu.set(REG.rsp, rsp);
    assert.equal(m.run(0), EXIT.exception);
    assert.deepEqual([m.cpu.field32(CPU.exitInfo), m.cpu.field64(CPU.cr2), m.cpu.get(REG.rsp)], [14, rsp - 8n, rsp]);
  }
});

both('a locked instruction on a watched page is done anew when somebody has changed it meanwhile', (make) => {
  const seen: unknown[] = [];
  const m: FlatMachine = make({ storeWatched: (_c, mfn) => mfn === 8 + 5, storeDenied: (_c, _lo, _hi, _size, value, _high, was) => {
    seen.push([value >>> 0, was?.lo]);
    if (seen.length > 1) return STORE.done;
    m.capsule.u32[m.at(0x5000) >>> 2] = 0x20;
    return STORE.changed;
  } }, 2);
  m.map(5, 5, false);
  m.capsule.u32[m.at(0x5000) >>> 2] = 5;
  m.put(0, `f0 83 03 02 ${UD2}`); // lock add dword [rbx],2
  m.cpu.set(REG.rbx, BigInt(BASE + 0x5000));
  m.finish(0);
  assert.deepEqual(seen, [[7, 5], [0x22, 0x20]]);
});

both('CR0.TS makes x87 and SSE instructions raise #NM, and only them', (make) => {
  const m = make();
  m.put(0, `0f ae e8 0f 57 c0 ${UD2}`); // lfence; xorps
  m.finish(0);
  m.cpu.setField32(CPU.mode, MODE.kernel | MODE.ts);
  assert.equal(m.run(0), EXIT.exception);
  assert.deepEqual([m.cpu.field32(CPU.exitInfo), m.cpu.field32(CPU.errorCode), m.cpu.rip], [7, NO_ERROR_CODE, BigInt(BASE + 3)]);
  m.cpu.setField32(CPU.mode, MODE.kernel);
  m.finish(0);
});

both('flags survive from any instruction to any reader', (make) => {
  const m = make();
  // xor eax,eax; sub al,1 (CF, SF, AF); inc ebx keeps CF; mov ecx,1; lahf; setb dl
  m.put(0, `31 c0 2c 01 ff c3 b9 01 00 00 00 0f 92 c2 ${UD2}`);
  m.cpu.set(REG.rdx, 0n);
  m.finish(0);
  assert.equal(m.cpu.get(REG.rdx), 1n);
});

test('a block that is hot becomes one function and does the same', () => {
  const m = new FlatMachine(100);
  m.put(0x100, '48 01 d8 48 ff c1 48 39 d1 75 f5 0f 0b'); // … cmp rcx,rdx; jne
  m.cpu.set(REG.rbx, 3n);
  m.cpu.set(REG.rcx, 0n);
  m.cpu.set(REG.rdx, 1n << 40n);
  m.cpu.rip = BigInt(BASE + 0x100);
  for (let i = 0; i < 10; i++) assert.equal(m.machine.run(m.cpu, 997), EXIT.budget);
  assert.equal(m.machine.statistics().promoted, 1);
  assert.equal(m.cpu.get(REG.rax), m.cpu.get(REG.rcx) * 3n);
  assert.ok(Math.abs(m.machine.retired(m.cpu) - Number(m.cpu.get(REG.rcx)) * 4) < 4);
});

both('a store into the jump behind it is seen by that jump', (make) => {
  const m = make();
  // add byte [rip+1],4 makes jnz +5 of what is jnz +1; the two would share a record if the first wrote no memory
  m.put(0, `80 05 01 00 00 00 04 75 01 90 ${UD2} 90 90 ${UD2}`);
  assert.equal(m.finish(0), 14);
});

test('a vCPU that waited finds its own translations again', () => {
  const capsule = new Capsule(64, 0, scratchSize(64));
  const machine = new Interpreter(capsule, 2, NO_HOOKS);
  const [a, b] = machine.cpus as [Cpu, Cpu];
  // 20 address spaces of one table each: slot 0 leads to the table itself on every level, slot 1 to the code: mov eax,[0x1800]; ud2
  for (let n = 0; n < 20; n++) {
    const entry = (slot: number, mfn: number): void => { capsule.u64[(capsule.frame(1 + n) >>> 3) + slot] = BigInt(mfn) << 12n | 0x67n; };
    entry(0, 1 + n);
    entry(1, 40 + n);
    capsule.u8.set([0x8b, 0x04, 0x25, 0x00, 0x18, 0, 0, 0x0f, 0x0b], capsule.frame(40 + n));
    capsule.u8[capsule.frame(40 + n) + 0x800] = n;
  }
  const run = (cpu: Cpu): bigint => { cpu.rip = 0x1000n; machine.run(cpu, 100); return cpu.get(REG.rax); };
  machine.setBase(b, 1, true);
  assert.equal(run(b), 0n);
  for (let n = 1; n < 20; n++) { machine.setBase(a, 1 + n, true); assert.equal(run(a), BigInt(n)); }
  assert.equal(run(b), 0n);
});

test('translate sets accessed and dirty bits and names its faults', () => {
  const m = new FlatMachine();
  m.map(3, 3, false);
  const entry = (m.capsule.frame(4) >>> 3) + 3;
  m.capsule.u64[entry] = (m.capsule.u64[entry] as bigint) & ~0x60n;
  assert.equal(m.machine.translate(m.cpu, BASE + 0x3010, 0, ACCESS.read), m.at(0x3010));
  assert.equal((m.capsule.u64[entry] as bigint) & 0x60n, 0x20n);
  assert.equal(m.machine.translate(m.cpu, BASE + 0x3010, 0, ACCESS.write), -1);
  assert.equal(m.machine.faultCode, PFEC.present | PFEC.write);
  assert.equal(m.machine.translate(m.cpu, 0, 0x8000, ACCESS.read), -1);
});

both('a jump to the last address of all is an ordinary jump', (make) => {
  const m = make();
  m.put(0, `48 83 c8 ff ff e0 ${UD2}`); // or rax,-1; jmp rax
  for (let i = 0; i < 2; i++) {
    assert.equal(m.run(0), EXIT.exception);
    assert.deepEqual([m.cpu.field32(CPU.exitInfo), m.cpu.rip], [14, 0xffff_ffff_ffff_ffffn]);
    m.machine.flushTlb();
  }
});

both('code that another thread has overwritten is decoded anew when the machine begins to execute', (make) => {
  const m = make();
  const there = distantMachine(m.capsule);
  const write = (page: number, offset: number, byte: number): void => {
    m.capsule.u8[m.at(page * 4096 + offset)] = byte;
    there.frameWritten((m.at(page * 4096) - m.capsule.frames) >>> 12);
  };
  m.put(0, `b8 01 00 00 00 ${UD2}`); // mov eax,1
  m.put(0x1ffd, `b8 01 00 00 00 ${UD2}`); // and across pages
  const run = (at: number): number => {
    m.finish(at);
    return m.cpu.lo(REG.rax);
  };
  for (let value = 1; value < 20; value++) {
    write(0, 1, value);
    write(2, 0, value);
    for (let times = 0; times < value % 4; times++) assert.deepEqual([run(0), run(0x1ffd)], [value, 1 | value << 16]);
  }
});
