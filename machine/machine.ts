// What the software computer offers to the hypervisor above it, and what it asks of it. The machine knows nothing
// of Xen: it executes ring-3 code over page tables in guest frames, and stops where the hypervisor has to decide.

import type { Capsule } from '#base/capsule.ts';
import type { Cpu } from './cpu.ts';

/** Access kinds of a translation; values are page-fault error code bits (Intel SDM vol. 3, 4.7). */
export const ACCESS = { read: 0, write: 2, execute: 16 } as const;
/** Page-fault error code bits. */
export const PFEC = { present: 1, write: 2, user: 4, reserved: 8, fetch: 16 } as const;

/** What became of a write that the hypervisor was asked to do: it is done; a #PF is to be raised; there is something else now than the instruction has read. */
export const STORE = { done: 0, refused: 1, changed: 2 } as const;

export interface Machine {
  readonly capsule: Capsule;
  /** one for each vCPU of the domain */
  readonly cpus: readonly Cpu[];

  /**
   * Runs a vCPU until something happens that the hypervisor decides, `budget` instructions at the most (a few more
   * where a block of code ends later). State is exact on return.
   * @returns an EXIT code; details are in the context's exit fields (cpu-state.ts)
   */
  run(cpu: Cpu, budget: number): number;

  /** The status and system flags as one RFLAGS value (bit 1 set); below 2^22. */
  getFlags(cpu: Cpu): number;
  /** Sets all of RFLAGS, unfiltered: the hypervisor decides what a guest may set. */
  setFlags(cpu: Cpu, rflags: number): void;

  /** Length in bytes of the instruction that made the last privileged or softint exit. */
  exitLength(cpu: Cpu): number;

  /** What the machine has done so far, for who measures. */
  statistics(): MachineStatistics;
  /** How often a page was looked up in the page tables, by all vCPUs. */
  readonly tlbMisses: number;

  /** Instructions retired by this vCPU since it was made. Exact. */
  retired(cpu: Cpu): number;
  /** Takes so many instructions that were not executed off the budget of the run that is going on. */
  charge(cpu: Cpu, instructions: number): void;

  /**
   * Makes `mfn` the base of the vCPU's current page tables (the L4 frame) for the given mode and switches to it.
   * Translations cached under that base stay, they are dropped by the flush calls only.
   * @param kernel true for the guest kernel's tables, false for user mode's: sets MODE.kernel too
   */
  setBase(cpu: Cpu, mfn: number, kernel: boolean): void;
  /**
   * Drops every cached translation, of every base pointer of this domain, before the next guest instruction.
   * @param mfn the frame that the dropped translations led to, when it is known to be one: decoded jump targets are
   *   dropped only where code was decoded from it
   */
  flushTlb(mfn?: number): void;
  /** Drops cached translations of one page under every base pointer. Halves of the linear address; mfn as for flushTlb. */
  flushTlbPage(vaLo: number, vaHi: number, mfn?: number): void;
  /** Forgets everything cached under one base pointer (its L4 frame is no longer a base table). */
  dropBase(mfn: number): void;

  /**
   * Translates a linear address under the vCPU's current tables as a guest access of this kind would, with accessed
   * and dirty bits set in the tables.
   * @param access ACCESS
   * @returns capsule offset of the byte, or -1: the page-fault error code is then in `faultCode`; or -1 with
   *   `foreignAt` set, for a byte of hooks.foreign
   */
  translate(cpu: Cpu, vaLo: number, vaHi: number, access: number): number;
  /** After a translate that gave -1: the byte's frame number × 4096 + offset where the access is permitted to memory of another machine; else -1. */
  readonly foreignAt: number;
  /** Error code of the last failed translate (PFEC bits, without the user bit). */
  readonly faultCode: number;

  /**
   * A number that grows with what was dropped; 0 always for a machine that has no siblings (engine/siblings.ts); -1 for one that
   * is elsewhere, and drops nothing.
   */
  readonly dropped: number;
  /** Waits until nobody uses what was dropped when `dropped` was this number. To be called outside of `run`. */
  settle(upTo: number): void;
  /** Waits until every access that has begun is done. Likewise. */
  finishAccesses(): void;
  /** Ends the run of a sibling, soon. */
  interrupt(machine: number): void;
  /** Does something that waits for others in the middle of an instruction, where a hook is called: nothing may be known of translations behind it. */
  outside<T>(body: () => T): T;

  /** To be called after the hypervisor wrote into a guest frame: decoded code from it is dropped. Cheap if none. */
  frameWritten(mfn: number): void;
  /**
   * Forgets what it has decoded and compiled, if that is more than so many bytes. Not while a vCPU runs.
   * @returns where it was: nothing there is read again before it is written; undefined when nothing was done
   */
  shed(most: number): Extent | undefined;
  /** While set, writes to the frame by the guest go to hooks.storeDenied instead of memory (e.g. log-dirty). */
  setWriteProtected(mfn: number, on: boolean): void;
}

/** A part of the capsule. */
export interface Extent { readonly offset: number; readonly bytes: number }

/**
 * Memory of other machines, at frame numbers beyond the machine's own. Entries of L1 tables may have them. Nothing is cached
 * of them: each access asks. Code there is not executed.
 */
export interface ForeignMemory {
  /** True when there is something at this frame number. */
  has(mfn: number): boolean;
  /** Whose it is, where it lies, and its number there: whoever stores tells that machine. The result is used again by the next call. */
  find(mfn: number): { readonly machine: Pick<Machine, 'frameWritten'>; readonly capsule: Capsule; readonly offset: number; readonly mfn: number };
}

export interface MachineStatistics {
  /** blocks of guest code that were decoded */
  readonly blocks: number;
  /** regions of guest code that were compiled */
  readonly promoted: number;
  /** how often all decoded code was dropped for want of room */
  readonly resets: number;
  /** bytes of the WebAssembly modules of the regions that it has */
  readonly moduleBytes: number;
}

/** What the machine asks in the middle of an instruction. Set before the first run. */
export interface MachineHooks {
  /** Undefined: frame numbers beyond the machine's own are errors in page tables. */
  foreign?: ForeignMemory;
  /** True when the hypervisor may emulate stores to this frame, which is mapped read-only where the guest writes. */
  storeWatched(cpu: Cpu, mfn: number): boolean;
  /**
   * A guest write to such a page that is present but read-only, before a page fault is raised: the hypervisor may do the
   * write itself (writable-page-table emulation). The value is not written by the machine in either case.
   * @param va linear address, halves
   * @param size 1, 2, 4 or 8 bytes, never crossing a page; the value's halves (hi is 0 for smaller sizes)
   * @param was what a locked instruction has read there: the write is done only if that is still so
   * @returns STORE
   */
  storeDenied(cpu: Cpu, vaLo: number, vaHi: number, size: number, lo: number, hi: number, was: { readonly lo: number; readonly hi: number } | undefined): number;
  /** 64 random bits, for RDRAND and RDSEED. */
  random(cpu: Cpu): bigint;
  /** The time stamp counter as the guest reads it, a whole number: below 2^53, which are 52 days at 2 GHz, exact; then even. */
  rdtsc(cpu: Cpu): number;
  /**
   * A code or data segment descriptor, for loads of segment registers and far transfers.
   * @returns capsule offset of the 8 bytes; -1 when the selector is beyond its table's limit; -2 when the table cannot
   *   be read there: a page fault with error code 0, its address is in CPU.cr2
   */
  descriptor(cpu: Cpu, selector: number): number;
  /**
   * A system call in the middle of a run, from what was given as SystemCallPaths: state is as after EXIT.syscall. What it is charged for
   * comes off the run's budget, by `charge`.
   * @returns 0 to go on at rip, or an exit code to leave the run with: EXIT.syscall when it was not served
   */
  hypercall?(cpu: Cpu): number;
  /** The same for an exception; state is as after EXIT.exception. */
  exception?(cpu: Cpu): number;
  /** Somebody wants to hear of every system call: none is delivered without an exit. */
  traced?(): boolean;
  /** Guest code is about to be compiled, or was, on the thread that runs the vCPU. @returns what `compiled` is given */
  compiling?(cpu: Cpu): number;
  compiled?(cpu: Cpu, began: number): void;
  /** An instruction that we do not implement raised #UD: to be counted and named once in the log. */
  unimplemented(cpu: Cpu, name: string): void;
}
