// Instructions that are finished in TypeScript: rare, or long, or about state that only the hypervisor knows. A routine
// checks everything first; it throws GuestFault when it faults, and nothing has changed then.

import { CPU, EXIT, FLAG, REG, SEG } from '../cpu-state.ts';
import type { Cpu } from '../cpu.ts';
import type { SlowName } from '../isa/env.ts';
import { FX_IMAGE, fxrstor, fxsave, type FxForm } from '../fpu/fxsave.ts';
import { emms, enterMmx } from '../fpu/mmx.ts';
import { sse } from '../fpu/sse-slow.ts';
import { compareStrings } from '../fpu/string-compare.ts';
import { x87, x87Check, x87Memory, x87Operand, x87Pending, x87Undo, type X87Site } from '../fpu/x87.ts';
import { GuestFault, type GuestMemory } from './guest-memory.ts';
import type { OperandOf, Operands } from './operand.ts';
import { ACCESS_INFO, INNER, REC, ripOf } from './record.ts';
import { raise, type Segments } from './segments.ts';
import { slowName } from './slow-names.ts';

/** What the routines need of the machine. */
export interface SlowContext {
  readonly memory: GuestMemory;
  readonly segments: Segments;
  readonly operands: Operands;
  getFlags(cpu: Cpu): number;
  setFlags(cpu: Cpu, value: number): void;
}
type Routine = (c: SlowContext, call: Call) => number;

const u8 = (cpu: Cpu, at: number): number => cpu.capsule.u8[at] as number;
const recordRip = (call: Call): bigint => ripOf(call.cpu, call.record);
const nextRip = (call: Call): bigint => recordRip(call) + BigInt(u8(call.cpu, call.record + REC.length));
const setStatus = (cpu: Cpu, mask: number, value: number, c: SlowContext): void => c.setFlags(cpu, c.getFlags(cpu) & ~mask | value & mask);

/** Writes a general register as an instruction of that operand size does. */
function setRegister(cpu: Cpu, r: number, opSize: number, value: bigint): void {
  if (opSize === 16) cpu.capsule.u16[(cpu.base >>> 1) + r * 4] = Number(value & 0xffffn);
  else cpu.set(r, opSize === 32 ? value & 0xffff_ffffn : value);
}
/** Charges the block up to and with this instruction. */
function charge(call: Call, done: number): void {
  const budget = call.cpu.field32(CPU.budget) - u8(call.cpu, call.record + REC.icount) - done;
  call.cpu.setField32(CPU.budget, budget);
}
const fxImage = new Uint8Array(FX_IMAGE), fxWords = new Uint32Array(fxImage.buffer);
const fxForm = (call: Call): FxForm => (call.cpu.compat ? 'compat' : call.opSize === 64 ? 'fxsave64' : 'fxsave');
const site: X87Site = { operand16: false, rip: 0n, data: 0n, rflags: 0 };

const ROUTINES: Partial<Record<SlowName, Routine>> = {
  retFar(c, call) { return transfer(call, () => c.segments.retFar(call.cpu, call.opSize / 8, call.argument)); },
  iret(c, call) { return transfer(call, () => c.segments.iret(call.cpu, call.opSize / 8, (f) => c.setFlags(call.cpu, f))); },
  jumpFar(c, call) { return transfer(call, () => c.segments.jumpFar(call.cpu, c.operands.farPointer(call))); },
  callFar(c, call) { return transfer(call, () => c.segments.callFar(call.cpu, call.opSize / 8, c.operands.farPointer(call), nextRip(call))); },
  jumpPointer(c, call) { return transfer(call, () => c.segments.jumpFar(call.cpu, { offset: call.va, selector: call.argument })); },
  callPointer(c, call) { return transfer(call, () => c.segments.callFar(call.cpu, call.opSize / 8, { offset: call.va, selector: call.argument }, nextRip(call))); },
  loadSegment(c, call) {
    c.segments.load(call.cpu, call.argument >>> 16, call.argument & 0xffff);
    return 0;
  },
  loadPointer(c, call) {
    const { cpu } = call;
    const { offset, selector } = c.operands.farPointer(call);
    c.segments.load(cpu, call.argument >>> 16, selector);
    c.segments.stackLoaded = false;
    setRegister(cpu, call.argument & 0xff, call.opSize, offset);
    return 0;
  },
  checkSelector(c, call) {
    const operation = call.argument >>> 16 & 0xff;
    const value = c.segments.check(call.cpu, operation, call.argument & 0xffff);
    setStatus(call.cpu, FLAG.zf, value === undefined ? 0 : FLAG.zf, c);
    if (value !== undefined && operation >= 2) {
      setRegister(call.cpu, call.argument >>> 24, call.opSize, BigInt(value));
    }
    return 0;
  },
  bound(c, call) {
    const bytes = (call.argument >>> 8) / 8;
    const signed = (v: bigint): bigint => BigInt.asIntN(bytes * 8, v);
    const index = signed(call.cpu.get(call.argument & 0xff));
    if (index < signed(c.operands.number(call, 0, bytes)) || index > signed(c.operands.number(call, bytes, bytes))) raise(call.cpu, 5);
    return 0;
  },
  enter(c, call) {
    const { cpu } = call;
    const bytes = BigInt(call.opSize / 8);
    const mask = cpu.compat ? 0xffff_ffffn : ~0n;
    let sp = cpu.get(REG.rsp);
    let bp = cpu.get(REG.rbp);
    const push = (v: bigint): void => { sp = (sp - bytes) & mask; c.segments.writeStack(cpu, sp, Number(bytes), v); };
    push(bp);
    const frame = sp;
    const level = call.argument >>> 16 & 31;
    for (let i = 1; i < level; i++) {
      bp = (bp - bytes) & mask;
      push(c.segments.readStack(cpu, bp, Number(bytes)));
    }
    push(frame);
    sp = BigInt.asUintN(64, (sp - BigInt(call.argument & 0xffff)) & mask);
    c.segments.checkAccess(cpu, SEG.ss, sp, Number(bytes), true);
    c.memory.probe(cpu, sp, Number(bytes), ACCESS_INFO.stack);
    setRegister(cpu, REG.rbp, call.opSize, frame);
    cpu.set(REG.rsp, sp);
    return 0;
  },
  x87(c, call) {
    const { cpu } = call;
    const opcode = call.argument >>> 8 & 0xff;
    const modrm = call.argument & 0xff;
    if (opcode === 0x9b) {
      const vector = x87Pending(cpu);
      if (vector) raise(cpu, vector);
      return 0;
    }
    const early = x87Check(cpu, opcode, modrm);
    if (early) raise(cpu, early);
    site.operand16 = call.opSize === 16;
    site.rip = recordRip(call);
    site.data = c.operands.offset(call);
    site.rflags = c.getFlags(cpu);
    const operand = x87Operand(opcode, modrm, site.operand16);
    if (operand.kind === 'read') c.operands.read(call, operand.size, x87Memory);
    const r = x87(cpu, opcode, modrm, site);
    if (r.vector) raise(cpu, r.vector);
    if (r.store) {
      try { c.operands.write(call, operand.size, x87Memory); } catch (e) { x87Undo(cpu); throw e; }
    }
    if (r.flags >= 0) setStatus(cpu, FLAG.cf | FLAG.pf | FLAG.zf | FLAG.of | FLAG.sf | FLAG.af, r.flags, c);
    return 0;
  },
  fxsave(c, call) {
    c.operands.requireAligned(call, true);
    const host = c.operands.direct(call, FX_IMAGE, true);
    if (host >= 0) {
      fxsave(call.cpu, fxForm(call), call.cpu.capsule.u32, host >>> 2);
      return 0;
    }
    c.operands.probe(call, FX_IMAGE);
    c.operands.write(call, fxsave(call.cpu, fxForm(call), fxWords), fxImage);
    return 0;
  },
  fxrstor(c, call) {
    c.operands.requireAligned(call, false);
    const host = c.operands.direct(call, FX_IMAGE, false);
    if (host < 0) c.operands.read(call, FX_IMAGE, fxImage);
    const done = host < 0 ? fxrstor(call.cpu, fxForm(call), fxWords) : fxrstor(call.cpu, fxForm(call), call.cpu.capsule.u32, host >>> 2);
    if (!done) raise(call.cpu, 13, 0);
    return 0;
  },
  sse(_c, call) {
    const vector = sse(call.cpu.capsule, call.cpu.base, call.argument);
    if (vector !== 0) raise(call.cpu, vector);
    return 0;
  },
  pcmpstr(_c, call) { compareStrings(call.cpu.capsule, call.cpu.base, call.argument); return 0; },
  emms(_c, call) { emms(call.cpu); return 0; },
  enterMmx(_c, call) { enterMmx(call.cpu); return 0; },
};

/** A far transfer: rip is set by `go`; the engine looks the target up. */
function transfer(call: Call, go: () => void): number {
  go();
  charge(call, 1);
  call.cpu.setField32(CPU.exitOp, 0);
  return INNER.lookup;
}

/** What a routine is called for. The address is made a whole number where one is asked for: it would cost more than some of them do. */
class Call implements OperandOf {
  readonly cpu: Cpu;
  readonly record: number;
  readonly argument: number;
  readonly lo: number;
  readonly hi: number;
  readonly opSize: number;
  readonly addrSize: number;
  constructor(cpu: Cpu, record: number, routine: number, argument: number, lo: number, hi: number) {
    this.cpu = cpu;
    this.record = record;
    this.argument = argument;
    this.lo = lo >>> 0;
    this.hi = hi >>> 0;
    this.opSize = routine >>> 8 & 0xff;
    this.addrSize = routine >>> 16;
  }
  get va(): bigint { return BigInt(this.hi) << 32n | BigInt(this.lo); }
}

/**
 * The HOST routine `slow`.
 * @param routine number of the routine, operand size << 8, address size << 16
 * @returns 0 to go on, or an exit code
 */
export function runSlow(c: SlowContext, cpu: Cpu, record: number, routine: number, argument: number, lo: number, hi: number): number {
  const call = new Call(cpu, record, routine, argument, lo, hi);
  try {
    const f = ROUTINES[slowName(routine & 0xff)];
    if (!f) raise(cpu, 6);
    return f(c, call);
  } catch (e) {
    if (!(e instanceof GuestFault)) throw e;
    charge(call, 0);
    cpu.rip = recordRip(call);
    cpu.setField32(CPU.exitOp, record);
    return EXIT.exception;
  }
}
