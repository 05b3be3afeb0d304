// The register file of one vCPU, as it lies in the capsule. Handlers of guest instructions address it from a base
// pointer with constant offsets; TypeScript reads and writes it through CpuState. Every field that a snapshot needs
// is here; what can be recomputed (TLBs, decoded code) is not.

/** Register numbers as the instruction encoding has them. */
export const REG = { rax: 0, rcx: 1, rdx: 2, rbx: 3, rsp: 4, rbp: 5, rsi: 6, rdi: 7, r8: 8, r9: 9, r10: 10, r11: 11, r12: 12, r13: 13, r14: 14, r15: 15 } as const;
/** Segment registers as the instruction encoding has them. */
export const SEG = { es: 0, cs: 1, ss: 2, ds: 3, fs: 4, gs: 5 } as const;

/** Offsets in bytes from the context's base. */
export const CPU = {
  regs: 0x000, // 16 × u64, in encoding order
  zero: 0x080, // u64, always 0: stands in for an absent base or index register or segment base
  rip: 0x088, // u64; exact whenever no guest code runs
  ccOp: 0x090, // u32: how CF, OF and AF follow from ccRes and ccA (isa/flags.ts)
  ccRes: 0x098, // u64: the last result, zero-extended from its size
  ccA: 0x0a0, // u64: first operand, or flag bits
  flags: 0x0a8, // u32: RFLAGS bits other than CF, PF, AF, ZF, SF, OF (DF, TF, IF, IOPL, NT, AC, ID)
  segBase: 0x0b0, // 6 × u64
  selector: 0x0e0, // 6 × u16
  mmu: 0x0f0, // u32: capsule offset of the current MMU context (TLB and jump cache of one base pointer)
  budget: 0x0f4, // i32: instructions left in this slice
  mode: 0x0f8, // u32: MODE bits
  slice: 0x0fc, // i32: what budget was when the slice began
  retired: 0x100, // f64: instructions retired before the current slice
  exitCode: 0x108, // u32: EXIT
  exitInfo: 0x10c, // u32: exception vector, interrupt number or PRIV operation
  errorCode: 0x110, // u32: of an exception; NO_ERROR_CODE when the vector has none
  exitOp: 0x114, // u32: capsule offset of the operation record that made the exit
  cr2: 0x118, // u64: faulting linear address
  exitArg: 0x120, // u64: operand of a privileged operation
  cr3: 0x128, // u32: frame number of the current base table
  quotient: 0x130, // u64 × 2: results of a 128-bit division
  remainder: 0x138,
  scratch: 0x140, // 64 bytes: operands and result of a routine outside the generated code (fpu/sse-slow.ts)
  bounce: 0x180, // 64 bytes: stands in for guest memory that crosses a page or that the hypervisor watches
  bounceInfo: 0x1c0, // where the bounced bytes belong
  codeChanged: 0x1e0, // u32: a store has invalidated decoded code; cleared when guest code is entered
  jumpedFrom: 0x1e4, // u32: record of a computed jump that missed the jump cache
  shortcuts: 0x1e8, // u32: system calls may be delivered without an exit
  kernelMmu: 0x1ec, // u32: MMU context that kernel mode used last, and user mode; or capsule offset 0
  userMmu: 0x1f0,
  stackAdd: 0x1f4, // u32, u64: the page that the stack was in last, if it may be written under the current MMU context, or all ones; and its capsule offset less its address
  stackPage: 0x1f8,
  fxState: 0x200, // 512 bytes: x87, MXCSR and XMM registers in FXSAVE64 layout, always current
  dr: 0x400, // 8 × u64: DR0..DR7
  watching: 0x448, // u32: data breakpoints are on; accesses that miss the TLB are for the slow path
  redo: 0x44c, // u32: record whose write compiled code leaves to its handler; or 0
  segShort: 0x450, // 6 × u32: by how much each segment's limit is below 2^32 - 1; outside 64-bit mode
  page: 0x468, // u64: address of the page that the executing block begins in; records and relative operands count from it
  segRights: 0x440, // 6 × u8: SEG_DENIES bits of the descriptors in the segment registers
  bounceWas: 0x480, // 16 bytes: what the bounce buffer had at first, for a locked instruction
  wideLock: 0x4c0, // u32, vCPU 0's for all: held while 16 bytes, or what lies across boundaries, are changed as one
  machines: 0x4c4, // u32, vCPU 0's for all: how many machines may run them at the same time (engine/siblings.ts); 0: one
  fourGiB: 0x4c8, // u64, always 2^32: an index register for a displacement that does not fit 32 bits
  once: 0x500, // 64 bytes: a record that is executed by itself, and one that ends that
  innermost: 0x540, // u32: capsule offset of the entry in `returns` that was made last
  codeMoves: 0x544, // u32: counts how often decoded code, or where it lies, has changed
  returns: 0x600, // 64 × u64: where the calls of compiled code return to that wait for that, behind one that no call has
  returnsEnd: 0x800,
  size: 0x1000,
} as const;

/** What a segment that is not null may forbid outside 64-bit mode. */
export const SEG_DENIES = { read: 1, write: 2 } as const;

/** Offsets in the FXSAVE area (Intel SDM vol. 1, table 10-2); XMM register n is at CPU.fxState + FX.xmm + 16 n. */
export const FX = { fcw: 0, fsw: 2, ftw: 4, fop: 6, fip: 8, fdp: 16, mxcsr: 24, mxcsrMask: 28, st: 32, xmm: 160 } as const;

export const MODE = {
  /** compatibility mode (32-bit code segment) */
  compat32: 1,
  /** the guest kernel's page tables and privileges; clear: user mode. Both run in ring 3. */
  kernel: 2,
  /** CR0.TS: the next x87, MMX or SSE instruction raises #NM */
  ts: 4,
} as const;

/** Why `run` returned. */
export const EXIT = {
  none: 0,
  budget: 1, // the slice is used up
  syscall: 2, // SYSCALL; rcx, r11 already set, rip is the next instruction
  exception: 3, // exitInfo = vector; rip is the faulting instruction (or the next one for traps: #BP, #OF, single step)
  softint: 4, // INT n; exitInfo = n; rip is still the INT itself, its length is `exitLength`
  privileged: 5, // exitInfo = PRIV; rip is the instruction itself: the hypervisor emulates or injects #GP
  sysenter: 6, // SYSENTER
} as const;
export const NO_ERROR_CODE = 0xffff_ffff;

/** Instructions that ring 3 may not execute (or that a hypervisor wants to see): the operand is in exitArg. */
export const PRIV = {
  hlt: 1, cli: 2, sti: 3,
  in: 4, // exitArg = port | size in bytes << 16; result to al/ax/eax
  out: 5, // exitArg = port | size << 16; value in al/ax/eax
  ins: 6, outs: 7,
  rdmsr: 8, wrmsr: 9,
  movFromCr: 10, movToCr: 11, // exitArg = control register | general register << 8
  movFromDr: 12, movToDr: 13, // likewise, debug register
  clts: 14, invlpg: 15, // exitArg of invlpg = linear address
  lgdt: 16, lidt: 17, lldt: 18, ltr: 19, lmsw: 20,
  wbinvd: 21, invd: 22, swapgs: 23, sysret: 24, sysexit: 25,
  cpuid: 26, // CPUID; the forced form (ud2; "xen"; cpuid) gives cpuidForced
  cpuidForced: 27, rdpmc: 28, xsetbv: 29, monitor: 30, mwait: 31, rdtscp: 32, xgetbv: 33, iretq: 34, rsm: 35,
} as const;

/** Status flags and the others, as in RFLAGS. */
export const FLAG = { cf: 1, pf: 4, af: 0x10, zf: 0x40, sf: 0x80, tf: 0x100, if: 0x200, df: 0x400, of: 0x800, iopl: 0x3000, nt: 0x4000, rf: 0x1_0000, vm: 0x2_0000, ac: 0x4_0000, vif: 0x8_0000, vip: 0x10_0000, id: 0x20_0000 } as const;
