// Hypercalls of which a PV DomU gets one answer whatever it asks. The rest of the table that Xen 4.17 does not have
// for a PV guest answers -ENOSYS (hypercall-table.ts).

import { ENOSYS, EOPNOTSUPP, EPERM } from '#abi/errno.ts';
import type { Hypercall } from './hypercall.ts';

/** For Domain-0 and its toolstack only. */
export const do_platform_op: Hypercall = () => -EPERM;
export const do_sysctl: Hypercall = () => -EPERM;
export const do_domctl: Hypercall = () => -EPERM;
export const do_kexec_op: Hypercall = () => -EPERM;
export const do_dm_op: Hypercall = () => -EPERM;

/** The virtual PMU is switched off, as in Xen without `vpmu` on its command line. */
export const do_xenpmu_op: Hypercall = () => -EOPNOTSUPP;
/** Built without XSM/Flask. */
export const do_xsm_op: Hypercall = () => -ENOSYS;
/** Built without Argo. */
export const do_argo_op: Hypercall = () => -EOPNOTSUPP;
/** The hypervisor's file system is for Domain-0. */
export const do_hypfs_op: Hypercall = () => -EPERM;
