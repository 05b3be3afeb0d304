import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCase, readOutcome, Reader, writeCase, writeOutcome, Writer } from './codec.ts';
import type { Case, Outcome } from './case.ts';
import { Draft } from './draft.ts';
import { parseOpcode, rowKey, type TestedRow } from './encoding.ts';
import { generateCase } from './generator.ts';
import { CODE_SIZE, FIELD, FLAG } from './layout.ts';
import { Random } from './random.ts';
import { EXCLUDED_ROWS, TESTED_ROWS } from './rows.ts';
import { undefinedFlags } from './undefined-flags.ts';
import { decodeVectors, encodeVectors } from './vector-file.ts';

const row = (name: string, opcode: string, operands: string[], rest: Partial<TestedRow> = {}): TestedRow => ({ name, opcode, operands, ...rest });
const simple: Case = { row: 3, compat: true, seed: 99, codeOffset: 0x1234, code: Uint8Array.of(0x90, 0xcc), undefinedFlags: FLAG.af, fields: [{ field: 2, bytes: new Uint8Array(8).fill(7) }], memory: [{ offset: 0x2fff, bytes: Uint8Array.of(5) }] };
const outcome: Outcome = { vector: 14, error: 6, cr2: 0xffff_8000_0000_1234n, fields: [{ field: FIELD['st3'] as number, bytes: new Uint8Array(10).fill(1) }], memory: [{ offset: 0, bytes: new Uint8Array(300) }] };

test('an opcode string is taken apart', () => {
  assert.deepEqual(parseOpcode('66 0F 38 00 /r'), { prefixes: [0x66], bare: true, rexW: false, opcode: [0x0f, 0x38, 0x00], plusRegister: false, modrm: 'r', immediates: [] });
  assert.deepEqual(parseOpcode('81 /7 id').modrm, 7);
  assert.deepEqual(parseOpcode('81 /7 id').immediates, [4]);
  assert.equal(parseOpcode('50+r').plusRegister, true);
  assert.equal(parseOpcode('NP 0F AE /0').bare, true);
  assert.deepEqual(parseOpcode('E9 cd').opcode, [0xe9]);
  assert.throws(() => parseOpcode('0F zz'), /zz/);
});

test('an instruction is assembled from its fields', () => {
  const d = new Draft(new Random(1), row('ADD', '01 /r', ['Ev', 'Gv']), false);
  d.rexW = true;
  d.reg = 9;
  d.mod = 1;
  d.sib = { scale: 2, index: 12, base: 3 };
  d.displacement = Uint8Array.of(0x10);
  assert.deepEqual([...d.assemble(0n)].slice(-5), [0x4e, 0x01, 0x4c, 0xa3, 0x10]); // add [rbx+r12*4+0x10], r9
});

test('a rip-relative operand and a jump count from the next instruction', () => {
  const d = new Draft(new Random(1), row('JMP', 'E9 cd', ['Jz']), false);
  d.immediates = [new Uint8Array(4)];
  d.jumpTarget = 0x1100n;
  assert.deepEqual([...d.assemble(0x1000n)], [0xe9, 0xfb, 0, 0, 0]);
});

test('cases and outcomes survive their encoding', () => {
  const w = new Writer();
  writeCase(w, simple);
  writeOutcome(w, outcome);
  const r = new Reader(w.take());
  assert.deepEqual(readCase(r), simple);
  assert.deepEqual(readOutcome(r), outcome);
  assert.ok(r.done);
});

test('a recording that ends early is refused', () => {
  const bytes = encodeVectors({ header: { format: 1, processor: 'p', date: '2000-01-01', seed: 1, rows: ['a'] }, vectors: [{ case: simple, outcome }] });
  assert.equal(decodeVectors(bytes).vectors.length, 1);
  assert.throws(() => decodeVectors(bytes.subarray(0, bytes.length - 1)), RangeError);
});

test('the same seed makes the same cases', () => {
  const make = (seed: number): Case[] => {
    const r = new Random(seed);
    return TESTED_ROWS.map((tested, i) => generateCase(r, tested, i));
  };
  assert.deepEqual(make(5), make(5));
  assert.notDeepEqual(make(5), make(6));
});

test('every row has its own key and can be made into cases that fit the code pages', () => {
  const keys = TESTED_ROWS.map(rowKey);
  assert.equal(new Set(keys).size, keys.length);
  const r = new Random(2);
  for (const [i, tested] of TESTED_ROWS.entries()) {
    const key = keys[i] ?? '';
    for (let n = 0; n < 10; n++) {
      const c = generateCase(r, tested, i);
      assert.ok(c.codeOffset >= 0 && c.codeOffset < CODE_SIZE && c.code.length > 0 && c.code.length < 64, key);
      assert.ok(tested.mode !== 'not64' || c.compat, key);
    }
  }
});

test('rows without vectors say why', () => {
  for (const { reason } of EXCLUDED_ROWS) assert.ok(reason.length > 3);
});

test('which flags a shift leaves undefined depends on its count', () => {
  const shl = row('SHL', 'D3 /4', ['Ev', 'CL']);
  assert.equal(undefinedFlags(shl, 0x20, 32), 0);
  assert.equal(undefinedFlags(shl, 1, 32), FLAG.af);
  assert.equal(undefinedFlags(shl, 5, 32), FLAG.af | FLAG.of);
  assert.equal(undefinedFlags(shl, 17, 16), FLAG.af | FLAG.of | FLAG.cf);
});
