// One domain: its capsule, its machine and its vCPUs. Subsystems hang off it; their state lies in the capsule.

import type { Capsule } from '#base/capsule.ts';
import type { Host } from '#base/host.ts';
import type { Machine } from '#machine/machine.ts';
import { Vcpu } from './vcpu.ts';

export class Domain {
  readonly domid: number;
  readonly capsule: Capsule;
  readonly machine: Machine;
  readonly host: Host;
  readonly vcpus: readonly Vcpu[];

  constructor(domid: number, machine: Machine, host: Host) {
    this.domid = domid;
    this.machine = machine;
    this.capsule = machine.capsule;
    this.host = host;
    this.vcpus = machine.cpus.map((cpu) => new Vcpu(this, cpu));
  }
}
