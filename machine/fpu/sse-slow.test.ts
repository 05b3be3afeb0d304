// Replays what a real CPU did (native/sse-vectors.c, which describes the record) through the exact SSE routine.
//
// Other vectors: SSE_VECTORS=file.bin.gz node --test machine/fpu/sse-slow.test.ts

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Capsule } from '#base/capsule.ts';
import { CPU, FX } from '../cpu-state.ts';
import { sse } from './sse-slow.ts';
import { SSE, SSE_IMMEDIATE_SHIFT, SSE_SCRATCH } from './sse-operation.ts';

const RECORD = 56;
const NAMES = Object.fromEntries(Object.entries(SSE).map(([name, n]) => [n, name]));
const SHAPES = ['ps', 'pd', 'ss', 'sd', 'pi'];

const capsule = new Capsule(16, 16, 0);
const base = capsule.vcpu(0);
const mxcsrAt = base + CPU.fxState + FX.mxcsr;
const hex = (bytes: Uint8Array): string => [...bytes].reverse().map((b) => b.toString(16).padStart(2, '0')).join('');

function replay(record: DataView): { got: string; want: string; inputs: string } {
  const bytes = new Uint8Array(record.buffer, record.byteOffset, RECORD);
  const operation = record.getUint8(0), shape = record.getUint8(1), immediate = record.getUint8(2);
  capsule.u8.set(bytes.subarray(8, 24), base + SSE_SCRATCH.a);
  capsule.u8.set(bytes.subarray(24, 40), base + SSE_SCRATCH.b);
  capsule.dv.setUint32(mxcsrAt, record.getUint16(4, true), true);
  const vector = sse(capsule, base, operation | shape << 8 | immediate << SSE_IMMEDIATE_SHIFT);
  const result = vector ? new Uint8Array(16) : capsule.u8.slice(base + SSE_SCRATCH.result, base + SSE_SCRATCH.result + 16);
  const show = (v: number, mxcsr: number, r: Uint8Array): string => `vector ${v} mxcsr ${mxcsr.toString(16)} result ${hex(r)}`;
  return {
    got: show(vector, capsule.dv.getUint32(mxcsrAt, true), result),
    want: show(record.getUint8(3), record.getUint16(6, true), bytes.subarray(40, 56)),
    inputs: `${NAMES[operation]} ${SHAPES[shape]} imm ${immediate} mxcsr ${record.getUint16(4, true).toString(16)} ${hex(bytes.subarray(8, 24))} ${hex(bytes.subarray(24, 40))}`,
  };
}

test('every recorded operation gives what the real CPU gave', () => {
  const file = gunzipSync(readFileSync(process.env['SSE_VECTORS'] ?? new URL('native/sse-vectors.bin.gz', import.meta.url)));
  const failures = new Map<string, string[]>();
  const seen = new Set<string>();
  for (let at = 0; at < file.length; at += RECORD) {
    const record = new DataView(file.buffer, file.byteOffset + at, RECORD);
    const { got, want, inputs } = replay(record);
    const name = inputs.split(' imm')[0] as string;
    seen.add(name);
    if (got !== want) failures.set(name, [...failures.get(name) ?? [], `${inputs}\n    got  ${got}\n    want ${want}`]);
  }
  assert.ok(seen.size >= 60, `only ${seen.size} of the operations are in the file`);
  assert.equal([...failures].map(([name, list]) => `${name}: ${list.length} wrong, first ${list[0]}`).join('\n'), '');
});
