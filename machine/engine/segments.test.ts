// Segments outside 64-bit mode: limits, rights and null selectors (Intel SDM vol. 3, chapter 5).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CPU, EXIT, MODE, REG, SEG } from '../cpu-state.ts';
import { BASE, FlatMachine } from '../testing/flat-machine.ts';

const UD2 = '0f 0b';
const TABLE = 0xf000;
/** A descriptor's bytes. */
function descriptor(base: number, limit: number, access: number, flags: number): string {
  const at = [limit, limit >> 8, base, base >> 8, base >> 16, access, limit >> 16 & 15 | flags << 4, base >> 24];
  return at.map((b) => (b & 0xff).toString(16).padStart(2, '0')).join(' ');
}
const DATA = 0xf3, READ_ONLY = 0xf1, CODE = 0xfb, EXECUTE_ONLY = 0xf9;
const SELECTOR = { flat: 0x0b, small: 0x13, readOnly: 0x1b, code: 0x23, executeOnly: 0x2b };

/** 32-bit code with these descriptors in its table; DS and SS are flat. */
function prepare(code: string): FlatMachine {
  const m = new FlatMachine(0, { descriptor: (_cpu, selector) => m.at(TABLE + (selector & ~7)) });
  m.put(TABLE + 8, descriptor(0, 0xfffff, DATA, 12));
  m.put(TABLE + 16, descriptor(BASE + 0x5000, 0xff, DATA, 4));
  m.put(TABLE + 24, descriptor(0, 0xfffff, READ_ONLY, 12));
  m.put(TABLE + 32, descriptor(0, 0xfffff, CODE, 12));
  m.put(TABLE + 40, descriptor(0, 0xfffff, EXECUTE_ONLY, 12));
  m.put(0, `${code} ${UD2}`);
  m.cpu.setField32(CPU.mode, MODE.kernel | MODE.compat32);
  for (const seg of [SEG.ds, SEG.ss, SEG.es]) m.cpu.setSelector(seg, SELECTOR.flat);
  m.cpu.set(REG.rbx, BigInt(BASE + 0x5000));
  m.cpu.rip = BigInt(BASE);
  return m;
}
/** Vector and error code that it stops with, and the offset of the instruction. */
function stop(m: FlatMachine): [number, number, number] {
  assert.equal(m.machine.run(m.cpu, 1000), EXIT.exception);
  return [m.cpu.field32(CPU.exitInfo), m.cpu.field32(CPU.errorCode), Number(m.cpu.rip) - BASE];
}
const LOAD = '66 b8 SEL 00 8e c0'; // mov ax,…; mov es,ax
const load = (selector: number): string => LOAD.replace('SEL', selector.toString(16).padStart(2, '0'));

test('a limit is that of the last byte', () => {
  const inside = prepare(`${load(SELECTOR.small)} b9 fc 00 00 00 26 c7 01 44 33 22 11`); // mov ecx,0xfc; mov dword es:[ecx],…
  assert.equal(stop(inside)[0], 6);
  assert.equal(inside.capsule.u32[inside.at(0x50fc) >>> 2], 0x11223344);
  assert.deepEqual(stop(prepare(`${load(SELECTOR.small)} b9 fd 00 00 00 26 8b 01`)), [13, 0, 11]);
});

test('a repeated string instruction stops at the limit', () => {
  const m = prepare(`${load(SELECTOR.small)} bf f0 00 00 00 b9 40 00 00 00 b0 5a f3 aa`); // rep stosb to es:0xf0
  assert.deepEqual(stop(m), [13, 0, 18]);
  assert.equal(m.cpu.get(REG.rcx), 0x30n);
  assert.equal(m.cpu.get(REG.rdi), 0x100n);
  assert.equal(m.capsule.u8[m.at(0x50ff)], 0x5a);
});

test('a flat segment lets an access wrap around, one with a base does not', () => {
  const m = prepare('b9 fe ff ff ff 8b 01'); // mov ecx,-2; mov eax,[ecx]
  assert.deepEqual(stop(m).slice(0, 2), [14, 0]);
  const based = prepare('b9 fe ff ff ff 64 8b 01');
  based.cpu.setSelector(SEG.fs, SELECTOR.flat);
  based.cpu.setSegBase(SEG.fs, BigInt(BASE + 0x5000));
  assert.deepEqual(stop(based).slice(0, 2), [13, 0]);
});

test('what the type forbids', () => {
  assert.deepEqual(stop(prepare(`${load(SELECTOR.readOnly)} 26 8b 0b`))[0], 6);
  assert.deepEqual(stop(prepare(`${load(SELECTOR.readOnly)} 26 89 0b`)), [13, 0, 6]);
  assert.deepEqual(stop(prepare(`${load(SELECTOR.code)} 26 8b 0b`))[0], 6);
  assert.deepEqual(stop(prepare(`${load(SELECTOR.code)} 26 89 0b`)), [13, 0, 6]);
  assert.deepEqual(stop(prepare(load(SELECTOR.executeOnly))), [13, SELECTOR.executeOnly & ~3, 4]);
});

test('a null selector can be loaded, not used; SS takes none', () => {
  assert.deepEqual(stop(prepare(`${load(0)} 26 8b 0b`)), [13, 0, 6]);
  assert.deepEqual(stop(prepare(`${load(3)} b9 01 00 00 00 f3 aa`)), [13, 0, 11]);
  assert.deepEqual(stop(prepare('66 b8 03 00 8e d0')), [13, 0, 4]);
});

test('a rep prefix with nothing to do does not look at its segments', () => {
  assert.equal(stop(prepare(`${load(0)} 31 c9 f3 aa`))[0], 6);
});

test('an operand of the stack segment beyond its limit is #SS', () => {
  const m = prepare('36 8b 0b'); // mov ecx,ss:[ebx]
  m.cpu.setSegLimit(SEG.ss, BASE + 0x4fff);
  assert.deepEqual(stop(m), [12, 0, 0]);
  const push = prepare('50');
  push.cpu.setSegLimit(SEG.ss, 0xfff);
  assert.deepEqual(stop(push), [12, 0, 0]);
});

test('x87 operands and far pointers obey the same rules', () => {
  assert.deepEqual(stop(prepare(`${load(SELECTOR.readOnly)} 26 d9 1b`)), [13, 0, 6]); // fstp dword es:[ebx]
  assert.deepEqual(stop(prepare(`${load(0)} 26 c4 0b`)), [13, 0, 6]); // les ecx,es:[ebx]
});
