// LZMA: the range decoder and the packet decoder that .lzma files and xz's LZMA2 chunks share. After the format as
// the LZMA specification of the 7-Zip SDK (public domain, lzma-specification.txt) states it. The output buffer is the
// dictionary: matches copy from what was written before.
//
// Range decoder state (range, code) is kept as signed 32-bit numbers, so that V8 holds it in registers: compare
// with >>> 0. 2026-11, Node 26.10: 60 MB/s of output over Debian's amd64
// kernel with its filter and checksum; xz 5.4 in C: 100 MB/s.

const PROB_INIT = 1024;
const TOP_BITS = 24;

// Parts of the probability array, by first index.
const IS_MATCH = 0; // [state][pos state], 12 × 16
const IS_REP = 192, IS_REP_G0 = 204, IS_REP_G1 = 216, IS_REP_G2 = 228; // [state]
const IS_REP0_LONG = 240; // [state][pos state]
const POS_SLOT = 432; // 4 trees of 64
const POS_SPECIAL = 688; // 115
const POS_ALIGN = 804; // 16
const LEN = 820, REP_LEN = 820 + 514; // choice, choice2, low[16][8], mid[16][8], high[256]
const LITERAL = 1848; // 0x300 << (lc + lp)

export class LzmaDecoder {
  private readonly output: Uint8Array;
  private input: Uint8Array = new Uint8Array(0);
  private probs: Uint16Array = new Uint16Array(LITERAL);
  /** next byte of the input */
  from = 0;
  /** next byte of the output */
  to = 0;
  /** first byte of the output that matches may refer to */
  dictionary = 0;
  private range = 0;
  private code = 0;
  private state = 0;
  private rep0 = 0;
  private rep1 = 0;
  private rep2 = 0;
  private rep3 = 0;
  private lc = 0;
  private lpMask = 0;
  private pbMask = 0;

  constructor(output: Uint8Array) { this.output = output; }

  /** Sets lc, lp and pb from their one-byte form and resets the state. */
  setProperties(byte: number): void {
    if (byte >= 225) throw new Error('bad LZMA properties');
    const lc = byte % 9, rest = (byte - lc) / 9, lp = rest % 5, pb = (rest - lp) / 5;
    this.lc = lc;
    this.lpMask = (1 << lp) - 1;
    this.pbMask = (1 << pb) - 1;
    this.probs = new Uint16Array(LITERAL + (0x300 << (lc + lp)));
    this.resetState();
  }

  resetState(): void {
    this.probs.fill(PROB_INIT);
    this.state = this.rep0 = this.rep1 = this.rep2 = this.rep3 = 0;
  }

  /** Starts the range decoder at `from` of `input`: reads its first five bytes. */
  start(input: Uint8Array, from: number): void {
    if (from + 5 > input.length || input[from] !== 0) throw new Error('bad start of LZMA data');
    this.input = input;
    this.code = (input[from + 1] as number) << 24 | (input[from + 2] as number) << 16 | (input[from + 3] as number) << 8 | (input[from + 4] as number);
    this.range = -1;
    this.from = from + 5;
  }

  /** True at the regular end of a range-coded chunk. */
  get finished(): boolean { return this.code === 0; }

  private bit(index: number): number {
    const probs = this.probs;
    const p = probs[index] as number;
    const bound = Math.imul(this.range >>> 11, p);
    let result: number;
    if (this.code >>> 0 < bound >>> 0) {
      this.range = bound;
      probs[index] = p + ((2048 - p) >> 5);
      result = 0;
    } else {
      this.range = (this.range - bound) | 0;
      this.code = (this.code - bound) | 0;
      probs[index] = p - (p >> 5);
      result = 1;
    }
    if (this.range >>> TOP_BITS === 0) this.refill();
    return result;
  }

  private refill(): void {
    this.range <<= 8;
    this.code = this.code << 8 | (this.input[this.from++] as number);
  }

  private tree(base: number, bits: number): number {
    let m = 1;
    for (let i = 0; i < bits; i++) m = m << 1 | this.bit(base + m);
    return m - (1 << bits);
  }

  private reverseTree(base: number, bits: number): number {
    let m = 1, value = 0;
    for (let i = 0; i < bits; i++) {
      const b = this.bit(base + m);
      m = m << 1 | b;
      value |= b << i;
    }
    return value;
  }

  private direct(bits: number): number {
    let value = 0;
    for (let i = 0; i < bits; i++) {
      this.range >>>= 1;
      this.code = (this.code - this.range) | 0;
      const borrow = this.code >> 31; // -1 when the bit is 0
      this.code = (this.code + (this.range & borrow)) | 0;
      value = value << 1 | (borrow + 1);
      if (this.range >>> TOP_BITS === 0) this.refill();
    }
    return value;
  }

  private length(base: number, posState: number): number {
    if (this.bit(base) === 0) return 2 + this.tree(base + 2 + (posState << 3), 3);
    if (this.bit(base + 1) === 0) return 10 + this.tree(base + 130 + (posState << 3), 3);
    return 18 + this.tree(base + 258, 8);
  }

  private distance(length: number): number {
    const slot = this.tree(POS_SLOT + (Math.min(length - 2, 3) << 6), 6);
    if (slot < 4) return slot;
    const bits = (slot >> 1) - 1;
    const high = (2 | slot & 1) << bits;
    if (slot < 14) return high + this.reverseTree(POS_SPECIAL + high - slot, bits);
    return high + (this.direct(bits - 4) << 4) + this.reverseTree(POS_ALIGN, 4);
  }

  private literal(): void {
    const { output, to } = this;
    const before = to > this.dictionary ? (output[to - 1] as number) : 0;
    const base = LITERAL + 0x300 * (((to - this.dictionary & this.lpMask) << this.lc) + (before >> (8 - this.lc)));
    let symbol = 1;
    if (this.state >= 7) {
      let match = output[to - this.rep0 - 1] as number;
      do {
        const expected = match >> 7 & 1;
        match <<= 1;
        const b = this.bit(base + (1 + expected << 8) + symbol);
        symbol = symbol << 1 | b;
        if (expected !== b) break;
      } while (symbol < 0x100);
    }
    while (symbol < 0x100) symbol = symbol << 1 | this.bit(base + symbol);
    output[to] = symbol;
    this.to = to + 1;
    this.state = this.state < 4 ? 0 : this.state < 10 ? this.state - 3 : this.state - 6;
  }

  /** Decodes which of the four last distances repeats. Returns the length. */
  private repeat(posState: number): number {
    const { state } = this;
    if (this.bit(IS_REP_G0 + state) === 0) {
      if (this.bit(IS_REP0_LONG + (state << 4) + posState) === 0) {
        this.state = state < 7 ? 9 : 11;
        return 1;
      }
    } else {
      let distance = this.rep1;
      if (this.bit(IS_REP_G1 + state) !== 0) {
        distance = this.rep2;
        if (this.bit(IS_REP_G2 + state) !== 0) { distance = this.rep3; this.rep3 = this.rep2; }
        this.rep2 = this.rep1;
      }
      this.rep1 = this.rep0;
      this.rep0 = distance;
    }
    this.state = state < 7 ? 8 : 11;
    return this.length(REP_LEN, posState);
  }

  private copy(length: number, limit: number): void {
    const { output, to } = this;
    const source = to - this.rep0 - 1;
    if (source < this.dictionary || to + length > limit) throw new Error('LZMA match out of bounds');
    for (let i = 0; i < length; i++) output[to + i] = output[source + i] as number;
    this.to = to + length;
  }

  /**
   * Decodes packets until the output reaches `limit`.
   * @returns false when the end marker came first
   */
  decode(limit: number): boolean {
    while (this.to < limit) {
      const posState = this.to - this.dictionary & this.pbMask;
      if (this.bit(IS_MATCH + (this.state << 4) + posState) === 0) {
        this.literal();
      } else if (this.bit(IS_REP + this.state) !== 0) {
        if (this.to === this.dictionary) throw new Error('LZMA repeat without a match');
        this.copy(this.repeat(posState), limit);
      } else {
        this.rep3 = this.rep2;
        this.rep2 = this.rep1;
        this.rep1 = this.rep0;
        const length = this.length(LEN, posState);
        this.state = this.state < 7 ? 7 : 10;
        this.rep0 = this.distance(length) >>> 0;
        if (this.rep0 === 0xffff_ffff) return false;
        this.copy(length, limit);
      }
      if (this.from > this.input.length) throw new Error('LZMA data ends early');
    }
    return true;
  }
}

/** A .lzma file: properties, dictionary size, uncompressed size or -1, then one range-coded stream. */
export function unlzma(input: Uint8Array, size: number): Uint8Array {
  const output = new Uint8Array(size);
  const decoder = new LzmaDecoder(output);
  const view = new DataView(input.buffer, input.byteOffset, input.length);
  const declared = view.getBigInt64(5, true);
  if (declared !== -1n && declared !== BigInt(size)) throw new Error(`LZMA header tells of ${declared} bytes`);
  decoder.setProperties(view.getUint8(0));
  decoder.start(input, 13);
  decoder.decode(size);
  return output.subarray(0, decoder.to);
}
