// The results as text.

import { type EngineName, geometricMean, type Result, speedup, type Times } from './results.ts';

const NAME_WIDTH = 18, WIDTH = 11;
const COLUMNS = ['native s', 'QEMU s', 'Xenith s', 'x QEMU', 'x QEMU 1st', 'of native'];

/** A line a row and a geometric mean a group. */
export function table(results: readonly Result[]): string {
  const lines = [line('', COLUMNS)];
  for (const group of new Set(results.map((r) => r.group))) {
    const members = results.filter((r) => r.group === group);
    lines.push('', group, ...members.map(row));
    if (members.length > 1) lines.push(means(members));
  }
  return `${lines.join('\n')}\n`;
}

function line(name: string, cells: readonly string[]): string { return name.padEnd(NAME_WIDTH) + cells.map((c) => c.padStart(WIDTH)).join(''); }

function row(result: Result): string {
  const seconds = (['native', 'qemu', 'xenith'] as const).map((engine) => result.times[engine]?.again.toFixed(4) ?? '-');
  return line(`  ${result.row}`, [...seconds, ...ratios((...which) => speedup(result, ...which))]);
}

function means(members: readonly Result[]): string {
  const mean = (...which: readonly [EngineName, EngineName, keyof Times]): number | undefined => {
    const known = members.flatMap((r) => speedup(r, ...which) ?? []);
    return known.length > 0 ? geometricMean(known) : undefined;
  };
  return line('  geometric mean', ['', '', '', ...ratios(mean)]);
}

function ratios(of: (engine: EngineName, peer: EngineName, pass: keyof Times) => number | undefined): string[] {
  const text = (x: number | undefined, digits: number): string => x?.toFixed(digits) ?? '-';
  return [text(of('xenith', 'qemu', 'again'), 2), text(of('xenith', 'qemu', 'first'), 2), text(of('xenith', 'native', 'again'), 3)];
}
