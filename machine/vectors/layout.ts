// Where a test case runs, and how the state of the processor is laid out in it. The native runner (native/runner.c)
// holds the same constants; native-runner.ts in tests/cpu checks that both agree.
//
//   0x1000_0000  code, 2 pages, executable; filled with INT3 except for the case's own bytes
//   0x1002_1000  arena: 2 writable pages and 1 read-only page, filled with the pattern of filler.ts
// Everything around both is unmapped, so operands can cross from writable to read-only to unmapped memory. All of it
// lies below 4 GiB, so that compatibility-mode code reaches it too. Nothing in the arena is executable.

export const CODE = 0x1000_0000;
export const CODE_SIZE = 0x2000;
export const ARENA = 0x1002_1000;
export const ARENA_WRITABLE = 0x2000;
export const ARENA_SIZE = 0x3000;

/** Stack pointer of a case that does not choose its own: in the first writable page, 16-byte aligned. */
export const STACK = ARENA + 0xf80;
/** Bases of FS and GS of a case that does not choose its own. */
export const FS_BASE = ARENA + 0x400;
export const GS_BASE = ARENA + 0xc00;

/** Selectors as Linux gives them to a process; the engine under test gets descriptors with the same meaning. */
export const SELECTOR = { code64: 0x33, code32: 0x23, data: 0x2b } as const;

/** Offsets in the state image: what a case may set and what is compared. All little-endian. */
export const IMAGE = {
  regs: 0, // 16 × u64, in encoding order
  rip: 128, // u64
  rflags: 136, // u64; only bits of COMPARED_FLAGS count
  fsBase: 144, // u64
  gsBase: 152, // u64
  selectors: 160, // 6 × u16: es cs ss ds fs gs
  fx: 176, // 416 bytes of FXSAVE64 layout (Intel SDM vol. 1, table 10-2)
  size: 592,
} as const;
export const FX_SIZE = 416;

/** Flags that are compared: all that ring 3 can change, and TF. IF is always set, RF and IOPL are not looked at. */
export const COMPARED_FLAGS = 0x24_4dd5;
export const STATUS_FLAGS = 0x8d5;
export const FLAG = { cf: 1, pf: 4, af: 0x10, zf: 0x40, sf: 0x80, tf: 0x100, df: 0x400, of: 0x800 } as const;

export interface Field {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
}

const REGISTER_NAMES = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];
const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Every field by its number in the encoded form (codec.ts). */
export const FIELDS: readonly Field[] = [
  ...REGISTER_NAMES.map((name, i) => ({ name, offset: IMAGE.regs + i * 8, size: 8 })),
  { name: 'rip', offset: IMAGE.rip, size: 8 },
  { name: 'rflags', offset: IMAGE.rflags, size: 8 },
  { name: 'fsBase', offset: IMAGE.fsBase, size: 8 },
  { name: 'gsBase', offset: IMAGE.gsBase, size: 8 },
  ...['es', 'cs', 'ss', 'ds', 'fs', 'gs'].map((name, i) => ({ name, offset: IMAGE.selectors + i * 2, size: 2 })),
  { name: 'fcw', offset: IMAGE.fx, size: 2 },
  { name: 'fsw', offset: IMAGE.fx + 2, size: 2 },
  { name: 'ftw', offset: IMAGE.fx + 4, size: 1 },
  { name: 'fop', offset: IMAGE.fx + 6, size: 2 },
  { name: 'fip', offset: IMAGE.fx + 8, size: 8 },
  { name: 'fdp', offset: IMAGE.fx + 16, size: 8 },
  { name: 'mxcsr', offset: IMAGE.fx + 24, size: 4 },
  ...range(8).map((i) => ({ name: `st${i}`, offset: IMAGE.fx + 32 + i * 16, size: 10 })),
  ...range(16).map((i) => ({ name: `xmm${i}`, offset: IMAGE.fx + 160 + i * 16, size: 16 })),
];

/** Number of a field by its name. */
export const FIELD: Readonly<Record<string, number>> = Object.fromEntries(FIELDS.map((f, i) => [f.name, i]));
