// What memory a process has of the machine, from /proc (proc(5)).

import { readFileSync } from 'node:fs';

export function residentMiB(pid: number | 'self'): number { return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024; }
/** Memory of a domain can be given back here (discard.ts). */
export const canGiveBack: boolean = process.platform === 'linux' && (process.getBuiltinModule as (id: string) => unknown)('node:ffi') !== undefined;
