// The base tables of a vCPU: frames of the L4 tables that its two modes run on.

import type { Vcpu } from '../vcpu.ts';

/** Frame of the guest kernel's L4 table. */
export function kernelTable(v: Vcpu): number { return v.state.guest_table; }
/** Frame of the L4 table of user mode, 0 when the guest has not set one. */
export function userTable(v: Vcpu): number { return v.state.guest_table_user; }
