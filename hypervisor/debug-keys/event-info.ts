// Key e: event channels, a line for each port that is in use: pending and mask bits, the selector bit or, of FIFO channels, the
// priority, state, the vCPU that is told, and what is at the other end.

import type { Domain } from '../domain.ts';
import { isSelected } from '../event-2l.ts';
import { portIsMasked, portIsPending } from '../event-port.ts';
import { ECS } from '../event-table.ts';
import { VPF } from '../vcpu.ts';
import type { DebugTarget, Log } from './debug-keys.ts';

export function dumpEvents({ domains }: DebugTarget, log: Log): void {
  for (const { domain } of domains) {
    log(`Event channel information for domain ${domain.domid}:`);
    log(`Polling vCPUs: {${domain.vcpus.filter((v) => v.pauseFlags & VPF.polling).map(({ id }) => id).join(',')}}`);
    log(`    port [p/m/${isFifo(domain) ? 'priority' : 's'}]`);
    for (let port = 1; port < domain.events.valid; port++) if (domain.events.at(port).state !== ECS.free) log(`    ${lineOf(domain, port)}`);
  }
}

function lineOf(domain: Domain, port: number): string {
  const { state, notify_vcpu_id, remote_domid, remote_port, virq, priority } = domain.events.at(port);
  const v = domain.vcpus[notify_vcpu_id];
  const third = isFifo(domain) ? priority : v !== undefined && isSelected(v, port);
  const bits = [portIsPending(domain, port), portIsMasked(domain, port), third].map(Number).join('/');
  const end = state === ECS.unbound ? ` d=${remote_domid}` : state === ECS.interdomain ? ` d=${remote_domid} p=${remote_port}` : state === ECS.virq ? ` v=${virq}` : '';
  return `${String(port).padStart(4)} [${bits}]: s=${state} n=${notify_vcpu_id}${end}`;
}
function isFifo(domain: Domain): boolean { return domain.events.state.fifo !== 0; }
