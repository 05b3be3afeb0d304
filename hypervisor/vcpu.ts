// One vCPU: the machine's register file plus the hypervisor's state of it, both in the capsule.

import type { Cpu } from '#machine/cpu.ts';
import type { Domain } from './domain.ts';

export class Vcpu {
  readonly domain: Domain;
  readonly cpu: Cpu;
  readonly id: number;
  constructor(domain: Domain, cpu: Cpu) { this.domain = domain; this.cpu = cpu; this.id = cpu.id; }
}
