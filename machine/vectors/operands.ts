// Binds a row's operand codes (Intel SDM vol. 2, appendix A.2) to registers, memory and immediates of a draft, and
// gives what they hold interesting values.

import { unreachable } from '#base/assert.ts';
import { addressMemory, place } from './address.ts';
import { bytesOf, type Draft } from './draft.ts';
import { CODE, CODE_SIZE } from './layout.ts';
import { float80, immediate, integer, vector } from './values.ts';

const REGISTERS: Record<string, number> = { AL: 0, AH: 4, AX: 0, eAX: 0, rAX: 0, CL: 1, DX: 2 };
const FIXED_SIZE: Record<string, number> = {
  b: 1, w: 2, d: 4, q: 8, dq: 16, x: 16, ps: 16, pd: 16, ss: 4, sd: 8, si: 4, pi: 8, t: 10, s: 10,
};

/** Size in bytes of what an operand code names. */
export function operandSize(d: Draft, code: string): number {
  const suffix = code.slice(1);
  if (suffix === 'v') return d.operandSize;
  if (suffix === 'z') return Math.min(d.operandSize, 4);
  if (suffix === 'y') return d.operandSize === 8 ? 8 : 4;
  if (suffix === 'q64') return d.compat ? 4 : 8;
  if (suffix === 'p') return d.operandSize + 2;
  if (suffix === 'a') return d.operandSize * 2;
  return FIXED_SIZE[suffix] ?? MEMORY_IMAGES[d.row.name.split(' ')[0] as string] ?? 4;
}

/** Instructions whose memory operand is a structure. */
const MEMORY_IMAGES: Record<string, number> = {
  FXSAVE: 512, FXRSTOR: 512, FNSAVE: 108, FSAVE: 108, FRSTOR: 108, FNSTENV: 28, FSTENV: 28, FLDENV: 28, FBLD: 10, FBSTP: 10, CMPXCHG8B: 16,
};

/** What the elements of a row's vector operands are. */
export function vectorKind(row: { readonly name: string }): 'ps' | 'pd' | 'integer' {
  if (/CVT(SI|PI|DQ)2/.test(row.name)) return 'integer';
  const from = /CVTT?([PS][SD])2/.exec(row.name)?.[1] ?? row.name;
  if (/^P[^S]|^MOVD|^MOVQ/.test(from) && !/^PS$|^PD$/.test(from)) return 'integer';
  if (/(P|S)S$|PS$/.test(from)) return 'ps';
  if (/(P|S)D$|(COMI|UCOMI)SD/.test(from)) return 'pd';
  return 'integer';
}

/** Binds every operand of the row. */
export function bindOperands(d: Draft): void {
  const { row } = d;
  const needsRm = d.encoding.modrm !== undefined;
  const inRm = row.operands.find((code) => /^[EMRUNWQ]/.test(code) && !(code in REGISTERS));
  if (needsRm) bindRm(d, inRm ?? 'Ev');
  for (const code of row.operands) if (code !== inRm || !needsRm) bindOther(d, code);
  const named = d.immediates.length;
  if (named === 0) for (const size of d.encoding.immediates) d.immediates.push(bytesOf(immediate(d.r, size), size));
}

function bindRm(d: Draft, code: string): void {
  const letter = code[0] as string;
  const inMemory = letter === 'M' || ('EWQ'.includes(letter) && d.r.percent(d.lock ? 90 : 55));
  const size = operandSize(d, code);
  if (inMemory) {
    const linear = place(d.r, size, d.compat);
    addressMemory(d, linear);
    if (d.r.percent(70)) d.poke(linear, memoryValue(d, code, size));
    return;
  }
  d.mod = 3;
  if ('WU'.includes(letter)) bindVector(d, d.rm = d.r.below(d.registers));
  else if ('QN'.includes(letter)) d.rm = d.r.below(8);
  else bindGeneral(d, d.rm = d.r.below(d.registers), size);
}

function memoryValue(d: Draft, code: string, size: number): Uint8Array {
  if ('WQ'.includes(code[0] as string) || size === 16) return vector(d.r, vectorKind(d.row), Math.max(size, 8)).slice(0, size);
  if (size > 8) return size === 10 ? float80(d.r) : d.r.bytes(size);
  return bytesOf(integer(d.r), size);
}

/** Chooses the value of a general register operand; byte registers 4..7 without REX are AH..BH. */
function bindGeneral(d: Draft, n: number, size: number): void {
  if (!d.r.percent(65)) return;
  const high = size === 1 && n >= 4 && n < 8 && (d.compat || !d.rexForced);
  const value = integer(d.r);
  d.chooseRegister(high ? n - 4 : n, high ? BigInt.asUintN(64, value << 8n | value & 0xffn) : value);
}

function bindVector(d: Draft, n: number): void {
  d.chooseBytes(`xmm${n}`, vector(d.r, vectorKind(d.row)));
}

function bindOther(d: Draft, code: string): void {
  const fixed = REGISTERS[code];
  if (fixed !== undefined) {
    if (d.r.percent(70)) d.chooseRegister(code === 'AH' ? 0 : fixed, integer(d.r));
    return;
  }
  switch (code[0]) {
    case 'G': bindGeneral(d, d.reg = d.r.below(d.registers), operandSize(d, code)); return;
    case 'V': bindVector(d, d.reg = d.r.below(d.registers)); return;
    case 'P': d.reg = d.r.below(8); return;
    case 'Z': bindGeneral(d, d.plus = d.r.below(d.registers), operandSize(d, code)); return;
    case 'S': if (d.encoding.modrm === 'r') d.reg = d.r.below(8); return;
    case 'C': case 'D': d.reg = d.r.below(8); return;
    case 'I': bindImmediate(d, code); return;
    case 'J': bindJump(d, code); return;
    case 'O': bindOffset(d, code); return;
    case 'A': d.immediates.push(bytesOf(integer(d.r), operandSize(d, code))); return;
    default: if (!/^(Mxlat|BD[qx]|none|U|E|M|X|Y|F|ST|1)$/.test(code)) unreachable(`operand code ${code}`);
  }
}

function bindImmediate(d: Draft, code: string): void {
  const size = operandSize(d, code);
  d.immediates.push(bytesOf(immediate(d.r, size), size));
}

/** Near jumps go to the code pages, to places that hold INT3; sometimes into the arena or nowhere. */
function bindJump(d: Draft, code: string): void {
  const size = code === 'Jb' ? 1 : d.compat && d.operandPrefix ? 2 : 4;
  if (size === 1) {
    d.immediates.push(bytesOf(BigInt(d.r.oneIn(2) ? d.r.between(4, 127) : d.r.between(-128, -20)), 1));
    return;
  }
  d.immediates.push(new Uint8Array(size));
  d.jumpTarget = codeTarget(d);
}

/** An address to jump to. */
export function codeTarget(d: Draft): bigint {
  if (d.r.oneIn(8)) return place(d.r, 1, true);
  return BigInt(CODE + d.r.below(CODE_SIZE));
}

/** The offset operand of MOV AL/rAX, moffs. */
function bindOffset(d: Draft, code: string): void {
  const size = operandSize(d, code);
  const linear = place(d.r, size, d.compat);
  d.memoryOperand = linear;
  if (d.addressBits === 16) d.segment = 0x64;
  else if (d.r.oneIn(4)) d.segment = d.r.pick([0x64, 0x65, 0x36]);
  const offset = BigInt.asUintN(d.addressBits, linear - d.segmentBase());
  if (d.addressBits === 16) d.choose('fsBase', BigInt.asUintN(32, linear - offset));
  d.immediates.push(bytesOf(offset, d.addressBits / 8));
  if (d.r.percent(70)) d.poke(linear, memoryValue(d, code, size));
}
