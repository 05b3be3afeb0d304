// What memory a process has of the machine, from /proc (proc(5)).

import { readFileSync } from 'node:fs';

export function residentMiB(pid: number | 'self'): number { return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024; }
/** What it does not share, neither with other processes nor between parts of its own. */
export function privateMiB(pid: number | 'self'): number { return rollup(pid, 'Private_Dirty') + rollup(pid, 'Private_Clean'); }
/** What it has, where a page that is mapped n times counts an nth each time. */
export function proportionalMiB(pid: number | 'self'): number { return rollup(pid, 'Pss'); }
function rollup(pid: number | 'self', key: string): number { return Number(new RegExp(`^${key}: +(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]) / 1024; }
/** Memory of a domain can be given back here (memory-map.ts). */
export const canGiveBack: boolean = process.platform === 'linux' && (process.getBuiltinModule as (id: string) => unknown)('node:ffi') !== undefined;
