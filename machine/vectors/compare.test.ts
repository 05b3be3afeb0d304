import assert from 'node:assert/strict';
import { test } from 'node:test';
import { field, TIMED_OUT, type Case, type Outcome } from './case.ts';
import { compare } from './compare.ts';
import { bytesOf } from './draft.ts';
import type { TestedRow } from './encoding.ts';
import { FLAG } from './layout.ts';

const row = (name: string, rest: Partial<TestedRow> = {}): TestedRow => ({ name, opcode: '90', operands: [], ...rest });
const start: Case = { row: 0, compat: false, seed: 99, codeOffset: 0, code: Uint8Array.of(0x90), undefinedFlags: FLAG.af, fields: [], memory: [] };
const outcome = (fields: Record<string, bigint>, rest: Partial<Outcome> = {}): Outcome => ({
  vector: 3, error: 0, cr2: 0n, memory: [], ...rest,
  fields: Object.entries(fields).map(([name, value]) => ({ field: field(name), bytes: bytesOf(value, name.startsWith('xmm') ? 16 : name.startsWith('st') ? 10 : name.length === 2 && name.endsWith('s') ? 2 : name === 'fsw' ? 2 : 8) })).sort((a, b) => a.field - b.field),
});
const differing = (r: TestedRow, a: Outcome, b: Outcome, c: Case = start): string[] => compare(c, r, a, b).map((d) => d.what);

test('equal outcomes do not differ, and a field that only one side changed does', () => {
  assert.deepEqual(differing(row('ADD'), outcome({ rax: 1n, rip: 5n }), outcome({ rax: 1n, rip: 5n })), []);
  assert.deepEqual(differing(row('ADD'), outcome({ rax: 1n }), outcome({})), ['rax']);
  assert.deepEqual(differing(row('ADD'), outcome({}), outcome({ rbx: 1n })), ['rbx']);
});

test('undefined flags are masked, the others are not', () => {
  assert.deepEqual(differing(row('AND'), outcome({ rflags: BigInt(FLAG.zf | FLAG.af) }), outcome({ rflags: BigInt(FLAG.zf) })), []);
  assert.deepEqual(differing(row('AND'), outcome({ rflags: BigInt(FLAG.zf) }), outcome({ rflags: BigInt(FLAG.cf) })), ['rflags']);
});

test('a case that was given up or met an alignment check is not compared', () => {
  for (const vector of [TIMED_OUT, 17]) assert.deepEqual(differing(row('ADD'), outcome({}, { vector }), outcome({ rax: 1n })), []);
});

test('the present bit counts in the lower half of the address space only', () => {
  const fault = (cr2: bigint, error: number): Outcome => outcome({}, { vector: 14, cr2, error });
  assert.deepEqual(differing(row('MOV'), fault(1n << 63n, 5), fault(1n << 63n, 4)), []);
  assert.deepEqual(differing(row('MOV'), fault(0x1000n, 5), fault(0x1000n, 4)), ['error code']);
});

test('which byte faults counts', () => {
  const fault = (cr2: bigint): Outcome => outcome({}, { vector: 14, cr2, error: 6 });
  assert.deepEqual(differing(row('FNSAVE'), fault(0x1000n), fault(0x1040n)), ['cr2']);
  assert.deepEqual(differing(row('FNSAVE'), fault(0x1000n), fault(0x1000n)), []);
});

test('null selectors are all one', () => {
  assert.deepEqual(differing(row('POP'), outcome({ fs: 0n }), outcome({ fs: 3n })), []);
  assert.deepEqual(differing(row('POP'), outcome({ fs: 0n }), outcome({ fs: 4n })), ['fs']);
});

test('upper halves of string registers are free with 32-bit addresses only', () => {
  const a = outcome({ rcx: 5n }), b = outcome({ rcx: 0xffn << 32n | 5n });
  assert.deepEqual(differing(row('STOS', { rep: 'rep' }), a, b, { ...start, code: Uint8Array.of(0x67, 0xab) }), []);
  assert.deepEqual(differing(row('STOS', { rep: 'rep' }), a, b), ['rcx']);
  assert.deepEqual(differing(row('ADD'), a, b, { ...start, code: Uint8Array.of(0x67, 0xab) }), ['rcx']);
});

test('approximations may differ within their error', () => {
  const one = 0x3f80_0000n;
  assert.deepEqual(differing(row('RCPPS'), outcome({ xmm1: one }), outcome({ xmm1: one + 0x100n })), []);
  assert.deepEqual(differing(row('RCPPS'), outcome({ xmm1: one }), outcome({ xmm1: one + 0x10000n })), ['xmm1']);
  assert.deepEqual(differing(row('ADDPS'), outcome({ xmm1: one }), outcome({ xmm1: one + 1n })), ['xmm1']);
});

test('transcendentals may differ by two units of the last place, other x87 results not at all', () => {
  const value = 0x3fffn << 64n | 0x8000_0000_0000_0000n;
  assert.deepEqual(differing(row('FSIN'), outcome({ st0: value }), outcome({ st0: value + 2n })), []);
  assert.deepEqual(differing(row('FSIN'), outcome({ st0: value }), outcome({ st0: value + 3n })), ['st0']);
  assert.deepEqual(differing(row('FADD'), outcome({ st0: value }), outcome({ st0: value + 1n })), ['st0']);
});
