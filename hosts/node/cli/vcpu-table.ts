// vCPUs in the columns of `xl vcpu-list`.

import type { VcpuInfo } from '../daemon/protocol.ts';

/** There is no soft affinity. */
const SOFT = 'all';

export function vcpuTable(vcpus: readonly VcpuInfo[]): string {
  const rows = vcpus.map((v) => {
    const place = v.cpu !== undefined ? `${pad(v.cpu)}   ${v.running ? 'r' : '-'}${v.blocked ? 'b' : '-'}- ` : `${pad('-')}   --p `;
    return `${v.name.padEnd(32)} ${pad(v.domid)} ${pad(v.vcpu)} ${place}${v.time.toFixed(1).padStart(9)}  ${v.affinity} / ${SOFT}`;
  });
  const head = `${'Name'.padEnd(32)} ${pad('ID')} ${pad('VCPU')} ${pad('CPU')} ${pad('State')} ${'Time(s)'.padStart(9)} Affinity (Hard / Soft)`;
  return [head, ...rows].map((line) => `${line}\n`).join('');
}
const pad = (value: string | number): string => String(value).padStart(5);
