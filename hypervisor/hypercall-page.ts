// The hypercall page: 128 entry points of 32 bytes, one a hypercall number, that a guest calls instead of issuing
// SYSCALL itself. Each saves rcx and r11, which SYSCALL destroys; iret is jumped to and builds the top of its
// iret_context (docs/guest-guide/x86/hypercall-abi).

import { HYPERVISOR } from '#abi/xen.ts';
import { type Capsule, PAGE_SIZE } from '#base/capsule.ts';
import { PGT_writable_page } from './mm/frame-table.ts';
import { getPageAndType, putPageAndType } from './mm/page-type.ts';
import type { Vcpu } from './vcpu.ts';

const STUB = 32;
const INT3 = 0xcc;
const PUSH_RCX = [0x51], PUSH_R11 = [0x41, 0x53], PUSH_RAX = [0x50], SYSCALL = [0x0f, 0x05], POP_R11 = [0x41, 0x5b], POP_RCX = [0x59], RET = [0xc3];
const movEax = (n: number): number[] => [0xb8, n, 0, 0, 0];

/** Writes the hypercall page at a capsule offset. The caller reports the frame as written. */
export function fillHypercallPage(capsule: Capsule, offset: number): void {
  capsule.u8.fill(INT3, offset, offset + PAGE_SIZE);
  for (let n = 0; n < PAGE_SIZE / STUB; n++) {
    const code = n === HYPERVISOR.iret
      ? [...PUSH_RCX, ...PUSH_R11, ...PUSH_RAX, ...movEax(n), ...SYSCALL]
      : [...PUSH_RCX, ...PUSH_R11, ...movEax(n), ...SYSCALL, ...POP_R11, ...POP_RCX, ...RET];
    capsule.u8.set(code, offset + n * STUB);
  }
}

/**
 * A write to the MSR that CPUID leaf 0x40000002 names: the guest's frame number in bits 63:12, the page's index (0) in
 * the others.
 * @returns false for #GP: no such page, or not the guest's own, or not writable memory
 */
export function fillHypercallPageByMsr(v: Vcpu, value: bigint): boolean {
  const { mm, capsule, machine } = v.domain;
  if ((value & 0xfffn) !== 0n || value >> 12n >= BigInt(mm.total)) return false;
  const mfn = Number(value >> 12n);
  if (getPageAndType(mm, mfn, PGT_writable_page) !== 0) return false;
  fillHypercallPage(capsule, capsule.frame(mfn));
  machine.frameWritten(mfn);
  putPageAndType(mm, mfn);
  return true;
}
