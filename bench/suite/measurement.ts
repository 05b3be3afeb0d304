// What the programs print, read: see bench/programs/main.c for the lines.

export interface Sample {
  readonly seconds: number;
  /** processor time that the machine gave for it, in seconds; an engine's other threads count */
  readonly cpu: number;
  /** of the result, equal on every engine */
  readonly checksum: string;
}

/** One run of the programs on one engine. */
export interface Measurement {
  /** from the start of the engine to the first line of user space; undefined when there was no boot */
  readonly boot: Pick<Sample, 'seconds' | 'cpu'> | undefined;
  /** how fast the clock of the programs ran, by the clock of this machine; 1 is right */
  readonly clockRate: number;
  /** how long the programs took, by their clock */
  readonly clockSeconds: number;
  /** by row, one sample a pass */
  readonly rows: ReadonlyMap<string, readonly Sample[]>;
  readonly complaints: readonly string[];
}

/** Gathers lines as they come. */
export class MeasurementReader {
  private readonly cpuSeconds: (() => number) | undefined;
  private readonly begin = performance.now();
  private readonly rows = new Map<string, Sample[]>();
  private readonly complaints: string[] = [];
  private readonly clocks: { readonly here: number; readonly there: number }[] = [];
  private boot: Measurement['boot'];
  private cpuAtBegin = 0;
  private rest = '';

  /** @param cpuSeconds processor time that the engine has taken; undefined: what the programs say is true */
  constructor(cpuSeconds: (() => number) | undefined) { this.cpuSeconds = cpuSeconds; }

  /** Takes more output. */
  take(text: string): void {
    const lines = (this.rest + text).split(/\r*\n/);
    this.rest = lines.pop() ?? '';
    for (const line of lines) this.line(line);
  }

  private line(line: string): void {
    const [word, name = '', , seconds = '', cpu = '', checksum = ''] = line.split(' ');
    const now = performance.now() / 1000;
    switch (word) {
      case 'READY': this.boot = { seconds: now - this.begin / 1000, cpu: this.cpuSeconds?.() ?? 0 }; break;
      case 'CLOCK': this.clocks.push({ here: now, there: Number(name) }); break;
      case 'FAILED': this.complaints.push(line.slice('FAILED '.length)); break;
      case 'BEGIN': this.cpuAtBegin = this.cpuSeconds?.() ?? 0; break;
      case 'ROW': this.add(name, { seconds: Number(seconds), cpu: this.cpuSeconds ? this.cpuSeconds() - this.cpuAtBegin : Number(cpu), checksum });
    }
  }

  private add(row: string, sample: Sample): void {
    const samples = this.rows.get(row) ?? [];
    samples.push(sample);
    this.rows.set(row, samples);
  }

  /** What was measured. @throws Error when the programs did not come to their end */
  result(): Measurement {
    const [first, last] = this.clocks;
    if (!first || !last) throw new Error('the programs did not come to their end');
    const clockSeconds = last.there - first.there;
    return { boot: this.boot, clockRate: clockSeconds / (last.here - first.here), clockSeconds, rows: this.rows, complaints: this.complaints };
  }
}
