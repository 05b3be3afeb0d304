// HYPERVISOR_hvm_op (public/hvm/hvm_op.h) from a PV guest. Its operations are about HVM domains, so most answers say
// that the target is none; the time of day is for everybody.

import { EFAULT, EINVAL, ENOSYS } from '#abi/errno.ts';
import { HVMOP, xen_hvm_get_mem_type, xen_hvm_get_time, xen_hvm_pagetable_dying, xen_hvm_param } from '#abi/hvm-op.ts';
import { ESRCH } from '#abi/errno.ts';
import { checkTarget } from './domid.ts';
import { GuestStruct } from './guest-struct.ts';
import type { Hypercall, HypercallArgs } from './hypercall.ts';
import { clockOf } from './time.ts';
import type { Vcpu } from './vcpu.ts';

const paramArg = new GuestStruct(xen_hvm_param);
const dyingArg = new GuestStruct(xen_hvm_pagetable_dying);
const timeArg = new GuestStruct(xen_hvm_get_time);
const memTypeArg = new GuestStruct(xen_hvm_get_mem_type);

/** (op, arg): 0 or a negated errno. */
export const do_hvm_op: Hypercall = (v, a) => {
  switch (a.lo(0)) {
    case HVMOP.set_param: case HVMOP.get_param: return onHvmDomain(v, a, paramArg);
    case HVMOP.pagetable_dying: return onHvmDomain(v, a, dyingArg);
    case HVMOP.get_mem_type: return onHvmDomain(v, a, memTypeArg);
    case HVMOP.get_time:
      timeArg.view.now = BigInt(clockOf(v.domain).now());
      return timeArg.write(v, a.lo(1), a.hi(1)) ? 0 : -EFAULT;
    case HVMOP.set_evtchn_upcall_vector: case HVMOP.guest_request_vm_event: case HVMOP.xentrace: return -EINVAL;
    default: return -ENOSYS;
  }
};

/** An argument that begins with a domain number: no domain that the guest can name is an HVM domain. */
function onHvmDomain(v: Vcpu, a: HypercallArgs, arg: { readonly view: { readonly domid: number }; read(v: Vcpu, lo: number, hi: number): boolean }): number {
  if (!arg.read(v, a.lo(1), a.hi(1))) return -EFAULT;
  return checkTarget(v.domain, arg.view.domid) === -ESRCH ? -ESRCH : -EINVAL;
}
