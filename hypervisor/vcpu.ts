// One vCPU: the machine's register file plus the hypervisor's state of it, both in the capsule.
//
// A 64-bit PV guest has two modes that both run in ring 3: kernel mode on guest_table, user mode on
// guest_table_user. The GS base of the mode that does not run is kept here, the other one is in the register file
// (as the processor keeps it in KERNEL_GS_BASE). RFLAGS in the register file always has IF set and IOPL 0, as the
// processor has it under Xen: the guest's own interrupt flag is evtchn_upcall_mask, its own IOPL is `iopl` here.

import { shared_info, vcpu_info } from '#abi/xen.ts';
import { struct } from '#base/struct.ts';
import { CPU, MODE, SEG } from '#machine/cpu-state.ts';
import type { Cpu } from '#machine/cpu.ts';
import { countersOf } from './counters.ts';
import type { Domain } from './domain.ts';
import { VCPU_STATE, XEN_FRAME } from './layout.ts';

/** Why a vCPU does not run: bits of `pause_flags`; zero means runnable. */
export const VPF = {
  /** SCHEDOP_block or SCHEDOP_poll: an event wakes it */
  blocked: 1,
  /** never started, or VCPUOP_down */
  down: 2,
  /** SCHEDOP_poll: one of the polled ports wakes it, or any event */
  polling: 4,
  /** by the toolstack */
  paused: 8,
} as const;

/** Entries of the ring of last hypercalls, kept for the crash report. */
export const HYPERCALL_RING = 32;
export const hypercall_record = struct('hypercall_record', 32, { number: 'u32', result: 'i32', rip: 'u64', arg0: 'u64', arg1: 'u64' });

/**
 * The hypervisor's state of one vCPU at VCPU_STATE.vcpu. Addresses are guest linear addresses; zero: not registered.
 * syscall32 is kept but never called: the processor we are has SYSCALL in 64-bit code only (cpuid.ts).
 */
export const vcpu_state = struct('vcpu_state', 1240, {
  kernel_ss: 'u64', kernel_sp: 'u64',
  event_callback_eip: 'u64', failsafe_callback_eip: 'u64', syscall_callback_eip: 'u64', syscall32_callback_eip: 'u64', sysenter_callback_eip: 'u64',
  gs_base_kernel: 'u64', gs_base_user: 'u64',
  iobmp: 'u64', // linear address of the guest's I/O permission bitmap
  cr2: 'u64', // ctrlreg[2]: as mov from cr2 reads it
  pause_flags: 'u32', // VPF; changed with Atomics, other threads wake vCPUs
  guest_table: 'u32', guest_table_user: 'u32', // frame numbers of the L4 tables; 0: none
  vgc_flags: 'u32', // VGCF_failsafe_disables_events, VGCF_syscall_disables_events
  vcpu_info: 'u32', // capsule offset; 0: its place in shared info
  cr0_ts: 'u32', cr4: 'u32', // what the guest may see changed of CR0 and CR4
  iopl: 'u32', // virtual IOPL, in RFLAGS position (0x0000..0x3000)
  iobmp_limit: 'u32', // ports that the bitmap covers
  dr7_emul: 'u32', // DR7 enable bits of I/O breakpoints, which do not reach the machine
  syscall32_disables_events: 'u8', sysenter_disables_events: 'u8', nmi_pending: 'u8', nmi_masked: 'u8',
  hypercall_count: 'u32', // all hypercalls ever; the last HYPERCALL_RING are in the ring
  reserved: ['u32', 20],
  hypercalls: [hypercall_record, HYPERCALL_RING],
});
type VcpuState = ReturnType<typeof vcpu_state.on>;

const OFFSET = vcpu_state.offset;
const INFO = vcpu_info.offset;

export class Vcpu {
  /** by COUNTER: counters.ts */
  readonly counters: Float64Array<SharedArrayBuffer>;
  readonly domain: Domain;
  readonly cpu: Cpu;
  readonly id: number;
  /** a cursor that always stands on this vCPU's state: for what is not hot */
  readonly state: VcpuState;
  /** capsule offset of the state (vcpu_state) */
  readonly base: number;
  /** capsule offset of the trap table: 256 × 16 bytes (traps.ts) */
  readonly trapTable: number;

  constructor(domain: Domain, cpu: Cpu) {
    this.domain = domain;
    this.cpu = cpu;
    this.id = cpu.id;
    this.base = cpu.base + VCPU_STATE.vcpu;
    this.trapTable = cpu.base + VCPU_STATE.trapTable;
    this.counters = countersOf(domain.capsule, cpu.base);
    this.state = vcpu_state.on(domain.capsule.buffer).at(this.base);
  }

  /** Capsule offset of this vCPU's vcpu_info: in shared info until VCPUOP_register_vcpu_info moved it. */
  get info(): number {
    const moved = this.domain.capsule.u32[(this.base + OFFSET.vcpu_info) >>> 2] as number;
    return moved !== 0 ? moved : this.domain.capsule.frame(XEN_FRAME.sharedInfo) + shared_info.offset.vcpu_info + this.id * vcpu_info.size;
  }
  get upcallPending(): boolean { return this.domain.capsule.u8[this.info + INFO.evtchn_upcall_pending] !== 0; }
  /** Events are masked: the guest's interrupt flag, inverted. */
  get upcallMask(): number { return this.domain.capsule.u8[this.info + INFO.evtchn_upcall_mask] as number; }
  set upcallMask(mask: number) { this.domain.capsule.u8[this.info + INFO.evtchn_upcall_mask] = mask; }

  get kernelMode(): boolean { return this.cpu.kernelMode; }

  /** VPF bits. */
  get pauseFlags(): number { return Atomics.load(this.domain.capsule.i32, (this.base + OFFSET.pause_flags) >>> 2); }
  get runnable(): boolean { return this.pauseFlags === 0; }
  /** Sets VPF bits; from any thread. */
  pause(bits: number): void { Atomics.or(this.domain.capsule.i32, (this.base + OFFSET.pause_flags) >>> 2, bits); }
  /** Clears VPF bits; from any thread. Waking the thread that sleeps is the caller's affair. @returns true when one was set */
  unpause(bits: number): boolean { return (Atomics.and(this.domain.capsule.i32, (this.base + OFFSET.pause_flags) >>> 2, ~bits) & bits) !== 0; }

  /** An NMI is pending and the guest is not handling one. */
  get nmiDeliverable(): boolean {
    const { u8 } = this.domain.capsule;
    return u8[this.base + OFFSET.nmi_pending] !== 0 && u8[this.base + OFFSET.nmi_masked] === 0;
  }

  /** The guest has handled its NMI: the next one may come. */
  unmaskNmi(): void { this.domain.capsule.u8[this.base + OFFSET.nmi_masked] = 0; }

  /** Hypercalls made so far, those in multicalls included; wraps at 2^32. */
  get hypercallCount(): number { return this.domain.capsule.u32[(this.base + OFFSET.hypercall_count) >>> 2] as number; }

  /** CR0.TS as the guest set it: the next x87 or SSE instruction raises #NM. */
  setTaskSwitched(on: boolean): void {
    this.state.cr0_ts = on ? 1 : 0;
    const mode = this.cpu.field32(CPU.mode);
    this.cpu.setField32(CPU.mode, on ? mode | MODE.ts : mode & ~MODE.ts);
  }

  /**
   * Switches between guest kernel and guest user mode: page tables and GS base. Segment selectors and the stack are
   * the caller's affair. The tables of the other mode must exist.
   */
  toggleMode(): void {
    const { u32 } = this.domain.capsule;
    const toKernel = !this.cpu.kernelMode;
    const gs = (this.cpu.base + CPU.segBase + SEG.gs * 8) >>> 2;
    const save = (this.base + (toKernel ? OFFSET.gs_base_user : OFFSET.gs_base_kernel)) >>> 2;
    const load = (this.base + (toKernel ? OFFSET.gs_base_kernel : OFFSET.gs_base_user)) >>> 2;
    u32[save] = u32[gs] as number;
    u32[save + 1] = u32[gs + 1] as number;
    u32[gs] = u32[load] as number;
    u32[gs + 1] = u32[load + 1] as number;
    const table = u32[(this.base + (toKernel ? OFFSET.guest_table : OFFSET.guest_table_user)) >>> 2] as number;
    this.domain.machine.setBase(this.cpu, table, toKernel);
  }
}
