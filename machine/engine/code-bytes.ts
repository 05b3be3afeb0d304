// Bytes of guest memory as an instruction that is looked at once has them.

import type { Cpu } from '../cpu.ts';
import { ACCESS } from '../machine.ts';
import type { Mmu } from './mmu.ts';

/** A byte of guest memory, or -1 where none can be accessed. */
export function byteAt(mmu: Mmu, cpu: Cpu, va: bigint, access: number): number {
  const at = BigInt.asUintN(64, va);
  const host = mmu.translate(cpu, Number(at & 0xffff_ffffn), Number(at >> 32n), access);
  return host < 0 ? -1 : cpu.capsule.u8[host] as number;
}
/** Up to n bytes as hexadecimal numbers. */
export function bytesAt(mmu: Mmu, cpu: Cpu, va: bigint, n: number): string {
  const bytes: string[] = [];
  for (let i = 0; i < n; i++) {
    const byte = byteAt(mmu, cpu, va + BigInt(i), ACCESS.read);
    if (byte < 0) break;
    bytes.push(byte.toString(16).padStart(2, '0'));
  }
  return bytes.join(' ');
}
