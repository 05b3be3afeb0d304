// Makes a random test case for a row of the instruction table. Everything follows from the random numbers given, so
// the same seed makes the same cases.

import type { Case } from './case.ts';
import { fieldAt, initialImage } from './case.ts';
import { bytesOf, Draft } from './draft.ts';
import type { TestedRow } from './encoding.ts';
import { CODE, CODE_SIZE, FLAG, IMAGE, SELECTOR, STATUS_FLAGS } from './layout.ts';
import { follower, leader, type Neighbour } from './neighbours.ts';
import { bindOperands } from './operands.ts';
import type { Random } from './random.ts';
import { finish, prepare, prepareSse, prepareX87 } from './specials.ts';
import { undefinedFlags } from './undefined-flags.ts';

/** Percentage of cases that stop by single-stepping: on many virtual machines that costs far more than INT3. */
const STEP_PERCENT = 7;

/** A random case for a row that is number `index` in its list. */
export function generateCase(r: Random, row: TestedRow, index: number): Case {
  const compat = row.mode === 'not64' || (row.mode !== '64' && r.percent(18));
  const d = new Draft(r, row, compat);
  if (compat && r.oneIn(25)) d.choose(r.pick(['es', 'ds', 'fs', 'gs']), BigInt(r.pick([0, SELECTOR.code32])));
  choosePrefixes(d);
  prepare(d);
  bindOperands(d);
  finish(d);
  if (isVector(row)) prepareSse(d);
  if (isX87(d)) prepareX87(d);
  return assemble(d, index);
}

const isVector = (row: TestedRow): boolean => row.operands.some((code) => /^[VWU]/.test(code)) || row.name === 'STMXCSR';
function isX87(d: Draft): boolean {
  const first = d.encoding.opcode[0] as number;
  return (first >= 0xd8 && first <= 0xdf) || first === 0x9b || d.row.operands.some((code) => /^[PQN]/.test(code)) || /^EMMS|^FX|^MOVQ2DQ|^MOVDQ2Q/.test(d.row.name);
}

function choosePrefixes(d: Draft): void {
  const { r, row, encoding } = d;
  const oneByte = encoding.opcode.length === 1 || encoding.opcode[0] !== 0x0f;
  const sized = row.size !== 'b' && !isVector(row);
  if (!encoding.bare || encoding.prefixes.includes(0x66)) d.operandPrefix = encoding.prefixes.includes(0x66) || (sized ? r.percent(22) : oneByte && r.percent(3));
  if (encoding.prefixes.some((p) => p !== 0x66) && /[vyz]\b/.test(row.operands.join(' ')) && r.oneIn(8)) d.operandPrefix = true;
  if (!d.compat) {
    d.rexW = r.percent(sized ? 40 : 8);
    d.rexForced = r.percent(35);
  }
  d.addressPrefix = r.percent(d.compat ? 1 : 8);
  if (row.lock) d.lock = r.percent(20);
  else d.lock = r.percent(1);
  if (oneByte && !row.rep && !encoding.bare && !d.lock && encoding.opcode[0] !== 0x90 && r.percent(2)) d.rep = r.pick([0xf2, 0xf3]);
}

function assemble(d: Draft, index: number): Case {
  const { r } = d;
  const step = r.percent(STEP_PERCENT);
  const shape = step || d.row.ends ? 'alone' : r.percent(22) ? r.pick(['follow', 'lead', 'both'] as const) : 'alone';
  const branches = d.row.flags === 'r' && /^J/.test(d.row.operands[0] ?? '');
  const before = shape === 'lead' || shape === 'both' || (branches && !step && r.oneIn(2)) ? leaderFor(d) : undefined;
  if (r.oneIn(250)) d.padTo(r.pick([15, 15, 16])); // the longest that is legal, and one byte more
  const length = d.assemble(0n).length;
  const codeOffset = chooseCodeOffset(r, length, d);
  const start = BigInt(CODE + codeOffset + (before?.code.length ?? 0));
  const main = d.assemble(start);
  chooseFlags(d, step);
  const seed = r.u32() || 1;
  let undefinedMask = undefinedFlags(d.row, shiftCount(d, seed), d.row.size === 'b' ? 8 : d.operandSize * 8);
  let after: Neighbour | undefined;
  if (shape === 'follow' || shape === 'both') {
    after = followerFor(d, undefinedMask);
    const fetched = codeOffset + (before?.code.length ?? 0) + main.length + (after?.code.length ?? 0) <= CODE_SIZE;
    if (after && fetched) undefinedMask &= ~after.writes;
  }
  const trap = step && needsNop(d) ? [0x90] : [];
  const code = Uint8Array.from([...before?.code ?? [], ...main, ...after?.code ?? [], ...trap]);
  return { row: index, compat: d.compat, seed, codeOffset, code, undefinedFlags: undefinedMask, fields: d.fields(), memory: d.memory };
}

/** Loading SS holds off the single-step trap until after the next instruction. */
const needsNop = (d: Draft): boolean => d.row.opcode === '17' || (d.row.name === 'MOV' && /^S/.test(d.row.operands[0] ?? ''));

/** A leader must not disturb registers that addresses or counts depend on: it only compares then. */
function leaderFor(d: Draft): Neighbour {
  for (let tries = 0; tries < 20; tries++) {
    const n = leader(d.r);
    const opcode = n.code[0] === 0x66 ? n.code[1] : n.code[0];
    if (opcode === 0x39 || opcode === 0x38 || opcode === 0x83) return n;
    const target = (n.code.at(-1) as number) & 7;
    if (!d.isRegisterChosen(target)) return n;
  }
  return { code: Uint8Array.of(0x39, 0xc8), reads: 0, writes: STATUS_FLAGS };
}

function followerFor(d: Draft, undefinedMask: number): Neighbour | undefined {
  for (let tries = 0; tries < 8; tries++) {
    const n = follower(d.r, d.compat);
    if ((n.reads & undefinedMask) === 0) return n;
  }
  return undefined;
}

/** Mostly somewhere in a page; sometimes across two pages, or with its end where nothing is mapped. */
function chooseCodeOffset(r: Random, length: number, d: Draft): number {
  if (d.encoding.modrm === undefined && d.immediates.length === 1 && d.row.ends) return r.between(256, CODE_SIZE - 512); // short jumps stay inside
  const k = r.below(60);
  if (k === 0) return CODE_SIZE - r.between(1, length);
  if (k < 6 && length > 1) return 0x1000 - r.between(1, length - 1);
  return r.between(128, CODE_SIZE - 128);
}

function chooseFlags(d: Draft, step: boolean): void {
  const { r } = d;
  const direction = r.percent(d.row.rep ? 45 : 4);
  if (!step && !direction) return;
  d.choose('rflags', BigInt(0x202 | r.u32() & STATUS_FLAGS | (step ? FLAG.tf : 0) | (direction ? FLAG.df : 0)));
}

const scratch = new DataView(new ArrayBuffer(IMAGE.size));

/** The count of a shift: its immediate, or CL as the case starts with it. */
function shiftCount(d: Draft, seed: number): number | undefined {
  if (d.row.operands.includes('1')) return 1;
  if (!d.row.operands.includes('CL')) return d.immediates[0]?.[0];
  initialImage({ row: 0, compat: d.compat, seed, codeOffset: 0, code: bytesOf(0n, 0), undefinedFlags: 0, fields: d.fields(), memory: [] }, scratch);
  return scratch.getUint8(fieldAt(1).offset);
}
