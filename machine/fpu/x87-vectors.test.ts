// Replays what a real CPU did (native/x87-vectors.c describes the records): every case must give the same control,
// status and tag words, registers, memory, flags and pointers. Transcendental results may differ by one unit in the
// last place and in C1, and in nothing else.
//
// Other vectors: X87_VECTORS=file.bin.gz node --test machine/fpu/x87-vectors.test.ts

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Capsule } from '#base/capsule.ts';
import { Cpu } from '../cpu.ts';
import { CPU, FX } from '../cpu-state.ts';
import { FSW } from './words.ts';
import { x87, x87Memory, x87Name, x87Operand } from './x87.ts';

const TRANSCENDENTAL = new Set([0xd9f0, 0xd9f1, 0xd9f2, 0xd9f3, 0xd9f9, 0xd9fb, 0xd9fe, 0xd9ff]);
const RIP = 0x5555_1234_5678n, DATA = 0x7fff_8765_4321n;
const OLD = { fop: 0x2ab, fip: 0x1111_2222_3333n, fdp: 0x4444_5555_6666n, ax: 0x5a5a };

const capsule = new Capsule(16, 16, 0);
const cpu = new Cpu(capsule, 0);
const area = cpu.base + CPU.fxState;

interface Vector {
  vector: number; opcode: number; modrm: number; operand16: boolean; written: boolean;
  before: DataView; after: DataView; ax: number; differ: number; changed: number; pointers: number;
  registersIn: Uint8Array; registersOut: Uint8Array; memoryIn: Uint8Array; memoryOut: Uint8Array;
}

const bitCount = (n: number): number => n.toString(2).replaceAll('0', '').length;

function* vectors(file: Uint8Array): Generator<Vector> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  let at = 0;
  const take = (n: number): Uint8Array => file.subarray(at, (at += n));
  while (at < file.length) {
    const head = new DataView(file.buffer, file.byteOffset + at, 24);
    at += 24;
    const differ = head.getUint8(18), changed = head.getUint8(19);
    yield {
      vector: head.getUint8(0), opcode: head.getUint8(1), modrm: head.getUint8(2),
      operand16: (head.getUint8(3) & 1) !== 0, written: (head.getUint8(3) & 2) !== 0,
      before: new DataView(view.buffer, head.byteOffset + 4, 6), after: new DataView(view.buffer, head.byteOffset + 10, 6),
      ax: head.getUint16(16, true), differ, changed, pointers: head.getUint8(20),
      registersIn: take(10 * bitCount(differ)), registersOut: take(10 * bitCount(changed)),
      memoryIn: take(head.getUint8(21)), memoryOut: take(head.getUint8(22)),
    };
  }
}

function filler(i: number): Uint8Array {
  const bytes = new Uint8Array(10);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, 1n << 63n | BigInt(i) << 59n, true);
  view.setUint16(8, 0x3fff + i, true);
  return bytes;
}
const FILLER = Array.from({ length: 8 }, (_, i) => filler(i));

/** Eight registers, of which `mask` names those taken from `packed` and the rest come from `others`. */
function unpack(mask: number, packed: Uint8Array, others: readonly Uint8Array[]): Uint8Array[] {
  let at = 0;
  return others.map((other, i) => (mask >>> i & 1 ? packed.subarray(at, (at += 10)) : other));
}

const hex = (bytes: Uint8Array): string => [...bytes].reverse().map((b) => b.toString(16).padStart(2, '0')).join('');
const word = (n: number): string => n.toString(16).padStart(4, '0');
const flagsOf = (packed: number): number => packed & 0xd5 | (packed & 2) << 10;

/** Loads the state before, executes, and describes the state after; and what it should be. */
function replay(v: Vector): { got: Record<string, string>; want: Record<string, string>; inputs: string } {
  const dv = capsule.dv, registersIn = unpack(v.differ, v.registersIn, FILLER);
  const fcw = v.before.getUint16(0, true), fsw = v.before.getUint16(2, true), pending = (fsw & 0x3f & ~fcw) !== 0;
  dv.setUint16(area + FX.fcw, fcw, true);
  dv.setUint16(area + FX.fsw, pending ? fsw | FSW.es | FSW.b : fsw, true);
  dv.setUint8(area + FX.ftw, v.before.getUint8(4));
  dv.setUint16(area + FX.fop, OLD.fop, true);
  dv.setBigUint64(area + FX.fip, OLD.fip, true);
  dv.setBigUint64(area + FX.fdp, OLD.fdp, true);
  registersIn.forEach((r, i) => capsule.u8.set(r, area + FX.st + 16 * i));
  cpu.set(0, BigInt(OLD.ax));
  x87Memory.fill(0xcc);
  x87Memory.set(v.memoryIn);
  const size = x87Operand(v.opcode, v.modrm, v.operand16).size;
  const rflags = flagsOf(v.before.getUint8(5));
  const result = x87(cpu, v.opcode, v.modrm, { operand16: v.operand16, rip: RIP, data: DATA, rflags });

  const fswOut = v.after.getUint16(2, true), turn = (fswOut >>> 11) - (fsw >>> 11);
  const registersOut = unpack(v.changed, v.registersOut, registersIn.map((_, i) => registersIn[i + turn & 7] as Uint8Array));
  const pointer = (value: number | bigint, old: number | bigint, now: number | bigint): string =>
    value === old ? 'kept' : value === now ? 'set' : value === 0 || value === 0n ? 'zero' : 'other';
  const recorded = (n: number): string => ['kept', 'set', 'zero', 'other'][v.pointers >>> 2 * n & 3] as string;
  const got: Record<string, string> = {
    vector: String(result.vector), fcw: word(dv.getUint16(area + FX.fcw, true)), fsw: word(dv.getUint16(area + FX.fsw, true)),
    ftw: word(dv.getUint8(area + FX.ftw)), flags: word(result.flags < 0 ? rflags : result.flags), ax: word(cpu.lo(0)),
    fip: pointer(dv.getBigUint64(area + FX.fip, true), OLD.fip, RIP),
    fdp: pointer(dv.getBigUint64(area + FX.fdp, true), OLD.fdp, DATA),
    fop: pointer(dv.getUint16(area + FX.fop, true), OLD.fop, (v.opcode & 7) << 8 | v.modrm),
    memory: result.store ? hex(x87Memory.subarray(0, size)) : '',
  };
  const want: Record<string, string> = {
    vector: String(v.vector), fcw: word(v.after.getUint16(0, true)), fsw: word(fswOut), ftw: word(v.after.getUint8(4)),
    flags: word(flagsOf(v.after.getUint8(5))), ax: word(v.ax), fip: recorded(0), fdp: recorded(1), fop: recorded(2),
    memory: hex(v.memoryOut),
  };
  registersOut.forEach((r, i) => {
    got[`st${i}`] = hex(capsule.u8.subarray(area + FX.st + 16 * i, area + FX.st + 16 * i + 10));
    want[`st${i}`] = hex(r);
  });
  const inputs = `fcw ${word(fcw)} fsw ${word(fsw)} ftw ${word(v.before.getUint8(4))} flags ${word(rflags)} ` +
    registersIn.map((r, i) => (i < 2 || v.differ >>> i & 1 ? `st${i} ${hex(r)}` : '')).join(' ') + ` memory ${hex(v.memoryIn)}`;
  return { got, want, inputs };
}

/** Distance in units in the last place of two registers; infinite unless both are finite numbers of one sign. */
function ulps(a: string, b: string): number {
  const order = (s: string): bigint => BigInt(`0x${s.slice(0, 4)}`) << 63n | BigInt.asUintN(63, BigInt(`0x${s.slice(4)}`));
  const distance = order(a) - order(b);
  return Number(distance < 0n ? -distance : distance);
}

/** The names of what differs beyond what the instruction may. */
function mismatches(v: Vector, got: Record<string, string>, want: Record<string, string>): string[] {
  const differing = Object.keys(got).filter((key) => got[key] !== want[key]);
  if (!TRANSCENDENTAL.has(v.opcode << 8 | v.modrm)) return differing;
  return differing.filter((key) => {
    if (key === 'fsw') return ((Number.parseInt(got.fsw as string, 16) ^ Number.parseInt(want.fsw as string, 16)) & ~FSW.c1) !== 0;
    return !key.startsWith('st') || ulps(got[key] as string, want[key] as string) > 1;
  });
}

/** Distances of the transcendental results, by instruction. */
class Distances {
  private readonly rows = new Map<string, { cases: number; equal: number; greatest: number }>();

  note(name: string, got: Record<string, string>, want: Record<string, string>): void {
    const row = this.rows.get(name) ?? { cases: 0, equal: 0, greatest: 0 };
    this.rows.set(name, row);
    const distance = Math.max(...['st0', 'st1'].map((key) => ulps(got[key] as string, want[key] as string)));
    row.cases++;
    if (distance === 0) row.equal++;
    if (distance < 2 ** 20) row.greatest = Math.max(row.greatest, distance);
  }

  toString(): string {
    return [...this.rows].map(([name, { cases, equal, greatest }]) =>
      `${name}: ${(100 * equal / cases).toFixed(1)} % equal, at most ${greatest} ulp`).sort().join('; ');
  }
}

test('every recorded case gives what the real CPU gave', (t) => {
  const distances = new Distances();
  const file = process.env['X87_VECTORS'] ?? new URL('native/x87-vectors.bin.gz', import.meta.url);
  const failures = new Map<string, { count: number; first: string }>();
  const encodings = new Set<number>();
  let cases = 0;
  for (const v of vectors(gunzipSync(readFileSync(file)))) {
    cases++;
    encodings.add(v.opcode << 8 | v.modrm);
    const { got, want, inputs } = replay(v);
    if (TRANSCENDENTAL.has(v.opcode << 8 | v.modrm)) distances.note(x87Name(v.opcode, v.modrm) as string, got, want);
    const wrong = mismatches(v, got, want);
    if (wrong.length === 0) continue;
    const name = `${x87Name(v.opcode, v.modrm) ?? '#UD'} (${v.opcode.toString(16)} ${v.modrm.toString(16)}) ${wrong.join(',')}`;
    const seen = failures.get(name);
    if (seen) seen.count++;
    else failures.set(name, { count: 1, first: `${inputs}: ${wrong.map((key) => `${key} ${got[key]} should be ${want[key]}`).join(', ')}` });
  }
  if (file instanceof URL) assert.equal(encodings.size, 8 * (8 + 64), 'every memory form and every register form has cases');
  t.diagnostic(`${cases} cases; ${distances}`);
  const report = [...failures].map(([name, { count, first }]) => `${name} ${count} ×: ${first}`);
  assert.ok(report.length === 0, report.join('\n'));
});
