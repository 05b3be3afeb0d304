// What the programs print, read: see bench/programs/main.c for the lines.

export interface Sample {
  readonly seconds: number;
  /** of the result, equal on every engine */
  readonly checksum: string;
}

/** One run of the programs on one engine. */
export interface Measurement {
  /** from the start of the engine to the first line of user space; undefined when there was no boot */
  readonly bootSeconds: number | undefined;
  /** how fast the clock of the programs ran, by the clock of this machine; 1 is right */
  readonly clockRate: number;
  /** by row, one sample a pass */
  readonly rows: ReadonlyMap<string, readonly Sample[]>;
  readonly complaints: readonly string[];
}

/** Gathers lines as they come. Times are those of `performance.now`. */
export class MeasurementReader {
  private readonly begin = performance.now();
  private readonly rows = new Map<string, Sample[]>();
  private readonly complaints: string[] = [];
  private readonly clocks: { readonly here: number; readonly there: number }[] = [];
  private bootSeconds: number | undefined;
  private rest = '';

  /** Takes more output. */
  take(text: string): void {
    const lines = (this.rest + text).split(/\r*\n/);
    this.rest = lines.pop() ?? '';
    for (const line of lines) this.line(line);
  }

  private line(line: string): void {
    const [word, name = '', , seconds = '', checksum = ''] = line.split(' ');
    const now = performance.now() / 1000;
    if (word === 'READY') this.bootSeconds = now - this.begin / 1000;
    else if (word === 'CLOCK') this.clocks.push({ here: now, there: Number(name) });
    else if (word === 'FAILED') this.complaints.push(line.slice('FAILED '.length));
    else if (word === 'ROW') {
      const samples = this.rows.get(name) ?? [];
      samples.push({ seconds: Number(seconds), checksum });
      this.rows.set(name, samples);
    }
  }

  /** What was measured. @throws Error when the programs did not come to their end */
  result(): Measurement {
    const [first, last] = this.clocks;
    if (!first || !last) throw new Error('the programs did not come to their end');
    const clockRate = (last.there - first.there) / (last.here - first.here);
    return { bootSeconds: this.bootSeconds, clockRate, rows: this.rows, complaints: this.complaints };
  }
}
