// What the machine asks the hypervisor in the middle of an instruction.

import type { MachineHooks } from '#machine/machine.ts';
import type { Domain } from './domain.ts';
import { descriptorOffset } from './mm/gdt.ts';
import { ptwrStore, ptwrWatches } from './mm/ptwr.ts';
import { clockOf } from './time.ts';
import type { Vcpu } from './vcpu.ts';

/** Hooks for a domain's machine. Instructions that we do not implement are named in the log once each. */
export function machineHooks(domain: Domain): MachineHooks {
  const vcpu = (id: number): Vcpu => domain.vcpus[id] as Vcpu;
  return {
    storeWatched: (cpu, mfn) => ptwrWatches(vcpu(cpu.id), mfn),
    storeDenied: (cpu, vaLo, vaHi, size, lo, hi) => ptwrStore(vcpu(cpu.id), vaLo, vaHi, size, lo, hi),
    rdtsc: () => clockOf(domain).tsc(),
    descriptor: (cpu, selector) => descriptorOffset(vcpu(cpu.id), selector),
    unimplemented: (_cpu, name) => {
      const times = domain.unimplemented.get(name) ?? 0;
      domain.unimplemented.set(name, times + 1);
      if (times === 0) domain.host.log('warning', `domain ${domain.domid} used an instruction that is not implemented: ${name}`);
    },
  };
}
