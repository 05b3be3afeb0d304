// What a domain and its vCPUs have done so far, read from the capsule: nothing is asked of who runs the domain, which goes on
// meanwhile. Instructions are as of the machine's last exit; what machine and generated code count, as of the last turn.

import { HYPERVISOR } from '#abi/xen.ts';
import { PAGE_SIZE, type Capsule } from '#base/capsule.ts';
import { CPU } from '#machine/cpu-state.ts';
import { COUNTER, countersOf, HYPERCALLS, MACHINE } from './counters.ts';
import { DOMAIN_STATE, VCPU_STATE } from './layout.ts';
import { mm_state } from './mm/mm-state.ts';
import { vcpu_sched } from './vcpu-sched.ts';
import { vcpu_state, VPF } from './vcpu.ts';

/** Times in ns by RUNSTATE: running, runnable, blocked, offline. */
export type RunstateTimes = readonly [number, number, number, number];
export interface VcpuStatistics {
  readonly id: number;
  /** it has been brought up */
  readonly online: boolean;
  /** RUNSTATE */
  readonly state: number;
  readonly times: RunstateTimes;
  readonly instructions: number;
  readonly hypercalls: number;
  /** by number */
  readonly byHypercall: readonly number[];
  /** events delivered to it, events that it sent */
  readonly upcalls: number;
  readonly sends: number;
  /** given to the guest */
  readonly pageFaults: number;
  readonly exceptions: number;
  readonly tlbMisses: number;
}
export interface DomainStatistics {
  readonly vcpus: readonly VcpuStatistics[];
  /** bytes that it owns, and may own */
  readonly memory: number;
  readonly maxMemory: number;
  /** blocks of guest code decoded, regions compiled, times that all decoded code was dropped */
  readonly machine: { readonly blocks: number; readonly promoted: number; readonly resets: number };
}

/**
 * @param vcpus how many the domain has
 * @param now its system time in ns: the spell that each vCPU is in lasts until then
 */
export function readStatistics(capsule: Capsule, vcpus: number, now: number): DomainStatistics {
  const mm = mm_state.on(capsule.buffer).at(DOMAIN_STATE.mm);
  const machine = (at: number): number => capsule.f64[at] as number;
  return {
    vcpus: Array.from({ length: vcpus }, (_, id) => vcpuStatistics(capsule, id, now)),
    memory: mm.tot_pages * PAGE_SIZE, maxMemory: mm.max_pages * PAGE_SIZE,
    machine: { blocks: machine(MACHINE.blocks), promoted: machine(MACHINE.promoted), resets: machine(MACHINE.resets) },
  };
}

/** The same of one vCPU. */
export function vcpuStatistics(capsule: Capsule, id: number, now: number): VcpuStatistics {
  const base = capsule.vcpu(id);
  const counters = countersOf(capsule, base);
  const counted = (counter: number): number => counters[counter] as number;
  const sched = vcpu_sched.on(capsule.buffer).at(base + VCPU_STATE.sched);
  const state = vcpu_state.on(capsule.buffer).at(base + VCPU_STATE.vcpu);
  const times: [number, number, number, number] = [sched.timeRunning, sched.timeRunnable, sched.timeBlocked, sched.timeOffline];
  const current = sched.runstate as 0 | 1 | 2 | 3;
  times[current] += Math.max(0, now - sched.runstateEntry);
  const byHypercall = Array.from({ length: HYPERCALLS }, (_, n) => counted(COUNTER.hypercalls + n));
  const hypercalls = counted(COUNTER.calls);
  byHypercall[HYPERVISOR.iret] = (byHypercall[HYPERVISOR.iret] as number) + Math.max(0, hypercalls - byHypercall.reduce((a, b) => a + b, 0)); // in generated code: trap-paths.ts
  return {
    id, online: (state.pause_flags & VPF.down) === 0, state: current, times, instructions: capsule.f64[(base + CPU.retired) >>> 3] as number, hypercalls, byHypercall,
    upcalls: counted(COUNTER.upcalls), sends: counted(COUNTER.sends), pageFaults: counted(COUNTER.pageFaults), exceptions: counted(COUNTER.exceptions), tlbMisses: counted(COUNTER.tlbMisses),
  };
}

/** The sum over all vCPUs. */
export function total({ vcpus }: DomainStatistics, field: 'instructions' | 'hypercalls' | 'upcalls' | 'sends' | 'pageFaults' | 'exceptions' | 'tlbMisses'): number {
  return vcpus.reduce((n, v) => n + v[field], 0);
}
