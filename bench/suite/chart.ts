// The results as an SVG: for each row a bar from QEMU's speed (the line at 1) to Xenith's, on a logarithmic scale, and a dot
// where the machine itself is.

import { type Result, speedup } from './results.ts';

const LEFT = 150, WIDTH = 560, RIGHT = 60, TOP = 64, STEP = 18, GAP = 14;
const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #24292f } .dim { fill: #656d76 } .title { font-size: 15px; font-weight: 600 }
  .grid { stroke: #d0d7de } .one { stroke: #57606a; stroke-width: 1.5 } .faster { fill: #1a7f64 } .slower { fill: #c2703d } .native { fill: #57606a }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .dim { fill: #8d96a0 } .grid { stroke: #30363d } .one { stroke: #8d96a0 } .native { fill: #8d96a0 }
  }`;

interface Bar { readonly row: string; readonly group: string; readonly ratio: number; readonly native: number | undefined }

export function chart(results: readonly Result[], caption: string): string {
  const bars = results.flatMap((r): Bar[] => {
    const ratio = speedup(r, 'xenith', 'qemu', 'again');
    return ratio === undefined ? [] : [{ row: r.row, group: r.group, ratio, native: speedup(r, 'native', 'qemu', 'again') }];
  });
  const all = bars.flatMap((b) => [b.ratio, b.native ?? b.ratio, 1]);
  const low = Math.floor(Math.log10(Math.min(...all)) - 0.01), high = Math.ceil(Math.log10(Math.max(...all)) + 0.01);
  const x = (ratio: number): number => LEFT + WIDTH * (Math.log10(ratio) - low) / (high - low);
  let y = TOP, group = '';
  const marks = bars.map((bar) => {
    if (bar.group !== group && group !== '') y += GAP;
    ({ group } = bar);
    y += STEP;
    return drawBar(bar, x, y);
  });
  const bottom = y + STEP;
  const grid = Array.from({ length: high - low + 1 }, (_, i) => gridLine(10 ** (low + i), x, bottom));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${LEFT + WIDTH + RIGHT} ${bottom + 40}" role="img">
<style>${STYLE}
</style>
<text class="title" x="12" y="24">Speed in a Xenith domain, QEMU without KVM = 1</text>
<text class="dim" x="12" y="42">${escaped(caption)}</text>
${[...grid, gridLine(1, x, bottom, 'one'), ...marks].join('\n')}
<circle class="native" cx="${LEFT}" cy="${bottom + 24}" r="3"/><text class="dim" x="${LEFT + 10}" y="${bottom + 28}">the machine itself</text>
</svg>
`;
}

function drawBar({ row, ratio, native }: Bar, x: (ratio: number) => number, y: number): string {
  const from = Math.min(x(1), x(ratio)), width = Math.max(1, Math.abs(x(ratio) - x(1)));
  const dot = native === undefined ? '' : `<circle class="native" cx="${x(native).toFixed(1)}" cy="${y - 4}" r="3"/>`;
  return `<text x="${LEFT - 8}" y="${y}" text-anchor="end">${escaped(row)}</text><rect class="${ratio < 1 ? 'slower' : 'faster'}" x="${from.toFixed(1)}" y="${y - 10}" width="${width.toFixed(1)}" height="12" rx="2"/>`
    + `<text class="dim" x="${(ratio < 1 ? from - 4 : from + width + 4).toFixed(1)}" y="${y}" text-anchor="${ratio < 1 ? 'end' : 'start'}">${ratio.toPrecision(2)}</text>${dot}`;
}

function gridLine(ratio: number, x: (ratio: number) => number, bottom: number, name = 'grid'): string {
  const at = x(ratio).toFixed(1);
  return `<line class="${name}" x1="${at}" x2="${at}" y1="${TOP}" y2="${bottom - 8}"/><text class="dim" x="${at}" y="${TOP - 6}" text-anchor="middle">${Number(ratio.toPrecision(1))}</text>`;
}

function escaped(text: string): string { return text.replace(/&/g, '&amp;').replace(/</g, '&lt;'); }
