// A machine with a small flat address space, for tests and benchmarks of the engine: pages 0x10000000 + n × 4096 lead to
// frames FIRST + n, in kernel mode of a base table in frame 1.

import { assert } from '#base/assert.ts';
import { Capsule } from '#base/capsule.ts';
import { CPU, MODE } from '../cpu-state.ts';
import type { Cpu } from '../cpu.ts';
import { Interpreter, scratchSize } from '../engine/interpreter.ts';
import type { RegionCompiler } from '../engine/region-job.ts';
import { setMachines } from '../engine/siblings.ts';
import { type MachineHooks, STORE } from '../machine.ts';

export const BASE = 0x1000_0000;
const L1 = 4, FIRST = 8, PAGES = 16, FRAMES = 64;
const PTE = { present: 1n, writable: 2n, user: 4n, accessedDirty: 0x60n };

export const NO_HOOKS: MachineHooks = {
  storeWatched: () => false, storeDenied: () => STORE.refused, rdtsc: () => 0, random: () => 0n, descriptor: () => -1,
  unimplemented: (_cpu, name) => { throw new Error(`not implemented: ${name}`); },
};

export class FlatMachine {
  readonly capsule: Capsule;
  readonly machine: Interpreter;
  readonly cpu: Cpu;

  /** @param compileAfter executions after which code is compiled; 0: never @param machines as if there were so many: this is the first */
  constructor(compileAfter = 0, hooks: Partial<MachineHooks> = {}, compiler?: RegionCompiler, machines = 1) {
    this.capsule = new Capsule(FRAMES, 0, scratchSize(FRAMES, machines));
    setMachines(this.capsule, machines);
    this.machine = new Interpreter(this.capsule, 1, { ...NO_HOOKS, ...hooks }, { compileAfter, compiler });
    const cpu = this.machine.cpus[0];
    assert(cpu !== undefined, 'the machine has a vCPU');
    this.cpu = cpu;
    this.entry(1, 0, 2);
    this.entry(2, 0, 3);
    this.entry(3, BASE >>> 21, L1);
    for (let n = 0; n < PAGES; n++) this.map(n, n);
    this.machine.setBase(cpu, 1, true);
    cpu.setField32(CPU.mode, MODE.kernel);
    cpu.set(4, BigInt(BASE + PAGES * 4096));
  }
  private entry(table: number, slot: number, mfn: number): void { this.set(table, slot, BigInt(mfn) << 12n | 0x67n); }
  private set(table: number, slot: number, value: bigint): void { this.capsule.u64[(this.capsule.frame(table) >>> 3) + slot] = value; }

  /** Maps page `page` to the frame of page `to`; -1 for not present. The caller flushes. */
  map(page: number, to: number, writable = true): void {
    this.set(L1, page, to < 0 ? 0n : BigInt(FIRST + to) << 12n | PTE.present | PTE.user | PTE.accessedDirty | (writable ? PTE.writable : 0n));
  }
  /** Frame number that page n led to at first. */
  frame(n: number): number { return FIRST + n; }
  /** Capsule offset of a byte by its page's first frame. */
  at(offset: number): number { return this.capsule.frame(FIRST) + offset; }
  /** Puts code or data at an offset from BASE, as hexadecimal bytes. */
  put(offset: number, bytes: string): void {
    this.capsule.u8.set(bytes.split(/\s+/).map((b) => parseInt(b, 16)), this.at(offset));
    this.machine.frameWritten(this.frame(offset >>> 12));
  }
  /** Runs from an offset. @returns the EXIT code */
  run(offset: number, budget = 10_000): number {
    this.cpu.rip = BigInt(BASE + offset);
    return this.machine.run(this.cpu, budget);
  }
  /** Runs until UD2, which tests put where they end. @returns the offset where it stopped */
  finish(offset: number): number {
    this.run(offset);
    assert(this.cpu.field32(CPU.exitInfo) === 6, `stopped by #UD, not by vector ${this.cpu.field32(CPU.exitInfo)} at ${this.cpu.rip.toString(16)}`);
    return Number(this.cpu.rip) - BASE;
  }
}
