// INS and OUTS of a PV guest. They are rare: decoded here, from the bytes at rip, one element an exit; REP leaves rip
// on the instruction until rcx is zero, so that each element is restartable.

import { CPU, FLAG, REG, SEG } from '#machine/cpu-state.ts';
import { copyFromGuest, copyToGuest } from './guest-access.ts';
import { ioPermitted, ioRead, ioWrite } from './io-port.ts';
import { runsLongMode } from './segment.ts';
import { TRAP } from './trap-names.ts';
import { injectException } from './traps.ts';
import type { Vcpu } from './vcpu.ts';
import { isCanonical } from './words.ts';

const MAX_LENGTH = 15;
const INSB = 0x6c, OUTSD = 0x6f;
const SEGMENT_PREFIX: Readonly<Record<number, number>> = { 0x26: SEG.es, 0x2e: SEG.cs, 0x36: SEG.ss, 0x3e: SEG.ds, 0x64: SEG.fs, 0x65: SEG.gs };

interface Decoded { readonly length: number; readonly out: boolean; readonly size: number; readonly rep: boolean; readonly addressSize: number; readonly segment: number }
const bytes = new Uint8Array(MAX_LENGTH);
const data = new Uint8Array(4);
const view = new DataView(data.buffer);

/** Does one element, or faults on it. @returns false when the guest may not access the port */
export function stringIo(v: Vcpu): boolean {
  const op = decode(v);
  const port = v.cpu.lo(REG.rdx) & 0xffff;
  if (op === null || !ioPermitted(v, port, op.size)) return false;
  const mask = op.addressSize === 64 ? 0xffff_ffff_ffff_ffffn : (1n << BigInt(op.addressSize)) - 1n;
  const count = v.cpu.get(REG.rcx) & mask;
  if (op.rep && count === 0n) {
    v.cpu.rip += BigInt(op.length);
    return true;
  }
  const index = op.out ? REG.rsi : REG.rdi;
  if (!element(v, op, port, v.cpu.get(index) & mask)) return true;
  const step = (v.domain.machine.getFlags(v.cpu) & FLAG.df) !== 0 ? -BigInt(op.size) : BigInt(op.size);
  setMasked(v, index, v.cpu.get(index) + step, op.addressSize);
  if (op.rep) setMasked(v, REG.rcx, count - 1n, op.addressSize);
  if (!op.rep || count === 1n) v.cpu.rip += BigInt(op.length);
  return true;
}

function element(v: Vcpu, op: Decoded, port: number, offset: bigint): boolean {
  const linear = BigInt.asUintN(64, offset + segmentOffset(v, op));
  const lo = Number(linear & 0xffff_ffffn);
  const hi = Number(linear >> 32n);
  if (!isCanonical(linear)) {
    injectException(v, TRAP.gp_fault, 0);
    return false;
  }
  if (!op.out) view.setUint32(0, ioRead(v, port, op.size), true);
  const ok = op.out ? copyFromGuest(v, lo, hi, data, 0, op.size) : copyToGuest(v, lo, hi, data, 0, op.size);
  if (!ok) {
    v.cpu.setField64(CPU.cr2, linear);
    injectException(v, TRAP.page_fault, v.domain.machine.faultCode);
    return false;
  }
  if (op.out) ioWrite(v, port, op.size, op.size === 1 ? view.getUint8(0) : op.size === 2 ? view.getUint16(0, true) : view.getUint32(0, true));
  return true;
}

/** In 64-bit code only FS and GS have bases. */
function segmentOffset(v: Vcpu, op: Decoded): bigint {
  const segment = op.out ? op.segment : SEG.es;
  return runsLongMode(v) && segment !== SEG.fs && segment !== SEG.gs ? 0n : v.cpu.segBase(segment);
}

/** Writes a register as an operation of this address size does: 32-bit clears the upper half, 16-bit keeps the rest. */
function setMasked(v: Vcpu, r: number, value: bigint, size: number): void {
  if (size === 16) v.cpu.set(r, (v.cpu.get(r) & ~0xffffn) | (value & 0xffffn));
  else v.cpu.set(r, BigInt.asUintN(size, value));
}

function decode(v: Vcpu): Decoded | null {
  const long = runsLongMode(v);
  const at = BigInt.asUintN(64, v.cpu.rip + (long ? 0n : v.cpu.segBase(SEG.cs)));
  let length = 0;
  let size = 4;
  let addressSize = long ? 64 : 32;
  let rep = false;
  let segment: number = SEG.ds;
  while (length < MAX_LENGTH) {
    const byteAt = at + BigInt(length);
    if (!copyFromGuest(v, Number(byteAt & 0xffff_ffffn), Number((byteAt >> 32n) & 0xffff_ffffn), bytes, length, 1)) return null;
    const byte = bytes[length++] as number;
    if (byte >= INSB && byte <= OUTSD) return { length, out: (byte & 2) !== 0, size: (byte & 1) !== 0 ? size : 1, rep, addressSize, segment };
    if (byte === 0x66) size = 2;
    else if (byte === 0x67) addressSize = long ? 32 : 16;
    else if (byte === 0xf2 || byte === 0xf3) rep = true;
    else segment = SEGMENT_PREFIX[byte] ?? segment;
  }
  return null;
}
