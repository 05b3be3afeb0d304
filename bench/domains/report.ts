// The results as text and as an SVG.

import { WINDOW } from './busy.ts';
import type { Creation, Echo, Idle, Parallel, Rival, Share, Throughput } from './measurements.ts';

export interface Results {
  readonly about: Readonly<Record<string, unknown>>;
  readonly cpus: number;
  /** throughput is for each second of processor time */
  readonly perCpu: boolean;
  readonly throughput: readonly Throughput[];
  readonly rivals: readonly Rival[];
  readonly parallel: readonly Parallel[];
  readonly creation: readonly Creation[];
  readonly idle: readonly Idle[];
  readonly echo: readonly Echo[];
  readonly weights: readonly Share[];
  readonly caps: readonly Share[];
}

const percent = (part: number): string => `${(part * 100).toFixed(1)} %`;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)));
  return all.map((row) => row.map((cell, i) => cell.padStart(widths[i] as number)).join('  ')).join('\n');
}

const throughputs = (r: Results): string => table(
  ['domains', 'processes', 'domains', '', `on ${r.cpus} CPUs`, '', `first ${WINDOW} s: processes`, 'domains', ''],
  r.throughput.map(({ count, first, processes, oneCpu, allCpus }) => [
    `${count}`, processes.toFixed(1), ...[oneCpu, allCpus].flatMap((rate) => [rate.toFixed(1), percent(rate / processes)]), first.processes.toFixed(1), first.oneCpu.toFixed(1), percent(first.oneCpu / first.processes),
  ]),
);

export function text(r: Results): string {
  const section = <T>(title: string, head: readonly string[], of: readonly T[], row: (of: T) => readonly string[]): string[] => (of.length > 0 ? [`${title}\n\n${table(head, of.map(row))}\n`] : []);
  const sections = [
    ...(r.throughput.length > 0 ? [`Busy domains, each a shell that counts; lines a second on one CPU, against as many processes of one domain, and on all CPUs\n\n${throughputs(r)}\n`] : []),
    ...section('Busy domains, and as many processes of QEMU without KVM, on all CPUs; lines a second once that is steady', ['machines', 'QEMU', 'domains', 'times', 'MiB each, QEMU', 'domains'], r.rivals, (v) => [`${v.count}`, v.qemu.toFixed(1), v.domains.toFixed(1), (v.domains / v.qemu).toFixed(2), v.qemuMiB.toFixed(1), v.domainMiB.toFixed(1)]),
    ...section('vCPUs of one domain at the same time, a shell that counts on each; lines a second', ['vCPUs', 'one', 'all', 'times', 'in the first'], r.parallel, (p) => [`${p.vcpus}`, p.one.toFixed(1), p.all.toFixed(1), ...[p, p.first].map(({ one, all }) => (all / one * (r.perCpu ? p.vcpus : 1)).toFixed(2))]),
    ...section('Creation of paused domains', ['domains', 'ms, first tenth', 'ms, last tenth', 'MiB each'], r.creation, (c) => [`${c.count}`, c.first.toFixed(1), c.last.toFixed(1), c.paused.toFixed(1)]),
    ...section('Idle domains', ['domains', 'of one processor', 'MiB each'], r.idle, (i) => [`${i.count}`, `${i.cpu.toFixed(2)} %`, i.resident.toFixed(1)]),
    ...section('A key press comes back from an idle domain while others are busy', ['busy', 'ms, median', 'ms, 95 %'], r.echo, (e) => [`${e.busy}`, e.median.toFixed(2), e.p95.toFixed(2)]),
    ...section('Shares of one CPU by weight', ['domain', 'wanted', 'got'], r.weights, (s) => [s.name, percent(s.wanted), percent(s.got)]),
    ...section('Caps', ['domain', 'wanted', 'got'], r.caps, (s) => [s.name, percent(s.wanted), percent(s.got)]),
  ];
  return `${Object.values(r.about).join(', ')}\n\n${sections.join('\n')}`;
}

const LEFT = 60, WIDTH = 560, TOP = 56, HEIGHT = 240, HIGHEST = 1.2;
const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #24292f } .dim { fill: #656d76 } .title { font-size: 15px; font-weight: 600 } .grid { stroke: #d0d7de }
  polyline { fill: none; stroke-width: 2 } .one { stroke: #1a7f64 } .all { stroke: #8250df } circle.one { fill: #1a7f64 } circle.all { fill: #8250df }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .dim { fill: #8d96a0 } .grid { stroke: #30363d } }`;

/** Throughput of N domains against N processes of one domain, for each CPU in use. */
export function chart(r: Results): string {
  const counts = r.throughput.map((t) => t.count);
  const most = Math.log2(Math.max(...counts, 2));
  const x = (count: number): string => (LEFT + WIDTH * Math.log2(count) / most).toFixed(1);
  const y = (ratio: number): string => (TOP + HEIGHT * (1 - Math.min(ratio, HIGHEST) / HIGHEST)).toFixed(1);
  const series = [
    { name: 'one', label: 'on one CPU', value: (t: Throughput) => t.oneCpu / t.processes },
    { name: 'all', label: `on ${r.cpus} CPUs, for each`, value: (t: Throughput) => t.allCpus / t.processes / (r.perCpu ? 1 : Math.min(r.cpus, t.count)) },
  ];
  const lines = series.map(({ name, value }) => `<polyline class="${name}" points="${r.throughput.map((t) => `${x(t.count)},${y(value(t))}`).join(' ')}"/>${r.throughput.map((t) => `<circle class="${name}" cx="${x(t.count)}" cy="${y(value(t))}" r="3"/>`).join('')}`);
  const grid = [0, 0.25, 0.5, 0.75, 1].map((v) => `<line class="grid" x1="${LEFT}" x2="${LEFT + WIDTH}" y1="${y(v)}" y2="${y(v)}"/><text class="dim" x="${LEFT - 8}" y="${Number(y(v)) + 4}" text-anchor="end">${v * 100} %</text>`);
  const bottom = TOP + HEIGHT;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${LEFT + WIDTH + 40} ${bottom + 60}" role="img">
<style>${STYLE}
</style>
<text class="title" x="12" y="24">Work done by N domains, as many processes of one domain = 100 %</text>
<text class="dim" x="12" y="42">${Object.values(r.about).join(', ').replace(/&/g, '&amp;').replace(/</g, '&lt;')}</text>
${[...grid, ...counts.map((count) => `<text class="dim" x="${x(count)}" y="${bottom + 18}" text-anchor="middle">${count}</text>`), ...lines].join('\n')}
${series.map(({ name, label }, i) => `<circle class="${name}" cx="${LEFT + i * 160}" cy="${bottom + 42}" r="4"/><text class="dim" x="${LEFT + 10 + i * 160}" y="${bottom + 46}">${label}</text>`).join('\n')}
</svg>
`;
}
