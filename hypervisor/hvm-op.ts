// HYPERVISOR_hvm_op (public/hvm/hvm_op.h) from a PV guest. Its operations are about HVM domains, so most answers say
// that the target is none; the time of day is for everybody.

import { EFAULT, EINVAL, ENOSYS, EOPNOTSUPP, ESRCH } from '#abi/errno.ts';
import { HVMOP, xen_hvm_get_mem_type, xen_hvm_get_time, xen_hvm_pagetable_dying, xen_hvm_param } from '#abi/hvm-op.ts';
import { checkTarget } from './domid.ts';
import { GuestBytes, GuestStruct } from './guest-struct.ts';
import type { Hypercall, HypercallArgs } from './hypercall.ts';
import { clockOf } from './time.ts';
import type { Vcpu } from './vcpu.ts';

const paramArg = new GuestStruct(xen_hvm_param);
const dyingArg = new GuestStruct(xen_hvm_pagetable_dying);
const timeArg = new GuestStruct(xen_hvm_get_time);
const memTypeArg = new GuestStruct(xen_hvm_get_mem_type);
const traceArg = new GuestBytes(32);
/** public/hvm/params.h */
const HVM_NR_PARAMS = 39;

/** (op, arg): 0 or a negated errno. */
export const do_hvm_op: Hypercall = (v, a) => {
  switch (a.lo(0)) {
    case HVMOP.set_param: case HVMOP.get_param: return param(v, a);
    case HVMOP.flush_tlbs: return -EINVAL;
    case HVMOP.pagetable_dying: return pagetableDying(v, a);
    case HVMOP.get_mem_type: return getMemType(v, a);
    case HVMOP.get_time:
      timeArg.view.now = BigInt(clockOf(v.domain).now());
      return timeArg.write(v, a.lo(1), a.hi(1)) ? 0 : -EFAULT;
    case HVMOP.xentrace: return traceArg.read(v, a.lo(1), a.hi(1)) ? xentrace() : -EFAULT;
    case HVMOP.set_evtchn_upcall_vector: return -EINVAL;
    case HVMOP.guest_request_vm_event: return (a.lo(1) | a.hi(1)) === 0 ? 0 : -EINVAL; // nobody listens
    case HVMOP.altp2m: return -EOPNOTSUPP;
    default: return -ENOSYS;
  }
};

// No domain that the guest can name is an HVM domain.

function param(v: Vcpu, a: HypercallArgs): number {
  if (!paramArg.read(v, a.lo(1), a.hi(1))) return -EFAULT;
  if (paramArg.view.index >= HVM_NR_PARAMS) return -EINVAL;
  return checkTarget(v.domain, paramArg.view.domid) === -ESRCH ? -ESRCH : -EINVAL;
}

/** Xen asks whether the caller may look at the domain before it asks what kind it is. */
function getMemType(v: Vcpu, a: HypercallArgs): number {
  if (!memTypeArg.read(v, a.lo(1), a.hi(1))) return -EFAULT;
  return checkTarget(v.domain, memTypeArg.view.domid) || -EINVAL;
}

function pagetableDying(v: Vcpu, a: HypercallArgs): number {
  if (!dyingArg.read(v, a.lo(1), a.hi(1))) return -EFAULT;
  const target = checkTarget(v.domain, dyingArg.view.domid);
  return target === -ESRCH ? target : target === 0 ? -EINVAL : -EOPNOTSUPP;
}

/** A trace record, which goes nowhere: event (12 bits) and the length of what follows. */
function xentrace(): number { return traceArg.u16(0) > 0xfff || traceArg.u16(2) > 28 ? -EINVAL : 0; }
