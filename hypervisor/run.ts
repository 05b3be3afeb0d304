// Running one vCPU for a slice: in and out of the machine, each exit handled, pending events delivered on every way
// back to the guest.
//
// What the hypervisor does for the guest is charged to the slice too, as if it were instructions: a guest that makes
// nothing but hypercalls or faults must not hold the processor longer than others.

import { stackOf } from '#base/error-text.ts';
import { CPU, EXIT } from '#machine/cpu-state.ts';
import { serveHypercall } from './hypercall-table.ts';
import { emulatePrivileged } from './privileged.ts';
import { TRAP } from './trap-names.ts';
import { deliverEvents, injectException, softInterrupt, sysenter, userSyscall } from './traps.ts';
import type { Vcpu } from './vcpu.ts';
import { preemptionPending } from './vcpu-sched.ts';

/** Instructions that an exit, a hypercall, and a unit of its work on memory (Mm.work) count for. */
const EXIT_COST = 50, HYPERCALL_COST = 200, WORK_COST = 3;

/** What all hypercalls of a vCPU so far count for, in instructions: a difference of two tells what was done between. */
export function servedSoFar(v: Vcpu): number { return v.hypercallCount * HYPERCALL_COST + v.domain.mm.work * WORK_COST; }

/** What an exit, or a call without one, counts for with what was done since `served`. */
const costSince = (v: Vcpu, served: number): number => EXIT_COST + Math.max(0, servedSoFar(v) - served);

/**
 * Runs a vCPU until its slice is used, it is no longer runnable, its domain is shut down, or another vCPU became
 * urgent. An exception of ours ends the domain, not the host.
 * @param budget instructions
 */
export function runVcpu(v: Vcpu, budget: number): void {
  try {
    runSlice(v, budget);
  } catch (error) {
    v.domain.crash(`error in the hypervisor: ${stackOf(error)}`, v);
  }
}

function runSlice(v: Vcpu, budget: number): void {
  const { domain, cpu } = v;
  const { machine, threads } = domain;
  let left = budget;
  let retired = machine.retired(cpu);
  while (left > 0 && v.runnable && !domain.isShutDown) {
    deliverEvents(v);
    if (domain.isShutDown) return;
    const served = servedSoFar(v);
    const exit = threads.areShared ? threads.unlocked(() => machine.run(cpu, left)) : machine.run(cpu, left);
    if (domain.trace.exec) domain.trace.exit(v, exit);
    if (exit !== EXIT.budget) handleExit(v, exit);
    const now = machine.retired(cpu);
    left -= now - retired + costSince(v, served);
    retired = now;
    if (preemptionPending(domain)) return;
  }
}

/**
 * A hypercall in the middle of a run (MachineHooks.hypercall). Where others may hold the domain's lock, or somebody watches the exits, it is left
 * to `runSlice`, which has a look too when the vCPU may not go on.
 */
export function serveWithin(v: Vcpu): number {
  if (mustExit(v)) return EXIT.syscall;
  const served = servedSoFar(v);
  serveHypercall(v);
  v.domain.machine.charge(v.cpu, costSince(v, served));
  return goesOn(v) ? EXIT.none : EXIT.budget;
}
/** An exception in the middle of a run (MachineHooks.exception), likewise; and what is delivered on the way back from it. */
export function deliverWithin(v: Vcpu): number {
  if (mustExit(v)) return EXIT.exception;
  const served = servedSoFar(v);
  handleExit(v, EXIT.exception);
  v.domain.machine.charge(v.cpu, costSince(v, served));
  if (!goesOn(v)) return EXIT.budget;
  deliverEvents(v);
  return goesOn(v) ? EXIT.none : EXIT.budget;
}
const mustExit = ({ domain }: Vcpu): boolean => domain.threads.areShared || domain.trace.exec;
const goesOn = (v: Vcpu): boolean => v.runnable && !v.domain.isShutDown && !preemptionPending(v.domain);

function handleExit(v: Vcpu, exit: number): void {
  const { cpu } = v;
  switch (exit) {
    case EXIT.syscall: return cpu.kernelMode ? serveHypercall(v) : userSyscall(v);
    case EXIT.exception: return deliverException(v, cpu.field32(CPU.exitInfo), cpu.field32(CPU.errorCode));
    case EXIT.softint: return softInterrupt(v, cpu.field32(CPU.exitInfo), v.domain.machine.exitLength(cpu));
    case EXIT.privileged: return emulatePrivileged(v);
    case EXIT.sysenter: return sysenter(v);
    default: throw new Error(`the machine returned exit ${exit}`);
  }
}

/** #NM because of CR0.TS clears it, as Xen does: the guest's handler finds the FPU usable. */
function deliverException(v: Vcpu, vector: number, errorCode: number): void {
  if (vector === TRAP.no_device) v.setTaskSwitched(false);
  injectException(v, vector, errorCode);
}
