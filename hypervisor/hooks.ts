// What the machine asks the hypervisor in the middle of an instruction.

import type { MachineHooks } from '#machine/machine.ts';
import type { Domain } from './domain.ts';
import { descriptorOffset } from './mm/gdt.ts';
import { ptwrStore, ptwrWatches } from './mm/ptwr.ts';
import { deliverWithin, serveWithin } from './run.ts';
import { clockOf, type Clock } from './time.ts';
import { UNTRACED } from './trace.ts';
import type { Vcpu } from './vcpu.ts';

/** So many are named; a guest that executes random bytes must fill neither the log nor our memory. */
const MAX_NAMES = 32, OTHERS = 'others';

/** Hooks for a domain's machine. Instructions that we do not implement are named in the log once each. */
export function machineHooks(domain: Domain): MachineHooks {
  const vcpu = (id: number): Vcpu => domain.vcpus[id] as Vcpu;
  const { threads } = domain;
  /** Guest code is being executed, without the lock that others may hold. */
  const locking = <A extends unknown[], T>(hook: (...args: A) => T): ((...args: A) => T) =>
    (threads.areShared ? (...args) => domain.machine.outside(() => threads.locked(() => hook(...args))) : hook);
  let clock: Clock | undefined; // guests read it at each system call
  return {
    foreign: domain.mm.foreign,
    storeWatched: (cpu, mfn) => ptwrWatches(vcpu(cpu.id), mfn),
    storeDenied: locking((cpu, vaLo, vaHi, size, lo, hi, was) => ptwrStore(vcpu(cpu.id), vaLo, vaHi, size, lo, hi, was)),
    random: () => (clockOf(domain).deterministic ? seededRandom(domain) : hostRandom(domain)),
    rdtsc: () => (clock ??= clockOf(domain)).tsc(),
    hypercall: (cpu) => serveWithin(vcpu(cpu.id)),
    exception: (cpu) => deliverWithin(vcpu(cpu.id)),
    descriptor: locking((cpu, selector) => descriptorOffset(vcpu(cpu.id), selector)),
    traced: () => domain.trace.isComplete,
    compiling: (cpu) => (domain.trace.work ? domain.trace.compiles(vcpu(cpu.id)) : UNTRACED),
    compiled: (_cpu, record) => { if (record !== UNTRACED) domain.trace.compiled(record); },
    unimplemented: (_cpu, bytes) => {
      const { unimplemented } = domain;
      const name = unimplemented.has(bytes) || unimplemented.size < MAX_NAMES ? bytes : OTHERS;
      const times = unimplemented.get(name) ?? 0;
      unimplemented.set(name, times + 1);
      if (times === 0) domain.host.log('warning', `domain ${domain.domid} used an instruction that is not implemented: ${name}`);
    },
  };
}

const eight = new Uint8Array(8);
const eightView = new DataView(eight.buffer);
function hostRandom(domain: Domain): bigint {
  domain.host.random(eight);
  return eightView.getBigUint64(0);
}

/** SplitMix64 (Steele, Lea, Flood 2014) from a fixed seed: the same numbers in every run. */
function seededRandom(domain: Domain): bigint {
  const u64 = (n: bigint): bigint => BigInt.asUintN(64, n);
  domain.state.random = u64(domain.state.random + 0x9e37_79b9_7f4a_7c15n);
  let z = domain.state.random;
  z = u64((z ^ z >> 30n) * 0xbf58_476d_1ce4_e5b9n);
  z = u64((z ^ z >> 27n) * 0x94d0_49bb_1331_11ebn);
  return z ^ z >> 31n;
}
