// Who may manage domains and the machine: Xen's dummy XSM policy for domctl, sysctl, foreign mappings and what else is Domain-0's.

import { ENOSYS, EPERM } from '#abi/errno.ts';

/** A domain that asks for something. */
export interface Caller {
  readonly domid: number;
  readonly isPrivileged: boolean;
}

/** @returns 0, or -EPERM */
export function checkPrivilege(caller: Caller): number { return caller.isPrivileged ? 0 : -EPERM; }

/** What a hypercall for those who may comes to: no guest may, and nothing reads from a guest's memory what comes behind that. */
export function stopped(guest: Caller): number { return checkPrivilege(guest) || -ENOSYS; }
