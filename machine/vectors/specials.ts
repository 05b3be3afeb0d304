// What single instructions need beyond their operands so that a random case is not nearly always the same fault:
// pointers and counts of string instructions, a stack, dividends that fit, valid control words and selectors.

import { place, stackPlace } from './address.ts';
import { bytesOf, type Draft } from './draft.ts';
import { SELECTOR, STACK } from './layout.ts';
import { codeTarget, operandSize } from './operands.ts';
import { float32, float64, float80, integer } from './values.ts';

const RAX = 0, RCX = 1, RDX = 2, RBX = 3, RSP = 4, RBP = 5, RSI = 6, RDI = 7;
/** Selectors that mean something in ring 3: null, the flat ones, and some that must be refused. */
const SELECTORS = [0, 0, 3, SELECTOR.data, SELECTOR.data, SELECTOR.code64, SELECTOR.code32, 0x10, 0x18, 0x28, 0x04, 0xfff8, 0x2a];

/** A selector for a far transfer: of code, mostly. */
const codeSelector = (d: Draft): bigint => BigInt(d.r.percent(75) ? d.r.pick([SELECTOR.code64, SELECTOR.code32]) : d.r.pick(SELECTORS));

const POP_SEGMENT = /^(07|17|1F|0F A[19])$/;

/** Runs before the operands are bound: what they must not take for themselves. */
export function prepare(d: Draft): void {
  const { name } = d.row;
  if (d.row.rep) prepareString(d);
  else if (isStack(name)) prepareStack(d);
  else if (/^LOOP|^J(E|R)?CXZ/.test(name)) d.chooseRegister(RCX, counter(d));
  else if (/^I?DIV$/.test(name)) prepareDivision(d);
  else if (/^CMPXCHG/.test(name)) d.choose('rax', integer(d.r));
  else if (name === 'XLAT' || name === 'XLATB') pointer(d, RBX, place(d.r, 256, d.compat));
  else if (/^MASKMOV/.test(name)) pointer(d, RDI, place(d.r, 16, d.compat));
  if (/^PCMP[EI]STR/.test(name)) { d.choose('rax', BigInt(d.r.between(-20, 20))); d.choose('rdx', BigInt(d.r.between(-20, 20))); }
}

/** Runs after the operands are bound: what memory and registers hold. */
export function finish(d: Draft): void {
  const { name } = d.row;
  if (/^(JMP|CALL)/.test(name)) finishJump(d);
  else if (/^BT/.test(name)) finishBitTest(d);
  else if (/^SH[LR]D$/.test(name)) finishDoubleShift(d);
  else if (/^(SH|SA|RO|RC)[LR]$/.test(name)) finishShift(d);
  else if (/^CMPXCHG/.test(name)) finishCompareExchange(d);
  else if (/^LDMXCSR$/.test(name)) pokeOperand(d, d.r.percent(75) ? BigInt(d.r.u32() & 0xffff) : BigInt(d.r.u32()), 4);
  else if (/^FXRSTOR/.test(name)) finishFxrstor(d);
  else if (/^(LAR|LSL|VERR|VERW|ARPL|L[DEFGS]S)$/.test(name) || d.row.operands[0]?.startsWith('S')) finishSelector(d);
  else if (/^BSWAP$/.test(name)) d.operandPrefix = false; // 16-bit BSWAP is undefined
}

/** x87 and MMX state: a full stack of special values, control word and status as a program may have them. */
export function prepareX87(d: Draft): void {
  const { r } = d;
  const rounding = r.below(4) << 10;
  const precision = r.pick([3, 3, 3, 2, 0, 1]) << 8;
  d.choose('fcw', BigInt(0x40 | rounding | precision | (r.percent(85) ? 0x3f : r.u32() & 0x3f)));
  const fcw = Number(d.chosenValue('fcw'));
  const sticky = r.oneIn(3) ? r.u32() & 0x7f & (r.oneIn(10) ? 0x7f : fcw & 0x3f | 0x40) : 0;
  const summary = sticky & ~fcw & 0x3f ? 0x8080 : 0;
  d.choose('fsw', BigInt(r.below(8) << 11 | (r.u32() & 0x4700) | sticky | summary));
  d.choose('ftw', BigInt(r.pick([0xff, 0xff, 0xff, 0xff, 0, r.u32() & 0xff])));
  for (let i = 0; i < 8; i++) if (i < 2 || r.oneIn(4)) d.chooseBytes(`st${i}`, float80(r));
  if (d.memoryOperand === undefined) return;
  const letter = d.row.operands.find((code) => code.startsWith('M'));
  const size = letter ? operandSize(d, letter) : 8;
  if (/int$|bcd$/.test(d.row.name)) return;
  if (size === 4) d.poke(d.memoryOperand, bytesOf(BigInt(float32(r)), 4));
  else if (size === 8) d.poke(d.memoryOperand, bytesOf(float64(r), 8));
  else if (size === 10) d.poke(d.memoryOperand, float80(r));
}

/** MXCSR: rounding, DAZ, FTZ, sticky flags; exceptions mostly masked. */
export function prepareSse(d: Draft): void {
  const { r } = d;
  if (r.oneIn(4)) return;
  if (r.oneIn(3)) { // as programs have it after their first inexact result
    d.choose('mxcsr', BigInt(0x1fa0 | r.u32() & 0x1f));
    return;
  }
  const masks = r.percent(85) ? 0x1f80 : r.u32() & 0x1f80;
  const flush = r.oneIn(4) ? r.u32() & 0x8040 : 0;
  d.choose('mxcsr', BigInt(masks | flush | r.below(4) << 13 | (r.oneIn(3) ? r.u32() & 0x3f : 0)));
}

function pointer(d: Draft, n: number, linear: bigint, base = 0n): void {
  const offset = BigInt.asUintN(d.addressBits, linear - base);
  d.chooseRegister(n, d.addressBits === 32 && !d.compat && d.r.oneIn(2) ? offset | BigInt(d.r.u32()) << 32n : offset);
}

/** A loop count of the address size; the rest of the register is noise. */
function counter(d: Draft): bigint {
  const n = BigInt(d.r.pick([0, 1, 2, 3, 5, 17]));
  if (d.addressBits === 64) return n;
  return n | d.r.u64() >> BigInt(d.addressBits) << BigInt(d.addressBits);
}

function prepareString(d: Draft): void {
  const { r } = d;
  const element = d.row.size === 'b' ? 1 : d.operandSize;
  if (d.row.rep && r.percent(65)) d.rep = r.pick([0xf2, 0xf3]);
  const count = r.oneIn(30) ? r.below(3000) : r.oneIn(8) ? 0 : r.between(1, 24);
  const span = element * Math.max(1, Math.min(count, 64));
  if (r.oneIn(6)) d.segment = r.pick([0x64, 0x65, 0x36, 0x3e]);
  if (d.addressBits === 16) return;
  const source = place(r, span, d.compat);
  const target = r.oneIn(6) ? source + BigInt(r.between(-9, 9)) : place(r, span, d.compat);
  pointer(d, RSI, source, d.segmentBase());
  pointer(d, RDI, target);
  d.chooseRegister(RCX, d.addressBits === 64 || d.compat ? BigInt(count) : BigInt(count) | BigInt(r.u32()) << 32n);
  if (d.row.rep === 'repz' && r.percent(70)) pokeEqualRuns(d, source, target, span, element);
}

/** Equal bytes at source and target (and in rax), so that a repeated compare or scan goes on for a while. */
function pokeEqualRuns(d: Draft, source: bigint, target: bigint, span: number, element: number): void {
  const unit = bytesOf(integer(d.r), element);
  d.choose('rax', BigInt.asUintN(64, unit.reduceRight((n, b) => n << 8n | BigInt(b), 0n) | d.r.u64() << BigInt(element * 8)));
  const run = new Uint8Array(Math.min(span, 96));
  for (let i = 0; i < run.length; i++) run[i] = unit[i % element] as number;
  d.poke(source, run);
  if (d.r.oneIn(2)) { const other = run.slice(); other[d.r.below(other.length)] = d.r.u32(); d.poke(target, other); } else d.poke(target, run);
}

const isStack = (name: string): boolean => /^(PUSH|POP(?!CNT)|CALL|RET|ENTER|LEAVE|IRET)/.test(name);

function prepareStack(d: Draft): void {
  const { r, row } = d;
  const size = /^(PUSHA|POPA)/.test(row.name) ? 8 * d.operandSize : d.operandSize;
  const pushes = /^(PUSH|CALL|ENTER)/.test(row.name);
  const far = /F$|^IRET/.test(row.name) && row.name !== 'PUSHF' && row.name !== 'POPF';
  const sp = BigInt.asUintN(64, stackPlace(r, size, pushes, d.compat || far));
  if (/^(ENTER|LEAVE)/.test(row.name)) d.chooseRegister(RBP, BigInt.asUintN(64, r.oneIn(2) ? stackPlace(r, size, true, d.compat) : place(r, size, d.compat)));
  d.chooseRegister(RSP, sp);
  if (/^POPF/.test(row.name)) d.poke(sp, bytesOf(integer(r) ^ BigInt(r.u32() & 0x24_7fd5), size));
  else if (POP_SEGMENT.test(row.opcode)) d.poke(sp, bytesOf(BigInt(r.pick(SELECTORS)), size));
  else if (/^IRET/.test(row.name)) pokeInterruptFrame(d, sp, size);
  else if (/^RET/.test(row.name)) {
    d.poke(sp, bytesOf(BigInt.asUintN(64, r.oneIn(12) && !d.compat ? 0x8000_0000_0000n : codeTarget(d)), size));
    if (/^RETF/.test(row.name)) d.poke(sp + BigInt(size), bytesOf(codeSelector(d), 2));
  } else if (!pushes) d.poke(sp, bytesOf(integer(r), size > 8 ? 8 : size));
}

/** rip, cs, flags, and in 64-bit mode rsp and ss: what IRET takes from the stack. */
function pokeInterruptFrame(d: Draft, sp: bigint, size: number): void {
  const { r, compat } = d;
  const frame = [
    BigInt.asUintN(64, codeTarget(d)), BigInt(r.percent(70) ? (compat ? SELECTOR.code32 : SELECTOR.code64) : r.pick(SELECTORS)),
    BigInt(r.u32() & 0x24_4ed5), BigInt(STACK - r.below(64)), BigInt(r.percent(80) ? SELECTOR.data : r.pick(SELECTORS)),
  ];
  for (const [i, value] of frame.entries()) d.poke(sp + BigInt(i * size), bytesOf(value, size));
}

function prepareDivision(d: Draft): void {
  const { r } = d;
  if (r.oneIn(3)) return;
  const low = integer(r);
  d.chooseRegister(RAX, low);
  const sign = d.row.name === 'IDIV' && low >> BigInt(8 * d.operandSize - 1) & 1n ? 0xffff_ffff_ffff_ffffn : 0n;
  d.chooseRegister(RDX, r.oneIn(3) ? BigInt(r.below(300)) : sign);
}

function pokeOperand(d: Draft, value: bigint, size: number): void {
  if (d.memoryOperand !== undefined) d.poke(d.memoryOperand, bytesOf(value, size));
}

/** Indirect jumps: a target that can be fetched, mostly; far ones with a selector behind it. */
function finishJump(d: Draft): void {
  if (d.encoding.modrm === undefined) {
    if (/^A/.test(d.row.operands[0] ?? '')) d.immediates = [bytesOf(BigInt.asUintN(32, codeTarget(d)), Math.min(4, d.operandSize)), bytesOf(codeSelector(d), 2)];
    return;
  }
  const target = d.r.oneIn(12) && !d.compat ? d.r.u64() : codeTarget(d);
  if (d.memoryOperand === undefined) { d.setRegister(d.rm, target); return; }
  pokeOperand(d, BigInt.asUintN(64, target), d.operandSize);
  if (/p$/.test(d.row.operands[0] ?? '')) d.poke(d.memoryOperand + BigInt(d.operandSize), bytesOf(codeSelector(d), 2));
}

/** A bit offset in a register reaches far beyond the operand: keep most of them near. */
function finishBitTest(d: Draft): void {
  if (d.memoryOperand === undefined || d.encoding.modrm !== 'r') return;
  const reach = d.r.pick([7, 63, 200, 0x4000]);
  d.setRegister(d.reg, BigInt.asUintN(64, BigInt(d.r.between(-reach, reach))));
}

function shiftAmount(d: Draft, largest: number): number {
  return d.r.oneIn(3) ? d.r.pick([0, 1, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 0x80, 0xff]) & largest : d.r.u32() & largest;
}
function finishShift(d: Draft): void {
  setCount(d, shiftAmount(d, 0xff));
}
/** A 16-bit double shift by more than 16 is undefined, result included. */
function finishDoubleShift(d: Draft): void {
  setCount(d, d.operandSize === 2 ? d.r.below(17) | d.r.u32() & 0xe0 : shiftAmount(d, 0xff));
}
function setCount(d: Draft, count: number): void {
  if (d.immediates.length > 0) d.immediates = [Uint8Array.of(count)];
  else if (d.row.operands.includes('CL')) d.setRegisterLow(RCX, count);
}

function finishCompareExchange(d: Draft): void {
  if (d.r.oneIn(2)) return;
  if (d.memoryOperand === undefined) { d.setRegister(d.rm, d.chosenValue('rax') ?? 0n); return; }
  const size = d.operandSize;
  const rax = d.chosenValue('rax') ?? 0n;
  if (!/^CMPXCHG(8|16)B/.test(d.row.name)) { pokeOperand(d, rax, d.row.size === 'b' ? 1 : size); return; }
  const half = size === 8 ? 8 : 4;
  d.choose('rdx', integer(d.r));
  pokeOperand(d, rax, half);
  d.poke(d.memoryOperand + BigInt(half), bytesOf(d.chosenValue('rdx') ?? 0n, half));
}

function finishFxrstor(d: Draft): void {
  if (d.memoryOperand === undefined) return;
  const image = d.r.bytes(416);
  const view = new DataView(image.buffer);
  view.setUint16(0, 0x37f, true);
  view.setUint16(2, d.r.u32() & 0x3f00, true);
  view.setUint16(6, d.r.u32() & 0x7ff, true);
  view.setBigUint64(8, BigInt.asUintN(64, BigInt.asIntN(47, d.r.u64())), true); // how non-canonical pointers are cut depends on the processor
  view.setBigUint64(16, BigInt.asUintN(64, BigInt.asIntN(47, d.r.u64())), true);
  view.setUint32(24, d.r.percent(85) ? d.r.u32() & 0xffff : d.r.u32(), true);
  for (let i = 0; i < 8; i++) image.set(float80(d.r), 32 + 16 * i);
  d.poke(d.memoryOperand, image);
}

function finishSelector(d: Draft): void {
  const selector = BigInt(d.r.pick(SELECTORS));
  if (/^L[DEFGS]S$/.test(d.row.name)) { if (d.memoryOperand !== undefined) d.poke(d.memoryOperand + BigInt(d.operandSize), bytesOf(selector, 2)); } else if (d.memoryOperand !== undefined) pokeOperand(d, selector, 2);
  else if (d.encoding.modrm !== undefined) d.setRegister(d.rm, selector | (d.r.oneIn(2) ? d.r.u64() << 16n : 0n));
}
