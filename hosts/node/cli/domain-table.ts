// Domains in the words and columns of `xl list`.

import type { DomainInfo } from '../daemon/protocol.ts';

/** @param verbose with uuid, reason of the shutdown (a number in hex) and security label, of which there is none */
export function domainTable(domains: readonly DomainInfo[], verbose: boolean): string {
  const more = (d: DomainInfo): string => ` ${d.uuid} ${(d.shutdownReason?.toString(16) ?? '-').padStart(8)} ${'-'.padStart(16)}`;
  const rows = domains.map((d) => `${d.name.padEnd(40)} ${pad(d.domid)} ${pad(d.memory)} ${pad(d.vcpus)}     ${d.state}  ${d.time.toFixed(1).padStart(8)}${verbose ? more(d) : ''}`);
  const moreHead = `   UUID                            Reason-Code\tSecurity Label`;
  return [`${'Name'.padEnd(40)} ${'ID'.padStart(5)} ${'Mem'.padStart(5)} VCPUs\tState\tTime(s)${verbose ? moreHead : ''}`, ...rows].map((line) => `${line}\n`).join('');
}
const pad = (n: number): string => String(n).padStart(5);

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
