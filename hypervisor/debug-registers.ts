// Debug registers: hypercalls set_debugreg and get_debugreg, and MOV to and from DR. DR0 to DR3, DR6 and DR7 are the
// machine's; enable bits of I/O breakpoints are kept back, ports being emulated here. A guest may not set breakpoints
// in Xen's window, nor DR7.GD.

import { EINVAL, ENODEV, EPERM } from '#abi/errno.ts';
import { CPU } from '#machine/cpu-state.ts';
import type { Hypercall } from './hypercall.ts';
import type { Vcpu } from './vcpu.ts';
import { addressOk } from './words.ts';

/** CR4.DE: I/O breakpoints exist, and DR4 and DR5 do not. */
export const CR4_DE = 1 << 3;
const DR6_ONES = 0xffff_0ff0n, DR6_ZEROS = 0x1000n;
const DR7_ONES = 0x400n, DR7_ZEROS = 0xd800n, DR7_GD = 0x2000n, DR7_ENABLES = 0xffn;
const BREAKPOINT_IO = 2n;

const drOffset = (reg: number): number => CPU.dr + reg * 8;

/** set_debugreg(reg, value). */
export const do_set_debugreg: Hypercall = (v, a) => setDebugreg(v, a.int(0), a.big(1));

/** get_debugreg(reg): the value, as a signed number; debug registers hold canonical addresses, so it is exact. */
export const do_get_debugreg: Hypercall = (v, a) => {
  const value = getDebugreg(v, a.int(0));
  return value === undefined ? -ENODEV : Number(BigInt.asIntN(64, value));
};

/**
 * @returns 0; -ENODEV for a register that does not exist, -EINVAL for bits that must be zero, -EPERM for what a guest
 * may not set
 */
export function setDebugreg(v: Vcpu, reg: number, value: bigint): number {
  const which = alias(v, reg);
  if (which === undefined) return -ENODEV;
  if (which < 4) {
    if (!addressOk(value)) return -EPERM;
    v.cpu.setField64(drOffset(which), value);
    return 0;
  }
  if (value >> 32n !== 0n) return -EINVAL;
  if (which === 7) return setDr7(v, (value | DR7_ONES) & ~DR7_ZEROS);
  v.cpu.setField64(drOffset(6), (value | DR6_ONES) & ~DR6_ZEROS);
  return 0;
}

/** Undefined for a register that does not exist. */
export function getDebugreg(v: Vcpu, reg: number): bigint | undefined {
  const which = alias(v, reg);
  if (which === undefined) return undefined;
  const value = v.cpu.field64(drOffset(which));
  return which === 7 ? value | BigInt(v.state.dr7_emul) : value;
}

/** DR4 and DR5 are DR6 and DR7 unless CR4.DE is set. */
function alias(v: Vcpu, reg: number): number | undefined {
  if (reg < 0 || reg > 7) return undefined;
  if (reg !== 4 && reg !== 5) return reg;
  return (v.state.cr4 & CR4_DE) !== 0 ? undefined : reg + 2;
}

function setDr7(v: Vcpu, value: bigint): number {
  if ((value & DR7_GD) !== 0n) return -EPERM;
  let io = 0n;
  if ((value & DR7_ENABLES) !== 0n) {
    for (let i = 0n; i < 4n; i++) {
      if (((value >> (16n + i * 4n)) & 3n) !== BREAKPOINT_IO) continue;
      if ((v.state.cr4 & CR4_DE) === 0) return -EPERM;
      io |= value & (3n << (i * 2n));
    }
  }
  v.state.dr7_emul = Number(io);
  v.cpu.setField64(drOffset(7), value & ~io);
  return 0;
}

/** Debug registers as they are after a reset. */
export function resetDebugregs(v: Vcpu): void {
  for (let reg = 0; reg < 6; reg++) v.cpu.setField64(drOffset(reg), 0n);
  v.cpu.setField64(drOffset(6), DR6_ONES);
  v.cpu.setField64(drOffset(7), DR7_ONES);
  v.state.dr7_emul = 0;
}

/** Reports a single step to the guest's DR6. */
export function noteSingleStep(v: Vcpu): void { v.cpu.setField64(drOffset(6), v.cpu.field64(drOffset(6)) | DR6_ONES | 0x4000n); }
