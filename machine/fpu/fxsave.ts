// FXSAVE and FXRSTOR (Intel SDM vol. 1, 10.5 and table 10-2). The vCPU's own FXSAVE area is the image already, but for
// the bits that the processor does not keep: reserved bytes are stored as zero and not loaded, the status word's
// summary follows from its flags and masks, MXCSR_MASK is the processor's. Checked against silicon: FOP has 11 bits,
// FIP is canonical, FDP is kept as it is, FCS and FDS are 0 (deprecated), the bytes after XMM15 are left alone.
//
// The caller checks alignment (#GP unless the address is a multiple of 16) and does the access, of 512 bytes.

import type { Cpu } from '../cpu.ts';
import { CPU, FX } from '../cpu-state.ts';
import { FCW, summarise } from './words.ts';

/** 'fxsave64' has REX.W: 64-bit pointers. 'compat' is outside 64-bit mode: eight XMM registers. */
export type FxForm = 'fxsave64' | 'fxsave' | 'compat';

/** Size of the memory operand, in bytes. */
export const FX_IMAGE = 512;
/** MXCSR bits that exist: all of the low half. */
export const MXCSR_MASK = 0xffff;
const ADDRESS_BITS = 48;
const SLOT = 16;
const REGISTER = 10;

const imageSize = (form: FxForm): number => FX.xmm + SLOT * (form === 'compat' ? 8 : 16);

/**
 * FXSAVE: makes the image.
 * @param image 512 bytes
 * @returns how many bytes of it are to be written; the rest of the operand stays
 */
export function fxsave(cpu: Cpu, form: FxForm, image: Uint8Array): number {
  const at = cpu.base + CPU.fxState, size = imageSize(form);
  image.set(cpu.capsule.u8.subarray(at, at + size));
  image[FX.ftw + 1] = 0;
  for (let i = 0; i < 8; i++) image.fill(0, FX.st + SLOT * i + REGISTER, FX.st + SLOT * (i + 1));
  if (form !== 'fxsave64') {
    image.fill(0, FX.fip + 4, FX.fdp);
    image.fill(0, FX.fdp + 4, FX.mxcsr);
  }
  return size;
}

/**
 * FXRSTOR: loads an image.
 * @param image 512 bytes
 * @returns false when MXCSR has reserved bits set: #GP(0), and nothing has changed
 */
export function fxrstor(cpu: Cpu, form: FxForm, image: Uint8Array): boolean {
  const from = new DataView(image.buffer, image.byteOffset, FX_IMAGE);
  const mxcsr = from.getUint32(FX.mxcsr, true);
  if ((mxcsr & ~MXCSR_MASK) !== 0) return false;
  const at = cpu.base + CPU.fxState, { dv, u8 } = cpu.capsule;
  const fcw = from.getUint16(FX.fcw, true) & FCW.writable | FCW.ones;
  dv.setUint16(at + FX.fcw, fcw, true);
  dv.setUint16(at + FX.fsw, summarise(from.getUint16(FX.fsw, true), fcw), true);
  dv.setUint8(at + FX.ftw, from.getUint8(FX.ftw));
  dv.setUint16(at + FX.fop, from.getUint16(FX.fop, true) & 0x7ff, true);
  const wide = form === 'fxsave64';
  const fip = wide ? BigInt.asIntN(ADDRESS_BITS, from.getBigUint64(FX.fip, true)) : BigInt(from.getUint32(FX.fip, true));
  dv.setBigInt64(at + FX.fip, fip, true);
  dv.setBigUint64(at + FX.fdp, wide ? from.getBigUint64(FX.fdp, true) : BigInt(from.getUint32(FX.fdp, true)), true);
  dv.setUint32(at + FX.mxcsr, mxcsr, true);
  dv.setUint32(at + FX.mxcsrMask, MXCSR_MASK, true);
  u8.set(image.subarray(FX.st, imageSize(form)), at + FX.st); // reserved bytes too: fxsave stores zeros for them
  return true;
}
