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
/** Words of a register's place in the image; x87 registers fill ten bytes of theirs. */
const PLACE = 4;
const WORD = { control: FX.fcw / 4, tags: FX.ftw / 4, fip: FX.fip / 4, fdp: FX.fdp / 4, mxcsr: FX.mxcsr / 4, mxcsrMask: FX.mxcsrMask / 4, st: FX.st / 4, xmm: FX.xmm / 4 } as const;

const imageWords = (form: FxForm): number => WORD.xmm + PLACE * (form === 'compat' ? 8 : 16);

/**
 * FXSAVE: makes the image. Kernels do this at each signal and switch of tasks, so it is words that are copied, without a view of them.
 * @param image has 128 words from `at` on
 * @returns how many bytes of it are to be written; the rest of the operand stays
 */
export function fxsave(cpu: Cpu, form: FxForm, image: Uint32Array, at = 0): number {
  const { u32 } = cpu.capsule, from = (cpu.base + CPU.fxState) >>> 2, words = imageWords(form);
  image[at + WORD.control] = u32[from + WORD.control] as number;
  image[at + WORD.tags] = (u32[from + WORD.tags] as number) & 0xffff_00ff;
  for (const address of [WORD.fip, WORD.fdp]) {
    image[at + address] = u32[from + address] as number;
    image[at + address + 1] = form === 'fxsave64' ? u32[from + address + 1] as number : 0;
  }
  image[at + WORD.mxcsr] = u32[from + WORD.mxcsr] as number;
  image[at + WORD.mxcsrMask] = u32[from + WORD.mxcsrMask] as number;
  for (let i = WORD.st; i < WORD.xmm; i += PLACE) {
    image[at + i] = u32[from + i] as number;
    image[at + i + 1] = u32[from + i + 1] as number;
    image[at + i + 2] = (u32[from + i + 2] as number) & 0xffff;
    image[at + i + 3] = 0;
  }
  for (let i = WORD.xmm; i < words; i++) image[at + i] = u32[from + i] as number;
  return words * 4;
}

/**
 * FXRSTOR: loads an image.
 * @param image has 128 words from `at` on
 * @returns false when MXCSR has reserved bits set: #GP(0), and nothing has changed
 */
export function fxrstor(cpu: Cpu, form: FxForm, image: Uint32Array, at = 0): boolean {
  const mxcsr = image[at + WORD.mxcsr] as number;
  if ((mxcsr & ~MXCSR_MASK) !== 0) return false;
  const { u32 } = cpu.capsule, to = (cpu.base + CPU.fxState) >>> 2, words = imageWords(form), wide = form === 'fxsave64';
  const control = image[at + WORD.control] as number, tags = image[at + WORD.tags] as number;
  const fcw = control & FCW.writable | FCW.ones;
  u32[to + WORD.control] = fcw | summarise(control >>> 16, fcw) << 16;
  u32[to + WORD.tags] = tags & 0x07ff_00ff;
  u32[to + WORD.fip] = image[at + WORD.fip] as number;
  u32[to + WORD.fip + 1] = wide ? (image[at + WORD.fip + 1] as number) << 16 >> 16 : 0; // of 48 bits
  u32[to + WORD.fdp] = image[at + WORD.fdp] as number;
  u32[to + WORD.fdp + 1] = wide ? image[at + WORD.fdp + 1] as number : 0;
  u32[to + WORD.mxcsr] = mxcsr;
  u32[to + WORD.mxcsrMask] = MXCSR_MASK;
  for (let i = WORD.st; i < words; i++) u32[to + i] = image[at + i] as number; // reserved bytes too: fxsave stores zeros for them
  return true;
}
