// Setting up a vCPU that has not run yet from a vcpu_guest_context: VCPUOP_initialise, and the domain builder.
// First everything is checked that can be, then the references are taken (descriptor pages, base tables), then the
// registers are set, which cannot fail.

import { EINVAL } from '#abi/errno.ts';
import {
  cpu_user_regs, trap_info, vcpu_guest_context, VGCF_failsafe_disables_events, VGCF_i387_valid, VGCF_in_kernel, VGCF_online,
  VGCF_syscall_disables_events,
} from '#abi/xen.ts';
import { CPU, FLAG, FX, REG, SEG } from '#machine/cpu-state.ts';
import { resetDebugregs, setDebugreg } from './debug-registers.ts';
import { GuestStruct } from './guest-struct.ts';
import { setBases } from './mm/domain-mm.ts';
import { destroyGdt, setGdt, setLdt } from './mm/gdt.ts';
import { isLoadableData, loadCodeAndStack, readDescriptor } from './segment.ts';
import { failsafe, iretFault } from './traps.ts';
import { schedOf } from './vcpu-sched.ts';
import { type Vcpu, VPF } from './vcpu.ts';
import { addressOk, isCanonical } from './words.ts';

/** The context that the next call of initialiseVcpu takes. */
export const context = new GuestStruct(vcpu_guest_context);

const bytes = context.bytes;
const dv = new DataView(bytes.buffer);
const at = vcpu_guest_context.offset;
const regs = cpu_user_regs.on(bytes.buffer).at(at.user_regs);
const u64 = (offset: number): bigint => dv.getBigUint64(offset, true);

const CR0_TS = 8n;
const MAX_LDT_ENTRIES = 8192n;
/** RFLAGS that the guest may start with; IF is always on, IOPL is virtual. */
const STARTING_FLAGS = FLAG.cf | FLAG.pf | FLAG.af | FLAG.zf | FLAG.sf | FLAG.tf | FLAG.df | FLAG.of | FLAG.nt | FLAG.rf | FLAG.ac | FLAG.id;

/**
 * Sets a vCPU up from `context`. It stays down unless the context says VGCF_online.
 * @returns 0 or -EINVAL; then the vCPU is as it was
 */
export function initialiseVcpu(v: Vcpu): number {
  if (!addressesOk() || !tablesOk()) return -EINVAL;
  const inKernel = (context.view.flags & BigInt(VGCF_in_kernel)) !== 0n;
  const user = u64(at.ctrlreg + 8) >> 12n;
  if (!inKernel && user === 0n) return -EINVAL;
  if (setGdt(v, gdtFrames(), Number(context.view.gdt_ents)) !== 0) return -EINVAL;
  if (setBases(v, Number(u64(at.ctrlreg + 24) >> 12n), Number(user)) !== 0) {
    destroyGdt(v);
    return -EINVAL;
  }
  const { ldt_base, ldt_ents } = context.view;
  setLdt(v, Number(ldt_base & 0xffff_ffffn), Number(ldt_base >> 32n), Number(ldt_ents));
  setTraps(v);
  setFpu(v);
  setRegisters(v);
  if (!inKernel) v.toggleMode();
  enterContext(v, regs.cs | 3, regs.ss | 3);
  schedOf(v).initialised = 1;
  if (context.view.flags & BigInt(VGCF_online)) v.unpause(VPF.down);
  return 0;
}

/** Makes the selectors current. What cannot be loaded is told to the guest as when Xen first schedules the vCPU. */
function enterContext(v: Vcpu, cs: number, ss: number): void {
  const { cpu } = v;
  const bad = [SEG.ds, SEG.es, SEG.fs, SEG.gs].filter((seg) => {
    const descriptor = readDescriptor(v, cpu.selector(seg));
    return cpu.selector(seg) > 3 && (descriptor === null || !isLoadableData(descriptor));
  });
  const refusal = bad.length === 0 ? loadCodeAndStack(v, cs, ss) : null;
  if (refusal !== null) iretFault(v, cs, ss, refusal);
  if (bad.length === 0) return;
  cpu.setSelector(SEG.cs, cs);
  cpu.setSelector(SEG.ss, ss);
  failsafe(v);
  for (const seg of bad) cpu.setSelector(seg, 0);
}

function addressesOk(): boolean {
  const c = context.view;
  const addresses = [
    regs.rip, regs.rsp, c.kernel_sp, c.event_callback_eip, c.failsafe_callback_eip, c.syscall_callback_eip, c.fs_base, c.gs_base_kernel,
    c.gs_base_user,
  ];
  for (let i = 0; i < 256; i++) addresses.push(u64(at.trap_ctxt + i * trap_info.size + trap_info.offset.address));
  return addresses.every(isCanonical);
}

function tablesOk(): boolean {
  const { ldt_base, ldt_ents, gdt_ents } = context.view;
  if (gdt_ents > 8192n || ldt_ents > MAX_LDT_ENTRIES) return false;
  return ldt_ents === 0n || (isCanonical(ldt_base) && ldt_base % 4096n === 0n && addressOk(ldt_base));
}

function gdtFrames(): number[] { return Array.from({ length: 16 }, (_, i) => Number(u64(at.gdt_frames + i * 8))); }

/** The trap table by its index, whatever the entries' vector fields say. */
function setTraps(v: Vcpu): void {
  const { capsule } = v.domain;
  capsule.u8.set(bytes.subarray(at.trap_ctxt, at.trap_ctxt + 256 * trap_info.size), v.trapTable);
  for (let i = 0; i < 256; i++) {
    const entry = v.trapTable + i * trap_info.size;
    capsule.u8[entry + trap_info.offset.vector] = i;
    capsule.u8[entry + trap_info.offset.cs] = (capsule.u8[entry + trap_info.offset.cs] as number) | 3;
  }
  const { state } = v;
  const c = context.view;
  state.event_callback_eip = c.event_callback_eip;
  state.failsafe_callback_eip = c.failsafe_callback_eip;
  state.syscall_callback_eip = c.syscall_callback_eip;
  state.vgc_flags = Number(c.flags) & (VGCF_failsafe_disables_events | VGCF_syscall_disables_events);
  state.kernel_ss = c.kernel_ss | 3n;
  state.kernel_sp = c.kernel_sp;
}

/** FXSAVE image from the guest, or the processor's reset values; MXCSR without its reserved bits. */
function setFpu(v: Vcpu): void {
  const { u8, u16, u32 } = v.domain.capsule;
  const fx = v.cpu.base + CPU.fxState;
  if (context.view.flags & BigInt(VGCF_i387_valid)) {
    u8.set(bytes.subarray(at.fpu_ctxt, at.fpu_ctxt + 512), fx);
    u32[(fx + FX.mxcsr) >>> 2] = (u32[(fx + FX.mxcsr) >>> 2] as number) & 0xffff;
  } else {
    u8.fill(0, fx, fx + 512);
    u16[(fx + FX.fcw) >>> 1] = 0x37f;
    u32[(fx + FX.mxcsr) >>> 2] = 0x1f80;
  }
  u32[(fx + FX.mxcsrMask) >>> 2] = 0xffff;
  v.setTaskSwitched((u64(at.ctrlreg) & CR0_TS) !== 0n);
}

function setRegisters(v: Vcpu): void {
  const { cpu, state } = v;
  const c = context.view;
  for (const name of Object.keys(REG) as (keyof typeof REG)[]) cpu.set(REG[name], regs[name]);
  cpu.rip = regs.rip;
  const flags = Number(regs.rflags & 0xffff_ffffn);
  state.iopl = flags & FLAG.iopl;
  v.domain.machine.setFlags(cpu, (flags & STARTING_FLAGS) | FLAG.if);
  for (const seg of [SEG.es, SEG.ds]) cpu.setSegBase(seg, 0n);
  cpu.setSelector(SEG.es, regs.es);
  cpu.setSelector(SEG.ds, regs.ds);
  cpu.setSelector(SEG.fs, regs.fs);
  cpu.setSelector(SEG.gs, regs.gs);
  cpu.setSegBase(SEG.fs, c.fs_base);
  cpu.setSegBase(SEG.gs, c.gs_base_kernel);
  state.gs_base_kernel = c.gs_base_kernel;
  state.gs_base_user = c.gs_base_user;
  resetDebugregs(v);
  for (const reg of [0, 1, 2, 3, 6, 7]) setDebugreg(v, reg, u64(at.debugreg + reg * 8)); // what is not allowed stays as reset
}
