import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Capsule } from '#base/capsule.ts';
import { Cpu } from '../cpu.ts';
import { CPU, FX } from '../cpu-state.ts';
import { emms, enterMmx } from './mmx.ts';

const cpu = new Cpu(new Capsule(16, 16, 0), 0);
const area = cpu.base + CPU.fxState, { dv, u8 } = cpu.capsule;

/** Slot i filled with 10h + i, TOP as given. */
function prepare(fsw: number): void {
  dv.setUint16(area + FX.fcw, 0x37f, true);
  dv.setUint16(area + FX.fsw, fsw, true);
  dv.setUint8(area + FX.ftw, 0x0f);
  for (let i = 0; i < 8; i++) u8.fill(0x10 + i, area + FX.st + 16 * i, area + FX.st + 16 * i + 10);
}
const slots = (): number[] => Array.from({ length: 8 }, (_, i) => u8[area + FX.st + 16 * i] as number);

test('MMX finds physical registers in order, with TOP 0 and all valid', () => {
  prepare(0x5f00);
  enterMmx(cpu);
  assert.equal(dv.getUint16(area + FX.fsw, true), 0x4700);
  assert.equal(dv.getUint8(area + FX.ftw), 0xff);
  assert.deepEqual(slots(), [0x15, 0x16, 0x17, 0x10, 0x11, 0x12, 0x13, 0x14]);
});

test('EMMS empties all registers and keeps their contents', () => {
  prepare(0x5f00);
  emms(cpu);
  assert.equal(dv.getUint16(area + FX.fsw, true), 0x4700);
  assert.equal(dv.getUint8(area + FX.ftw), 0);
  assert.deepEqual(slots(), [0x15, 0x16, 0x17, 0x10, 0x11, 0x12, 0x13, 0x14]);
});
