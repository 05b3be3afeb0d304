// Our machine as a processor that test cases run on: a small address space in the frames of a capsule, one vCPU, and
// the exits of `run` read as the exceptions that a real processor would raise.

import { Capsule, PAGE_SIZE } from '#base/capsule.ts';
import { CPU, EXIT, MODE, NO_ERROR_CODE, SEG_DENIES } from '../cpu-state.ts';
import type { Cpu } from '../cpu.ts';
import { type Machine, type MachineHooks, STORE } from '../machine.ts';
import { initialImage, TIMED_OUT, type Case, type FieldValue, type MemoryValue, type Outcome } from './case.ts';
import type { CpuUnderTest } from './check.ts';
import { ARENA_PATTERN } from './filler.ts';
import { ARENA, ARENA_SIZE, ARENA_WRITABLE, CODE, CODE_SIZE, COMPARED_FLAGS, FIELDS, FX_SIZE, IMAGE, SELECTOR } from './layout.ts';

const PRESENT = 1n, WRITABLE = 2n, USER = 4n, ACCESSED_DIRTY = 0x60n, NO_EXECUTE = 1n << 63n;
/** Frames: L4, L3, L2, L1, then code, arena, descriptor table. */
const FRAME = { l4: 1, l3: 2, l2: 3, l1: 4, code: 5, arena: 7, gdt: 10, count: 11 } as const;
/** Frames of the capsule. */
export const FRAMES = 64;
/** Where the arena is when it is another machine's memory: frame numbers here, and the first frame there. */
const ELSEWHERE = 1000, ELSEWHERE_FRAME = 3, ELSEWHERE_FRAMES = 8;
const PAGE_FAULT = 14;
const PFEC_USER = 4;
const SLICE = 20_000;
const SLICES = 20;
/** Two changed bytes with at most this many unchanged ones between them are one run; the native runner has the same. */
const RUN_GAP = 4;

/** Flat descriptors as Linux has them, accessed: 32-bit code, data, 64-bit code. */
const DESCRIPTORS: readonly (readonly [number, bigint])[] = [
  [SELECTOR.code32, 0x00cf_fb00_0000_ffffn], [SELECTOR.data, 0x00cf_f300_0000_ffffn], [SELECTOR.code64, 0x00af_fb00_0000_ffffn],
];
/** Limit of the descriptor table: 16 entries. */
const GDT_ENTRIES = 16;

export type MachineFactory = (capsule: Capsule, hooks: MachineHooks) => Machine;

export class MachineUnderTest implements CpuUnderTest {
  readonly name: string;
  /** names of instructions that raised #UD because the machine does not have them, with counts */
  readonly unimplemented = new Map<string, number>();
  private readonly capsule: Capsule;
  /** where the arena lies, if not in `capsule` */
  private readonly elsewhere: Capsule | undefined;
  private readonly machine: Machine;
  private readonly cpu: Cpu;
  private readonly code: Uint8Array;
  private readonly arena: Uint8Array;
  private readonly arenaWords: Uint32Array;
  /** what the arena held when the case began */
  private readonly expected = ARENA_PATTERN.slice();
  private readonly expectedWords = new Uint32Array(this.expected.buffer);
  private readonly before = new DataView(new ArrayBuffer(IMAGE.size));
  private readonly after = new DataView(new ArrayBuffer(IMAGE.size));
  private written = { at: 0, size: 0 };
  private dirty = true;

  /** @param elsewhere the arena is memory of another machine (MachineHooks.foreign) */
  constructor(name: string, make: MachineFactory, scratchSize: number, elsewhere = false) {
    this.name = name;
    this.capsule = new Capsule(FRAMES, 0, scratchSize);
    this.elsewhere = elsewhere ? new Capsule(ELSEWHERE_FRAMES, 0, 0) : undefined;
    this.machine = make(this.capsule, this.hooks());
    const cpu = this.machine.cpus[0];
    if (!cpu) throw new Error('the machine has no vCPU');
    this.cpu = cpu;
    this.code = this.capsule.u8.subarray(this.capsule.frame(FRAME.code), this.capsule.frame(FRAME.code) + CODE_SIZE);
    const arenaAt = this.elsewhere?.frame(ELSEWHERE_FRAME) ?? this.capsule.frame(FRAME.arena);
    this.arena = (this.elsewhere ?? this.capsule).u8.subarray(arenaAt, arenaAt + ARENA_SIZE);
    this.arenaWords = new Uint32Array(this.arena.buffer, arenaAt, ARENA_SIZE / 4);
    this.code.fill(0xcc);
    this.mapPages();
    this.machine.setBase(cpu, FRAME.l4, false);
  }

  run(c: Case): Outcome {
    this.enter(c);
    let exit: number = EXIT.budget;
    for (let i = 0; i < SLICES && exit === EXIT.budget; i++) exit = this.machine.run(this.cpu, SLICE);
    return this.leave(exit);
  }

  private hooks(): MachineHooks {
    const { elsewhere } = this;
    return {
      ...(elsewhere ? { foreign: {
        has: (mfn) => mfn >= ELSEWHERE && mfn < ELSEWHERE + ARENA_SIZE / PAGE_SIZE,
        find(number) {
          const mfn = ELSEWHERE_FRAME + number - ELSEWHERE;
          return { machine: { frameWritten() {} }, capsule: elsewhere, offset: elsewhere.frame(mfn), mfn };
        },
      } } : {}),
      storeWatched: () => false,
      storeDenied: () => STORE.refused,
      rdtsc: () => 0,
      random: () => 0n,
      descriptor: (_cpu, selector) => (selector & 4 || selector >> 3 >= GDT_ENTRIES ? -1 : this.capsule.frame(FRAME.gdt) + (selector & ~7)),
      unimplemented: (_cpu, name) => this.unimplemented.set(name, (this.unimplemented.get(name) ?? 0) + 1),
    };
  }

  private mapPages(): void {
    const entry = (table: number, index: number, value: bigint): void => { this.capsule.u64[(this.capsule.frame(table) >>> 3) + index] = value; };
    const to = (mfn: number): bigint => BigInt(mfn) << 12n | PRESENT | USER | ACCESSED_DIRTY;
    entry(FRAME.l4, 0, to(FRAME.l3) | WRITABLE);
    entry(FRAME.l3, 0, to(FRAME.l2) | WRITABLE);
    entry(FRAME.l2, CODE >>> 21, to(FRAME.l1) | WRITABLE);
    for (let i = 0; i < CODE_SIZE / PAGE_SIZE; i++) entry(FRAME.l1, (CODE >>> 12 & 511) + i, to(FRAME.code + i));
    for (let i = 0; i < ARENA_SIZE / PAGE_SIZE; i++) {
      const writable = i < ARENA_WRITABLE / PAGE_SIZE ? WRITABLE : 0n;
      entry(FRAME.l1, (ARENA >>> 12 & 511) + i, to((this.elsewhere ? ELSEWHERE : FRAME.arena) + i) | NO_EXECUTE | writable);
    }
    for (const [selector, descriptor] of DESCRIPTORS) entry(FRAME.gdt, selector >> 3, descriptor);
  }

  private enter(c: Case): void {
    initialImage(c, this.before);
    this.restoreArena();
    for (const { offset, bytes } of c.memory) {
      this.arena.set(bytes, offset);
      this.expected.set(bytes, offset);
      this.dirty = true;
    }
    this.writeCode(c);
    this.writeRegisters(c.compat);
  }

  private restoreArena(): void {
    if (!this.dirty) return;
    this.arena.set(ARENA_PATTERN);
    this.expected.set(ARENA_PATTERN);
    this.dirty = false;
  }

  private writeCode(c: Case): void {
    this.code.fill(0xcc, this.written.at, this.written.at + this.written.size);
    const size = Math.min(c.code.length, CODE_SIZE - c.codeOffset);
    this.code.set(size === c.code.length ? c.code : c.code.subarray(0, size), c.codeOffset);
    this.written = { at: c.codeOffset, size };
    for (let i = 0; i < CODE_SIZE / PAGE_SIZE; i++) this.machine.frameWritten(FRAME.code + i);
  }

  private writeRegisters(compat: boolean): void {
    const { cpu, before } = this;
    const { u32 } = this.capsule;
    for (let i = 0; i < 32; i++) u32[(cpu.base + CPU.regs >>> 2) + i] = before.getUint32(IMAGE.regs + i * 4, true);
    cpu.rip = before.getBigUint64(IMAGE.rip, true);
    for (let i = 0; i < 6; i++) {
      cpu.setSelector(i, before.getUint16(IMAGE.selectors + i * 2, true));
      cpu.setSegBase(i, 0n);
      if (cpu.selector(i) === SELECTOR.code32) cpu.setSegRights(i, SEG_DENIES.write);
    }
    cpu.setSegBase(4, before.getBigUint64(IMAGE.fsBase, true));
    cpu.setSegBase(5, before.getBigUint64(IMAGE.gsBase, true));
    const fx = cpu.base + CPU.fxState;
    for (let i = 0; i < FX_SIZE; i += 4) u32[fx + i >>> 2] = before.getUint32(IMAGE.fx + i, true);
    u32[fx + 28 >>> 2] = 0xffff; // MXCSR_MASK is not part of the image
    const mode = cpu.field32(CPU.mode);
    cpu.setField32(CPU.mode, compat ? mode | MODE.compat32 : mode & ~MODE.compat32);
    this.machine.setFlags(cpu, before.getUint32(IMAGE.rflags, true));
  }

  private leave(exit: number): Outcome {
    const { cpu, after } = this;
    const { u32 } = this.capsule;
    let vector: number = TIMED_OUT;
    let error = 0;
    const info = cpu.field32(CPU.exitInfo);
    if (exit === EXIT.exception) {
      vector = info;
      const code = cpu.field32(CPU.errorCode);
      if (code !== NO_ERROR_CODE) error = vector === PAGE_FAULT ? code | PFEC_USER : code;
    } else if (exit === EXIT.softint) {
      vector = info & 0xff;
      cpu.rip += BigInt(this.machine.exitLength(cpu));
    } else if (exit === EXIT.privileged) vector = 13; // in ring 3 of an ordinary system
    else if (exit !== EXIT.budget) vector = 0x80 + exit;
    for (let i = 0; i < 32; i++) after.setUint32(IMAGE.regs + i * 4, u32[(cpu.base + CPU.regs >>> 2) + i] as number, true);
    after.setBigUint64(IMAGE.rip, cpu.rip, true);
    after.setBigUint64(IMAGE.rflags, BigInt(this.machine.getFlags(cpu)), true);
    after.setBigUint64(IMAGE.fsBase, cpu.segBase(4), true);
    after.setBigUint64(IMAGE.gsBase, cpu.segBase(5), true);
    for (let i = 0; i < 6; i++) after.setUint16(IMAGE.selectors + i * 2, cpu.selector(i), true);
    const fx = cpu.base + CPU.fxState;
    for (let i = 0; i < FX_SIZE; i += 4) after.setUint32(IMAGE.fx + i, u32[fx + i >>> 2] as number, true);
    const cr2 = vector === PAGE_FAULT ? cpu.field64(CPU.cr2) : 0n;
    return { vector, error: vector === 1 || vector === 3 ? 0 : error, cr2, fields: this.changedFields(), memory: this.changedMemory() };
  }

  private changedFields(): FieldValue[] {
    const { before, after } = this;
    for (const image of [before, after]) image.setBigUint64(IMAGE.rflags, BigInt(image.getUint32(IMAGE.rflags, true) & COMPARED_FLAGS), true);
    const changed: FieldValue[] = [];
    for (const [id, { offset, size }] of FIELDS.entries()) {
      let same = true;
      for (let i = 0; same && i < size; i++) same = before.getUint8(offset + i) === after.getUint8(offset + i);
      if (!same) changed.push({ field: id, bytes: new Uint8Array(after.buffer.slice(offset, offset + size)) });
    }
    return changed;
  }

  private changedMemory(): MemoryValue[] {
    const { arena, expected } = this;
    const runs: MemoryValue[] = [];
    for (let word = 0; word < ARENA_SIZE / 4; word++) {
      if (this.arenaWords[word] === this.expectedWords[word]) continue;
      this.dirty = true;
      for (let i = word * 4; i < word * 4 + 4; i++) {
        if (arena[i] === expected[i]) continue;
        let last = i;
        for (let j = i; j < ARENA_SIZE && j <= last + RUN_GAP; j++) if (arena[j] !== expected[j]) last = j;
        runs.push({ offset: i, bytes: arena.slice(i, last + 1) });
        i = last;
        word = i >> 2;
      }
    }
    return runs;
  }
}
