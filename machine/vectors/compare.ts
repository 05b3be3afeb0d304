// Compares what an engine did with what the real processor did. Not compared:
//   - status flags that the manual leaves undefined, and results that it specifies only to within an error;
//   - what the recording cannot show: the kernel sets the present bit in error codes of faults in its own half, and
//     IRET to ring 3 turns null selectors with an RPL into 0;
//   - the part of an 80-bit operand or of a far call's frame that was stored before the fault;
//   - the upper half of RSP after a far transfer to 32-bit code: leaving that code again cuts it;
//   - alignment checks: CR0.AM is not modelled;
//   - the upper halves of RCX, RSI and RDI after string instructions with 32-bit addresses, which this processor
//     clears even where nothing was moved, and differently for each instruction.

import { fieldAt, initialImage, TIMED_OUT, type Case, type FieldValue, type MemoryValue, type Outcome } from './case.ts';
import type { TestedRow } from './encoding.ts';
import { FIELD, IMAGE } from './layout.ts';

/** One thing that differs, in words. */
export interface Difference {
  readonly what: string;
  readonly expected: string;
  readonly got: string;
}

const RFLAGS = FIELD['rflags'] as number;
const hex = (bytes: Uint8Array): string => [...bytes].reverse().map((b) => b.toString(16).padStart(2, '0')).join('');
const scratch = new DataView(new ArrayBuffer(IMAGE.size));

/**
 * Differences between two outcomes of a case; none when they agree.
 * @param expected what the real processor did; when it did not stop by itself nothing is compared
 */
export function compare(c: Case, row: TestedRow, expected: Outcome, got: Outcome): Difference[] {
  if (expected.vector === TIMED_OUT || expected.vector === ALIGNMENT_CHECK) return [];
  const out: Difference[] = [];
  const differ = (what: string, e: string, g: string): void => { if (e !== g) out.push({ what, expected: e, got: g }); };
  differ('vector', String(expected.vector), String(got.vector));
  const unknown = expected.vector === PAGE_FAULT && expected.cr2 >= KERNEL_HALF ? PRESENT : 0;
  differ('error code', (expected.error & ~unknown).toString(16), (got.error & ~unknown).toString(16));
  differ('cr2', expected.cr2.toString(16), got.cr2.toString(16));
  compareFields(c, row, expected.fields, got.fields, differ);
  if (!mayStorePartly(row, expected) && !sameMemory(expected.memory, got.memory)) differ('memory', showMemory(expected.memory), showMemory(got.memory));
  return out;
}

const PAGE_FAULT = 14;
const ALIGNMENT_CHECK = 17;
const GENERAL_PROTECTION = 13;
const PRESENT = 1;
const KERNEL_HALF = 0x7fff_ffff_f000n; // Linux: TASK_SIZE_MAX

const STORES_IN_PARTS = /^(FSTP m80|FBSTP|CALLF)/;
const mayStorePartly = (row: TestedRow, o: Outcome): boolean => STORES_IN_PARTS.test(row.name) && (o.vector === PAGE_FAULT || o.vector === GENERAL_PROTECTION);

type Differ = (what: string, expected: string, got: string) => void;

function compareFields(c: Case, row: TestedRow, expected: readonly FieldValue[], got: readonly FieldValue[], differ: Differ): void {
  let i = 0, j = 0;
  while (i < expected.length || j < got.length) {
    const e = expected[i], g = got[j];
    const id = Math.min(e?.field ?? 255, g?.field ?? 255);
    const eBytes = e?.field === id ? (i++, e.bytes) : undefined;
    const gBytes = g?.field === id ? (j++, g.bytes) : undefined;
    if (eBytes && gBytes && sameBytes(eBytes, gBytes)) continue;
    compareField(c, row, id, eBytes ?? initialBytes(c, id), gBytes ?? initialBytes(c, id), differ);
  }
}

function compareField(c: Case, row: TestedRow, id: number, expected: Uint8Array, got: Uint8Array, differ: Differ): void {
  const { name } = fieldAt(id);
  if (id === RFLAGS) { differ(name, showFlags(flagsOf(expected), c.undefinedFlags), showFlags(flagsOf(got), c.undefinedFlags)); return; }
  const tolerance = toleranceOf(c, row, name);
  if (tolerance && tolerance(name, expected, got)) return;
  differ(name, hex(expected), hex(got));
}

function initialBytes(c: Case, id: number): Uint8Array {
  initialImage(c, scratch);
  const { offset, size } = fieldAt(id);
  return new Uint8Array(scratch.buffer.slice(offset, offset + size));
}

function flagsOf(bytes: Uint8Array): number { return (bytes[0] as number) | (bytes[1] as number) << 8 | (bytes[2] as number) << 16; }

const FLAG_NAMES: readonly (readonly [number, string])[] = [
  [1, 'CF'], [4, 'PF'], [0x10, 'AF'], [0x40, 'ZF'], [0x80, 'SF'], [0x100, 'TF'], [0x400, 'DF'], [0x800, 'OF'], [0x4000, 'NT'], [0x4_0000, 'AC'], [0x20_0000, 'ID'],
];
function showFlags(flags: number, undefinedMask: number): string {
  return FLAG_NAMES.filter(([bit]) => flags & bit & ~undefinedMask).map(([, name]) => name).join(' ') || '-';
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((v, i) => v === b[i]);
}
function sameMemory(a: readonly MemoryValue[], b: readonly MemoryValue[]): boolean {
  return a.length === b.length && a.every((m, i) => m.offset === b[i]?.offset && sameBytes(m.bytes, b[i].bytes));
}
function showMemory(memory: readonly MemoryValue[]): string {
  return memory.map((m) => `${m.offset.toString(16)}: ${[...m.bytes].map((b) => b.toString(16).padStart(2, '0')).join(' ')}`).join('; ') || 'unchanged';
}

type Tolerance = (field: string, expected: Uint8Array, got: Uint8Array) => boolean;

const SELECTORS = new Set(['es', 'ds', 'fs', 'gs']);
const nullSelectors: Tolerance = (_, expected, got) => [expected, got].every((v) => v[1] === 0 && (v[0] as number) < 4);

const lowHalf: Tolerance = (_, expected, got) => sameBytes(expected.subarray(0, 4), got.subarray(0, 4));
const ADDRESS_PREFIX = 0x67;
const INTO_32_BIT = /^(JMPF|CALLF|RETF|IRET)/;

/** Relative error that the manual allows RCPPS and its like: 1.5 × 2^-12. */
const APPROXIMATION = 1.5 * 2 ** -12;
const isApproximate = (row: TestedRow): boolean => /^(RCP|RSQRT)[PS]S$/.test(row.name);

/** The x87 transcendentals: within 1 ulp by the manual (SDM vol. 1, 8.3.10), so two of them within 2; C1 follows, and UE beside the smallest normal number. */
const TRANSCENDENTAL = /^(F2XM1|FYL2X|FYL2XP1|FPTAN|FPATAN|FSIN|FCOS|FSINCOS)\b/;
const TRANSCENDENTAL_ULPS = 2n;
const C1 = 0x02; // in the upper byte
const UE = 0x10;

function toleranceOf(c: Case, row: TestedRow, name: string): Tolerance | undefined {
  if (SELECTORS.has(name)) return nullSelectors;
  if (!c.compat && row.rep && c.code.includes(ADDRESS_PREFIX) && /^r(cx|si|di)$/.test(name)) return lowHalf;
  if (!c.compat && name === 'rsp' && INTO_32_BIT.test(row.name)) return lowHalf;
  if (isApproximate(row)) return closeSingles;
  return TRANSCENDENTAL.test(row.name) ? closeExtended : undefined;
}

/** True when 80-bit values are neighbours, counting in units of the last place. */
function closeExtended(field: string, expected: Uint8Array, got: Uint8Array): boolean {
  if (field === 'fsw') {
    const lower = (expected[0] as number) ^ (got[0] as number), upper = (expected[1] as number) ^ (got[1] as number);
    return (lower & ~UE) === 0 && (upper & ~C1) === 0;
  }
  if (!field.startsWith('st')) return false;
  const ordinal = (bytes: Uint8Array): bigint => BigInt((bytes[9] as number) << 8 & 0x7f00 | bytes[8] as number) << 63n
    | new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true) & 0x7fff_ffff_ffff_ffffn;
  const apart = ordinal(expected) - ordinal(got);
  return ((expected[9] as number) ^ (got[9] as number)) < 0x80 && apart <= TRANSCENDENTAL_ULPS && apart >= -TRANSCENDENTAL_ULPS;
}

/** True when each single-precision element is within twice the allowed error: both sides may be off. */
function closeSingles(field: string, expected: Uint8Array, got: Uint8Array): boolean {
  if (!field.startsWith('xmm')) return false;
  const e = new DataView(expected.buffer, expected.byteOffset), g = new DataView(got.buffer, got.byteOffset);
  for (let at = 0; at < 16; at += 4) {
    if (e.getUint32(at, true) === g.getUint32(at, true)) continue;
    const x = e.getFloat32(at, true), y = g.getFloat32(at, true);
    if (!(Math.abs(x - y) <= 2 * APPROXIMATION * Math.abs(x))) return false;
  }
  return true;
}
