// Loads of segment registers by the hypervisor on the guest's behalf, with the processor's checks for ring 3
// (Intel SDM vol. 3, 5.5 and vol. 2, IRET and MOV). Descriptors are in the guest's GDT and LDT, or Xen's part of the
// GDT; all that a guest can have there was checked when it was written (mm/descriptor.ts).

import { FLAT_KERNEL_CS, FLAT_KERNEL_SS, FLAT_RING3_CS64 } from '#abi/xen.ts';
import { CPU, MODE, SEG } from '#machine/cpu-state.ts';
import { descriptorOffset } from './mm/gdt.ts';
import type { Vcpu } from './vcpu.ts';
import { isCanonical } from './words.ts';

/** The exception that the processor would raise. */
export interface Refusal { readonly vector: number; readonly errorCode: number }
const NO_SEGMENT = 11, STACK_ERROR = 12, GP_FAULT = 13;
const gp = (selector: number): Refusal => ({ vector: GP_FAULT, errorCode: selector & ~3 });

export interface Descriptor { readonly lo: number; readonly hi: number }
/** Bits of a descriptor's high half (Intel SDM vol. 3, 3.4.5). */
export const PRESENT = 1 << 15, NOT_SYSTEM = 1 << 12, DPL = 3 << 13, CODE = 1 << 11, CONFORMING = 1 << 10, READ_WRITE = 1 << 9, LONG = 1 << 21, DEFAULT_32 = 1 << 22, GRANULAR = 1 << 23;

/** The descriptor of a selector; null for a null selector or one beyond its table. */
export function readDescriptor(v: Vcpu, selector: number): Descriptor | null {
  if (selector < 4) return null;
  const at = descriptorOffset(v, selector);
  if (at < 0) return null;
  const { dv } = v.domain.capsule;
  return { lo: dv.getUint32(at, true), hi: dv.getUint32(at + 4, true) };
}

/** Base address of a segment, 32 bits. */
export function segmentBase(d: Descriptor): number { return ((d.hi & 0xff00_0000) | ((d.hi & 0xff) << 16) | (d.lo >>> 16)) >>> 0; }
function segmentLimit(d: Descriptor): number {
  const raw = (d.hi & 0xf_0000) | (d.lo & 0xffff);
  return (d.hi & GRANULAR) !== 0 ? raw * 4096 + 4095 : raw;
}
const present = (d: Descriptor): boolean => (d.hi & PRESENT) !== 0;
const level3 = (d: Descriptor): boolean => (d.hi & DPL) === DPL;
/** A code segment for ring 3: a conforming one of any level, another of level 3. */
const isCode = (d: Descriptor): boolean => (d.hi & NOT_SYSTEM) !== 0 && (d.hi & CODE) !== 0 && ((d.hi & CONFORMING) !== 0 || level3(d));
const isStack = (d: Descriptor): boolean => (d.hi & (NOT_SYSTEM | CODE | READ_WRITE)) === (NOT_SYSTEM | READ_WRITE) && level3(d);
/** What DS, ES, FS and GS take: data, or code that can be read. */
export function isLoadableData(d: Descriptor): boolean {
  if ((d.hi & NOT_SYSTEM) === 0 || !present(d)) return false;
  return (d.hi & CODE) === 0 ? level3(d) : (d.hi & READ_WRITE) !== 0 && ((d.hi & CONFORMING) !== 0 || level3(d));
}

/**
 * Loads cs and ss as IRETQ to ring 3 does, for a rip that is set already. Both selectors have RPL 3.
 * @returns null when both are loaded; else nothing is changed
 */
export function loadCodeAndStack(v: Vcpu, cs: number, ss: number): Refusal | null {
  const { cpu } = v;
  if (cs === FLAT_RING3_CS64 && ss === FLAT_KERNEL_SS) {
    if (!isCanonical(cpu.rip)) return gp(0);
    loadFlatSegments(v);
    return null;
  }
  const code = readDescriptor(v, cs);
  if (code === null || !isCode(code)) return gp(cs);
  if (!present(code)) return { vector: NO_SEGMENT, errorCode: cs & ~3 };
  const long = (code.hi & LONG) !== 0;
  if (long && (code.hi & DEFAULT_32) !== 0) return gp(cs);
  if (long ? !isCanonical(cpu.rip) : cpu.rip > BigInt(segmentLimit(code))) return gp(0);
  const stack = readDescriptor(v, ss);
  if (stack === null || !isStack(stack)) return gp(ss);
  if (!present(stack)) return { vector: STACK_ERROR, errorCode: ss & ~3 };
  setCompat(v, !long);
  load(v, SEG.cs, cs, long ? 0 : segmentBase(code));
  load(v, SEG.ss, ss, long ? 0 : segmentBase(stack));
  return null;
}

/** Flat 64-bit cs and ss, as SYSRET leaves them and as the guest kernel is entered. */
export function loadFlatSegments(v: Vcpu): void {
  const { cpu } = v;
  const { u32 } = v.domain.capsule;
  cpu.setSelector(SEG.cs, FLAT_KERNEL_CS);
  cpu.setSelector(SEG.ss, FLAT_KERNEL_SS);
  const mode = (cpu.base + CPU.mode) >>> 2;
  u32[mode] = (u32[mode] as number) & ~MODE.compat32;
  for (let seg: number = SEG.cs; seg <= SEG.ss; seg++) {
    const at = (cpu.base + CPU.segBase + seg * 8) >>> 2;
    u32[at] = 0;
    u32[at + 1] = 0;
  }
}

/** The flat 32-bit code segment with the flat stack, as SYSRET to compatibility mode leaves them. */
export function loadFlatCompat(v: Vcpu, cs: number): void {
  loadFlatSegments(v);
  v.cpu.setSelector(SEG.cs, cs);
  setCompat(v, true);
}

/** True in a 64-bit code segment. */
export function runsLongMode(v: Vcpu): boolean { return (v.cpu.field32(CPU.mode) & MODE.compat32) === 0; }

function setCompat(v: Vcpu, on: boolean): void {
  const mode = v.cpu.field32(CPU.mode);
  v.cpu.setField32(CPU.mode, on ? mode | MODE.compat32 : mode & ~MODE.compat32);
}
function load(v: Vcpu, seg: number, selector: number, base: number): void {
  v.cpu.setSelector(seg, selector);
  v.cpu.setSegBase(seg, BigInt(base));
}
