// CPUID as a guest sees it: the processor that we are, and Xen's leaves at 0x40000000.
//
// Features are those that the machine executes, no more; what needs ring 0 is hidden as Xen hides it from PV guests
// (public/arch-x86/cpufeatureset.h). The model is a deliberate choice: Intel family 6 model 0x36, an in-order Atom
// (Saltwell). An interpreter does not speculate either, and Linux knows this model as free of every speculation
// flaw, so it leaves out retpolines, return thunks and barriers; it takes REP MOVS for good on Intel's family 6, and
// leaf 0x16 spares it 150,000 port reads to find the clock rate (Xen itself ends its basic leaves at 0x0d).
// Facts: Intel SDM vol. 2, CPUID; public/arch-x86/cpuid.h.

import { TSC_HZ } from './time.ts';

/** Four registers; read them before the next call. */
export const leaf = { eax: 0, ebx: 0, ecx: 0, edx: 0 };

const MAX_BASIC = 0x16, MAX_EXTENDED = 0x8000_0008;
const XEN_BASE = 0x4000_0000, XEN_MAX = XEN_BASE + 5;
/** Xen 4.17, as XENVER_version says too. */
const XEN_VERSION = (4 << 16) | 17;
const MHZ = TSC_HZ / 1e6;
/** Physical address bits of the processor, and of the machine addresses that a domain meets: frame numbers stay below 2^20. */
const ADDRESS_WIDTH = 40, MACHINE_ADDRESS_WIDTH = 32;

/** type 0, extended model 3, family 6, model 6, stepping 1 */
const SIGNATURE = 0x0003_0661;
const CLFLUSH_SIZE_8 = 8 << 8;

const bits = (...n: readonly number[]): number => n.reduce((set, bit) => set | (1 << bit), 0) >>> 0;
/** sse3, ssse3, cx16, sse4_1, sse4_2, popcnt, rdrand (a kernel without it spends seconds on gathering entropy), hypervisor */
const FEATURES_1C = bits(0, 9, 13, 19, 20, 23, 30, 31);
/** fpu, de, tsc, msr, pae, cx8, sep, cmov, pat, clflush, mmx, fxsr, sse, sse2 */
const FEATURES_1D = bits(0, 2, 4, 5, 6, 8, 11, 15, 16, 19, 23, 24, 25, 26);
/** serialize: without it Linux takes an IRET for each place in its code that it patches, 100,000 at its start */
const FEATURES_7D = bits(14);
/** lahf_lm */
const FEATURES_81C = bits(0);
/** syscall, nx, lm */
const FEATURES_81D = bits(11, 20, 29);
/** "use leaf 4", and prefetch of 64 bytes: what current Intel processors say here */
const LEAF_2 = [0x00fe_ff01, 0xf0, 0, 0] as const;

type Leaf = readonly [number, number, number, number];
const NOTHING: Leaf = [0, 0, 0, 0];

/** Up to 12 bytes of text as three registers. */
function text(s: string): [number, number, number] {
  const word = (at: number): number => [3, 2, 1, 0].reduce((w, i) => w * 256 + (s.charCodeAt(at + i) || 0), 0);
  return [word(0), word(4), word(8)];
}
const [G, I, N] = text('GenuineIntel');
const [X, V, M] = text('XenVMMXenVMM');
const BRAND = 'Xenith virtual x86-64 processor'.padEnd(48, '\0');
const brand = (part: number): Leaf => {
  const [a, b, c] = text(BRAND.slice(part * 16, part * 16 + 12));
  return [a, b, c, text(BRAND.slice(part * 16 + 12, part * 16 + 16))[0]];
};

/** Deterministic cache parameters: type (1 data, 2 code, 3 both), level, ways, sets of 64-byte lines. */
const cache = (type: number, level: number, ways: number, sets: number): Leaf => [type | (level << 5) | (1 << 8), ((ways - 1) << 22) | 63, sets - 1, 0];
const CACHES: readonly Leaf[] = [cache(1, 1, 8, 64), cache(2, 1, 8, 64), cache(3, 2, 16, 1024)];

const BASIC: Readonly<Record<number, Leaf>> = {
  0: [MAX_BASIC, G, N, I],
  1: [SIGNATURE, CLFLUSH_SIZE_8, FEATURES_1C, FEATURES_1D],
  2: LEAF_2,
  7: [0, 0, 0, FEATURES_7D],
  0x16: [MHZ, MHZ, 100, 0],
  0x8000_0000: [MAX_EXTENDED, 0, 0, 0],
  0x8000_0001: [0, 0, FEATURES_81C, FEATURES_81D],
  0x8000_0002: brand(0), 0x8000_0003: brand(1), 0x8000_0004: brand(2),
  0x8000_0006: [0, 0, (1024 << 16) | (8 << 12) | 64, 0],
  0x8000_0008: [ADDRESS_WIDTH | (48 << 8), 0, 0, 0],
};

/** Xen's leaves: signature, version, hypercall page, time, (HVM only), PV parameters. */
function xenLeaf(n: number, subleaf: number): Leaf {
  switch (n) {
    case 0: return [XEN_MAX, X, V, M];
    case 1: return [XEN_VERSION, 0, 0, 0];
    case 2: return [1, XEN_BASE, 1, 0]; // one page, the MSR that fills it, MMU_PT_UPDATE_PRESERVE_AD
    case 3: return timeLeaf(subleaf);
    case 5: return subleaf === 0 ? [0, MACHINE_ADDRESS_WIDTH, 0, 0] : NOTHING;
    default: return NOTHING;
  }
}
function timeLeaf(subleaf: number): Leaf {
  switch (subleaf) {
    case 0: return [2, 0, TSC_HZ / 1000, 0]; // host TSC reliable; default mode; kHz; incarnation
    case 1: return [0, 0, 0x8000_0000, 0]; // offset, scale and shift: TSC ticks to ns
    case 2: return [TSC_HZ / 1000, 0, 0, 0];
    default: return NOTHING;
  }
}

/**
 * The four registers of one leaf, into `leaf`: zeros for leaves that do not exist, as Xen answers.
 * @param eax unsigned @param ecx unsigned
 */
export function cpuid(eax: number, ecx: number): void {
  const found = eax >= XEN_BASE && eax < XEN_BASE + 0x100 ? xenLeaf(eax <= XEN_MAX ? eax - XEN_BASE : -1, ecx)
    : eax === 4 ? CACHES[ecx] ?? NOTHING
    : eax === 7 && ecx !== 0 ? NOTHING
    : BASIC[eax] ?? NOTHING;
  leaf.eax = found[0] >>> 0;
  leaf.ebx = found[1] >>> 0;
  leaf.ecx = found[2] >>> 0;
  leaf.edx = found[3] >>> 0;
}
