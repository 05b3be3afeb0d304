// The registers with which the first vCPU of a PV domain starts (public/xen.h, "start of day"; the rest as xl sets it).

import * as xen from '#abi/xen.ts';
import { CPU, FLAG, FX, REG, SEG } from '#machine/cpu-state.ts';
import type { Cpu } from '#machine/cpu.ts';
import type { Machine } from '#machine/machine.ts';
import type { DomainEntry } from './builder.ts';

const FCW_INIT = 0x37f, MXCSR_INIT = 0x1f80;
const DR6_INIT = 0xffff_0ff0n, DR7_INIT = 0x400n;

/** Sets the register file of a fresh vCPU; page tables and the kernel stack are the hypervisor's to set. */
export function enterKernel(machine: Machine, cpu: Cpu, entry: DomainEntry): void {
  for (let r = 0; r < 16; r++) cpu.set(r, 0n);
  cpu.set(REG.rsp, entry.rsp);
  cpu.set(REG.rsi, entry.rsi);
  cpu.rip = entry.rip;
  machine.setFlags(cpu, FLAG.if);
  for (const seg of [SEG.es, SEG.ds, SEG.fs, SEG.gs]) cpu.setSelector(seg, xen.FLAT_KERNEL_DS);
  cpu.setSelector(SEG.cs, xen.FLAT_KERNEL_CS);
  cpu.setSelector(SEG.ss, xen.FLAT_KERNEL_SS);
  for (let seg = 0; seg < 6; seg++) cpu.setSegBase(seg, 0n);
  const { u16, u32 } = cpu.capsule, fx = cpu.base + CPU.fxState;
  u16[(fx + FX.fcw) >>> 1] = FCW_INIT;
  u32[(fx + FX.mxcsr) >>> 2] = MXCSR_INIT;
  for (let n = 0; n < 8; n++) cpu.setField64(CPU.dr + n * 8, n === 6 ? DR6_INIT : n === 7 ? DR7_INIT : 0n);
}
