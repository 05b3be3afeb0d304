import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REG } from '../cpu-state.ts';
import { ROWS } from '../isa/table.ts';
import { effectsOf, FLAGS, type Effects } from './effects.ts';
import { handlerModule } from './handler-module.ts';
import type { HandlerSpec } from './handler-spec.ts';
import { livenessOf } from './liveness.ts';
import { REC } from './record.ts';
import { newContext, type Node, type Step } from './region.ts';

const { calls } = handlerModule('test');
const { rax: RAX, rcx: RCX, rdx: RDX, rbx: RBX, rsp: RSP, rsi: RSI, rdi: RDI } = REG;
const bits = (...registers: number[]): number => registers.reduce((all, r) => all | 1 << r, 0);

interface Fields { readonly r1?: number; readonly r2?: number; readonly base?: number }
const dv = new DataView(new ArrayBuffer(1 << 12));
let next = 0;
function step(name: string, opcode: string, { r1 = 0, r2 = 0, base = 0 }: Fields, how: Partial<HandlerSpec> = {}): Step & { readonly spec: HandlerSpec } {
  const row = ROWS.findIndex((r) => r.name === name && r.opcode.startsWith(opcode));
  assert.ok(row >= 0, `${name} ${opcode}`);
  const record = next += REC.size;
  for (const [field, n] of [[REC.r1, r1], [REC.r2, r2], [REC.base, base]] as const) dv.setUint16(record + field, n * 8, true);
  return { record, jump: undefined, spec: { row, opSize: 64, addrSize: 64, mode64: true, rep: '', form: 'r', dead: false, fused: -1, ...how } };
}
const effects = (...instruction: Parameters<typeof step>): Effects => {
  const { spec, record } = step(...instruction);
  return effectsOf(spec, dv, record, calls);
};

test('what an instruction reads, writes, and does not need the old value of', () => {
  assert.deepEqual(effects('MOV', '8B', { r1: RDX, base: RBX }, { form: 'm' }), { reads: bits(RBX), writes: bits(RDX), kills: bits(RDX), isRepeated: false });
  assert.deepEqual(effects('MOV', '8B', { r1: RDX, base: RDX }, { form: 'm' }), { reads: bits(RDX), writes: bits(RDX), kills: 0, isRepeated: false }, 'its own base');
  assert.deepEqual(effects('MOV', '8B', { r1: RDX, r2: RBX }, { opSize: 16 }), { reads: bits(RDX, RBX), writes: bits(RDX), kills: 0, isRepeated: false }, 'a part of a register');
  assert.deepEqual(effects('MOV', '8B', { r1: RDX, r2: RBX }, { opSize: 32 }).kills, bits(RDX), 'an upper half that is cleared');
  assert.deepEqual(effects('ADD', '03', { r1: RDX, r2: RBX }), { reads: bits(RDX, RBX), writes: bits(RDX) | FLAGS, kills: FLAGS, isRepeated: false });
  assert.deepEqual(effects('ADD', '03', { r1: RDX, r2: RBX }, { dead: true }).writes, bits(RDX), 'flags that nobody will see');
  assert.deepEqual(effects('ADC', '13', { r1: RDX, r2: RBX }).reads, bits(RDX, RBX) | FLAGS);
  assert.deepEqual(effects('PUSH', '50', { r2: RBX }), { reads: bits(RBX, RSP), writes: bits(RSP), kills: 0, isRepeated: false });
});

test('registers and flags that are written under a condition are needed before', () => {
  const shift = effects('SHL', 'D3', { r2: RDX });
  assert.equal(shift.kills, 0);
  assert.equal(shift.reads, bits(RDX, RCX) | FLAGS);
  assert.equal(effects('CMPXCHG', '0F B1', { r1: RBX, r2: RDX }).reads & bits(RAX, RBX, RDX), bits(RAX, RBX, RDX));
});

test('rounds of a repeated instruction see what earlier ones have written', () => {
  const move = effects('MOVS', 'A5', {}, { rep: 'rep' });
  assert.equal(move.isRepeated, true);
  assert.equal(move.writes, bits(RCX, RSI, RDI));
  assert.equal(move.kills, 0);
});

/** A block of a region, without what says where it is. */
function node(...steps: Step[]): Node {
  const block = { record: 0, start: 0, mfn: 0, secondMfn: -1, steps, heat: 0 };
  return { block, context: newContext(0, undefined), steps, jumps: new Map(), next: undefined, retired: 0, leavesTo: undefined, returnTo: undefined, after: undefined, computed: [] };
}
const move = (to: number, from: number): Step => step('MOV', '8B', { r1: to, r2: from });
const jump = (): Step => ({ record: 0, spec: 'goto', jump: undefined });

test('a register that a loop writes is there where the loop begins, and may differ from the context', () => {
  const loop = node(move(RDX, RBX), jump());
  loop.jumps.set(1, loop);
  const { needed, differing } = livenessOf({ nodes: [loop], entry: loop }, dv, calls).get(loop) ?? assert.fail();
  assert.equal(needed, bits(RDX, RBX));
  assert.equal(differing, bits(RDX));
});

test('where one way writes a register, the other has it too', () => {
  const entry = node(jump(), jump()), writes = node(move(RDX, RBX), jump()), joined = node(move(RAX, RCX));
  entry.jumps.set(0, writes).set(1, joined);
  writes.jumps.set(1, joined);
  const liveness = livenessOf({ nodes: [entry, writes, joined], entry }, dv, calls);
  assert.equal(liveness.get(joined)?.differing, bits(RDX));
  assert.equal(liveness.get(entry)?.needed, bits(RDX, RBX, RCX));
});

test('behind a call registers are taken from the context that are used before the next one, and none differs', () => {
  const before = node(move(RDX, RBX), jump()), behind = node(move(RAX, RCX), move(RSI, RAX), jump()), later = node(move(RDI, RDX));
  before.after = behind;
  behind.after = later;
  const liveness = livenessOf({ nodes: [before, behind, later], entry: before }, dv, calls);
  assert.deepEqual([before, behind, later].map((n) => liveness.get(n)?.needed), [bits(RBX), bits(RCX), bits(RDX)]);
  assert.equal(liveness.get(behind)?.differing, 0);
});
