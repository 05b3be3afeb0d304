// A vCPU as XEN_DOMCTL_getvcpucontext tells of it: a vcpu_guest_context, for core files and for who looks at a guest from
// outside. The reverse of vcpu-initialise.ts.
//
// The vCPU must not be running. IOPL is the guest's virtual one; of the GS bases, that of the mode that is current is in the
// register file. A frame of a base table is given as a CR3 value, its number shifted by 12.

import {
  cpu_user_regs, FIRST_RESERVED_GDT_PAGE, trap_info, vcpu_guest_context, VGCF_failsafe_disables_events, VGCF_i387_valid, VGCF_in_kernel, VGCF_online,
  VGCF_syscall_disables_events,
} from '#abi/xen.ts';
import { CPU, REG, SEG } from '#machine/cpu-state.ts';
import { getDebugreg } from './debug-registers.ts';
import { vcpu_mm } from './mm/gdt.ts';
import { mm_state } from './mm/mm-state.ts';
import { DOMAIN_STATE, VCPU_STATE } from './layout.ts';
import { guestCr0, guestCr4 } from './privileged.ts';
import { type Vcpu, VPF } from './vcpu.ts';

const at = vcpu_guest_context.offset;
const FX_SIZE = 512;
const REGISTERS = Object.entries(REG) as [keyof typeof REG, number][];
const DATA_SEGMENTS = ['es', 'ds', 'fs', 'gs'] as const;

/** The vCPU's context: a vcpu_guest_context in bytes of its own. */
export function vcpuContext(v: Vcpu): Uint8Array<ArrayBuffer> {
  const { cpu, state, domain: { capsule } } = v;
  const bytes = new Uint8Array(vcpu_guest_context.size);
  const dv = new DataView(bytes.buffer);
  const context = vcpu_guest_context.on(bytes.buffer).at(0);
  const put = (offset: number, value: bigint): void => dv.setBigUint64(offset, value, true);
  bytes.set(capsule.u8.subarray(cpu.base + CPU.fxState, cpu.base + CPU.fxState + FX_SIZE), at.fpu_ctxt);
  context.flags = BigInt(flagsOf(v));
  putRegisters(v, bytes.buffer);
  bytes.set(capsule.u8.subarray(v.trapTable, v.trapTable + 256 * trap_info.size), at.trap_ctxt);
  putDescriptorTables(v, bytes.buffer);
  context.kernel_ss = state.kernel_ss;
  context.kernel_sp = state.kernel_sp;
  [BigInt(guestCr0(v)), frameOf(state.guest_table_user), state.cr2, frameOf(state.guest_table), BigInt(guestCr4(v))].forEach((value, n) => put(at.ctrlreg + n * 8, value));
  for (const n of [0, 1, 2, 3, 6, 7]) put(at.debugreg + n * 8, getDebugreg(v, n) ?? 0n);
  context.event_callback_eip = state.event_callback_eip;
  context.failsafe_callback_eip = state.failsafe_callback_eip;
  context.syscall_callback_eip = state.syscall_callback_eip;
  context.vm_assist = capsule.u64[(DOMAIN_STATE.mm + mm_state.offset.vm_assist) >>> 3] as bigint;
  context.fs_base = cpu.segBase(SEG.fs);
  context.gs_base_kernel = v.kernelMode ? cpu.segBase(SEG.gs) : state.gs_base_kernel;
  context.gs_base_user = v.kernelMode ? state.gs_base_user : cpu.segBase(SEG.gs);
  return bytes;
}

const frameOf = (mfn: number): bigint => BigInt(mfn) << 12n;

function flagsOf(v: Vcpu): number {
  const kept = v.state.vgc_flags & (VGCF_failsafe_disables_events | VGCF_syscall_disables_events);
  return kept | VGCF_i387_valid | (v.kernelMode ? VGCF_in_kernel : 0) | (v.pauseFlags & VPF.down ? 0 : VGCF_online);
}

function putRegisters(v: Vcpu, buffer: ArrayBuffer): void {
  const { cpu } = v;
  const regs = cpu_user_regs.on(buffer).at(at.user_regs);
  for (const [name, r] of REGISTERS) regs[name] = cpu.get(r);
  regs.rip = cpu.rip;
  regs.rflags = BigInt(v.domain.machine.getFlags(cpu) | v.state.iopl);
  regs.saved_upcall_mask = v.upcallMask;
  regs.cs = cpu.selector(SEG.cs);
  regs.ss = cpu.selector(SEG.ss);
  for (const name of DATA_SEGMENTS) regs[name] = cpu.selector(SEG[name]);
}

function putDescriptorTables(v: Vcpu, buffer: ArrayBuffer): void {
  const { capsule } = v.domain;
  const context = vcpu_guest_context.on(buffer).at(0);
  const mm = vcpu_mm.on(capsule.buffer).at(v.cpu.base + VCPU_STATE.mm);
  context.ldt_base = mm.ldt_base;
  context.ldt_ents = BigInt(mm.ldt_ents);
  context.gdt_ents = BigInt(mm.gdt_ents);
  const dv = new DataView(buffer);
  for (let page = 0; page < FIRST_RESERVED_GDT_PAGE; page++) dv.setBigUint64(at.gdt_frames + page * 8, BigInt(capsule.u32[(mm.base + vcpu_mm.offset.gdt_frames >>> 2) + page] as number), true);
}
