// A growing byte buffer with WebAssembly's integer encodings (WebAssembly specification, 5.2).

export class Bytes {
  data: Uint8Array;
  length = 0;
  constructor(capacity = 256) { this.data = new Uint8Array(capacity); }

  u8(b: number): void {
    if (this.length === this.data.length) this.grow(1);
    this.data[this.length++] = b;
  }
  bytes(b: ArrayLike<number>): void {
    if (this.length + b.length > this.data.length) this.grow(b.length);
    this.data.set(b, this.length);
    this.length += b.length;
  }
  append(b: Bytes): void { this.bytes(b.data.subarray(0, b.length)); }

  /** unsigned LEB128 */
  u32(n: number): void {
    n >>>= 0;
    while (n > 127) { this.u8((n & 127) | 128); n >>>= 7; }
    this.u8(n);
  }
  /** signed LEB128 of a 32-bit number */
  s32(n: number): void {
    n |= 0;
    for (;;) {
      const c = n & 127;
      n >>= 7;
      if ((n === 0 && !(c & 64)) || (n === -1 && c & 64)) { this.u8(c); return; }
      this.u8(c | 128);
    }
  }
  /** signed LEB128 of a 64-bit number */
  s64(n: bigint): void {
    n = BigInt.asIntN(64, n);
    if (n >= -0x8000_0000n && n <= 0x7fff_ffffn) { this.s32(Number(n)); return; }
    for (;;) {
      const c = Number(n & 127n);
      n >>= 7n;
      if ((n === 0n && !(c & 64)) || (n === -1n && c & 64)) { this.u8(c); return; }
      this.u8(c | 128);
    }
  }
  name(s: string): void {
    const ascii = Array.from(s, (c) => c.charCodeAt(0));
    this.u32(ascii.length);
    this.bytes(ascii);
  }
  take(): Uint8Array { return this.data.slice(0, this.length); }

  private grow(n: number): void {
    const bigger = new Uint8Array(Math.max(this.data.length * 2, this.length + n));
    bigger.set(this.data.subarray(0, this.length));
    this.data = bigger;
  }
}
