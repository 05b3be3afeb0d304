// The results as text.

import { type EngineName, geometricMean, type Result, speedup, type Times } from './results.ts';

const NAME_WIDTH = 18, WIDTH = 11;

interface Column {
  readonly title: string;
  readonly engine: EngineName;
  readonly digits: number;
  readonly isRatio: boolean;
  readonly of: (result: Result) => number | undefined;
}

const COLUMNS: readonly Column[] = [
  seconds('native', 'native'), seconds('QEMU', 'qemu'), seconds('Xen', 'xen'), seconds('v86', 'v86'), seconds('Xenith', 'xenith'),
  ratio('x QEMU', 'qemu', 'again'), ratio('x QEMU 1st', 'qemu', 'first'),
  ratio('x Xen', 'xen', 'again'),
  ratio('x v86', 'v86', 'again'), ratio('x v86 1st', 'v86', 'first'),
  ratio('of native', 'native', 'again', 3),
];

function seconds(name: string, engine: EngineName): Column {
  return { title: `${name} s`, engine, digits: 4, isRatio: false, of: (result) => result.times[engine]?.again };
}

/** How many times faster Xenith is than the engine. */
function ratio(title: string, engine: EngineName, pass: keyof Times, digits = 2): Column {
  return { title, engine, digits, isRatio: true, of: (result) => speedup(result, 'xenith', engine, pass) };
}

/** A line a row and a geometric mean a group. The columns of Xen and v86, which few have, are there only if they were measured. */
export function table(results: readonly Result[]): string {
  const columns = COLUMNS.filter(({ engine }) => (engine !== 'v86' && engine !== 'xen') || results.some(({ times }) => times[engine]));
  const lines = [line('', columns.map(({ title }) => title))];
  for (const group of new Set(results.map((r) => r.group))) {
    const members = results.filter((r) => r.group === group);
    lines.push('', group, ...members.map((r) => line(`  ${r.row}`, columns.map((c) => c.of(r)?.toFixed(c.digits) ?? '-'))));
    if (members.length > 1) lines.push(line('  geometric mean', columns.map((c) => mean(c, members))));
  }
  return `${lines.join('\n')}\n`;
}

function line(name: string, cells: readonly string[]): string { return name.padEnd(NAME_WIDTH) + cells.map((c) => c.padStart(WIDTH)).join(''); }

function mean({ isRatio, of, digits }: Column, members: readonly Result[]): string {
  if (!isRatio) return '';
  const known = members.flatMap((r) => of(r) ?? []);
  return known.length > 0 ? geometricMean(known).toFixed(digits) : '-';
}
