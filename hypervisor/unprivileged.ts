// Hypercalls of which a PV DomU gets one answer whatever it asks; domctl and sysctl are in domctl.ts. The rest of the table that Xen 4.17 does not have
// for a PV guest answers -ENOSYS (hypercall-table.ts).

import { EACCES, EFAULT, ENOSYS, EOPNOTSUPP, EPERM } from '#abi/errno.ts';
import { GuestBytes } from './guest-struct.ts';
import type { Hypercall } from './hypercall.ts';

const argument = new GuestBytes(136); // struct xen_platform_op
const VERSION = 0x0300_0001;

/** For Domain-0; Xen looks at the interface's version, the second word, before it asks who calls (public/platform.h, Xen 4.17). */
export const do_platform_op: Hypercall = (v, a) => {
  if (!argument.read(v, a.lo(0), a.hi(0))) return -EFAULT;
  return argument.u32(4) === VERSION ? -EPERM : -EACCES;
};
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
