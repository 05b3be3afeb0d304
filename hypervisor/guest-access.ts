// Copies between the hypervisor and guest virtual memory, under the vCPU's current page tables. Guest memory is
// hostile: copy in once, check the copy, use the copy. A failed copy is -EFAULT for the hypercall that asked.

import type { Capsule } from '#base/capsule.ts';
import { ACCESS } from '#machine/machine.ts';
import type { Vcpu } from './vcpu.ts';

/** True when [va, va + length) is canonical and outside Xen's own window (0xffff8000_00000000 .. 0xffff87ff_ffffffff). */
export function guestRangeOk(vaLo: number, vaHi: number, length: number): boolean {
  const end = vaLo + length;
  const endHi = end > 0x1_0000_0000 ? vaHi + 1 : vaHi;
  if (vaHi < 0x8000) return endHi < 0x8000 || (endHi === 0x8000 && end % 0x1_0000_0000 === 0);
  return vaHi >= 0xffff_8800 && endHi <= 0xffff_ffff;
}

/** True for the high half of an address outside Xen's own window: all that Xen looks at before it tries. */
export function guestAddressOk(vaHi: number): boolean { return vaHi < 0x8000 || vaHi >= 0xffff_8800; }

/**
 * Capsule offset of guest memory that lies within one page: no copy, for reads and writes of single values.
 * @param write true to demand write permission
 * @returns -1 on a fault, when the range crosses a page, or when it is in a page of another domain's
 */
export function guestPointer(v: Vcpu, vaLo: number, vaHi: number, length: number, write: boolean): number {
  if ((vaLo & 4095) + length > 4096 || !guestRangeOk(vaLo, vaHi, length)) return -1;
  return v.domain.machine.translate(v.cpu, vaLo, vaHi, write ? ACCESS.write : ACCESS.read);
}

/** Copies guest memory into `into` at `at`. False on a fault; then `into` may be partly written. */
export function copyFromGuest(v: Vcpu, vaLo: number, vaHi: number, into: Uint8Array, at: number, length: number): boolean {
  return eachPage(v, vaLo, vaHi, length, ACCESS.read, ({ capsule, offset }, done, n) => into.set(capsule.u8.subarray(offset, offset + n), at + done));
}

/** Copies `from` at `at` into guest memory. False on a fault; the guest may then see a part of it. */
export function copyToGuest(v: Vcpu, vaLo: number, vaHi: number, from: Uint8Array, at: number, length: number): boolean {
  return eachPage(v, vaLo, vaHi, length, ACCESS.write, ({ capsule, offset }, done, n) => capsule.u8.set(from.subarray(at + done, at + done + n), offset));
}

/** A piece of guest memory: the domain's own, or one that is mapped from another. */
const piece = { capsule: undefined as unknown as Capsule, offset: 0 };
type Body = (at: typeof piece, done: number, n: number) => void;

function eachPage(v: Vcpu, vaLo: number, vaHi: number, length: number, access: number, body: Body): boolean {
  if (!guestRangeOk(vaLo, vaHi, length)) return false;
  const { machine, capsule, mm } = v.domain;
  for (let done = 0; done < length;) {
    const lo = vaLo + done;
    const n = Math.min(length - done, 4096 - (lo & 4095));
    const offset = machine.translate(v.cpu, lo >>> 0, lo > 0xffff_ffff ? vaHi + 1 : vaHi, access);
    const { foreignAt } = machine;
    if (offset < 0 && foreignAt < 0) return false;
    const foreign = offset < 0 ? mm.foreign.find(foreignAt >>> 12) : undefined;
    piece.capsule = foreign?.capsule ?? capsule;
    piece.offset = foreign ? foreign.offset + (foreignAt & 4095) : offset;
    body(piece, done, n);
    if (access === ACCESS.write) {
      if (foreign) foreign.machine.frameWritten(foreign.mfn);
      else machine.frameWritten((offset - capsule.frames) >>> 12);
    }
    done += n;
  }
  return true;
}
