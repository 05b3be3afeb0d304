// Where a memory operand lies, and by which addressing form it is reached. The place comes first (inside a page,
// across two, read-only, unmapped, non-canonical), then a form, then the register values that lead there.

import { bytesOf, SEGMENT_PREFIX, type Draft } from './draft.ts';
import { ARENA, ARENA_SIZE, ARENA_WRITABLE } from './layout.ts';
import type { Random } from './random.ts';

const PAGE = 0x1000;
const TOP = 0x1_0000_0000n;
const NO_INDEX = 4;

/** A linear address for an access of `size` bytes: mostly harmless, sometimes at the edge of something. */
export function place(r: Random, size: number, compat: boolean): bigint {
  const arena = BigInt(ARENA);
  const across = (boundary: number): bigint => arena + BigInt(boundary - (size > 1 ? r.between(1, size - 1) : r.below(2)));
  switch (r.below(40)) {
    case 0: case 1: case 2: return across(PAGE);
    case 3: return across(ARENA_WRITABLE);
    case 4: return across(ARENA_SIZE);
    case 5: return across(0);
    case 6: return arena + BigInt(ARENA_WRITABLE + r.below(PAGE - size + 1));
    case 7: return arena + BigInt(ARENA_SIZE + r.below(PAGE));
    case 8: return !compat ? nonCanonical(r) : r.oneIn(2) ? arena - BigInt(r.between(1, PAGE)) : TOP - BigInt(r.between(1, 2 * size));
    default: {
      const at = r.below(Math.max(1, ARENA_WRITABLE - size));
      return arena + BigInt(r.oneIn(3) ? at : size >= 16 || r.oneIn(2) ? at & ~15 : at & -size);
    }
  }
}

function nonCanonical(r: Random): bigint {
  if (r.oneIn(4)) return r.pick([0x8000_0000_0000n, 0x7fff_ffff_ffff_ffffn, 0x1_0000_0000_0000n]) + BigInt(r.below(64));
  return 1n << BigInt(r.between(48, 62)) | r.u64() & 0x7fff_ffff_ffffn;
}

/** A stack pointer such that `size` bytes above (pop) or below it (push) are accessed. */
export function stackPlace(r: Random, size: number, pushes: boolean, compat: boolean): bigint {
  const at = r.oneIn(2) ? BigInt(ARENA + r.below(ARENA_WRITABLE - 64) & ~7) + 32n : place(r, size, compat);
  return pushes ? at + BigInt(size) : at;
}

/** Gives the draft a memory operand at a linear address. */
export function addressMemory(d: Draft, linear: bigint): void {
  d.memoryOperand = linear;
  chooseSegment(d, linear);
  if (d.addressBits === 16) address16(d, linear);
  else addressModRm(d, linear);
}

function chooseSegment(d: Draft, linear: bigint): void {
  const { r } = d;
  if (d.segment === 0 && r.oneIn(6)) d.segment = r.oneIn(3) ? r.pick([0x26, 0x2e, 0x36, 0x3e]) : r.pick([0x64, 0x65]);
  if (d.segment !== SEGMENT_PREFIX.fs && d.segment !== SEGMENT_PREFIX.gs) return;
  const name = d.segment === SEGMENT_PREFIX.fs ? 'fsBase' : 'gsBase';
  if (d.addressBits === 64 && r.oneIn(3)) d.choose(name, r.u64() & 0x7fff_ffff_ffffn);
  else if (r.oneIn(3)) d.choose(name, linear - BigInt(r.below(0x1000)) & 0x7fff_ffff_ffffn);
}

/** A displacement of 8 or 32 bits, as the number that it means. */
function displacement(r: Random, size: 0 | 1 | 4): bigint {
  if (size === 0) return 0n;
  if (size === 1) return BigInt(r.between(-128, 127));
  return BigInt(r.oneIn(2) ? r.between(-0x4000, 0x4000) : r.u32() | 0);
}

function addressModRm(d: Draft, linear: bigint): void {
  const { r } = d;
  const bits = d.addressBits;
  const offset = BigInt.asUintN(bits, linear - d.segmentBase());
  const form = r.below(10);
  if (form === 0 && !d.compat && reachable(offset, bits, 0x1000_1000n)) addressRip(d, offset);
  else if (form <= 1 && reachable(offset, bits, 0n)) addressAbsolute(d, offset);
  else if (form <= 5) addressBase(d, offset);
  else addressIndexed(d, offset);
}

/** True when a signed 32-bit displacement leads from `origin` (give or take the code's size) to an offset. */
function reachable(offset: bigint, bits: number, origin: bigint): boolean {
  if (bits === 32) return true;
  const delta = BigInt.asIntN(64, offset - origin);
  return delta >= -0x7fff_0000n && delta < 0x7fff_0000n;
}

function addressRip(d: Draft, offset: bigint): void {
  d.mod = 0;
  d.rm = 5;
  d.ripTarget = offset;
  d.displacement = new Uint8Array(4);
}

function addressAbsolute(d: Draft, offset: bigint): void {
  d.mod = 0;
  d.displacement = bytesOf(BigInt.asUintN(32, offset), 4);
  if (d.compat && d.r.oneIn(2)) d.rm = 5;
  else d.sib = { scale: d.r.below(4), index: NO_INDEX, base: 5 };
}

/** A general register whose value is still free; rsp only where it may be. */
function freeRegister(d: Draft, avoid: number): number {
  for (let tries = 0; tries < 40; tries++) {
    const n = d.r.below(d.registers);
    if (n !== avoid && !d.isRegisterChosen(n)) return n;
  }
  return d.isRegisterChosen(3) ? 7 : 3;
}

/** A register value whose low bits are `low`: what lies above the address size does not count. */
function registerValue(d: Draft, low: bigint): bigint {
  if (d.addressBits === 64 || d.compat || d.r.oneIn(2)) return low;
  return low | BigInt(d.r.u32()) << 32n;
}

function displacementSize(d: Draft, base: number): 0 | 1 | 4 {
  const size = d.r.pick([0, 1, 4] as const);
  return size === 0 && (base & 7) === 5 ? 1 : size;
}
const MOD = { 0: 0, 1: 1, 4: 2 } as const;

function addressBase(d: Draft, offset: bigint): void {
  const base = freeRegister(d, -1);
  const size = displacementSize(d, base);
  const disp = displacement(d.r, size);
  d.mod = MOD[size];
  d.displacement = bytesOf(disp, size);
  d.chooseRegister(base, registerValue(d, BigInt.asUintN(d.addressBits, offset - disp)));
  if ((base & 7) === 4 || d.r.oneIn(8)) d.sib = { scale: d.r.below(4), index: NO_INDEX, base };
  else d.rm = base;
}

function addressIndexed(d: Draft, offset: bigint): void {
  const { r } = d;
  let index = freeRegister(d, NO_INDEX);
  if (index === NO_INDEX) index = 5;
  const scale = r.below(4);
  if (r.oneIn(4)) { addressIndexOnly(d, offset, index, scale); return; }
  const base = freeRegister(d, index);
  if (base === index) { addressBase(d, offset); return; }
  const value = r.oneIn(3) ? r.u64() : BigInt.asUintN(64, BigInt(r.between(-64, 64)));
  const size = displacementSize(d, base);
  const disp = displacement(r, size);
  d.mod = MOD[size];
  d.displacement = bytesOf(disp, size);
  d.sib = { scale, index, base };
  d.chooseRegister(index, registerValue(d, BigInt.asUintN(d.addressBits, value)));
  d.chooseRegister(base, registerValue(d, BigInt.asUintN(d.addressBits, offset - disp - (value << BigInt(scale)))));
}

function addressIndexOnly(d: Draft, offset: bigint, index: number, scale: number): void {
  const disp = BigInt(d.r.between(-0x4000, 0x4000)) * 8n + (offset & 7n);
  const product = BigInt.asUintN(d.addressBits, offset - disp);
  let value = product >> BigInt(scale);
  if (scale > 0 && d.r.oneIn(3)) value |= BigInt(d.r.below(1 << scale)) << BigInt(d.addressBits - scale); // shifted out again
  d.mod = 0;
  d.displacement = bytesOf(disp, 4);
  d.sib = { scale, index, base: 5 };
  d.chooseRegister(index, registerValue(d, value));
}

const BASES_16: readonly (readonly number[])[] = [[3, 6], [3, 7], [5, 6], [5, 7], [6], [7], [5], [3]];

/** 16-bit addressing reaches the arena through a segment base only. */
function address16(d: Draft, linear: bigint): void {
  const { r } = d;
  if (d.segment !== SEGMENT_PREFIX.fs && d.segment !== SEGMENT_PREFIX.gs) d.segment = r.pick([0x64, 0x65]);
  d.rm = r.below(8);
  d.mod = r.below(3);
  const size = d.mod === 0 ? (d.rm === 6 ? 2 : 0) : d.mod;
  const disp = BigInt.asIntN(size * 8 || 1, r.u64());
  d.displacement = bytesOf(disp, size);
  let offset = size === 0 ? 0n : disp;
  for (const base of d.mod === 0 && d.rm === 6 ? [] : BASES_16[d.rm] ?? []) {
    d.chooseRegister(base, BigInt(r.u32()));
    offset += d.chosenValue(['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'][base] as string) ?? 0n;
  }
  d.choose(d.segment === SEGMENT_PREFIX.fs ? 'fsBase' : 'gsBase', BigInt.asUintN(32, linear - BigInt.asUintN(16, offset)));
}
