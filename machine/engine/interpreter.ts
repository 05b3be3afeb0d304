// The machine whose guest code runs in the interpreter: decoded blocks of records, executed by WebAssembly handlers
// that chain to each other. It leaves WebAssembly only where a decision is needed.

import type { Capsule } from '#base/capsule.ts';
import { Wasm } from '#base/webassembly.ts';
import { CPU, EXIT, FLAG, FX, MODE, PRIV, REG } from '../cpu-state.ts';
import { Cpu } from '../cpu.ts';
import { decode, Decoded } from '../decode/decoder.ts';
import { stackMove } from '../isa/branch.ts';
import { CC, STATUS } from '../isa/flags.ts';
import type { Row } from '../isa/row.ts';
import { ACCESS, type Extent, type Machine, type MachineHooks, type MachineStatistics } from '../machine.ts';
import { Blocks } from './blocks.ts';
import { byteAt, bytesAt } from './code-bytes.ts';
import { HOT } from './hot-code.ts';
import { GuestMemory } from './guest-memory.ts';
import type { HandlerSpec } from './handler-spec.ts';
import { Handlers, type ImportValues, type Keeper } from './handlers.ts';
import { RUNTIME } from './imports.ts';
import { Mmu } from './mmu.ts';
import { MmuContexts } from './mmu-contexts.ts';
import { Operands } from './operand.ts';
import { ACCESS_INFO, FRAME_FLAG, INNER, isStackOperand, REC, ripOf } from './record.ts';
import type { RegionCompiler } from './region-job.ts';
import { runtimeModule } from './runtime-module.ts';
import type { SystemCallPaths } from './system-call.ts';
import { Segments } from './segments.ts';
import { type Follower, machinesOf, POSTED, Siblings } from './siblings.ts';
import { runSlow, type SlowContext } from './slow.ts';
import { hasBreakpoints, runStepped, type Stepped } from './stepper.ts';

const DEBUG_EXCEPTION = 1;
const RECORDS_SIZE = 96 << 20;
/** Scratch for the branch that goes nowhere. */
const branch = new Decoded(), branchBytes = new Uint8Array(15);
/** No code can be there. */
const NOWHERE = 0xffff_ffff_ffff_ffffn;
const align = (n: number): number => Math.ceil(n / 64) * 64;

/** Bytes of scratch that machines need for a domain of so many frames. @param machines how many may run its vCPUs at the same time */
export const scratchSize = (frames: number, machines = 1): number => (machines === 1 ? firstSize(frames) : siblingsAt(frames) + align(Siblings.size) + (machines - 1) * FURTHER_SIZE);
const firstSize = (frames: number): number => align(Mmu.size(frames)) + RECORDS_SIZE;
/** What they tell each other lies behind the first one's scratch; then come the others, which have the flags of frames with the first. */
export const siblingsAt = firstSize;
const FURTHER_SIZE = align(MmuContexts.size) + RECORDS_SIZE;
/** Instructions after which a machine that has siblings looks whether one of them waits for it: some 40 us. */
const SLICE = 40_000;

type Enter = (cpu: number, record: number) => number;
type Status = (cpu: number) => number;
type Fill = (at: number, byte: number, length: number) => void;

export interface InterpreterOptions {
  /** executions after which a block's region is compiled; 0: none is */
  readonly compileAfter?: number | undefined;
  /** instructions that a vCPU has executed before any is, where compileAfter does not say when */
  readonly compileFrom?: number | undefined;
  /** compiles regions on another thread, at a time of its own: runs do not repeat then */
  readonly compiler?: RegionCompiler | undefined;
  /** code for the system calls that need no exit */
  readonly systemCalls?: SystemCallPaths;
  /** capsule offset, if not where the capsule has it */
  readonly scratch?: number;
  /** the vCPUs have run before, on a machine that is no more */
  readonly takenUp?: boolean;
  /** which of several machines it is (siblings.ts); those of a higher number take their vCPUs from the first */
  readonly sibling?: number;
  /** finds what was made in an earlier run */
  readonly kept?: Keeper | undefined;
}

export class Interpreter implements Machine, SlowContext, Stepped, Follower {
  readonly capsule: Capsule;
  readonly cpus: readonly Cpu[];
  readonly memory: GuestMemory;
  readonly segments: Segments;
  readonly operands: Operands;
  private readonly hooks: MachineHooks;
  readonly mmu: Mmu;
  private readonly blocks: Blocks;
  private readonly siblings: Siblings | undefined;
  private readonly handlers: Handlers;
  private readonly enter: Enter;
  private readonly follow: Enter;
  private readonly resume: Status;
  private readonly status: Status;
  private readonly compileFrom: number;
  private compiles = false;
  private readonly fill: Fill;

  /** @param hooks may be filled in after construction, before the first run */
  constructor(capsule: Capsule, vcpus: number, hooks: MachineHooks, options: InterpreterOptions = {}) {
    this.capsule = capsule;
    this.hooks = hooks;
    this.compileFrom = options.compileAfter === undefined ? options.compileFrom ?? 0 : 0;
    this.cpus = Array.from({ length: vcpus }, (_, id) => new Cpu(capsule, id));
    const { sibling = 0 } = options;
    const further = capsule.scratch + siblingsAt(capsule.totalFrames) + align(Siblings.size) + (sibling - 1) * FURTHER_SIZE;
    const scratch = options.scratch ?? (sibling === 0 ? capsule.scratch : further);
    this.mmu = new Mmu(capsule, this.cpus, scratch, sibling === 0 ? scratch : capsule.scratch, hooks, (mfn) => this.codeWritten(mfn), (at, byte, n) => this.fill(at, byte, n));
    this.memory = new GuestMemory(this.mmu, capsule.u8);
    this.segments = new Segments(hooks, this.memory, capsule.u32);
    this.operands = new Operands(this.memory, this.segments);
    const handlers = this.handlers = new Handlers(capsule.memory, options.kept);
    const byBase = new Map(this.cpus.map((c) => [c.base, c]));
    const cpu = (base: number): Cpu => byBase.get(base) as Cpu;
    const host = {
      translateSlow: (base: number, record: number, lo: number, hi: number, info: number): number => this.translateSlow(cpu(base), record >>> 0, lo, hi, info),
      commit: (base: number, record: number): number => this.commit(cpu(base), record >>> 0),
      rdtsc: (base: number): number => this.within(cpu(base), this.hooks.rdtsc),
      random: (base: number): bigint => BigInt.asIntN(64, this.within(cpu(base), this.hooks.random)),
      slow: (base: number, record: number, routine: number, argument: number, lo: number, hi: number): number =>
        runSlow(this, cpu(base), record >>> 0, routine, argument, lo, hi),
    };
    const blockTable = scratch + align(sibling === 0 ? Mmu.size(capsule.totalFrames) : MmuContexts.size);
    const runtime = new Wasm.Instance(runtimeModule({ frames: capsule.frames, totalFrames: capsule.totalFrames, frameFlags: this.mmu.frameFlags.at, blockTable }, options.systemCalls), {
      env: { memory: capsule.memory, table: handlers.table, hypercall: (base: number): number => this.hypercall(cpu(base)), exception: (base: number): number => this.exception(cpu(base)), ...host },
    });
    const shared = Object.fromEntries(Object.keys(RUNTIME).map((name) => [name, runtime.exports[name]]));
    handlers.bind({ ...shared, ...host } as ImportValues);
    this.enter = runtime.exports['enter'] as Enter;
    this.follow = runtime.exports['follow'] as Enter;
    this.resume = runtime.exports['resume'] as Status;
    this.status = runtime.exports['rflags'] as Status;
    this.fill = runtime.exports['fill'] as Fill;
    this.mmu.contexts.reset();
    this.siblings = this.mmu.siblings = machinesOf(capsule) > 1 ? new Siblings(capsule, capsule.scratch + siblingsAt(capsule.totalFrames), sibling, this) : undefined;
    this.blocks = new Blocks(capsule, this.mmu, handlers, blockTable, RECORDS_SIZE, options.compileAfter ?? HOT, options.compiler, this.siblings);
    for (const c of this.cpus) c.setField64(CPU.returns, NOWHERE);
    for (const c of this.cpus) capsule.u16[(c.base + CPU.once + REC.size + REC.handler) >>> 1] = handlers.slot('done');
    if (sibling > 0) return;
    for (const c of this.cpus) {
      if (options.takenUp === true) this.forgetPlaces(c);
      else this.reset(c);
    }
    if (options.takenUp === true) this.mmu.clearFlags();
  }

  /** Power-on values of what the hypervisor does not set: FCW, MXCSR, empty x87 stack. */
  private reset(cpu: Cpu): void {
    const fx = cpu.base + CPU.fxState;
    cpu.setField64(CPU.fourGiB, 1n << 32n);
    this.capsule.dv.setUint16(fx + FX.fcw, 0x37f, true);
    this.capsule.dv.setUint32(fx + FX.mxcsr, 0x1f80, true);
    this.capsule.dv.setUint32(fx + FX.mxcsrMask, 0xffff, true);
    this.setFlags(cpu, 2);
  }

  /** Forgets where another machine had its contexts and records. */
  private forgetPlaces(cpu: Cpu): void {
    for (const field of [CPU.mmu, CPU.kernelMmu, CPU.userMmu, CPU.jumpedFrom, CPU.exitOp]) cpu.setField32(field, 0);
  }

  // ---- running

  run(cpu: Cpu, budget: number): number {
    const { siblings } = this;
    if (!siblings) return this.runOnce(cpu, budget);
    siblings.enter();
    try {
      const end = this.retired(cpu) + budget;
      for (let code = this.runOnce(cpu, Math.min(budget, SLICE)); ; code = this.goOn(cpu)) {
        const left = end - this.retired(cpu);
        if (code !== EXIT.budget || left <= 0 || this.isEarly(cpu)) return code;
        if (siblings.isAsked && siblings.answer()) return code;
        this.begin(cpu, Math.min(left, SLICE));
      }
    } finally {
      siblings.leave();
    }
  }
  /** The slice ended before it was used up: an event waits, or there is something to be done after each instruction. */
  private isEarly(cpu: Cpu): boolean { return this.lastBudget >= 0 || (cpu.field32(CPU.flags) & FLAG.tf) !== 0 || hasBreakpoints(cpu); }
  private lastBudget = 0;
  private begin(cpu: Cpu, slice: number): void {
    cpu.setField32(CPU.budget, slice);
    cpu.setField32(CPU.slice, slice);
    cpu.setField32(CPU.exitOp, 0);
  }
  private goOn(cpu: Cpu): number { return this.end(cpu, this.runBlocks(cpu)); }
  private end(cpu: Cpu, code: number): number {
    this.capsule.f64[(cpu.base + CPU.retired) >>> 3] = this.retired(cpu);
    this.lastBudget = cpu.field32(CPU.budget) | 0;
    cpu.setField32(CPU.budget, 0);
    cpu.setField32(CPU.slice, 0);
    cpu.setField32(CPU.exitCode, code);
    if (code === EXIT.exception) this.setResume(cpu);
    return code;
  }
  /** A fault sets RF, for the frame that the guest gets (SDM vol. 3, 17.3.1.1); the next run clears it. */
  private setResume(cpu: Cpu): void { if (cpu.field32(CPU.exitInfo) !== DEBUG_EXCEPTION) cpu.setField32(CPU.flags, cpu.field32(CPU.flags) | FLAG.rf); }
  private runOnce(cpu: Cpu, budget: number): number {
    if (this.siblings && !this.mmu.contexts.owns(cpu)) this.forgetPlaces(cpu);
    if (this.mmu.frameFlags.takeWritten()) this.blocks.writtenByOthers();
    this.mmu.flushNow();
    this.mmu.contexts.attach(cpu);
    const stepping = (cpu.field32(CPU.flags) & FLAG.tf) !== 0 || hasBreakpoints(cpu);
    if (!stepping) cpu.setField32(CPU.flags, cpu.field32(CPU.flags) & ~FLAG.rf);
    this.begin(cpu, stepping ? 0 : budget);
    cpu.setField32(CPU.shortcuts, stepping || this.hooks.traced?.() ? 0 : 1);
    return this.end(cpu, stepping ? runStepped(this, cpu, budget) : this.runBlocks(cpu));
  }
  private runBlocks(cpu: Cpu): number {
    this.blocks.hot.collect(this.retired(cpu));
    this.blocks.useVariantOf(cpu);
    let record = 0, isWithin = false;
    for (;;) {
      cpu.setField32(CPU.codeChanged, 0);
      cpu.setField32(CPU.innermost, cpu.base + CPU.returns);
      const code = record === 0 ? this.resume(cpu.base) : isWithin ? this.follow(cpu.base, record) : this.enter(cpu.base, record);
      isWithin = false;
      if (code === EXIT.none || code === INNER.unwind) { // a return to an address that none has, or nobody is to wait any more
        record = 0;
        continue;
      }
      if (code === EXIT.exception) {
        const exit = this.exception(cpu);
        if (exit !== EXIT.none) return exit;
        record = 0;
        continue;
      }
      if (code < INNER.link) return code;
      if (code === INNER.badTarget) return this.badTarget(cpu);
      if (code === INNER.hot) {
        record = cpu.field32(CPU.exitOp);
        this.compile(cpu, record);
        continue;
      }
      if ((cpu.field32(CPU.flags) & FLAG.tf) !== 0 || (cpu.field32(CPU.budget) | 0) < 0) return EXIT.budget;
      this.noteComputed(cpu);
      const samePage = ((cpu.field32(CPU.page) ^ cpu.field32(CPU.rip)) >>> 12 | cpu.field32(CPU.page + 4) ^ cpu.field32(CPU.rip + 4)) === 0;
      const from = code === INNER.link && samePage ? cpu.field32(CPU.exitOp) : 0;
      if (from !== 0 && this.blocks.goesOn(cpu, from)) {
        record = from;
        isWithin = true;
        continue;
      }
      this.blocks.useVariantOf(cpu);
      record = this.blocks.lookup(cpu);
      if (record === 0) {
        const exit = this.fetchException(cpu);
        if (exit !== EXIT.none) return exit;
      } else {
        if (code === INNER.lookup && cpu.field32(CPU.exitOp) !== 0) this.blocks.replace(cpu.field32(CPU.exitOp), record);
        this.remember(cpu, from, record);
      }
    }
  }
  private compile(cpu: Cpu, record: number): void {
    this.compiles ||= this.cpus.some((c) => this.retired(c) >= this.compileFrom);
    if (!this.compiles) return this.blocks.hot.postpone(record);
    const began = this.hooks.compiling?.(cpu);
    this.blocks.hot.promote(cpu, record);
    this.blocks.hot.collect(this.retired(cpu));
    if (began !== undefined) this.hooks.compiled?.(cpu, began);
  }
  private noteComputed(cpu: Cpu): void {
    const record = cpu.field32(CPU.jumpedFrom);
    if (record === 0) return;
    cpu.setField32(CPU.jumpedFrom, 0);
    this.blocks.hot.noteTarget(record, Number(BigInt.asIntN(64, cpu.rip - cpu.field64(CPU.page))));
  }
  /** Those who wait for calls to return are another task's when the tables have changed. */
  private hypercall(cpu: Cpu): number {
    const base = cpu.field32(CPU.cr3);
    const exit = this.servedBy(this.hooks.hypercall?.(cpu) ?? EXIT.syscall, cpu);
    return exit === EXIT.none && cpu.field32(CPU.cr3) !== base ? INNER.unwind : exit;
  }
  /** What is done before each run is done before the guest goes on. */
  private servedBy(exit: number, cpu: Cpu): number {
    if (exit !== EXIT.none) return exit;
    this.mmu.flushNow();
    this.mmu.contexts.attach(cpu);
    this.blocks.useVariantOf(cpu);
    return (cpu.field32(CPU.budget) | 0) < 0 ? EXIT.budget : EXIT.none;
  }
  charge(cpu: Cpu, instructions: number): void {
    cpu.setField32(CPU.budget, cpu.field32(CPU.budget) - instructions);
    cpu.setField32(CPU.slice, cpu.field32(CPU.slice) - instructions);
  }
  /** Asks about time in the middle of a block, at the record in exitOp: `retired` is exact meanwhile. */
  private within<T>(cpu: Cpu, ask: (cpu: Cpu) => T): T {
    const budget = cpu.field32(CPU.budget);
    cpu.setField32(CPU.budget, budget - (this.capsule.u8[cpu.field32(CPU.exitOp) + REC.icount] as number));
    const answer = ask.call(this.hooks, cpu);
    cpu.setField32(CPU.budget, budget);
    return answer;
  }
  private codeWritten(mfn: number): void {
    this.blocks.written(mfn);
    for (const c of this.cpus) c.setField32(CPU.codeChanged, 1);
  }
  /**
   * Links a direct jump within one page, whose code lies together wherever it is mapped; not to what reaches into the next
   * page. Every target goes to the jump cache.
   */
  private remember(cpu: Cpu, from: number, to: number): void {
    const lo = cpu.field32(CPU.rip);
    const hi = cpu.field32(CPU.rip + 4);
    this.mmu.contexts.rememberJump(cpu, lo, hi, to);
    if (from !== 0 && this.blocks.secondFrame(to) < 0) this.capsule.u32[(from + REC.link) >>> 2] = to;
  }
  /** One instruction, or one round of a repeated one: INNER.step or INNER.again, unless it leaves. */
  one(cpu: Cpu): number {
    const record = this.blocks.single(cpu);
    if (record === 0) return this.fetchException(cpu);
    const code = this.enter(cpu.base, record);
    if (code === INNER.badTarget) return this.badTarget(cpu);
    if (code < INNER.link && code !== EXIT.budget) return code === EXIT.exception ? this.exception(cpu) : code;
    return code === INNER.again ? code : INNER.step;
  }
  /** A near branch to an address that is not canonical is not taken: #GP at the branch, and rsp is as before it. */
  private badTarget(cpu: Cpu): number {
    cpu.rip = ripOf(cpu, cpu.field32(CPU.exitOp));
    cpu.setField32(CPU.budget, cpu.field32(CPU.budget) + 1);
    for (let i = 0; i < branchBytes.length; i++) branchBytes[i] = byteAt(this.mmu, cpu, cpu.rip + BigInt(i), ACCESS.execute); // what cannot be fetched is behind it
    decode(branch, { bytes: branchBytes, page: 0, beyond: () => -1 }, 0, true);
    cpu.set(REG.rsp, cpu.get(REG.rsp) - BigInt(stackMove(branch.entry?.row as Row, 8, branch.immLo & 0xffff)));
    this.mmu.generalProtection(cpu, false);
    return EXIT.exception;
  }
  /** The instruction at rip cannot be fetched, or its bytes are none of ours: that is said once in the log. */
  private fetchException(cpu: Cpu): number {
    if (cpu.field32(CPU.exitInfo) === 6) this.hooks.unimplemented(cpu, bytesAt(this.mmu, cpu, cpu.rip, 8));
    return this.delivered(cpu);
  }
  /** #UD by `ud2; "xen"; cpuid` is Xen's forced CPUID (public/arch-x86/xen.h, XEN_EMULATE_PREFIX). */
  private exception(cpu: Cpu): number {
    if (cpu.field32(CPU.exitInfo) === 6 && bytesAt(this.mmu, cpu, cpu.rip, 7) === '0f 0b 78 65 6e 0f a2') {
      cpu.setField32(CPU.exitInfo, PRIV.cpuidForced);
      return EXIT.privileged;
    }
    return this.delivered(cpu);
  }
  private delivered(cpu: Cpu): number {
    if (cpu.field32(CPU.shortcuts) === 0) return EXIT.exception;
    this.setResume(cpu);
    return this.servedBy(this.hooks.exception?.(cpu) ?? EXIT.exception, cpu);
  }

  // ---- routines that generated code calls

  private translateSlow(cpu: Cpu, record: number, lo: number, hi: number, info: number): number {
    const host = this.mmu.access(cpu, lo, hi, isStackOperand(this.capsule, record) ? info | ACCESS_INFO.stack : info);
    if (host === 0) this.restartAt(cpu, record);
    return host;
  }
  private commit(cpu: Cpu, record: number): number {
    const code = this.mmu.commit(cpu);
    if (code !== 0) this.restartAt(cpu, record);
    else if (this.mmu.wasDenied(cpu) && this.capsule.u8[record + REC.watched] === 0) {
      this.capsule.u8[record + REC.watched] = 1;
      this.blocks.recompile(cpu);
    }
    return code;
  }
  private restartAt(cpu: Cpu, record: number): void {
    cpu.setField32(CPU.budget, cpu.field32(CPU.budget) - (this.capsule.u8[record + REC.icount] as number));
    cpu.rip = ripOf(cpu, record);
    cpu.setField32(CPU.exitOp, record);
  }

  // ---- the Machine interface

  getFlags(cpu: Cpu): number { return this.status(cpu.base) | cpu.field32(CPU.flags) | 2; }
  setFlags(cpu: Cpu, rflags: number): void {
    cpu.setField32(CPU.ccOp, CC.all | 7 << 8);
    cpu.setPair((CPU.ccA - CPU.regs) / 8, rflags & STATUS, 0);
    cpu.setField32(CPU.flags, rflags & ~STATUS & ~2);
  }
  exitLength(cpu: Cpu): number {
    if (cpu.field32(CPU.exitInfo) === PRIV.cpuidForced && cpu.field32(CPU.exitCode) === EXIT.privileged) return 7;
    return this.capsule.u8[cpu.field32(CPU.exitOp) + REC.length] as number;
  }
  /** Between slices exact; within one, as of the last jump. */
  retired(cpu: Cpu): number { return (this.capsule.f64[(cpu.base + CPU.retired) >>> 3] as number) + (cpu.field32(CPU.slice) | 0) - (cpu.field32(CPU.budget) | 0); }
  setBase(cpu: Cpu, mfn: number, kernel: boolean): void {
    this.mmu.contexts.setBase(cpu, mfn, kernel);
    cpu.setField32(CPU.mode, (cpu.field32(CPU.mode) & ~MODE.kernel) | (kernel ? MODE.kernel : 0));
  }
  flushTlb(mfn?: number): void { this.mmu.drop(mfn); }
  flushTlbPage(lo: number, hi: number, mfn?: number): void { this.mmu.dropPage(lo, hi, mfn); }
  dropBase(mfn: number): void { this.mmu.dropBase(mfn); }
  get dropped(): number { return this.siblings?.posted ?? 0; }
  settle(upTo: number): void { this.siblings?.settle(upTo); }
  finishAccesses(): void {
    this.siblings?.post(POSTED.nothing, 0, 0, 0);
    this.siblings?.settle();
  }
  interrupt(machine: number): void { this.siblings?.want(machine); }
  outside<T>(body: () => T): T {
    this.siblings?.leave();
    try {
      return body();
    } finally {
      this.siblings?.enter();
    }
  }

  // ---- what siblings have dropped

  translations(kind: number, lo: number, hi: number, mfn: number): void { this.mmu.follow(kind, lo, hi, mfn); }
  code(mfn: number): void {
    this.blocks.forget(mfn);
    for (const c of this.cpus) c.setField32(CPU.codeChanged, 1);
  }
  allCode(): void {
    this.blocks.forgetAll();
    for (const c of this.cpus) c.setField32(CPU.codeChanged, 1);
  }

  translate(cpu: Cpu, lo: number, hi: number, access: number): number { return this.mmu.translate(cpu, lo, hi, access); }
  get faultCode(): number { return this.mmu.faultCode; }
  get foreignAt(): number { return this.mmu.foreignAt; }
  frameWritten(mfn: number): void { if ((this.siblings ? this.mmu.frameFlags.afterWrite(mfn) : this.mmu.flags(mfn)) & FRAME_FLAG.code) this.blocks.written(mfn); }
  setWriteProtected(mfn: number, on: boolean): void {
    if (on) this.mmu.guard(mfn, FRAME_FLAG.watched);
    else this.mmu.setFlag(mfn, FRAME_FLAG.watched, false);
  }

  /** Forgets all that can be recomputed: translations and decoded code. */
  forget(): void {
    this.mmu.contexts.reset();
    this.blocks.reset();
    for (const cpu of this.cpus) if (this.mmu.contexts.owns(cpu)) for (const field of [CPU.kernelMmu, CPU.userMmu]) cpu.setField32(field, 0);
  }
  shed(most: number): Extent | undefined {
    const { records } = this.blocks;
    if (records.bytes <= most) return undefined;
    this.forget();
    this.blocks.takeSlots();
    return records;
  }
  /** The handlers in use, for bench/record-handlers.ts. */
  get handlersMade(): HandlerSpec[] { return this.handlers.made; }
  get tlbMisses(): number { return this.mmu.contexts.tlbMisses; }
  statistics(): MachineStatistics { return { blocks: this.blocks.made, promoted: this.blocks.hot.promoted, resets: this.blocks.resets, moduleBytes: this.handlers.moduleBytes }; }
}
