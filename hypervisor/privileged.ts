// Privileged instructions of a PV guest, which runs in ring 3: the machine decodes them and stops, here they are
// emulated or refused. Xen emulates, for the guest kernel only: IN, OUT, INS, OUTS (also for user mode when permitted),
// MOV to and from control and debug registers, RDMSR, WRMSR, CLTS, WBINVD (does nothing); for everybody: CPUID; and
// CLI and STI as no-ops where the virtual IOPL allows them. All else is #GP(0), HLT and INVLPG included: PV kernels
// have hypercalls for these. What the processor we are does not have is #UD.

import { CPU, FLAG, NO_ERROR_CODE, PRIV, REG } from '#machine/cpu-state.ts';
import { cpuid, leaf } from './cpuid.ts';
import { CR4_DE, getDebugreg, noteSingleStep, setDebugreg } from './debug-registers.ts';
import { ioplOk, ioPermitted, ioRead, ioWrite } from './io-port.ts';
import { newGuestCr3 } from './mm/domain-mm.ts';
import { readMsr, writeMsr } from './msr.ts';
import { stringIo } from './string-io.ts';
import { TRAP } from './trap-names.ts';
import { injectException, setCr2, trapHandlerSet } from './traps.ts';
import type { Vcpu } from './vcpu.ts';

/** What an emulation says: go on behind the instruction; the registers are set already; or an exception on it. */
const DONE = 0, HANDLED = 1, GP = 2, UD = 3;
type Emulation = (v: Vcpu, arg: number) => number;

/** CR0 of the processor: PG, AM, WP, NE, ET, MP, PE. TS is the guest's. */
const CR0 = 0x8005_0033, CR0_TS = 8;
/** CR4 as the guest sees it: OSXMMEXCPT, OSFXSR, PAE; DE is its own. */
const CR4 = 0x620;
/** CR0 and CR4 as the guest reads them. */
export function guestCr0(v: Vcpu): number { return (CR0 | (v.state.cr0_ts ? CR0_TS : 0)) >>> 0; }
export function guestCr4(v: Vcpu): number { return CR4 | v.state.cr4; }

const gp: Emulation = () => GP;
const ud: Emulation = () => UD;
const nothing: Emulation = () => DONE;
const kernelOnly = (emulate: Emulation): Emulation => (v, arg) => (v.kernelMode ? emulate(v, arg) : GP);

const EMULATIONS: Readonly<Record<number, Emulation>> = {
  [PRIV.hlt]: gp,
  [PRIV.cli]: (v) => (ioplOk(v) ? DONE : GP),
  [PRIV.sti]: (v) => (ioplOk(v) ? DONE : GP),
  [PRIV.in]: portIn,
  [PRIV.out]: portOut,
  [PRIV.ins]: (v) => (stringIo(v) ? HANDLED : GP),
  [PRIV.outs]: (v) => (stringIo(v) ? HANDLED : GP),
  [PRIV.rdmsr]: kernelOnly(rdmsr),
  [PRIV.wrmsr]: kernelOnly(wrmsr),
  [PRIV.movFromCr]: kernelOnly(movFromCr),
  [PRIV.movToCr]: kernelOnly(movToCr),
  [PRIV.movFromDr]: kernelOnly(movFromDr),
  [PRIV.movToDr]: kernelOnly(movToDr),
  [PRIV.clts]: kernelOnly((v) => { v.setTaskSwitched(false); return DONE; }),
  [PRIV.invlpg]: gp,
  [PRIV.lgdt]: gp, [PRIV.lidt]: gp, [PRIV.lldt]: gp, [PRIV.ltr]: gp, [PRIV.lmsw]: gp,
  [PRIV.wbinvd]: kernelOnly(nothing),
  [PRIV.invd]: gp, [PRIV.swapgs]: gp, [PRIV.sysret]: gp, [PRIV.sysexit]: gp,
  [PRIV.cpuid]: doCpuid, [PRIV.cpuidForced]: doCpuid,
  [PRIV.rdpmc]: gp,
  [PRIV.xsetbv]: ud, [PRIV.xgetbv]: ud, [PRIV.monitor]: ud, [PRIV.mwait]: ud, [PRIV.rdtscp]: ud, [PRIV.rsm]: ud,
};

/** Emulates the instruction that rip points to, or delivers the exception that it deserves. */
export function emulatePrivileged(v: Vcpu): void {
  const { cpu } = v;
  const emulate = EMULATIONS[cpu.field32(CPU.exitInfo)] ?? gp;
  const length = v.domain.machine.exitLength(cpu);
  switch (emulate(v, cpu.field32(CPU.exitArg))) {
    case DONE: return retire(v, length);
    case GP: return injectException(v, TRAP.gp_fault, 0);
    case UD: return injectException(v, TRAP.invalid_op, NO_ERROR_CODE);
    default: return;
  }
}

/** Behind the emulated instruction; with TF set, into the single-step trap. */
function retire(v: Vcpu, length: number): void {
  const { machine } = v.domain;
  v.cpu.rip += BigInt(length);
  const flags = machine.getFlags(v.cpu);
  if ((flags & (FLAG.tf | FLAG.rf)) === 0) return;
  machine.setFlags(v.cpu, flags & ~FLAG.rf);
  if ((flags & FLAG.tf) === 0) return;
  noteSingleStep(v);
  injectException(v, TRAP.debug, NO_ERROR_CODE);
}

function portIn(v: Vcpu, arg: number): number {
  const port = arg & 0xffff;
  const size = arg >>> 16;
  if (!ioPermitted(v, port, size)) return GP;
  const value = ioRead(v, port, size);
  if (size === 4) v.cpu.setPair(REG.rax, value, 0);
  else {
    const mask = size === 1 ? 0xff : 0xffff;
    v.cpu.setPair(REG.rax, ((v.cpu.lo(REG.rax) & ~mask) | (value & mask)) >>> 0, v.cpu.hi(REG.rax));
  }
  return DONE;
}

function portOut(v: Vcpu, arg: number): number {
  const port = arg & 0xffff;
  const size = arg >>> 16;
  if (!ioPermitted(v, port, size)) return GP;
  const rax = v.cpu.lo(REG.rax);
  ioWrite(v, port, size, size === 4 ? rax : size === 2 ? rax & 0xffff : rax & 0xff);
  return DONE;
}

/**
 * As Xen: a read that should fault gives 0 while the guest has no #GP handler yet, for kernels that read MSRs before
 * they have set up their traps.
 */
function rdmsr(v: Vcpu): number {
  const value = readMsr(v, v.cpu.lo(REG.rcx));
  if (value === undefined && trapHandlerSet(v, TRAP.gp_fault)) return GP;
  const known = value ?? 0n;
  v.cpu.setPair(REG.rax, Number(known & 0xffff_ffffn), 0);
  v.cpu.setPair(REG.rdx, Number(known >> 32n), 0);
  return DONE;
}

function wrmsr(v: Vcpu): number {
  const value = (BigInt(v.cpu.lo(REG.rdx)) << 32n) | BigInt(v.cpu.lo(REG.rax));
  return writeMsr(v, v.cpu.lo(REG.rcx), value) ? DONE : GP;
}

function doCpuid(v: Vcpu): number {
  cpuid(v.cpu.lo(REG.rax), v.cpu.lo(REG.rcx));
  v.cpu.setPair(REG.rax, leaf.eax, 0);
  v.cpu.setPair(REG.rbx, leaf.ebx, 0);
  v.cpu.setPair(REG.rcx, leaf.ecx, 0);
  v.cpu.setPair(REG.rdx, leaf.edx, 0);
  return DONE;
}

function movFromCr(v: Vcpu, arg: number): number {
  const { state } = v;
  const into = arg >>> 8;
  switch (arg & 0xff) {
    case 0: v.cpu.setPair(into, guestCr0(v), 0); return DONE;
    case 2: v.cpu.set(into, state.cr2); return DONE;
    case 3: v.cpu.set(into, BigInt(state.guest_table) << 12n); return DONE;
    case 4: v.cpu.setPair(into, guestCr4(v), 0); return DONE;
    default: return GP;
  }
}

function movToCr(v: Vcpu, arg: number): number {
  const value = v.cpu.get(arg >>> 8);
  switch (arg & 0xff) {
    case 0: // only TS may change
      if ((value & ~BigInt(CR0_TS)) !== BigInt(CR0)) return GP;
      v.setTaskSwitched((value & BigInt(CR0_TS)) !== 0n);
      return DONE;
    case 2: setCr2(v, value); return DONE;
    case 3: return value >> 12n < BigInt(v.domain.mm.total) && newGuestCr3(v, Number(value >> 12n)) === 0 ? DONE : GP;
    case 4: v.state.cr4 = Number(value & BigInt(CR4_DE)); return DONE; // other bits are Xen's: kept as they are, without a fault
    default: return GP;
  }
}

function movFromDr(v: Vcpu, arg: number): number {
  const value = getDebugreg(v, arg & 0xff);
  if (value === undefined) return UD;
  v.cpu.set(arg >>> 8, value);
  return DONE;
}
function movToDr(v: Vcpu, arg: number): number {
  return setDebugreg(v, arg & 0xff, v.cpu.get(arg >>> 8)) === 0 ? DONE : GP;
}
