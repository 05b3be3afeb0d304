// bzip2: a bit stream of blocks, each a Burrows-Wheeler transform, moved to front, run-length coded and coded with two
// to six Huffman tables that change every 50 symbols. After the format as its author's reference decoder defines it;
// the "randomised" blocks of versions before 0.9.5 are refused.

const BLOCK = 0x3141_5926_5359, END = 0x1772_4538_5090;
const GROUP_SYMBOLS = 50;
const MAX_CODE = 20;

const CRC = Int32Array.from({ length: 256 }, (_, n) => {
  let c = n << 24;
  for (let k = 0; k < 8; k++) c = c < 0 ? c << 1 ^ 0x04c1_1db7 : c << 1;
  return c;
});

class BitReader {
  private readonly input: Uint8Array;
  private at = 0;
  private have = 0;
  private held = 0;
  constructor(input: Uint8Array) { this.input = input; }
  /** Up to 24 bits, most significant first. */
  bits(n: number): number {
    while (this.have < n) {
      const byte = this.input[this.at++];
      if (byte === undefined) throw new Error('bzip2 data ends early');
      this.held = this.held << 8 | byte;
      this.have += 8;
    }
    this.have -= n;
    return this.held >>> this.have & ((1 << n) - 1);
  }
  /** 48 bits. */
  magic(): number { return this.bits(24) * 0x100_0000 + this.bits(24); }
}

/** A canonical Huffman code: codes of each length are consecutive. */
interface HuffmanTable { limit: Int32Array; base: Int32Array; symbols: Uint16Array; shortest: number }

export function bunzip2(input: Uint8Array, size: number): Uint8Array {
  const output = new Uint8Array(size);
  const reader = new BitReader(input);
  reader.bits(24);
  const level = reader.bits(8) - 0x30;
  if (level < 1 || level > 9) throw new Error('bad bzip2 level');
  const block = new Uint32Array(level * 100_000);
  let to = 0;
  for (;;) {
    const magic = reader.magic();
    if (magic === END) return output.subarray(0, to);
    if (magic !== BLOCK) throw new Error('bad bzip2 block');
    const crc = reader.bits(16) << 16 | reader.bits(16);
    if (reader.bits(1)) throw new Error('randomised bzip2 block');
    const origin = reader.bits(24);
    const length = readSymbols(reader, block);
    if (origin >= length) throw new Error('bad bzip2 origin');
    const start = to;
    to = invert(block, length, origin, output, to);
    if (checksum(output, start, to) !== crc) throw new Error('bzip2 block checksum differs');
  }
}

function readTable(reader: BitReader, symbols: number): HuffmanTable {
  const lengths = new Uint8Array(symbols);
  let length = reader.bits(5);
  for (let i = 0; i < symbols; i++) {
    while (reader.bits(1)) length += reader.bits(1) ? -1 : 1;
    if (length < 1 || length > MAX_CODE) throw new Error('bad bzip2 code length');
    lengths[i] = length;
  }
  const table = { limit: new Int32Array(MAX_CODE + 2).fill(-1), base: new Int32Array(MAX_CODE + 2), symbols: new Uint16Array(symbols), shortest: Math.min(...lengths) };
  let code = 0, n = 0;
  for (let l = table.shortest; l <= MAX_CODE; l++) {
    table.base[l] = code - n;
    for (let i = 0; i < symbols; i++) if (lengths[i] === l) { table.symbols[n++] = i; code++; }
    table.limit[l] = code - 1;
    code <<= 1;
  }
  return table;
}

function readSymbol(reader: BitReader, table: HuffmanTable): number {
  let length = table.shortest;
  let code = reader.bits(length);
  while (code > (table.limit[length] as number)) {
    if (++length > MAX_CODE) throw new Error('bad bzip2 code');
    code = code << 1 | reader.bits(1);
  }
  const symbol = table.symbols[code - (table.base[length] as number)];
  if (symbol === undefined) throw new Error('bad bzip2 code');
  return symbol;
}

/** The bytes that occur in the block, in order. */
function readAlphabet(reader: BitReader): number[] {
  const groups = reader.bits(16);
  const used: number[] = [];
  for (let g = 0; g < 16; g++) {
    if (!(groups & 0x8000 >> g)) continue;
    const bits = reader.bits(16);
    for (let i = 0; i < 16; i++) if (bits & 0x8000 >> i) used.push(g * 16 + i);
  }
  if (used.length === 0) throw new Error('bzip2 block without symbols');
  return used;
}

function moveToFront(list: Uint8Array | number[], index: number): number {
  const value = list[index];
  if (value === undefined) throw new Error('bad bzip2 position');
  for (let i = index; i > 0; i--) list[i] = list[i - 1] as number;
  list[0] = value;
  return value;
}

function readSelectors(reader: BitReader, tables: number): Uint8Array {
  const selectors = new Uint8Array(reader.bits(15));
  const order = [0, 1, 2, 3, 4, 5].slice(0, tables);
  for (let i = 0; i < selectors.length; i++) {
    let index = 0;
    while (reader.bits(1)) if (++index >= tables) throw new Error('bad bzip2 selector');
    selectors[i] = moveToFront(order, index);
  }
  return selectors;
}

/** Huffman, run-length and move-to-front decoding of one block into the low bytes of `block`. Returns its length. */
function readSymbols(reader: BitReader, block: Uint32Array): number {
  const alphabet = readAlphabet(reader);
  const endOfBlock = alphabet.length + 1;
  const tableCount = reader.bits(3);
  if (tableCount < 2 || tableCount > 6) throw new Error('bad bzip2 table count');
  const selectors = readSelectors(reader, tableCount);
  const tables = Array.from({ length: tableCount }, () => readTable(reader, alphabet.length + 2));
  let n = 0, run = 0, weight = 1;
  for (let i = 0; ; i++) {
    const table = tables[selectors[Math.floor(i / GROUP_SYMBOLS)] ?? 9];
    if (!table) throw new Error('bzip2 selectors used up');
    const symbol = readSymbol(reader, table);
    if (symbol <= 1) { // RUNA, RUNB: a number in bijective base 2
      run += weight << symbol;
      weight <<= 1;
      if (run > block.length) throw new Error('bzip2 block too long');
      continue;
    }
    if (n + run > block.length) throw new Error('bzip2 block too long');
    block.fill(alphabet[0] as number, n, n + run);
    n += run;
    run = 0;
    weight = 1;
    if (symbol === endOfBlock) return n;
    if (n === block.length) throw new Error('bzip2 block too long');
    block[n++] = moveToFront(alphabet, symbol - 1);
  }
}

/** Inverts the Burrows-Wheeler transform (the low bytes of `block`) and undoes the outer run-length coding. */
function invert(block: Uint32Array, length: number, origin: number, output: Uint8Array, to: number): number {
  const starts = new Uint32Array(257);
  for (let i = 0; i < length; i++) starts[((block[i] as number) & 255) + 1]! += 1;
  for (let i = 1; i < 257; i++) starts[i]! += starts[i - 1] as number;
  for (let i = 0; i < length; i++) block[starts[(block[i] as number) & 255]!++]! |= i << 8;

  let next = (block[origin] as number) >>> 8, last = -1, run = 0;
  for (let i = 0; i < length; i++) {
    const entry = block[next] as number;
    const byte = entry & 255;
    next = entry >>> 8;
    if (run === 4) { // after four equal bytes, a count of further ones
      if (to + byte > output.length) throw new Error('bzip2 output too long');
      output.fill(last, to, to + byte);
      to += byte;
      run = 0;
      last = -1;
      continue;
    }
    if (to === output.length) throw new Error('bzip2 output too long');
    output[to++] = byte;
    run = byte === last ? run + 1 : 1;
    last = byte;
  }
  return to;
}

function checksum(bytes: Uint8Array, from: number, to: number): number {
  let c = -1;
  for (let i = from; i < to; i++) c = c << 8 ^ (CRC[(c >>> 24) ^ (bytes[i] as number)] as number);
  return ~c;
}
