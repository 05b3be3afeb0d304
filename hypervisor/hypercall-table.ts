// The table of hypercalls, and the way in: SYSCALL in guest kernel mode, rax the number, arguments in rdi, rsi, rdx,
// r10, r8 and r9, the result in rax (docs/guest-guide/x86/hypercall-abi). What is not in the table is -ENOSYS, as is
// any number that Xen 4.17 does not serve a PV guest.

import { ENOSYS } from '#abi/errno.ts';
import { HYPERVISOR } from '#abi/xen.ts';
import { CPU, REG } from '#machine/cpu-state.ts';
import type { Cpu } from '#machine/cpu.ts';
import { do_callback_op, do_nmi_op, do_set_callbacks, do_set_trap_table, do_stack_switch } from './callbacks.ts';
import { do_console_io } from './console-io.ts';
import { COUNTER, count, HYPERCALLS } from './counters.ts';
import { do_get_debugreg, do_set_debugreg } from './debug-registers.ts';
import { do_domctl, do_sysctl } from './domctl.ts';
import { do_event_channel_op } from './event-channel.ts';
import { do_fpu_taskswitch } from './fpu-taskswitch.ts';
import { do_grant_table_op } from './grant-table.ts';
import { do_hvm_op } from './hvm-op.ts';
import { CONTINUE, type Hypercall, HypercallArgs, NO_RETURN } from './hypercall.ts';
import { do_iret } from './iret.ts';
import { do_set_gdt, do_update_descriptor } from './mm/gdt.ts';
import { do_memory_op } from './mm/memory-op.ts';
import { do_mmu_update } from './mm/mmu-update.ts';
import { do_mmuext_op } from './mm/mmuext-op.ts';
import { do_update_va_mapping, do_update_va_mapping_otherdomain } from './mm/update-va-mapping.ts';
import { multicall } from './multicall.ts';
import { do_physdev_op } from './physdev.ts';
import { do_sched_op, do_sched_op_compat } from './sched-op.ts';
import { do_set_segment_base } from './segment-base.ts';
import { do_set_timer_op } from './timer.ts';
import { UNTRACED } from './trace.ts';
import { do_argo_op, do_dm_op, do_hypfs_op, do_kexec_op, do_platform_op, do_xenpmu_op, do_xsm_op } from './unprivileged.ts';
import { do_vcpu_op } from './vcpu-op.ts';
import { HYPERCALL_RING, hypercall_record, type Vcpu, vcpu_state } from './vcpu.ts';
import { do_xen_version } from './version.ts';
import { do_vm_assist } from './vm-assist.ts';

const BY_NAME: { readonly [K in keyof typeof HYPERVISOR]?: Hypercall } = {
  set_trap_table: do_set_trap_table, mmu_update: do_mmu_update, set_gdt: do_set_gdt, stack_switch: do_stack_switch, set_callbacks: do_set_callbacks,
  fpu_taskswitch: do_fpu_taskswitch, sched_op_compat: do_sched_op_compat, platform_op: do_platform_op, set_debugreg: do_set_debugreg,
  get_debugreg: do_get_debugreg, update_descriptor: do_update_descriptor, memory_op: do_memory_op, multicall: multicall(dispatch),
  update_va_mapping: do_update_va_mapping, set_timer_op: do_set_timer_op, xen_version: do_xen_version, console_io: do_console_io,
  grant_table_op: do_grant_table_op, vm_assist: do_vm_assist, update_va_mapping_otherdomain: do_update_va_mapping_otherdomain, iret: do_iret,
  vcpu_op: do_vcpu_op, set_segment_base: do_set_segment_base, mmuext_op: do_mmuext_op, xsm_op: do_xsm_op, nmi_op: do_nmi_op,
  sched_op: do_sched_op, callback_op: do_callback_op, event_channel_op: do_event_channel_op, physdev_op: do_physdev_op, hvm_op: do_hvm_op,
  sysctl: do_sysctl, domctl: do_domctl, kexec_op: do_kexec_op, argo_op: do_argo_op, xenpmu_op: do_xenpmu_op, dm_op: do_dm_op, hypfs_op: do_hypfs_op,
};

/** Handlers by number. */
const TABLE: (Hypercall | undefined)[] = [];
for (const [name, handler] of Object.entries(BY_NAME)) TABLE[HYPERVISOR[name as keyof typeof HYPERVISOR]] = handler;

const RING = vcpu_state.offset.hypercalls;
const COUNT = vcpu_state.offset.hypercall_count;
const RECORD = hypercall_record.offset;
const args = new HypercallArgs();

/** Serves the hypercall that the guest kernel's SYSCALL asked for; rip is behind the SYSCALL. */
export function serveHypercall(v: Vcpu): void {
  const { cpu } = v;
  args.set(0, cpu.lo(REG.rdi), cpu.hi(REG.rdi));
  args.set(1, cpu.lo(REG.rsi), cpu.hi(REG.rsi));
  args.set(2, cpu.lo(REG.rdx), cpu.hi(REG.rdx));
  args.set(3, cpu.lo(REG.r10), cpu.hi(REG.r10));
  args.set(4, cpu.lo(REG.r8), cpu.hi(REG.r8));
  args.set(5, cpu.lo(REG.r9), cpu.hi(REG.r9));
  const value = cpu.hi(REG.rax) === 0 ? dispatch(v, cpu.lo(REG.rax), args) : -ENOSYS;
  if (value === CONTINUE) makeAgain(cpu);
  else if (value !== NO_RETURN) cpu.setPair(REG.rax, value >>> 0, Math.floor(value / 0x1_0000_0000) >>> 0);
}

/** Calls one hypercall by number, and records it. @returns as the handlers do */
function dispatch(v: Vcpu, number: number, a: HypercallArgs): number {
  const { u32 } = v.domain.capsule;
  const total = (v.base + COUNT) >>> 2;
  const n = u32[total] as number;
  const record = (v.base + RING + (n % HYPERCALL_RING) * hypercall_record.size) >>> 2;
  const rip = (v.cpu.base + CPU.rip) >>> 2;
  u32[total] = n + 1;
  u32[record + (RECORD.number >>> 2)] = number;
  u32[record + (RECORD.result >>> 2)] = 0;
  u32[record + (RECORD.rip >>> 2)] = u32[rip] as number;
  u32[record + (RECORD.rip >>> 2) + 1] = u32[rip + 1] as number;
  for (let i = 0; i < 2; i++) {
    u32[record + (RECORD.arg0 >>> 2) + i * 2] = a.lo(i);
    u32[record + (RECORD.arg0 >>> 2) + i * 2 + 1] = a.hi(i);
  }
  if (number < HYPERCALLS) count(v, COUNTER.hypercalls + number);
  const { trace } = v.domain;
  const traced = trace.hypercalls ? trace.hypercall(v, number, a) : UNTRACED;
  const handler = TABLE[number];
  const value = handler ? handler(v, a) : -ENOSYS;
  const answered = value !== NO_RETURN && value !== CONTINUE;
  if (answered) u32[record + (RECORD.result >>> 2)] = value;
  if (traced !== UNTRACED) trace.hypercallDone(traced, value);
  return value;
}

const ARGUMENT_REGISTERS = [REG.rdi, REG.rsi, REG.rdx, REG.r10, REG.r8, REG.r9] as const;
const SYSCALL_LENGTH = 2n;
/** The guest executes its SYSCALL again, with the arguments of what is left; rax still has the number. */
function makeAgain(cpu: Cpu): void {
  cpu.rip -= SYSCALL_LENGTH;
  ARGUMENT_REGISTERS.forEach((r, i) => cpu.setPair(r, args.lo(i), args.hi(i)));
}
