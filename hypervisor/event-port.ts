// Event channel ports of one domain: giving them out, raising events on them by the ABI that the guest uses, and the virtual
// IRQs that are bound to them. What a port is lies in the port table (event-table.ts).

import { ENOSPC } from '#abi/errno.ts';
import { VIRQ } from '#abi/xen.ts';
import { assert } from '#base/assert.ts';
import type { Domain } from './domain.ts';
import { twoLevel } from './event-2l.ts';
import type { EventAbi } from './event-abi.ts';
import { fifo } from './event-fifo.ts';
import { ECS } from './event-table.ts';
import { schedOf, vcpu_sched } from './vcpu-sched.ts';
import type { Vcpu } from './vcpu.ts';

function abiOf(domain: Domain): EventAbi { return domain.events.state.fifo !== 0 ? fifo : twoLevel; }

/** The lowest port that can be given out, or -ENOSPC. It stays free until `claim`. */
export function getFreePort(domain: Domain): number {
  const { events } = domain;
  const abi = abiOf(domain);
  for (let port = 1; port < abi.maxPorts; port++) {
    if (!events.isValid(port) && !events.grow()) return -ENOSPC;
    if (events.at(port).state === ECS.free && !abi.isBusy(domain, port)) return port;
  }
  return -ENOSPC;
}

/** Makes a port free again; a left-over event would surprise its next owner. */
export function freePort(domain: Domain, port: number): void {
  assert(domain.events.isUsable(port), 'a port is freed once');
  abiOf(domain).clearPending(domain, port);
  domain.events.release(port);
}

export function portIsPending(domain: Domain, port: number): boolean { return domain.events.isUsable(port) && abiOf(domain).isPending(domain, port); }
export function portIsMasked(domain: Domain, port: number): boolean { return domain.events.isUsable(port) && abiOf(domain).isMasked(domain, port); }

/** An event on a port of this domain that is in use. Nothing new when one is pending already. */
export function setPortPending(domain: Domain, port: number): void {
  assert(domain.events.isUsable(port), 'events come on ports that are in use');
  abiOf(domain).setPending(domain, port);
}

/** Clears the mask bit of a port that is in use, and delivers what was held back by it. */
export function unmaskPort(domain: Domain, port: number): void {
  if (domain.events.isUsable(port)) abiOf(domain).unmask(domain, port);
}

/** True for virtual IRQs that a domain has one of; the others it has one of for each vCPU. */
export function virqIsGlobal(virq: number): boolean {
  return virq !== VIRQ.TIMER && virq !== VIRQ.DEBUG && virq !== VIRQ.XENOPROF && virq !== VIRQ.XENPMU;
}

const virqWord = (v: Vcpu, virq: number): number => (schedOf(v).base + vcpu_sched.offset.virqPort) / 4 + virq;
/** The port that a virtual IRQ of a vCPU is bound to; 0: none. */
export function virqPort(v: Vcpu, virq: number): number { return v.domain.capsule.u32[virqWord(v, virq)] as number; }
export function setVirqPort(v: Vcpu, virq: number, port: number): void { v.domain.capsule.u32[virqWord(v, virq)] = port; }

/** Raises a virtual IRQ that a vCPU has of its own; dropped when it is not bound. */
export function sendVcpuVirq(v: Vcpu, virq: number): void {
  const port = virqPort(v, virq);
  if (port !== 0) setPortPending(v.domain, port);
}
