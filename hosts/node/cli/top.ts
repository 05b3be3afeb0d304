// `xenith top`: the machine's domains, live. On a terminal it is a screen with keys, as xentop(1); else, or with -b, one table
// after another.

import { ask } from '../daemon/client.ts';
import type { TopSample } from '../daemon/protocol.ts';
import type { Terminal } from './terminal.ts';
import { COLUMNS, topLines, topSummary, type TopOptions } from './top-table.ts';

export interface TopRequest {
  readonly state: string;
  readonly batch: boolean;
  readonly json: boolean;
  /** seconds between samples */
  readonly delay: number;
  /** samples until it ends; Infinity: none */
  readonly iterations: number;
  readonly options: TopOptions;
}

const SCREEN = '\x1b[?1049h\x1b[?25l', NORMAL = '\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H', END_OF_LINE = '\x1b[K', END_OF_SCREEN = '\x1b[J', REVERSE = '\x1b[7m', PLAIN = '\x1b[m';
const HELP = 'D: delay  V: vCPUs  E: engine  R: repeat header  S: sort order  Q: quit';

/** Resolves when it is left, or its iterations are over. @throws RequestError */
export async function top(request: TopRequest, terminal: Terminal): Promise<void> {
  const view = new TopView(request, terminal);
  await (request.batch || request.json || !terminal.isPerson ? view.batch() : view.screen());
}

class TopView {
  private readonly request: TopRequest;
  private readonly terminal: Terminal;
  private options: TopOptions;
  private delay: number;
  private sample: TopSample | undefined;
  private before: TopSample | undefined;
  /** rows of the table that are scrolled away */
  private scrolled = 0;
  /** what is typed for a new delay */
  private prompt: string | undefined;
  private isOver = false;
  private endWait: () => void = () => {};

  constructor(request: TopRequest, terminal: Terminal) {
    this.request = request;
    this.terminal = terminal;
    this.options = request.options;
    this.delay = request.delay;
  }

  async batch(): Promise<void> {
    process.stdout.on('error', () => this.end()); // nobody reads any more
    await this.loop((sample) => {
      const { header, domains } = topLines(sample, this.before, this.options);
      process.stdout.write(this.request.json ? `${JSON.stringify(sample)}\n` : [header, ...domains, ''].join('\n'));
    });
  }
  async screen(): Promise<void> {
    const draw = (): void => this.draw();
    const key = (bytes: Buffer): void => this.key(bytes.toString('latin1'));
    const end = (): void => this.end();
    this.terminal.makeRaw();
    process.stdout.write(SCREEN);
    process.stdin.on('data', key);
    process.stdout.on('resize', draw);
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.once(signal, end);
    try {
      await this.loop(draw);
    } finally {
      process.stdin.off('data', key).pause();
      process.stdout.off('resize', draw).write(NORMAL);
      this.terminal.restore();
    }
  }

  private async loop(show: (sample: TopSample) => void): Promise<void> {
    for (let n = 0; n < this.request.iterations && !this.isOver; n++) {
      if (n > 0) await this.wait();
      if (this.isOver) return;
      this.before = this.sample;
      this.sample = await ask<TopSample>(this.request.state, { command: 'top', touched: this.request.json || this.options.engine });
      show(this.sample);
    }
  }
  private wait(): Promise<void> {
    return new Promise((done) => {
      const timer = setTimeout(done, this.delay * 1000);
      this.endWait = () => {
        clearTimeout(timer);
        done();
      };
    });
  }
  private end(): void {
    this.isOver = true;
    this.endWait();
  }

  /** @param typed a key, or several at once */
  private key(typed: string): void {
    if (typed === '\x1b[A' || typed === '\x1b[B') this.scrolled = Math.max(0, this.scrolled + (typed === '\x1b[A' ? -1 : 1));
    else for (const letter of typed) this.letter(letter.toLowerCase());
    if (!this.isOver) this.draw();
  }
  private letter(c: string): void {
    const { options } = this;
    if (this.prompt !== undefined) return this.answer(c);
    if (c === 'q' || c === '\x1b' || c === '\x03') this.end();
    else if (c === 'd') this.prompt = '';
    else if (c === 'v') this.options = { ...options, vcpus: !options.vcpus };
    else if (c === 'e') this.options = { ...options, engine: !options.engine };
    else if (c === 'r') this.options = { ...options, repeatHeader: !options.repeatHeader };
    else if (c === 's') this.options = { ...options, sort: (options.sort + 1) % COLUMNS.length };
  }
  private answer(c: string): void {
    const typed = this.prompt ?? '';
    if (c === '\r' || c === '\x1b') {
      if (c === '\r' && Number(typed) > 0) {
        this.delay = Number(typed);
        this.endWait();
      }
      this.prompt = undefined;
    } else if (c === '\x7f') this.prompt = typed.slice(0, -1);
    else if (/[\d.]/.test(c) && typed.length < 8) this.prompt = typed + c;
  }

  private draw(): void {
    if (!this.sample) return;
    const { rows, columns } = this.terminal;
    const { header, domains } = topLines(this.sample, this.before, this.options);
    const time = new Date().toTimeString().slice(0, 8);
    const fit = (line: string): string => line.slice(0, columns);
    const head = [...topSummary(this.sample, time).map(fit), `${REVERSE}${fit(header)}${PLAIN}`];
    const room = Math.max(0, rows - head.length - 1);
    this.scrolled = Math.min(this.scrolled, Math.max(0, domains.length - 1));
    const shown = domains.slice(this.scrolled, this.scrolled + room).map(fit);
    while (shown.length < room) shown.push('');
    const last = this.prompt === undefined ? HELP : `Delay(sec): ${this.prompt}`;
    process.stdout.write(HOME + [...head, ...shown, fit(last)].join(`${END_OF_LINE}\r\n`) + END_OF_LINE + END_OF_SCREEN);
  }
}
