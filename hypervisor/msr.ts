// Model-specific registers as Xen shows them to a PV guest: a few have values, a few take writes that change nothing,
// the rest is #GP, on which Linux relies ("_safe" accesses). Only guest kernel mode gets here.

import { SEG } from '#machine/cpu-state.ts';
import { fillHypercallPageByMsr } from './hypercall-page.ts';
import { clockOf } from './time.ts';
import type { Vcpu } from './vcpu.ts';
import { isCanonical } from './words.ts';

const MSR = {
  TSC: 0x10, PLATFORM_ID: 0x17, APIC_BASE: 0x1b, UCODE_REV: 0x8b, PLATFORM_INFO: 0xce, MPERF: 0xe7, APERF: 0xe8,
  PERF_CTL: 0x199, THERM_CONTROL: 0x19a, MISC_ENABLE: 0x1a0, ENERGY_PERF_BIAS: 0x1b0, CR_PAT: 0x277, PERF_CAPABILITIES: 0x345,
  EFER: 0xc000_0080, FS_BASE: 0xc000_0100, GS_BASE: 0xc000_0101, SHADOW_GS_BASE: 0xc000_0102, XEN_HYPERCALL_PAGE: 0x4000_0000,
} as const;

/** SCE, LME, LMA, NXE */
const EFER_VALUE = 0xd01n;
/** enabled, at the usual address; bit 8 on the boot processor */
const APIC_BASE_VALUE = 0xfee0_0800n, APIC_BASE_BSP = 0x100n;
/** Xen's PAT: WB, WT, UC-, UC, WC, WP, UC, UC */
const PAT_VALUE = 0x0000_0501_0007_0406n;
/** fast strings; BTS and PEBS unavailable, xTPR messages disabled */
const MISC_ENABLE_VALUE = (1n << 0n) | (1n << 11n) | (1n << 12n) | (1n << 23n);

/** @returns the value, undefined for #GP */
export function readMsr(v: Vcpu, msr: number): bigint | undefined {
  switch (msr) {
    case MSR.FS_BASE: return v.cpu.segBase(SEG.fs);
    case MSR.GS_BASE: return v.cpu.segBase(SEG.gs);
    case MSR.SHADOW_GS_BASE: return v.state.gs_base_user;
    case MSR.TSC: return BigInt(clockOf(v.domain).tsc());
    case MSR.EFER: return EFER_VALUE;
    case MSR.APIC_BASE: return v.id === 0 ? APIC_BASE_VALUE | APIC_BASE_BSP : APIC_BASE_VALUE;
    case MSR.CR_PAT: return PAT_VALUE;
    case MSR.MISC_ENABLE: return MISC_ENABLE_VALUE;
    case MSR.UCODE_REV: case MSR.PLATFORM_ID: case MSR.PLATFORM_INFO: case MSR.PERF_CAPABILITIES: return 0n;
    default: return undefined;
  }
}

/** @returns false for #GP */
export function writeMsr(v: Vcpu, msr: number, value: bigint): boolean {
  switch (msr) {
    case MSR.FS_BASE: return setBase(value, (base) => v.cpu.setSegBase(SEG.fs, base));
    case MSR.GS_BASE: return setBase(value, (base) => v.cpu.setSegBase(SEG.gs, base));
    case MSR.SHADOW_GS_BASE: return setBase(value, (base) => { v.state.gs_base_user = base; });
    case MSR.CR_PAT: return value === PAT_VALUE;
    case MSR.XEN_HYPERCALL_PAGE: return fillHypercallPageByMsr(v, value);
    // Taken and ignored: settings of a processor that is not the guest's alone.
    case MSR.UCODE_REV: case MSR.MISC_ENABLE: case MSR.MPERF: case MSR.APERF: case MSR.PERF_CTL: case MSR.THERM_CONTROL: case MSR.ENERGY_PERF_BIAS: return true;
    default: return false;
  }
}

function setBase(value: bigint, store: (base: bigint) => void): boolean {
  if (!isCanonical(value)) return false;
  store(value);
  return true;
}
