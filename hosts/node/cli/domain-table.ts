// Domains in the words and columns of `xl list`.

import type { DomainInfo, VcpuInfo } from '../daemon/protocol.ts';

export function domainTable(domains: readonly DomainInfo[]): string {
  const rows = domains.map((d) => `${d.name.padEnd(40)} ${pad(d.domid)} ${pad(d.memory)} ${pad(d.vcpus)}     ${d.state}  ${d.time.toFixed(1).padStart(8)}`);
  return [`${'Name'.padEnd(40)} ${'ID'.padStart(5)} ${'Mem'.padStart(5)} VCPUs\tState\tTime(s)`, ...rows].map((line) => `${line}\n`).join('');
}
const pad = (n: number): string => String(n).padStart(5);

/** As `xl vcpu-list`. */
export function vcpuTable(vcpus: readonly VcpuInfo[]): string {
  const rows = vcpus.map((v) => `${v.name.padEnd(32)} ${pad(v.domid)} ${pad(v.vcpu)} ${String(v.cpu ?? '-').padStart(4)}   ${v.state} ${v.time.toFixed(1).padStart(11)}  ${v.affinity}`);
  return [`${'Name'.padEnd(32)} ${'ID'.padStart(5)} ${'VCPU'.padStart(5)} ${'CPU'.padStart(4)} State ${'Time(s)'.padStart(11)}  Affinity`, ...rows].map((line) => `${line}\n`).join('');
}

/** As `xl sched-credit2`. */
export function shareTable(domains: readonly DomainInfo[]): string {
  const rows = domains.map((d) => `${d.name.padEnd(33)} ${String(d.domid).padStart(4)} ${String(d.weight).padStart(6)} ${String(d.cap).padStart(4)}`);
  return [`${'Name'.padEnd(33)} ${'ID'.padStart(4)} Weight  Cap`, ...rows].map((line) => `${line}\n`).join('');
}
/** As `xl uptime` writes times: 1 day, 02:03:04. */
export function uptimeTable(domains: readonly DomainInfo[]): string {
  const rows = domains.map((d) => `${d.name.padEnd(33)} ${String(d.domid).padStart(4)} ${duration(d.uptime)}`);
  return [`${'Name'.padEnd(33)} ${'ID'.padStart(4)} Uptime`, ...rows].map((line) => `${line}\n`).join('');
}
function duration(seconds: number): string {
  const days = Math.floor(seconds / 86400);
  const clock = [Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60].map((n) => String(n).padStart(2, '0')).join(':');
  return days === 0 ? clock : `${days} ${days === 1 ? 'day' : 'days'}, ${clock}`;
}
