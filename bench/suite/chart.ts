// The results as an SVG: for each row a bar from QEMU's speed (the line at 1) to Xenith's, on a logarithmic scale, and dots
// where the machine itself and v86 are.

import { type EngineName, type Result, speedup } from './results.ts';

const LEFT = 150, WIDTH = 560, RIGHT = 60, TOP = 64, STEP = 18, GAP = 14;
const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #24292f } .dim { fill: #656d76 } .title { font-size: 15px; font-weight: 600 }
  .grid { stroke: #d0d7de } .one { stroke: #57606a; stroke-width: 1.5 } .faster { fill: #1a7f64 } .slower { fill: #c2703d } .native { fill: #57606a } .v86 { fill: #8250df }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .dim { fill: #8d96a0 } .grid { stroke: #30363d } .one { stroke: #8d96a0 } .native { fill: #8d96a0 } .v86 { fill: #a371f7 }
  }`;

const DOTS: readonly { readonly engine: EngineName; readonly label: string }[] = [{ engine: 'native', label: 'the machine itself' }, { engine: 'v86', label: 'v86' }];
const DOT_STEP = 150;

interface Dot { readonly engine: EngineName; readonly ratio: number }
interface Bar { readonly row: string; readonly group: string; readonly ratio: number; readonly dots: readonly Dot[] }

export function chart(results: readonly Result[], caption: string): string {
  const bars = results.flatMap((r): Bar[] => {
    const ratio = speedup(r, 'xenith', 'qemu', 'again');
    return ratio === undefined ? [] : [{ row: r.row, group: r.group, ratio, dots: dotsOf(r) }];
  });
  const legend = DOTS.filter(({ engine }) => bars.some(({ dots }) => dots.some((dot) => dot.engine === engine)));
  const all = bars.flatMap((b) => [b.ratio, ...b.dots.map((dot) => dot.ratio), 1]);
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
${legend.map(({ engine, label }, i) => `${circle(engine, LEFT + i * DOT_STEP, bottom + 24)}<text class="dim" x="${LEFT + i * DOT_STEP + 10}" y="${bottom + 28}">${label}</text>`).join('\n')}
</svg>
`;
}

function dotsOf(result: Result): Dot[] {
  return DOTS.flatMap(({ engine }) => {
    const ratio = speedup(result, engine, 'qemu', 'again');
    return ratio === undefined ? [] : [{ engine, ratio }];
  });
}

function circle(engine: EngineName, x: number, y: number): string { return `<circle class="${engine}" cx="${x.toFixed(1)}" cy="${y}" r="3"/>`; }

function drawBar({ row, ratio, dots }: Bar, x: (ratio: number) => number, y: number): string {
  const from = Math.min(x(1), x(ratio)), width = Math.max(1, Math.abs(x(ratio) - x(1)));
  return `<text x="${LEFT - 8}" y="${y}" text-anchor="end">${escaped(row)}</text><rect class="${ratio < 1 ? 'slower' : 'faster'}" x="${from.toFixed(1)}" y="${y - 10}" width="${width.toFixed(1)}" height="12" rx="2"/>`
    + `<text class="dim" x="${(ratio < 1 ? from - 4 : from + width + 4).toFixed(1)}" y="${y}" text-anchor="${ratio < 1 ? 'end' : 'start'}">${ratio.toPrecision(2)}</text>${dots.map((dot) => circle(dot.engine, x(dot.ratio), y - 4)).join('')}`;
}

function gridLine(ratio: number, x: (ratio: number) => number, bottom: number, name = 'grid'): string {
  const at = x(ratio).toFixed(1);
  return `<line class="${name}" x1="${at}" x2="${at}" y1="${TOP}" y2="${bottom - 8}"/><text class="dim" x="${at}" y="${TOP - 6}" text-anchor="middle">${Number(ratio.toPrecision(1))}</text>`;
}

function escaped(text: string): string { return text.replace(/&/g, '&amp;').replace(/</g, '&lt;'); }
