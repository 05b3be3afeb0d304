// Takes the bytes of one instruction apart (Intel SDM vol. 2, chapter 2). The result is one object that is filled anew
// for each instruction: nothing here allocates.

import { PAGE_SIZE } from '#base/capsule.ts';
import { CPU, FX, REG, SEG } from '../cpu-state.ts';
import { candidates, type Entry, type RegisterKind } from './opcode-map.ts';

/** Where a segment base lies in the register file, in units of 8 bytes: the zero field, or one of segBase. */
export const SEGMENT_ZERO = CPU.zero / 8;
const segmentSlot = (seg: number): number => CPU.segBase / 8 + seg;

/** One decoded instruction. Register fields are offsets from the vCPU context. */
export class Decoded {
  entry: Entry | undefined;
  opSize: 8 | 16 | 32 | 64 = 32;
  addrSize: 16 | 32 | 64 = 64;
  rep: '' | 'rep' | 'repnz' = '';
  /** r: register or no modrm.rm; m: memory at base + disp; x: memory with index, segment or an address of 16 or 32 bits */
  form: 'r' | 'm' | 'x' = 'r';
  r1 = 0;
  r2 = 0;
  immLo = 0;
  immHi = 0;
  dispLo = 0;
  dispHi = 0;
  base: number = CPU.zero;
  index: number = CPU.zero;
  scale = 0;
  segment: number = SEGMENT_ZERO;
  length = 0;
  /** a change of memory as one: by a LOCK prefix, or XCHG */
  locked = false;
  /** offset in its page, and whether decoding went on at its target: for who decodes blocks */
  offset = 0;
  followed = false;
  /** raises #NM here: the FPU is not available */
  unavailable = false;
}

/** Where the bytes of code are. */
export interface CodeBytes {
  readonly bytes: Uint8Array;
  /** where the page of the first instruction lies in `bytes` */
  readonly page: number;
  /** The byte at an offset from the page that is not in it, or -1 where it cannot be fetched. */
  beyond(offset: number): number;
}

export const DECODE = { ok: 0, invalid: 1, fetchFault: 2, tooLong: 3 } as const;

const MAX_LENGTH = 15;
class FetchFault extends Error {}
class TooLong extends Error {}
const fetchFault = new FetchFault();
const tooLong = new TooLong();

const VECTOR = CPU.fxState + FX.xmm;
const MMX = CPU.fxState + FX.st;

/**
 * Decodes the instruction at an offset in the page CPU.page into `d`. An operand relative to the next instruction gets
 * that page as its base.
 * @returns DECODE.ok, or why not; with `fetchFault`, d.length is the offset of the byte that cannot be fetched
 */
export function decode(d: Decoded, code: CodeBytes, offset: number, mode64: boolean): number {
  try {
    return decodeInner(d, code, offset, mode64);
  } catch (e) {
    if (e === fetchFault) return DECODE.fetchFault;
    if (e === tooLong) return DECODE.tooLong;
    throw e;
  }
}

let at = 0;
let from = 0; // offset of the instruction in its page
let source: CodeBytes;
let current: Decoded;
function next(): number {
  if (at >= MAX_LENGTH) throw tooLong;
  const offset = from + at;
  const b = offset < PAGE_SIZE ? source.bytes[source.page + offset] as number : source.beyond(offset);
  if (b < 0) { current.length = at; throw fetchFault; }
  at++;
  return b;
}
const next16 = (): number => { const a = next(); return a | next() << 8; };
const next32 = (): number => { const a = next16(); return a | next16() << 16; };
const signed8 = (b: number): number => b << 24 >> 24;

function decodeInner(d: Decoded, code: CodeBytes, offset: number, mode64: boolean): number {
  at = 0;
  from = offset;
  source = code;
  current = d;
  let operand16 = false;
  let address = false;
  let lock = false;
  let repPrefix = 0;
  let override = -1;
  let rex = 0;
  let b: number;
  for (;;) {
    b = next();
    if (b === 0x66) operand16 = true;
    else if (b === 0x67) address = true;
    else if (b === 0xf0) lock = true;
    else if (b === 0xf2 || b === 0xf3) repPrefix = b;
    else if (b === 0x26 || b === 0x2e || b === 0x36 || b === 0x3e) { if (!mode64) override = (b - 0x26) >> 3; }
    else if (b === 0x64 || b === 0x65) override = b - 0x60;
    else if (mode64 && (b & 0xf0) === 0x40) { rex = b; b = next(); if (isPrefix(b)) { rex = 0; at--; continue; } break; }
    else break;
  }
  const rexW = (rex & 8) !== 0;
  let map = 0;
  if (b === 0x0f) {
    b = next();
    map = 1;
    if (b === 0x38) { map = 2; b = next(); } else if (b === 0x3a) { map = 3; b = next(); }
  }
  const opcode = b;
  const list = candidates(map, opcode);
  if (list.entries.length === 0) return DECODE.invalid;
  const modrm = list.modrm ? peek() : 0;
  const mod = modrm >> 6;
  let entry: Entry | undefined;
  for (const e of list.entries) {
    if (e.prefix !== undefined) {
      if (e.prefix === 0x66 ? !operand16 || repPrefix !== 0 : e.prefix === 0 ? operand16 || repPrefix !== 0 : repPrefix !== e.prefix) continue;
    }
    if (e.mode === '64' ? !mode64 : e.mode === 'not64' && mode64) continue;
    if (e.exact !== undefined && e.exact !== modrm) continue;
    if (e.digit !== undefined && e.digit !== (modrm >> 3 & 7)) continue;
    if (e.rm === 'reg' ? mod !== 3 : e.rm === 'mem' && mod === 3) continue;
    // 90 is NOP unless REX.B makes it XCHG r8, rAX
    if (opcode === 0x90 && map === 0 && e.prefix === undefined && e.plusR !== ((rex & 1) !== 0)) continue;
    entry = e;
    break;
  }
  if (!entry) return DECODE.invalid;
  d.entry = entry;
  d.rep = entry.rep && repPrefix ? (repPrefix === 0xf2 && entry.rep === 'repz' ? 'repnz' : 'rep') : '';
  d.addrSize = mode64 ? (address ? 32 : 64) : address ? 16 : 32;
  const size16 = operand16 && entry.prefix !== 0x66;
  d.opSize = entry.size === 'b' ? 8 : rexW ? 64 : entry.size === 'y' ? 32 : size16 ? 16 : entry.size === 'd64' && mode64 ? 64 : 32;

  d.base = CPU.zero;
  d.index = CPU.zero;
  d.scale = 0;
  d.segment = SEGMENT_ZERO;
  d.dispLo = 0;
  d.dispHi = 0;
  d.form = 'r';
  d.r1 = 0;
  d.r2 = 0;
  d.immLo = 0;
  d.immHi = 0;
  let ripRelative = false;
  let noSuchRegister = false;

  if (entry.modrm) {
    next();
    const reg = (modrm >> 3 & 7) | (rex & 4) << 1;
    d.r1 = registerOffset(entry.reg, reg, rex);
    if (entry.reg === 'segment') noSuchRegister = (reg & 7) > SEG.gs || (entry.first === 'Sw' && d.r1 === SEG.cs * 8);
    if (entry.exact === undefined) {
      if (mod === 3 || entry.rmAlways) d.r2 = registerOffset(entry.rmReg, (modrm & 7) | (rex & 1) << 3, rex);
      else if (d.addrSize === 16) memoryOperand16(d, modrm, override);
      else ripRelative = memoryOperand(d, modrm, rex, mode64, override);
    }
    if (entry.first === 'Ex87') d.immLo = opcode << 8 | modrm;
  } else if (entry.plusR) d.r2 = generalOffset((opcode & 7) | (rex & 1) << 3, entry.first === 'Zb', rex);
  if (entry.first === 'Mxlat') { d.form = 'x'; d.base = REG.rbx * 8; }
  else if (entry.first === 'BD') { d.form = 'x'; d.base = REG.rdi * 8; }
  if ((entry.rep || d.form !== 'r') && d.segment === SEGMENT_ZERO) setSegment(d, mode64, override, SEG.ds);

  immediate(d, entry, mode64, size16, override);
  if (ripRelative) countFromPage(d, offset + at);
  if (noSuchRegister || (lock && !(entry.lock && d.form !== 'r'))) return DECODE.invalid; // all bytes are fetched first
  d.locked = d.form !== 'r' && (lock || entry.locksItself);
  d.length = at;
  return DECODE.ok;
}

const isPrefix = (b: number): boolean => b === 0x66 || b === 0x67 || b === 0xf0 || b === 0xf2 || b === 0xf3 || b === 0x26 || b === 0x2e || b === 0x36 || b === 0x3e || b === 0x64 || b === 0x65 || (b & 0xf0) === 0x40;

/** The modrm byte without taking it. */
function peek(): number {
  const b = next();
  at--;
  return b;
}
/** Where a register lies in the vCPU context; 0 where there is none. */
function registerOffset(kind: RegisterKind, n: number, rex: number): number {
  if (kind === 'general') return n * 8;
  if (kind === 'byte') return generalOffset(n, true, rex);
  if (kind === 'vector') return VECTOR + n * 16;
  if (kind === 'mmx') return MMX + (n & 7) * 16;
  return kind === 'segment' ? (n & 7) * 8 : kind === 'number' ? n * 8 : 0;
}
/** Without a REX prefix, byte registers 4..7 are AH, CH, DH, BH. */
const generalOffset = (n: number, byte: boolean, rex: number): number => (byte && !rex && n >= 4 && n < 8 ? (n - 4) * 8 + 1 : n * 8);

/** Reads SIB and displacement. True when the address is relative to the next instruction. */
function memoryOperand(d: Decoded, modrm: number, rex: number, mode64: boolean, override: number): boolean {
  const mod = modrm >> 6;
  let rm = modrm & 7;
  let stackBased = false;
  let ripRelative = false;
  let disp = 0;
  d.form = 'm';
  if (rm === 4) {
    const sib = next();
    const index = (sib >> 3 & 7) | (rex & 2) << 2;
    if (index !== 4) {
      d.form = 'x';
      d.index = index * 8;
      d.scale = sib >> 6;
    }
    rm = sib & 7;
    if (rm === 5 && mod === 0) disp = next32();
    else {
      d.base = (rm | (rex & 1) << 3) * 8;
      stackBased = rm === 4 && !(rex & 1);
    }
    if (rm === 5 && mod !== 0) stackBased = !(rex & 1);
  } else if (rm === 5 && mod === 0) {
    disp = next32();
    ripRelative = mode64;
  } else {
    d.base = (rm | (rex & 1) << 3) * 8;
    stackBased = rm === 5 && !(rex & 1);
  }
  if (mod === 1) disp = signed8(next());
  else if (mod === 2) disp = next32();
  d.dispLo = disp;
  d.dispHi = disp >> 31;
  if (d.addrSize === 32) d.form = 'x';
  setSegment(d, mode64, override, stackBased ? SEG.ss : SEG.ds);
  return ripRelative;
}

/** Base and index registers of 16-bit addressing, by modrm.rm (SDM vol. 2, table 2-1). */
const BASES_16: readonly (readonly [number, number])[] = [
  [REG.rbx, REG.rsi], [REG.rbx, REG.rdi], [REG.rbp, REG.rsi], [REG.rbp, REG.rdi], [REG.rsi, -1], [REG.rdi, -1], [REG.rbp, -1], [REG.rbx, -1],
];
/** Reads the displacement of a 16-bit address. */
function memoryOperand16(d: Decoded, modrm: number, override: number): void {
  const mod = modrm >> 6;
  const rm = modrm & 7;
  const direct = mod === 0 && rm === 6;
  const [base, index] = BASES_16[rm] as readonly [number, number];
  if (!direct) {
    d.base = base * 8;
    if (index >= 0) d.index = index * 8;
  }
  d.dispLo = direct || mod === 2 ? next16() : mod === 1 ? signed8(next()) : 0;
  d.dispHi = d.dispLo >> 31;
  d.form = 'x';
  setSegment(d, false, override, base === REG.rbp && !direct ? SEG.ss : SEG.ds);
}

function setSegment(d: Decoded, mode64: boolean, override: number, standard: number): void {
  if (mode64) {
    if (override < SEG.fs) return;
    d.segment = segmentSlot(override);
  } else d.segment = segmentSlot(override >= 0 ? override : standard);
  if (d.form === 'm') d.form = 'x';
}

function immediate(d: Decoded, entry: Entry, mode64: boolean, size16: boolean, override: number): void {
  switch (entry.immediate) {
    case undefined: return;
    case 'ib': case 'cb': setImmediate(d, signed8(next())); return;
    case 'iw': setImmediate(d, next16()); return;
    case 'iw ib': { const w = next16(); setImmediate(d, w | next() << 16); return; }
    case 'cd': setImmediate(d, size16 && !mode64 ? next16() << 16 >> 16 : next32()); return;
    case 'cp': // offset, then selector
      d.immLo = size16 ? next16() : next32();
      d.immHi = next16();
      return;
    case 'iz': setImmediate(d, d.opSize === 16 ? next16() << 16 >> 16 : next32()); return;
    case 'iv':
      if (d.opSize === 64) { d.immLo = next32(); d.immHi = next32(); } else setImmediate(d, d.opSize === 16 ? next16() << 16 >> 16 : next32());
      return;
    case 'moffs':
      d.form = 'm';
      d.dispLo = d.addrSize === 16 ? next16() : next32();
      d.dispHi = d.addrSize === 64 ? next32() : 0;
      setSegment(d, mode64, override, SEG.ds);
  }
}
function setImmediate(d: Decoded, value: number): void {
  // x87 rows carry opcode and modrm as their immediate
  d.immLo = value | 0;
  d.immHi = value >> 31;
}
/** Makes a displacement from the next instruction one from the page. */
function countFromPage(d: Decoded, next: number): void {
  const lo = (d.dispLo >>> 0) + next;
  if (lo > 0xffff_ffff) d.dispHi = (d.dispHi + 1) | 0;
  d.dispLo = lo | 0;
  d.base = CPU.page;
  if (d.dispHi === d.dispLo >> 31) return;
  d.dispHi = -1; // of 32 bits, less than it is by 2^32
  d.index = CPU.fourGiB;
  d.form = 'x';
}
