// Key q: every domain and its vCPUs, as they are; then each vCPU gets VIRQ_DEBUG, on which Linux writes its own view of things.

import { RUNSTATE_NAMES } from '#abi/vcpu.ts';
import { VIRQ } from '#abi/xen.ts';
import { uuidOf } from '#base/uuid.ts';
import { CPU, REG } from '#machine/cpu-state.ts';
import type { Domain } from '../domain.ts';
import { portIsMasked, portIsPending, sendVcpuVirq, virqPort } from '../event-port.ts';
import { OWNER, PGT_pinned, PGT_type_mask, PGT_type_shift } from '../mm/frame-table.ts';
import { vcpuStatistics } from '../statistics.ts';
import { clockOf } from '../time.ts';
import { schedOf } from '../vcpu-sched.ts';
import { type Vcpu, VPF } from '../vcpu.ts';
import { guestHandle } from '../version.ts';
import { hex64 } from '../words.ts';
import type { DebugTarget, Log } from './debug-keys.ts';

const PAGE_TYPES = ['none', 'l1', 'l2', 'l3', 'l4', 'descriptors', '', 'writable'];

export function dumpDomains({ domains }: DebugTarget, log: Log): void {
  for (const { domain } of domains) {
    log(`General information for domain ${domain.domid}:`);
    for (const line of [...general(domain), memory(domain)]) log(`    ${line}`);
    log(`VCPU information and callbacks for domain ${domain.domid}:`);
    for (const v of domain.vcpus) for (const line of ofVcpu(v)) log(`    ${line}`);
    for (const v of domain.vcpus) notify(v, log);
  }
}

function general(domain: Domain): string[] {
  const { tot_pages, max_pages } = domain.mm.state;
  const assists = Array.from({ length: 64 }, (_, type) => type).filter((type) => domain.mm.vmAssist(type));
  return [
    `nr_pages=${tot_pages} max_pages=${max_pages} shutdown=${domain.shutdownReason ?? '-'}`,
    `handle=${uuidOf(guestHandle(domain))} vm_assist={${assists.join(',')}}`,
  ];
}

/** How many of its frames are of which type, and how many page tables are pinned. */
function memory({ mm: { frames } }: Domain): string {
  const counts = new Array<number>(PAGE_TYPES.length).fill(0);
  let pinned = 0;
  for (let mfn = 0; mfn < frames.total; mfn++) {
    if (frames.owner(mfn) !== OWNER.domain || frames.isSpecial(mfn)) continue;
    const word = frames.type(mfn);
    const type = (word & PGT_type_mask) >>> PGT_type_shift;
    counts[type] = (counts[type] as number) + 1;
    if (word & PGT_pinned) pinned++;
  }
  return `frames by type: ${counts.flatMap((n, type) => (n > 0 ? [`${PAGE_TYPES[type]} ${n}`] : [])).join(', ')}; ${pinned} pinned`;
}

function ofVcpu(v: Vcpu): string[] {
  const { cpu, state } = v;
  const s = schedOf(v);
  const flags = Object.entries(VPF).flatMap(([name, bit]) => (v.pauseFlags & bit ? [name] : []));
  const deadline = (at: number): string => (at === 0 ? '-' : `${((at - clockOf(v.domain).now()) / 1e3).toFixed(0)}us`);
  const counted = vcpuStatistics(v.domain.capsule, v.id, 0);
  return [
    `VCPU${v.id}: ${RUNSTATE_NAMES[s.runstate]} flags={${flags.join(',')}} upcall_pend=${Number(v.upcallPending)} upcall_mask=${v.upcallMask}`,
    `    ${cpu.kernelMode ? 'kernel' : 'user'} rip=${hex64(cpu.rip)} rsp=${hex64(cpu.get(REG.rsp))} cr2=${hex64(state.cr2)} base=${cpu.field32(CPU.cr3).toString(16)} kernel=${state.guest_table.toString(16)} user=${state.guest_table_user.toString(16)}`,
    `    event=${hex64(state.event_callback_eip)} failsafe=${hex64(state.failsafe_callback_eip)} syscall=${hex64(state.syscall_callback_eip)}`,
    `    timer in ${deadline(s.singleshot)}, poll until ${deadline(s.pollTimeout)}, ${s.periodicPeriod === 0 ? 'no periodic timer' : `${s.periodicPeriod / 1e6} ms periodic timer`}`,
    `    ${counted.instructions} instructions, ${counted.hypercalls} hypercalls, ${counted.upcalls} events, ${counted.pageFaults} page faults, ${counted.tlbMisses} TLB misses`,
  ];
}

function notify(v: Vcpu, log: Log): void {
  const port = virqPort(v, VIRQ.DEBUG);
  log(`    Notifying guest ${v.domain.domid}:${v.id} (virq ${VIRQ.DEBUG}, port ${port}, stat ${port === 0 ? '-' : `${Number(portIsPending(v.domain, port))}/${Number(portIsMasked(v.domain, port))}`})`);
  sendVcpuVirq(v, VIRQ.DEBUG);
}
