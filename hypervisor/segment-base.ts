// set_segment_base: FS and GS bases that lie beyond 32 bits, and loads of the user's GS from a descriptor.
// The hypercall is made in guest kernel mode: the kernel's GS base is the live one, the user's is put away.

import { EINVAL } from '#abi/errno.ts';
import { SEGBASE_FS, SEGBASE_GS_USER, SEGBASE_GS_USER_SEL } from '#abi/xen.ts';
import { CPU, SEG } from '#machine/cpu-state.ts';
import type { Hypercall } from './hypercall.ts';
import { isLoadableData, readDescriptor, segmentBase } from './segment.ts';
import { type Vcpu, vcpu_state } from './vcpu.ts';
import { canonical } from './words.ts';

/** set_segment_base(which, base): -EINVAL for an unknown `which` or a base that is not canonical. */
export const do_set_segment_base: Hypercall = (v, a) => {
  const which = a.lo(0);
  if (which === SEGBASE_GS_USER_SEL) return loadUserGs(v, a.lo(1) & 0xffff);
  if (which > SEGBASE_GS_USER_SEL || !canonical(a.hi(1))) return -EINVAL;
  const at = (which === SEGBASE_GS_USER ? v.base + vcpu_state.offset.gs_base_user : v.cpu.base + CPU.segBase + (which === SEGBASE_FS ? SEG.fs : SEG.gs) * 8) >>> 2;
  v.domain.capsule.u32[at] = a.lo(1);
  v.domain.capsule.u32[at + 1] = a.hi(1);
  return 0;
};

/** A selector that cannot be loaded becomes null, without an error: the guest reads %gs to find out. */
function loadUserGs(v: Vcpu, selector: number): number {
  const wanted = selector > 3 ? selector | 3 : selector;
  const descriptor = readDescriptor(v, wanted);
  const good = descriptor !== null && isLoadableData(descriptor);
  v.cpu.setSelector(SEG.gs, good || wanted <= 3 ? wanted : 0);
  v.state.gs_base_user = good ? BigInt(segmentBase(descriptor)) : 0n;
  return 0;
}
