// Random programs with loops, calls, computed jumps, accesses across pages and stores into their own code must end in the
// same state whether they are interpreted or compiled, and whatever slices they run in.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { CPU, EXIT, REG } from '../cpu-state.ts';
import { BASE, FlatMachine } from '../testing/flat-machine.ts';
import { LateCompiler } from '../testing/late-compiler.ts';
import { cacheOf, SharedCompiler } from '../testing/shared-compiler.ts';
import type { RegionCompiler } from './region-job.ts';
import { Random } from '../vectors/random.ts';

type Item = readonly number[] | { readonly label: string } | { readonly jump: readonly number[]; readonly to: string };
/** Registers that programs compute with: not rsp, not rbp (data), not r15 (fuel). */
const FREE = [0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14];
const ALU = [0x01, 0x09, 0x11, 0x19, 0x21, 0x29, 0x31, 0x39];
const FUNCTIONS = 4, DATA = BASE + 9 * 4096;

class Program {
  private readonly random: Random;
  private readonly items: Item[] = [];
  private labels = 0;

  constructor(random: Random) { this.random = random; }
  private pick<T>(list: readonly T[]): T { return list[this.random.below(list.length)] as T; }
  private byte(): number { return this.random.below(256); }
  private label(): string { return `l${this.labels++}`; }
  private add(...bytes: number[]): void { this.items.push(bytes); }
  private modrm(wide: boolean, opcode: readonly number[], reg: number, rm: number): void {
    this.add((wide ? 0x48 : 0x40) | (reg >>> 3) << 2 | rm >>> 3, ...opcode, 0xc0 | (reg & 7) << 3 | rm & 7);
  }
  /** reg and [rbp + disp8]: rbp is at a page's end */
  private memory(wide: boolean, opcode: readonly number[], reg: number): void {
    this.add((wide ? 0x48 : 0x40) | (reg >>> 3) << 2, ...opcode, 0x45 | (reg & 7) << 3, this.byte());
  }
  private instruction(): void {
    const [a, b, wide] = [this.pick(FREE), this.pick(FREE), this.random.below(2) === 0];
    const kinds = [
      () => this.modrm(wide, [this.pick(ALU)], a, b),
      () => this.modrm(wide, [this.pick(ALU)], a, b),
      () => this.modrm(wide, [0x89], a, b),
      () => this.add(this.pick([0x00, 0x28, 0x30, 0x38, 0x88]), 0xc0 | this.random.below(64)), // bytes, AH to BH among them
      () => this.modrm(wide, [0xff], this.random.below(2), b), // INC, DEC
      () => { this.modrm(wide, [0xc1], this.pick([0, 1, 4, 5, 7]), b); this.add(this.byte()); },
      () => this.modrm(wide, [0xd3], this.pick([0, 1, 4, 5, 7]), b), // by CL
      () => this.modrm(wide, [0x0f, 0xaf], a, b), // IMUL
      () => this.modrm(wide, [0x0f, this.pick([0xb6, 0xb7, 0xbe, 0xbf])], a, b), // MOVZX, MOVSX
      () => this.modrm(false, [0x0f, 0x90 + this.random.below(16)], 0, b), // SETcc
      () => this.modrm(wide, [0x0f, 0x40 + this.random.below(16)], a, b), // CMOVcc
      () => this.memory(wide, [this.pick([0x89, 0x8b, 0x01, 0x03, 0x39])], a),
      () => this.memory(wide, [0x8b], a),
      () => this.memory(false, [this.pick([0x88, 0x8a])], a),
      () => { this.add(0x40 | a >>> 3, 0x50 | a & 7); this.add(0x40 | b >>> 3, 0x58 | b & 7); }, // PUSH, POP
      () => this.add(0x48, 0x8b, 0x44, 0x24, 0xf8), // MOV rax, [rsp - 8]
      () => this.several(a, b),
    ];
    this.pick(kinds)();
  }
  /** Pushes and pops in a row, with something between them: rsp is near a page's end. */
  private several(a: number, b: number): void {
    for (const r of [a, b, a]) this.add(0x40 | r >>> 3, 0x50 | r & 7);
    this.memory(true, [0x8b], a);
    this.add(0x48, 0x89, 0x9c, 0x24, 0x00, 0xf0, 0xff, 0xff); // MOV [rsp - 4096], rbx: another page of the stack
    this.add(0x48, 0x83, 0xc4, 0x08); // ADD rsp, 8
    for (const r of [a, b]) this.add(0x40 | r >>> 3, 0x58 | r & 7);
  }
  private jump(opcode: readonly number[], to: string): void { this.items.push({ jump: opcode, to }); }
  /** Ends the program when the fuel is used up: DEC r15; JZ done. */
  private burn(): void {
    this.add(0x49, 0xff, 0xcf);
    this.jump([0x0f, 0x84], 'done');
  }
  private body(depth: number, f: number): void {
    for (let n = 3 + this.random.below(10); n > 0; n--) {
      const kind = this.random.below(12);
      if (kind === 0 && depth < 3) {
        const again = this.label();
        this.items.push({ label: again });
        this.body(depth + 1, f);
        this.burn();
        this.jump(this.random.below(3) === 0 ? [0xe9] : [0x0f, 0x80 + this.random.below(16)], again);
      } else if (kind === 1 && depth < 3) {
        const over = this.label();
        this.jump([0x0f, 0x80 + this.random.below(16)], over);
        this.body(depth + 1, f);
        this.items.push({ label: over });
      } else if (kind === 2 && f + 1 < FUNCTIONS) {
        this.burn();
        this.jump([0xe8], `f${f + 1 + this.random.below(FUNCTIONS - f - 1)}`);
      } else if (kind === 3 && depth < 2) {
        const there = this.label();
        this.jump([0x48, 0x8d, 0x05], there); // LEA rax, [rip + there]
        this.add(0xff, 0xe0);
        for (let i = this.random.below(3); i > 0; i--) this.instruction();
        this.items.push({ label: there });
      } else if (kind === 4 && this.random.below(6) === 0) {
        const place = this.label();
        this.jump([0x40, 0x88, 0x1d], place); // MOV [rip + place], bl: the immediate of the next instruction but one
        this.instruction();
        this.add(0xb0); // MOV al, imm8
        this.items.push({ label: place });
        this.add(this.byte());
      } else this.instruction();
    }
  }
  /** Code of the whole program, which begins at BASE and ends at a UD2. */
  assemble(): number[] {
    const main = this.label();
    this.items.push({ label: main });
    this.body(0, 0);
    this.burn();
    this.jump([0xe9], main);
    for (let f = 1; f < FUNCTIONS; f++) {
      this.items.push({ label: `f${f}` });
      this.body(1, f);
      this.add(0xc3);
    }
    this.items.push({ label: 'done' });
    this.add(0x0f, 0x0b);
    const at = new Map<string, number>();
    let size = 0;
    for (const item of this.items) {
      if ('label' in item) at.set(item.label, size);
      else size += 'jump' in item ? item.jump.length + 4 : item.length;
    }
    const code: number[] = [];
    for (const item of this.items) {
      if ('label' in item) continue;
      if (!('jump' in item)) { code.push(...item); continue; }
      const rel = (at.get(item.to) as number) - code.length - item.jump.length - 4;
      code.push(...item.jump, rel & 255, rel >> 8 & 255, rel >> 16 & 255, rel >> 24 & 255);
    }
    return code;
  }
}

const OFFSET = 4000;
function machineWith(code: readonly number[], compileAfter: number, compiler?: RegionCompiler): FlatMachine {
  const m = new FlatMachine(compileAfter, {}, compiler);
  m.capsule.u8.set(code, m.at(OFFSET));
  return m;
}
/** Runs the program from its beginning. @param base where its pages are mapped @param fuel jumps back that it makes */
function finalState(m: FlatMachine, slices: Random, seed: bigint, base = BASE, fuel = 400): unknown {
  const { cpu, machine } = m;
  for (const r of FREE) cpu.set(r, BigInt.asUintN(64, seed * BigInt(r * 2 + 1) * 0x9e37_79b9_7f4a_7c15n));
  cpu.set(REG.rbp, BigInt(DATA + 4096));
  cpu.set(REG.rsp, BigInt(BASE + 15 * 4096 + 20));
  machine.setFlags(cpu, 2);
  cpu.set(15, BigInt(fuel));
  cpu.rip = BigInt(base + OFFSET);
  const before = machine.retired(cpu);
  let exit: number = EXIT.budget;
  for (let n = 0; exit === EXIT.budget; n++) {
    assert.ok(n < 10_000, 'the program ends');
    exit = machine.run(cpu, 1 + slices.below(200));
  }
  const data = m.capsule.u64.slice(m.at(0) >>> 3, m.at(16 * 4096) >>> 3);
  return {
    exit, vector: cpu.field32(CPU.exitInfo), rip: cpu.rip - BigInt(base), flags: machine.getFlags(cpu), retired: machine.retired(cpu) - before,
    registers: Array.from({ length: 16 }, (_, r) => cpu.get(r).toString(16)), data: data.join(),
  };
}

test('random programs do the same interpreted and compiled', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const code = new Program(new Random(seed)).assemble();
    const expected = finalState(machineWith(code, 0), new Random(seed), BigInt(seed));
    for (const compileAfter of [1, 2, 9, 40]) {
      assert.deepEqual(finalState(machineWith(code, compileAfter), new Random(seed * 7 + compileAfter), BigInt(seed)), expected, `seed ${seed}, compiled after ${compileAfter}`);
    }
  }
});

test('random programs do the same when their regions are compiled while they run', () => {
  const FUEL = 2000; // regions wait for others to be compiled with
  let made = 0;
  for (let seed = 1; seed <= 50; seed++) {
    const code = new Program(new Random(seed)).assemble();
    const expected = finalState(machineWith(code, 0), new Random(seed), BigInt(seed), BASE, FUEL);
    const random = new Random(seed * 31);
    const compiler = new LateCompiler(() => random.below(8));
    assert.deepEqual(finalState(machineWith(code, 2, compiler), new Random(seed * 7), BigInt(seed), BASE, FUEL), expected, `seed ${seed}`);
    made += compiler.made;
  }
  assert.ok(made > 50, `${made} modules were compiled late`);
});

test('compiled code runs wherever its pages are mapped', () => {
  const PAGES = 16, ELSEWHERE = BASE + PAGES * 4096;
  for (let seed = 1; seed <= 20; seed++) {
    const code = new Program(new Random(seed)).assemble();
    const machine = (compileAfter: number): FlatMachine => {
      const m = machineWith(code, compileAfter);
      for (let page = 0; page < PAGES; page++) m.map(PAGES + page, page);
      return m;
    };
    const expected = new Map([BASE, ELSEWHERE].map((base) => [base, finalState(machine(0), new Random(seed), BigInt(seed), base)]));
    const m = machine(3);
    const image = m.capsule.u8.slice(m.at(0), m.at(PAGES * 4096));
    for (const base of [BASE, ELSEWHERE, BASE, ELSEWHERE]) {
      for (let page = 0; page < PAGES; page++) restore(m, image, page);
      const same = isDeepStrictEqual(finalState(m, new Random(seed), BigInt(seed), base), expected.get(base));
      assert.ok(same, `seed ${seed} at 0x${base.toString(16)}`);
    }
  }
});

test('compiled code runs in another machine, in other frames and at another address', () => {
  const PAGES = 16, ELSEWHERE = BASE + 3 * PAGES * 4096, FUEL = 2000;
  let shared = 0;
  for (let seed = 1; seed <= 30; seed++) {
    const code = new Program(new Random(seed)).assemble();
    const cache = cacheOf(1 << 24);
    const first = new SharedCompiler(cache);
    finalState(machineWith(code, 4, first), new Random(seed), BigInt(seed), BASE, FUEL);
    const other = (compileAfter: number, compiler?: RegionCompiler): FlatMachine => {
      const m = new FlatMachine(compileAfter, {}, compiler);
      const frame = (page: number): number => (page * 5 + 3) % PAGES;
      for (let page = 0; page < PAGES; page++) for (const at of [page, 3 * PAGES + page]) m.map(at, frame(page));
      code.forEach((byte, i) => { m.capsule.u8[m.at(frame((OFFSET + i) >>> 12) * 4096) + (OFFSET + i) % 4096] = byte; });
      return m;
    };
    const expected = finalState(other(0), new Random(seed), BigInt(seed), ELSEWHERE, FUEL);
    const second = new SharedCompiler(cache);
    assert.deepEqual(finalState(other(4, second), new Random(seed), BigInt(seed), ELSEWHERE, FUEL), expected, `seed ${seed}`);
    for (const module of second.modules) if (first.modules.has(module)) shared++;
  }
  assert.ok(shared > 20, `${shared} modules were another machine's`);
});
/** Undoes what a program did to a page, which may be one of its code. */
function restore(m: FlatMachine, image: Uint8Array, page: number): void {
  const was = image.subarray(page * 4096, page * 4096 + 4096);
  if (was.every((byte, i) => m.capsule.u8[m.at(page * 4096) + i] === byte)) return;
  m.capsule.u8.set(was, m.at(page * 4096));
  m.machine.frameWritten(m.frame(page));
}
