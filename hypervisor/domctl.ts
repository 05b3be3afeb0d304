// domctl and sysctl, the hypercalls of toolstacks. The toolstack is not a guest here, it calls the operations (management.ts). All that
// is left of the hypercalls is how Xen 4.17 refuses a DomU, in Xen's order: the argument, the interface's version, the domain that
// it is about, who calls. A command that does not exist is refused like the others.

import { EACCES, EFAULT, ESRCH } from '#abi/errno.ts';
import { XEN_DOMCTL, XEN_DOMCTL_INTERFACE_VERSION, xen_domctl } from '#abi/domctl.ts';
import { XEN_SYSCTL_INTERFACE_VERSION, xen_sysctl } from '#abi/sysctl.ts';
import { DOMID_INVALID, DOMID_IO } from '#abi/xen.ts';
import { exists } from './domid.ts';
import { GuestStruct } from './guest-struct.ts';
import type { Hypercall } from './hypercall.ts';
import { stopped } from './privilege.ts';

/** Which numbers name nobody and will do all the same. Everything else is about a domain, which has to exist. */
const ABOUT_OTHERS: ReadonlyMap<number, 'anybody' | number> = new Map<number, 'anybody' | number>([
  [XEN_DOMCTL.createdomain, 'anybody'],
  [XEN_DOMCTL.getdomaininfo, 'anybody'], // it is about the next domain then
  [XEN_DOMCTL.gdbsx_guestmemio, 'anybody'],
  [XEN_DOMCTL.test_assign_device, DOMID_INVALID],
  [XEN_DOMCTL.vm_event_op, DOMID_INVALID],
  [XEN_DOMCTL.assign_device, DOMID_IO],
  [XEN_DOMCTL.deassign_device, DOMID_IO],
]);

const domctl = new GuestStruct(xen_domctl);
const sysctl = new GuestStruct(xen_sysctl);

export const do_domctl: Hypercall = (v, a) => {
  if (!domctl.read(v, a.lo(0), a.hi(0))) return -EFAULT;
  const { cmd, interface_version, domain } = domctl.view;
  if (interface_version !== XEN_DOMCTL_INTERFACE_VERSION) return -EACCES;
  const others = ABOUT_OTHERS.get(cmd);
  return others === 'anybody' || others === domain || exists(v.domain, domain) ? stopped(v.domain) : -ESRCH; // DOMID_SELF is no domain's number
};

export const do_sysctl: Hypercall = (v, a) => {
  if (!sysctl.read(v, a.lo(0), a.hi(0))) return -EFAULT;
  return sysctl.view.interface_version === XEN_SYSCTL_INTERFACE_VERSION ? stopped(v.domain) : -EACCES;
};
