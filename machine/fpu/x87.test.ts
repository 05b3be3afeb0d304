// The contract of x87.ts with the interpreter; the meaning of the instructions is x87-vectors.test.ts.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Capsule } from '#base/capsule.ts';
import { Cpu } from '../cpu.ts';
import { CPU, FX } from '../cpu-state.ts';
import { type X87Site, VECTOR_MF, VECTOR_UD, x87, x87Check, x87Memory, x87Name, x87Operand, x87Pending, x87Undo } from './x87.ts';

const cpu = new Cpu(new Capsule(16, 16, 0), 0);
const area = cpu.base + CPU.fxState, { dv, u8 } = cpu.capsule;
const site: X87Site = { operand16: false, rip: 0x1234_5678_9abcn, data: 0x7fff_0000_1000n, rflags: 2 };

const fsw = (): number => dv.getUint16(area + FX.fsw, true);
const run = (opcode: number, modrm: number): ReturnType<typeof x87> => x87(cpu, opcode, modrm, site);
const loadSingle = (value: number): void => {
  new DataView(x87Memory.buffer).setFloat32(0, value, true);
  run(0xd9, 0x06);
};

beforeEach(() => {
  u8.fill(0, area, area + 512);
  run(0xdb, 0xe3);
});

test('operands: kinds and sizes, with and without a 66h prefix', () => {
  assert.deepEqual(x87Operand(0xd9, 0x06, false), { size: 4, kind: 'read' });
  assert.deepEqual(x87Operand(0xdb, 0x7d, false), { size: 10, kind: 'write' });
  assert.deepEqual(x87Operand(0xd9, 0x36, false), { size: 28, kind: 'write' });
  assert.deepEqual(x87Operand(0xd9, 0x36, true), { size: 14, kind: 'write' });
  assert.deepEqual(x87Operand(0xdd, 0x26, false), { size: 108, kind: 'read' });
  assert.deepEqual(x87Operand(0xdd, 0x26, true), { size: 94, kind: 'read' });
  assert.deepEqual(x87Operand(0xd9, 0xc0, false), { size: 0, kind: 'none' });
  assert.equal(x87Name(0xd9, 0xf3), 'FPATAN');
  assert.equal(x87Name(0xdb, 0x65), null);
});

test('an encoding without a row raises #UD, even with an exception pending', () => {
  assert.equal(run(0xd9, 0xd1).vector, VECTOR_UD);
  dv.setUint16(area + FX.fcw, 0x37e, true);
  run(0xd9, 0xfa);
  assert.equal(x87Check(cpu, 0xd9, 0xd1), VECTOR_UD);
});

test('an unmasked exception waits for the next waiting instruction', () => {
  dv.setUint16(area + FX.fcw, 0x37e, true);
  assert.equal(run(0xd9, 0xfa).vector, 0, 'FSQRT of an empty register');
  assert.equal(fsw(), 0x80c1);
  assert.equal(dv.getUint16(area + FX.fop, true), 0x1fa);
  assert.equal(dv.getBigUint64(area + FX.fip, true), site.rip);
  assert.equal(x87Pending(cpu), VECTOR_MF);
  assert.equal(run(0xd9, 0xe8).vector, VECTOR_MF, 'FLD1');
  assert.equal(fsw(), 0x80c1);
  assert.equal(run(0xdb, 0xe2).vector, 0, 'FNCLEX');
  assert.equal(fsw(), 0);
  assert.equal(x87Pending(cpu), 0);
});

test('a store whose write faults is taken back whole', () => {
  loadSingle(2.5);
  const before = u8.slice(area, area + 512);
  assert.ok(run(0xdf, 0x1e).store, 'FISTP m16int');
  assert.notDeepEqual(u8.slice(area, area + 512), before);
  x87Undo(cpu);
  assert.deepEqual(u8.slice(area, area + 512), before);
});

test('a store stopped by an unmasked exception writes nothing and does not pop', () => {
  loadSingle(1e9);
  dv.setUint16(area + FX.fcw, 0x37e, true);
  const { store } = run(0xdf, 0x1e);
  assert.equal(store, false);
  assert.equal(fsw() >>> 11 & 7, 7);
  assert.equal(dv.getBigUint64(area + FX.fdp, true), site.data);
});

test('FNSTSW AX writes AX and leaves the rest of RAX', () => {
  cpu.set(0, 0x1111_2222_3333_4444n);
  run(0xd9, 0xe8);
  run(0xdf, 0xe0);
  assert.equal(cpu.get(0), 0x1111_2222_3333_3800n);
});

test('FUCOMI gives flags, other instructions none', () => {
  run(0xd9, 0xe8);
  assert.equal(run(0xd9, 0xee).flags, -1);
  assert.equal(run(0xdb, 0xe9).flags, 1, '0 < 1: CF');
});
