// Hypercalls of which a PV DomU gets one answer whatever it asks. The rest of the table that Xen 4.17 does not have
// for a PV guest answers -ENOSYS (hypercall-table.ts).

import { EACCES, EFAULT, ENOSYS, EOPNOTSUPP, EPERM } from '#abi/errno.ts';
import { copyFromGuest } from './guest-access.ts';
import type { Hypercall } from './hypercall.ts';

const argument = new Uint8Array(144);
const fields = new DataView(argument.buffer);

/**
 * Calls for Domain-0 and its toolstack, with one argument structure whose second word is the version of the interface:
 * Xen looks at it before it asks who calls.
 */
function toolstackOnly(size: number, version: number): Hypercall {
  return (v, a) => {
    if (!copyFromGuest(v, a.lo(0), a.hi(0), argument, 0, size)) return -EFAULT;
    return fields.getUint32(4, true) === version ? -EPERM : -EACCES;
  };
}
/** Sizes and versions as public/platform.h, sysctl.h and domctl.h of Xen 4.17 have them. */
export const do_platform_op: Hypercall = toolstackOnly(136, 0x0300_0001);
export const do_sysctl: Hypercall = toolstackOnly(136, 0x15);
export const do_domctl: Hypercall = toolstackOnly(144, 0x15);
export const do_kexec_op: Hypercall = () => -EPERM;
export const do_dm_op: Hypercall = () => -EPERM;

/** The virtual PMU is switched off, as in Xen without `vpmu` on its command line. */
export const do_xenpmu_op: Hypercall = () => -EOPNOTSUPP;
/** Built without XSM/Flask. */
export const do_xsm_op: Hypercall = () => -ENOSYS;
/** Built without Argo. */
export const do_argo_op: Hypercall = () => -ENOSYS;
/** The hypervisor's file system is for Domain-0. */
export const do_hypfs_op: Hypercall = () => -EPERM;
