// The operation record: one decoded instruction, or two that are fused, as the interpreter's handlers read it.
// Records of a block lie one after the other; a handler goes on to the record behind its own.

import { CPU, REG } from '../cpu-state.ts';
import type { Cpu } from '../cpu.ts';

/**
 * Offsets in bytes. Register fields are offsets from the vCPU context. Records are small because code that is executed seldom waits for
 * them to come into the processor's caches: two of them are a line.
 */
export const REC = {
  handler: 0, // u16: slot in the handler table
  r1: 2, // u16: modrm.reg register
  r2: 4, // u16: modrm.rm or opcode register
  base: 6, // u16
  index: 8, // u16
  offset: 10, // u16: of the instruction in the page CPU.page; 4096 for what comes behind it
  icount: 12, // u8: instructions of the block before this record
  length: 13, // u8: bytes of the instruction (of both, when fused)
  segment: 14, // u8: segment base field, in units of 8 bytes
  scale: 15, // u8
  link: 16, // u32: record to go on at when the relative jump is taken, or instead of this one when it is void; 0 until known
  near: 20, // i16: of a fused jump, its target minus the address of the record
  passed: 22, // u8: of a conditional jump: it was not taken once, so what follows it has been executed
  watched: 23, // u8: its store has gone to a page table, so compiled code expects that
  imm: 24, // i32; of a relative jump that is not fused, its target minus its address
  disp: 28, // i32
  wide: 24, // i64: an immediate or displacement of 64 bits, of an instruction that has no other
  size: 32,
} as const;
/** The largest distance for `near`. */
export const NEAR = 0x7fff;

/** What stands before a block's first record, in the same line: offsets from its start. */
export const HEAD = {
  size: 16,
  count: 0, // i32: counts down with each execution; at 0 the block is hot
  entry: 4, // u32: the slot that the block is entered by: its first record's handler, or a region's
} as const;
/** Index of a word of the head of a block, by its first record. */
export const headWord = (record: number, field: 'count' | 'entry'): number => (record - HEAD.size + HEAD[field]) >>> 2;
/** Where the first record of a block may be that begins at `top` or behind. */
export const firstRecordAt = (top: number): number => Math.ceil((top - (REC.size - HEAD.size)) / LINE) * LINE + REC.size;
const LINE = 64;

/** Layout of an MMU context: everything cached under one base pointer. Offsets in bytes from its start. */
export const MMU = {
  entries: 1024, // of each TLB, 16 bytes each: u64 page address (1: empty), u32 capsule offset minus page address
  read: 0,
  write: 0x4000,
  jumps: 0x8000, // jump cache, 16 bytes an entry: u64 rip, u32 record, u32 slot of the region that it is entered by; or 0
  jumpEntries: 8192,
  code: 0x28000, // where pages of code lie, for jumps between pages inside compiled code: u64 page number << 20 | frame number
  codeEntries: 4096,
  cleared: 0x30000,
  base: 0x30000, // u32: frame number of the base table; void while some of what is cached is no longer true
  /** entries that were filled, of the TLBs; and of the jump cache and `code` */
  pages: { count: 0x30004, at: 0x30040, size: 512 },
  targets: { count: 0x30008, at: 0x30840, size: 2048 },
  size: 0x32840,
} as const;

/** Where an MMU context notes which entries were filled since all were empty: u32 how many; so many of their capsule offsets, u32. */
export interface EntryLog { readonly count: number; readonly at: number; readonly size: number }

/** Address of the instruction of a record that a vCPU executes. */
export const ripOf = (cpu: Cpu, record: number): bigint => cpu.field64(CPU.page) + BigInt(cpu.capsule.u16[(record + REC.offset) >>> 1] as number);

/** Exit codes that stay inside the engine, above EXIT. */
export const INNER = { link: 100, lookup: 101, step: 102, badTarget: 103, again: 104, hot: 105, unwind: 106 } as const;

/** A page of code as it stands in MMU.code: its number above its frame's. */
export const codePage = (va: bigint, mfn: number): bigint => (BigInt.asUintN(48, va) >> 12n) << 20n | BigInt(mfn);
/** The bits of its number. */
export const CODE_PAGE = (1n << 56n) - (1n << 20n);
/** Offset of a page's entry in an MMU context. @param lo the address, low 32 bits */
export const codeEntry = (lo: number): number => MMU.code + (Math.imul(lo >>> 12, CODE_HASH) >>> 20) * 8;
/** 2^32 divided by the golden ratio: spreads page numbers over the 2^12 entries. */
export const CODE_HASH = 0x9e37_79b1 | 0;

/** The block table: where decoded code lies, by physical address. 8 bytes an entry: u32 address, u32 first record | variant; two entries for each hash. */
export const BLOCK_TABLE = { hashes: 32768, size: 32768 * 16 } as const;
/** Offset of the first of an address's two entries. */
export const blockEntry = (physical: number): number => ((physical ^ physical >>> 15) & (BLOCK_TABLE.hashes - 1)) * 16;
/** What `link` holds in a computed jump's record: how many of its targets were noted; or this, where none are. */
export const UNNOTED = 0xffff_ffff, NOTED = 24;

/**
 * True when the record's memory operand is based on rsp or rbp in 64-bit mode: its canonical faults are #SS. Outside
 * 64-bit mode an operand has a segment.
 */
export function isStackOperand(capsule: { readonly u8: Uint8Array; readonly u16: Uint16Array }, record: number): boolean {
  const base = capsule.u16[(record + REC.base) >>> 1] as number;
  return (base === REG.rsp * 8 || base === REG.rbp * 8) && capsule.u8[record + REC.segment] === CPU.zero / 8;
}

/** How an access is described to the slow path: size in bytes, and these bits: a probe is a write that is checked only, a locked one changes memory as one. */
export const ACCESS_INFO = { write: 0x100, stack: 0x200, probe: 0x400, locked: 0x800 } as const;
/** Flags of a frame (frame-flags.ts): any of them keeps its writes on the slow path. `written`: by another thread, where there is code. */
export const FRAME_FLAG = { code: 1, watched: 2, written: 4 } as const;
