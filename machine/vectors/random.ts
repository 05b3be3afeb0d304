// Seeded pseudo-random numbers for the generator: Doty-Humphrey's sfc32.

export class Random {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  constructor(seed: number) {
    this.a = seed >>> 0;
    this.b = 0x9e37_79b9;
    this.c = 0x2545_f491;
    for (let i = 0; i < 12; i++) this.u32();
  }

  u32(): number {
    const t = (this.a + this.b + this.counter++) | 0;
    this.a = this.b ^ this.b >>> 9;
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = ((this.c << 21 | this.c >>> 11) + t) | 0;
    return t >>> 0;
  }
  u64(): bigint { return BigInt(this.u32()) << 32n | BigInt(this.u32()); }
  /** A number in [0, n). */
  below(n: number): number { return Math.floor(this.u32() / 0x1_0000_0000 * n); }
  /** A number in [from, to]. */
  between(from: number, to: number): number { return from + this.below(to - from + 1); }
  /** True once in `n` times. */
  oneIn(n: number): boolean { return this.below(n) === 0; }
  /** True with a probability in percent. */
  percent(p: number): boolean { return this.below(100) < p; }
  pick<T>(from: readonly T[]): T {
    const v = from[this.below(from.length)];
    if (v === undefined) throw new Error('nothing to pick from');
    return v;
  }
  bytes(n: number): Uint8Array {
    const out = new Uint8Array(n);
    for (let i = 0; i < n; i++) out[i] = this.u32();
    return out;
  }
}
