// Two samples of the machine as a table in the columns of xentop(1), whose widths and order of rows it has: what is between them
// gives the per cent.

import { RUNSTATE } from '#abi/vcpu.ts';
import type { TopDomain, TopSample } from '../daemon/protocol.ts';

export interface TopOptions {
  /** lines with each vCPU's seconds */
  readonly vcpus: boolean;
  /** lines with what the machine did: not xentop's */
  readonly engine: boolean;
  readonly fullNames: boolean;
  readonly repeatHeader: boolean;
  /** index in COLUMNS */
  readonly sort: number;
}
/** A domain, and what it was at the sample before. */
interface Row {
  readonly now: TopDomain;
  readonly before: TopDomain | undefined;
  /** seconds between the samples; 0 for the first */
  readonly elapsed: number;
  readonly sample: TopSample;
}
interface Column {
  readonly head: string;
  readonly width: number;
  text(r: Row, o: TopOptions): string;
  /** larger is first; names and states go by the alphabet */
  value(r: Row): number | string;
}

const percent = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole * 100);
const cpuPercent = (r: Row): number => (r.before ? percent(Math.max(0, r.now.time - r.before.time), r.elapsed) : 0);
const running = (d: TopDomain, i: number): number => Math.floor((d.vcpus[i]?.times[RUNSTATE.running] ?? 0) / 1e9);
const NAME_WIDTH = 10;
/** Letters of `xl list` in xentop's order. */
const stateOf = (d: TopDomain): string => ['d', 's', 'b', 'c', 'p', 'r'].map((letter) => (d.state.includes(letter) ? letter : '-')).join('');
const number = (head: string, width: number, value: (r: Row) => number, digits = 0): Column => ({ head, width, value, text: (r) => value(r).toFixed(digits) });
/** There are no network interfaces and block devices yet. */
const absent = (head: string, width: number): Column => number(head, width, () => 0);

export const COLUMNS: readonly Column[] = [
  { head: 'NAME', width: NAME_WIDTH, value: (r) => r.now.name.toLowerCase(), text: (r, o) => (o.fullNames ? r.now.name : r.now.name.slice(0, NAME_WIDTH)) },
  { head: 'STATE', width: 6, value: (r) => stateOf(r.now), text: (r) => stateOf(r.now) },
  { ...number('CPU(sec)', 10, (r) => r.now.time), text: (r) => String(Math.floor(r.now.time)) },
  number('CPU(%)', 6, cpuPercent, 1),
  number('MEM(k)', 10, (r) => r.now.memory), number('MEM(%)', 6, (r) => percent(r.now.memory, r.sample.memory), 1),
  { ...number('MAXMEM(k)', 10, (r) => r.now.maxMemory ?? Infinity), text: (r) => String(r.now.maxMemory ?? 'no limit') },
  { ...number('MAXMEM(%)', 9, (r) => r.now.maxMemory ?? Infinity), text: (r) => (r.now.maxMemory === undefined ? 'n/a' : percent(r.now.maxMemory, r.sample.memory).toFixed(1)) },
  number('VCPUS', 5, (r) => (r.now.domid === 0 ? r.sample.cpus : r.now.vcpus.length)),
  absent('NETS', 4), absent('NETTX(k)', 8), absent('NETRX(k)', 8), absent('VBDS', 4), absent('VBD_OO', 8), absent('VBD_RD', 8), absent('VBD_WR', 8),
  absent('VBD_RSECT', 10), absent('VBD_WSECT', 10), absent('SSID', 4),
];

function line(nameWidth: number, cell: (c: Column) => string): string { return COLUMNS.map((c, i) => cell(c).padStart(i === 0 ? nameWidth : c.width)).join(' '); }

/** The table, without its header's first line being marked. */
export function topLines(sample: TopSample, before: TopSample | undefined, o: TopOptions): { readonly header: string; readonly domains: readonly string[] } {
  const rows = sample.domains.map((now): Row => ({ now, before: before?.domains.find((d) => d.domid === now.domid), elapsed: before ? sample.time - before.time : 0, sample }));
  const sorted = rows.toSorted((a, b) => compare(COLUMNS[o.sort] as Column, a, b) || a.now.domid - b.now.domid);
  const nameWidth = o.fullNames ? Math.max(NAME_WIDTH, ...sample.domains.map(({ name }) => name.length)) : NAME_WIDTH;
  const header = line(nameWidth, (c) => c.head);
  const domains = sorted.flatMap((row, i) => [
    ...(o.repeatHeader && i > 0 ? [header] : []),
    line(nameWidth, (c) => c.text(row, o)),
    ...(o.vcpus ? vcpuLines(row.now) : []), ...(o.engine ? [engineLine(row)] : []),
  ]);
  return { header, domains };
}
function compare(column: Column, a: Row, b: Row): number {
  const [x, y] = [column.value(a), column.value(b)];
  return typeof x === 'number' && typeof y === 'number' ? (x === y ? 0 : y - x) : x < y ? -1 : x > y ? 1 : 0;
}

/** Five to a line. */
function vcpuLines(d: TopDomain): string[] {
  const cells = d.vcpus.flatMap((v, i) => (v.online ? [` ${String(i).padStart(2)}: ${String(running(d, i)).padStart(10)}s`] : []));
  const lines: string[] = [];
  for (let i = 0; i < Math.max(1, cells.length); i += 5) lines.push((i === 0 ? 'VCPUs(sec): ' : '        ') + cells.slice(i, i + 5).join(''));
  return lines;
}
const RATES = [['instructions', 'insn'], ['hypercalls', 'hypercalls'], ['upcalls', 'events'], ['pageFaults', 'page faults'], ['tlbMisses', 'TLB misses']] as const;
function engineLine({ now, before, elapsed }: Row): string {
  if (now.machine === undefined) return 'Engine: -';
  const rates = RATES.map(([field, name]) => {
    const sum = (d: TopDomain | undefined): number => d?.vcpus.reduce((n, v) => n + v[field], 0) ?? 0;
    return `${name} ${elapsed > 0 && before ? scaled((sum(now) - sum(before)) / elapsed) : '-'}/s`;
  });
  return `Engine: ${rates.join('  ')}  regions ${now.machine.promoted}  touched ${now.touched ?? '-'}k`;
}
/** 12.3M, 4.5k, 678 */
function scaled(n: number): string { return n >= 1e6 ? `${(n / 1e6).toFixed(1)}M` : n >= 1e4 ? `${(n / 1e3).toFixed(1)}k` : n.toFixed(0); }

/** The lines above the table. @param time of day */
export function topSummary({ version, domains, memory, free, cpus, mhz }: TopSample, time: string): string[] {
  const count = (letter: string): number => domains.filter((d) => [...'rbpscd'].find((c) => d.state.includes(c)) === letter).length;
  return [
    `xenith top - ${time}   Xen ${version}`,
    `${domains.length} domains: ${count('r')} running, ${count('b')} blocked, ${count('p')} paused, ${count('c')} crashed, ${count('d')} dying, ${count('s')} shutdown`,
    `Mem: ${memory}k total, ${memory - free}k used, ${free}k free    CPUs: ${cpus} @ ${mhz}MHz`,
  ];
}
