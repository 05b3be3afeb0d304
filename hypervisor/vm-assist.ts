// vm_assist: behaviours that a guest turns on or off for itself. The bitmap is part of the memory state (mm/mm.ts).

import { EINVAL, ENOSYS } from '#abi/errno.ts';
import {
  VMASST_CMD_disable, VMASST_CMD_enable, VMASST_TYPE_4gb_segments, VMASST_TYPE_4gb_segments_notify, VMASST_TYPE_architectural_iopl,
  VMASST_TYPE_m2p_strict, VMASST_TYPE_pae_extended_cr3, VMASST_TYPE_runstate_update_flag, VMASST_TYPE_writable_pagetables,
} from '#abi/xen.ts';
import type { Domain } from './domain.ts';
import type { Hypercall } from './hypercall.ts';

/** What Xen lets a PV guest turn on. The segment and PAE types are accepted and mean nothing to a 64-bit guest. */
const VALID: ReadonlySet<number> = new Set([
  VMASST_TYPE_4gb_segments, VMASST_TYPE_4gb_segments_notify, VMASST_TYPE_writable_pagetables, VMASST_TYPE_pae_extended_cr3,
  VMASST_TYPE_architectural_iopl, VMASST_TYPE_runstate_update_flag, VMASST_TYPE_m2p_strict,
]);

/** True when the guest has turned this VMASST_TYPE on. */
export function vmAssist(domain: Domain, type: number): boolean { return domain.mm.vmAssist(type); }

/** vm_assist(cmd, type) */
export const do_vm_assist: Hypercall = (v, a) => {
  const cmd = a.lo(0);
  const type = a.lo(1);
  if (!VALID.has(type)) return -EINVAL;
  if (cmd !== VMASST_CMD_enable && cmd !== VMASST_CMD_disable) return -ENOSYS;
  v.domain.mm.setVmAssist(type, cmd === VMASST_CMD_enable);
  return 0;
};
