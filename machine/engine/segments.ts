// Segment registers and far transfers within ring 3 (Intel SDM vol. 3, chapters 3 and 5). Descriptors come from the
// hypervisor, which has validated them.

import { CPU, FLAG, MODE, NO_ERROR_CODE, REG, SEG, SEG_DENIES } from '../cpu-state.ts';
import type { Cpu } from '../cpu.ts';
import type { MachineHooks } from '../machine.ts';
import { GuestFault, type GuestMemory } from './guest-memory.ts';
import { ACCESS_INFO } from './record.ts';
import { hasBreakpoints } from './stepper.ts';

const VECTOR = { np: 11, ss: 12, gp: 13, pf: 14 } as const;
const fault = new GuestFault();

/** Sets the exception fields and leaves the slow routine. */
export function raise(cpu: Cpu, vector: number, errorCode: number = NO_ERROR_CODE): never {
  cpu.setField32(CPU.exitInfo, vector);
  cpu.setField32(CPU.errorCode, errorCode);
  throw fault;
}

/** Type bits of a code or data segment's access byte. */
const TYPE = { accessed: 1, writable: 2, readable: 2, conforming: 4, expandDown: 4, code: 8, present: 0x80, notSystem: 0x10 } as const;
/** What a descriptor's type forbids to a data access (SDM vol. 3, 3.4.5.1). */
const denials = (access: number): number => (access & TYPE.code ? SEG_DENIES.write | (access & TYPE.readable ? 0 : SEG_DENIES.read) : access & TYPE.writable ? 0 : SEG_DENIES.write);

/** Offsets above the limit are the valid ones. Such segments are not checked. */
const isExpandDown = (access: number): boolean => (access & (TYPE.code | TYPE.expandDown)) === TYPE.expandDown;
const stackAddress = (cpu: Cpu, at: bigint): bigint => BigInt.asUintN(cpu.compat ? 32 : 64, at);

export interface FarPointer { readonly offset: bigint; readonly selector: number }
interface Descriptor { readonly base: bigint; readonly limit: number; readonly access: number; readonly long: boolean; readonly big: boolean }

export class Segments {
  /** SS was loaded by MOV or POP: the single-step trap waits for the next instruction (SDM vol. 3, 6.8.3) */
  stackLoaded = false;
  private readonly hooks: MachineHooks;
  private readonly memory: GuestMemory;
  private readonly u32: Uint32Array;
  constructor(hooks: MachineHooks, memory: GuestMemory, u32: Uint32Array) { this.hooks = hooks; this.memory = memory; this.u32 = u32; }

  private descriptor(cpu: Cpu, selector: number): Descriptor | undefined {
    if ((selector & ~3) === 0) return undefined;
    const at = this.hooks.descriptor(cpu, selector);
    if (at === -2) raise(cpu, VECTOR.pf, 0);
    if (at < 0) return undefined;
    const a = this.u32[at >>> 2] as number;
    const b = this.u32[(at >>> 2) + 1] as number;
    const raw = (b & 0xf_0000) | (a & 0xffff);
    return {
      base: BigInt(((b & 0xff00_0000) | (b & 0xff) << 16 | a >>> 16) >>> 0),
      limit: b & 0x80_0000 ? raw * 4096 + 4095 : raw,
      access: b >>> 8 & 0xff,
      long: (b & 0x20_0000) !== 0,
      big: (b & 0x40_0000) !== 0,
    };
  }

  /** MOV Sreg, POP Sreg. */
  load(cpu: Cpu, seg: number, selector: number): void {
    const d = this.dataSegment(cpu, seg, selector);
    this.set(cpu, seg, selector, d);
    this.stackLoaded = seg === SEG.ss;
  }
  /** Checks a selector for a data or stack segment register. Undefined for a null one. */
  private dataSegment(cpu: Cpu, seg: number, selector: number): Descriptor | undefined {
    const error = selector & 0xfffc;
    if (error === 0) {
      if (seg === SEG.ss) raise(cpu, VECTOR.gp, 0); // ring 3 has no null stack segment
      return undefined;
    }
    const d = this.descriptor(cpu, selector);
    if (!d || !(d.access & 0x10)) raise(cpu, VECTOR.gp, error);
    const rpl = selector & 3;
    const dpl = d.access >> 5 & 3;
    const code = (d.access & 8) !== 0;
    if (seg === SEG.ss) {
      if (rpl !== 3 || dpl !== 3 || code || !(d.access & 2)) raise(cpu, VECTOR.gp, error);
      if (!(d.access & 0x80)) raise(cpu, VECTOR.ss, error);
    } else {
      if (code && !(d.access & 2)) raise(cpu, VECTOR.gp, error); // execute-only
      if (!(code && d.access & 4) && dpl < 3) raise(cpu, VECTOR.gp, error);
      if (!(d.access & 0x80)) raise(cpu, VECTOR.np, error);
    }
    return d;
  }
  /** @param d undefined for a null selector */
  private set(cpu: Cpu, seg: number, selector: number, d: Descriptor | undefined): void {
    cpu.setSelector(seg, selector);
    cpu.setSegBase(seg, d && !d.long ? d.base : 0n);
    if (!d) return;
    cpu.setSegRights(seg, denials(d.access));
    if (!isExpandDown(d.access)) cpu.setSegLimit(seg, d.limit);
  }
  /** The checks of an access outside 64-bit mode (SDM vol. 3, 5.3 and 5.5). Throws GuestFault. */
  checkAccess(cpu: Cpu, seg: number, va: bigint, length: number, write: boolean): void {
    if (!cpu.compat) return;
    const base = cpu.segBase(seg), limit = cpu.segLimit(seg);
    const flat = base === 0n && limit === 0xffff_ffff; // wraps around
    const offset = Number(BigInt.asUintN(32, va - base));
    if (!flat && offset + length - 1 > limit) raise(cpu, seg === SEG.ss ? VECTOR.ss : VECTOR.gp, 0);
    if ((cpu.selector(seg) & 0xfffc) === 0 || cpu.segRights(seg) & (write ? SEG_DENIES.write : SEG_DENIES.read)) raise(cpu, VECTOR.gp, 0);
  }
  readStack(cpu: Cpu, at: bigint, bytes: number): bigint {
    const va = stackAddress(cpu, at);
    this.checkAccess(cpu, SEG.ss, va, bytes, false);
    return this.memory.readBig(cpu, va, bytes, ACCESS_INFO.stack);
  }
  writeStack(cpu: Cpu, at: bigint, bytes: number, value: bigint): void {
    const va = stackAddress(cpu, at);
    this.checkAccess(cpu, SEG.ss, va, bytes, true);
    this.memory.writeBig(cpu, va, bytes, value, ACCESS_INFO.stack);
  }

  /** Checks a code segment that ring 3 goes to. Nothing has changed when it throws. */
  private codeSegment(cpu: Cpu, selector: number): Descriptor {
    const error = selector & 0xfffc;
    if (error === 0) raise(cpu, VECTOR.gp, 0);
    const d = this.descriptor(cpu, selector);
    if (!d || (d.access & 0x18) !== 0x18) raise(cpu, VECTOR.gp, error);
    if ((selector & 3) !== 3) raise(cpu, VECTOR.gp, error);
    const dpl = d.access >> 5 & 3;
    if (d.access & 4 ? dpl > 3 : dpl !== 3) raise(cpu, VECTOR.gp, error);
    if (!(d.access & 0x80)) raise(cpu, VECTOR.np, error);
    return d;
  }
  /** Goes to an offset in a code segment that has been checked. Nothing has changed when it throws. */
  private enterCode(cpu: Cpu, selector: number, d: Descriptor, rip: bigint): void {
    const target = d.long ? rip : rip & 0xffff_ffffn; // what lies above 32 bits is not looked at
    if (d.long ? BigInt.asUintN(64, BigInt.asIntN(48, rip)) !== rip : target > BigInt(d.limit)) raise(cpu, VECTOR.gp, 0);
    this.set(cpu, SEG.cs, selector, d);
    cpu.setField32(CPU.mode, (cpu.field32(CPU.mode) & ~MODE.compat32) | (d.long ? 0 : MODE.compat32));
    cpu.rip = target;
  }
  private stackTop(cpu: Cpu): bigint { return cpu.compat ? cpu.get(REG.rsp) & 0xffff_ffffn : cpu.get(REG.rsp); }

  /** RETF, with `extra` bytes of arguments. Operand size in bytes. */
  retFar(cpu: Cpu, bytes: number, extra: number): void {
    const sp = this.stackTop(cpu);
    const selector = Number(this.readStack(cpu, sp + BigInt(bytes), 2));
    const rip = this.readStack(cpu, sp, bytes);
    this.enterCode(cpu, selector, this.codeSegment(cpu, selector), rip);
    cpu.set(REG.rsp, sp + BigInt(2 * bytes + extra));
  }
  jumpFar(cpu: Cpu, to: FarPointer): void { this.enterCode(cpu, to.selector, this.codeSegment(cpu, to.selector), to.offset); }
  /**
   * The return address is stored before the target is looked at.
   * @param bytes operand size
   * @param next the address to return to
   */
  callFar(cpu: Cpu, bytes: number, to: FarPointer, next: bigint): void {
    const segment = this.codeSegment(cpu, to.selector);
    const sp = this.stackTop(cpu) - BigInt(2 * bytes);
    this.writeStack(cpu, sp + BigInt(bytes), bytes, BigInt(cpu.selector(SEG.cs)));
    this.writeStack(cpu, sp, bytes, next);
    this.enterCode(cpu, to.selector, segment, to.offset);
    cpu.set(REG.rsp, sp);
  }
  /** IRET to ring 3. In 64-bit mode it always pops rsp and ss. */
  iret(cpu: Cpu, bytes: number, setFlags: (value: number) => void): void {
    if (cpu.field32(CPU.flags) & FLAG.nt) raise(cpu, VECTOR.gp, 0); // there are no task switches in long mode
    const sp = this.stackTop(cpu), whole = !cpu.compat;
    const frame = this.memory.direct(cpu, sp, 5 * bytes, false); // a kernel that patches its code does tens of thousands of these
    const read = (i: number, n: number): bigint => (frame >= 0 ? this.memory.valueAt(frame + i * bytes, n) : this.readStack(cpu, sp + BigInt(i * bytes), n));
    const slot = (i: number): bigint => read(i, bytes);
    const selectorAt = (i: number): number => Number(read(i, 2));
    const flags = Number(slot(2) & 0xffff_ffffn);
    const selector = selectorAt(1);
    const rip = slot(0);
    const segment = this.codeSegment(cpu, selector);
    const newSs = whole ? selectorAt(4) : -1;
    const newSp = whole ? slot(3) : sp + BigInt(3 * bytes);
    const stack = newSs >= 0 ? this.dataSegment(cpu, SEG.ss, newSs) : undefined;
    this.enterCode(cpu, selector, segment, rip);
    if (stack) this.set(cpu, SEG.ss, newSs, stack);
    cpu.set(REG.rsp, newSp);
    const inFlags = FLAG.tf | FLAG.df | FLAG.nt | FLAG.ac | FLAG.id | (hasBreakpoints(cpu) ? FLAG.rf : 0); // only they look at RF
    const changeable = bytes === 2 ? inFlags & 0xffff : inFlags;
    setFlags(flags & (changeable | 0x8d5) | cpu.field32(CPU.flags) & ~changeable);
  }

  /** VERR, VERW, LAR, LSL: ZF, and the value for the last two; undefined when the selector fails. */
  check(cpu: Cpu, operation: number, selector: number): number | undefined {
    const d = this.descriptor(cpu, selector);
    if (!d) return undefined;
    const code = (d.access & 8) !== 0;
    const dpl = d.access >> 5 & 3;
    const system = !(d.access & 0x10);
    if (system && (operation < 2 || !(operation === 2 ? [2, 9, 11, 12] : [2, 9, 11]).includes(d.access & 15))) return undefined;
    if (!(code && d.access & 4) && dpl < Math.max(3, selector & 3)) return undefined;
    if (operation === 0) return code && !(d.access & 2) ? undefined : 0;
    if (operation === 1) return code || !(d.access & 2) ? undefined : 0;
    if (operation === 3) return d.limit;
    const at = this.hooks.descriptor(cpu, selector);
    return ((this.u32[(at >>> 2) + 1] as number) & 0x00ff_ff00) >>> 0;
  }
}
