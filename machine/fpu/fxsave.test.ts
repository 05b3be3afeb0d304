import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Capsule } from '#base/capsule.ts';
import { Cpu } from '../cpu.ts';
import { CPU, FX } from '../cpu-state.ts';
import { type FxForm, FX_IMAGE, fxrstor, fxsave } from './fxsave.ts';

const cpu = new Cpu(new Capsule(16, 16, 0), 0);

const words = (image: Uint8Array): Uint32Array => new Uint32Array(image.buffer);

/** An image with every bit set that can be, valid MXCSR. */
function fullImage(): { image: Uint8Array; view: DataView } {
  const image = new Uint8Array(FX_IMAGE).fill(0xff);
  const view = new DataView(image.buffer);
  view.setBigUint64(FX.fip, 0x0000_8911_2233_4455n, true);
  view.setBigUint64(FX.fdp, 0x8899_aabb_ccdd_eeffn, true);
  view.setUint32(FX.mxcsr, 0x1f80, true);
  view.setUint32(FX.mxcsrMask, 0x1234_5678, true);
  return { image, view };
}

function saved(form: FxForm): { size: number; view: DataView } {
  const image = new Uint8Array(FX_IMAGE).fill(0xcc);
  return { size: fxsave(cpu, form, words(image)), view: new DataView(image.buffer) };
}

test('what a full image becomes is what silicon keeps of it', () => {
  const { image } = fullImage();
  assert.ok(fxrstor(cpu, 'fxsave64', words(image)));
  const { size, view } = saved('fxsave64');
  assert.equal(size, 416);
  assert.equal(view.getUint16(FX.fcw, true), 0x1f7f);
  assert.equal(view.getUint16(FX.fsw, true), 0x7f7f);
  assert.equal(view.getUint16(FX.ftw, true), 0x00ff);
  assert.equal(view.getUint16(FX.fop, true), 0x07ff);
  assert.equal(view.getBigUint64(FX.fip, true), 0xffff_8911_2233_4455n);
  assert.equal(view.getBigUint64(FX.fdp, true), 0x8899_aabb_ccdd_eeffn);
  assert.equal(view.getUint32(FX.mxcsrMask, true), 0xffff);
  assert.equal(view.getBigUint64(FX.st, true), 0xffff_ffff_ffff_ffffn);
  assert.equal(view.getBigUint64(FX.st + 8, true), 0xffffn);
  assert.equal(view.getUint8(FX.xmm + 255), 0xff);
  assert.equal(view.getUint8(416), 0xcc);
});

test('the summary bits of the status word follow its flags and masks', () => {
  const { image, view } = fullImage();
  view.setUint16(FX.fcw, 0x37e, true);
  view.setUint16(FX.fsw, 0x0001, true);
  assert.ok(fxrstor(cpu, 'fxsave64', words(image)));
  assert.equal(saved('fxsave64').view.getUint16(FX.fsw, true), 0x8081);
  view.setUint16(FX.fcw, 0x37f, true);
  view.setUint16(FX.fsw, 0x8081, true);
  assert.ok(fxrstor(cpu, 'fxsave64', words(image)));
  assert.equal(saved('fxsave64').view.getUint16(FX.fsw, true), 0x0001);
});

test('without REX.W pointers have 32 bits, in both directions', () => {
  const { image } = fullImage();
  assert.ok(fxrstor(cpu, 'fxsave64', words(image)));
  const { view } = saved('fxsave');
  assert.equal(view.getBigUint64(FX.fip, true), 0x2233_4455n);
  assert.equal(view.getBigUint64(FX.fdp, true), 0xccdd_eeffn);
  assert.ok(fxrstor(cpu, 'fxsave', words(image)));
  assert.equal(saved('fxsave64').view.getBigUint64(FX.fip, true), 0x2233_4455n);
  assert.equal(saved('fxsave64').view.getBigUint64(FX.fdp, true), 0xccdd_eeffn);
});

test('outside 64-bit mode XMM8 to XMM15 are neither saved nor loaded', () => {
  const { image } = fullImage();
  cpu.capsule.u8.fill(0x11, cpu.base + CPU.fxState + FX.xmm, cpu.base + CPU.fxState + FX.xmm + 256);
  assert.ok(fxrstor(cpu, 'compat', words(image)));
  const { size, view } = saved('fxsave64');
  assert.equal(view.getUint8(FX.xmm + 127), 0xff);
  assert.equal(view.getUint8(FX.xmm + 128), 0x11);
  assert.equal(size, 416);
  assert.equal(saved('compat').size, 288);
});

test('reserved bits of MXCSR are refused and nothing changes', () => {
  const { image, view } = fullImage();
  const before = saved('fxsave64').view;
  view.setUint32(FX.mxcsr, 0x1_1f80, true);
  view.setUint16(FX.fcw, 0x40, true);
  assert.equal(fxrstor(cpu, 'fxsave64', words(image)), false);
  assert.deepEqual(saved('fxsave64').view, before);
});
