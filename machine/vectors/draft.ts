// A test case under construction: the prefixes and fields of one instruction, and the parts of the initial state that
// have been chosen so far. Registers that have a chosen value are not given another one, so that an address that was
// built from a register stays what it is.

import type { FieldValue, MemoryValue } from './case.ts';
import { field, fieldAt } from './case.ts';
import { parseOpcode, type Encoding, type TestedRow } from './encoding.ts';
import { ARENA, ARENA_SIZE, FS_BASE, GS_BASE } from './layout.ts';
import type { Random } from './random.ts';

export const SEGMENT_PREFIX = { es: 0x26, cs: 0x2e, ss: 0x36, ds: 0x3e, fs: 0x64, gs: 0x65 } as const;
/** Operand size in bytes. */
export type OperandSize = 2 | 4 | 8;

const encodings = new Map<TestedRow, Encoding>();
function encodingOf(row: TestedRow): Encoding {
  let e = encodings.get(row);
  if (!e) encodings.set(row, e = parseOpcode(row.opcode));
  return e;
}

/** Little-endian bytes of an integer. */
export function bytesOf(value: bigint, size: number): Uint8Array {
  const out = new Uint8Array(size);
  for (let i = 0; i < size; i++) out[i] = Number(value >> BigInt(8 * i) & 0xffn);
  return out;
}

export class Draft {
  readonly r: Random;
  readonly row: TestedRow;
  readonly encoding: Encoding;
  readonly compat: boolean;

  operandPrefix = false;
  addressPrefix = false;
  rexW = false;
  /** a REX prefix even where no bit of it is needed */
  rexForced = false;
  segment = 0;
  lock = false;
  /** F2 or F3, where it is not part of the opcode */
  rep = 0;

  /** ModRM: mod, reg (4 bits), rm (4 bits); sib: scale, index (4 bits), base (4 bits) */
  mod = 3;
  reg = 0;
  rm = 0;
  sib: { scale: number; index: number; base: number } | undefined;
  displacement: Uint8Array = new Uint8Array(0);
  /** the displacement is relative to the next instruction; this is the effective address */
  ripTarget: bigint | undefined;
  /** register in the opcode byte */
  plus = 0;
  immediates: Uint8Array[] = [];
  /** the last immediate is relative to the next instruction; this is the target */
  jumpTarget: bigint | undefined;
  /** linear address of the memory operand, if there is one */
  memoryOperand: bigint | undefined;

  private readonly chosen = new Map<number, Uint8Array>();
  readonly memory: MemoryValue[] = [];

  constructor(r: Random, row: TestedRow, compat: boolean) {
    this.r = r;
    this.row = row;
    this.compat = compat;
    this.encoding = encodingOf(row);
  }

  /** Operand size in bytes: of a row with operands of size v. */
  get operandSize(): OperandSize {
    if (!this.compat && (this.rexW || this.encoding.rexW)) return 8;
    if (this.operandPrefix) return this.row.size === 'y' ? 4 : 2;
    return this.row.size === 'd64' && !this.compat ? 8 : 4;
  }
  get addressBits(): 16 | 32 | 64 {
    if (this.compat) return this.addressPrefix ? 16 : 32;
    return this.addressPrefix ? 32 : 64;
  }
  /** General registers that this mode has. */
  get registers(): number { return this.compat ? 8 : 16; }

  isChosen(name: string): boolean { return this.chosen.has(field(name)); }
  isRegisterChosen(n: number): boolean { return this.chosen.has(n); }
  /** Chooses a field's value, unless it has one. */
  choose(name: string, value: bigint): void { this.chooseField(field(name), value); }
  /** Chooses a general register's value, unless it has one. In compatibility mode its upper half is cleared. */
  chooseRegister(n: number, value: bigint): void { this.chooseField(n, this.compat ? BigInt.asUintN(32, value) : value); }
  /** Sets a general register's value, even where it has one that an address may depend on. */
  setRegister(n: number, value: bigint): void {
    this.chosen.delete(n);
    this.chooseRegister(n, BigInt.asUintN(64, value));
  }
  /** Sets the lowest byte of a general register. */
  setRegisterLow(n: number, byte: number): void {
    const old = this.chosen.get(n);
    if (old) old[0] = byte;
    else this.chooseRegister(n, this.r.u64() & ~0xffn | BigInt(byte));
  }
  chooseBytes(name: string, bytes: Uint8Array): void {
    const id = field(name);
    if (!this.chosen.has(id)) this.chosen.set(id, bytes);
  }
  private chooseField(id: number, value: bigint): void {
    if (!this.chosen.has(id)) this.chosen.set(id, bytesOf(value, fieldAt(id).size));
  }
  /** Chosen value of a field of at most 8 bytes, or undefined. */
  chosenValue(name: string): bigint | undefined {
    const bytes = this.chosen.get(field(name));
    if (!bytes) return undefined;
    let v = 0n;
    for (const [i, b] of bytes.entries()) v |= BigInt(b) << BigInt(8 * i);
    return v;
  }
  fields(): FieldValue[] { return [...this.chosen].map(([id, bytes]) => ({ field: id, bytes })); }

  /** Puts bytes at a linear address, as far as it lies in the arena. */
  poke(linear: bigint, bytes: Uint8Array): void {
    const at = Number(BigInt.asIntN(64, linear - BigInt(ARENA)));
    if (at < 0 || at + bytes.length > ARENA_SIZE) return;
    this.memory.push({ offset: at, bytes });
  }

  /** The base of the segment that the memory operand uses. */
  segmentBase(): bigint {
    if (this.segment === SEGMENT_PREFIX.fs) return this.chosenValue('fsBase') ?? BigInt(FS_BASE);
    if (this.segment === SEGMENT_PREFIX.gs) return this.chosenValue('gsBase') ?? BigInt(GS_BASE);
    return 0n;
  }

  /** The instruction's bytes when its first one lies at a linear address. */
  assemble(at: bigint): Uint8Array {
    const head = [...this.legacyPrefixes(), ...this.rex(), ...this.opcodeBytes(), ...this.modrmBytes()];
    const tail = this.immediates.reduce((n, i) => n + i.length, 0);
    const next = at + BigInt(head.length + this.displacement.length + tail);
    if (this.ripTarget !== undefined) this.displacement = bytesOf(BigInt.asUintN(32, this.ripTarget - next), 4);
    if (this.jumpTarget !== undefined) {
      const size = (this.immediates.at(-1) as Uint8Array).length;
      this.immediates = [...this.immediates.slice(0, -1), bytesOf(BigInt.asUintN(size * 8, this.jumpTarget - next), size)];
    }
    return Uint8Array.from([...head, ...this.displacement, ...this.immediates.flatMap((i) => [...i])]);
  }

  /** Lengthens the instruction to `length` bytes with prefixes that change nothing. */
  padTo(length: number): void {
    const now = this.assemble(0n).length;
    if (now >= length) return;
    this.prefixOrder = [...new Array<number>(length - now).fill(this.segment || SEGMENT_PREFIX.ds), ...this.prefixOrder ?? []];
  }

  private prefixOrder: number[] | undefined;
  private legacyPrefixes(): number[] {
    if (this.prefixOrder) return this.prefixOrder;
    const all = [...this.encoding.prefixes];
    if (this.operandPrefix && !all.includes(0x66)) all.push(0x66);
    if (this.addressPrefix) all.push(0x67);
    if (this.segment) all.push(this.segment);
    if (this.lock) all.push(0xf0);
    if (this.rep) all.push(this.rep);
    for (let i = all.length - 1; i > 0; i--) {
      const j = this.r.below(i + 1);
      [all[i], all[j]] = [all[j] as number, all[i] as number];
    }
    // A REX prefix that does not stand right before the opcode has no effect.
    if (!this.compat && all.length > 0 && this.r.oneIn(60)) all.splice(this.r.below(all.length), 0, 0x40 | this.r.below(16));
    return this.prefixOrder = all;
  }
  private rex(): number[] {
    if (this.compat) return [];
    const w = this.rexW || this.encoding.rexW ? 8 : 0;
    const r = this.reg >> 3 << 2;
    const x = this.sib ? this.sib.index >> 3 << 1 : 0;
    const b = this.sib ? this.sib.base >> 3 : (this.rm | this.plus) >> 3;
    return w | r | x | b || this.rexForced ? [0x40 | w | r | x | b] : [];
  }
  private opcodeBytes(): number[] {
    const bytes = [...this.encoding.opcode];
    if (this.encoding.plusRegister) bytes.push((bytes.pop() as number) + (this.plus & 7));
    return bytes;
  }
  private modrmBytes(): number[] {
    const { modrm } = this.encoding;
    if (modrm === undefined) return [];
    const reg = modrm === 'r' ? this.reg & 7 : modrm;
    if (!this.sib) return [this.mod << 6 | reg << 3 | this.rm & 7];
    return [this.mod << 6 | reg << 3 | 4, this.sib.scale << 6 | (this.sib.index & 7) << 3 | this.sib.base & 7];
  }
}
