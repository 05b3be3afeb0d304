// memory_op: the domain's reservation, its memory map, and where the machine-to-physical table is.

import { EFAULT, EINVAL, ENOSYS, EOPNOTSUPP, EPERM } from '#abi/errno.ts';
import { E820_ENTRY_SIZE, MEMOP_CMD_MASK, XENMEM, xen_foreign_memory_map, xen_machphys_mapping, xen_machphys_mfn_list, xen_memory_domain, xen_memory_map } from '#abi/memory.ts';
import { MACH2PHYS_VIRT_END, MACH2PHYS_VIRT_START, shared_info } from '#abi/xen.ts';
import { checkTarget } from '../domid.ts';
import { copyFromGuest, copyToGuest } from '../guest-access.ts';
import { GuestBytes, GuestStruct } from '../guest-struct.ts';
import { CONTINUE, type Hypercall } from '../hypercall.ts';
import { XEN_FRAME } from '../layout.ts';
import type { Vcpu } from '../vcpu.ts';
import { m2pFrames } from './m2p.ts';
import { refusedMemoryOp } from './memory-op-refused.ts';
import type { Mm } from './mm.ts';
import { E820_MAX, E820_TABLE } from './mm-state.ts';
import { reclaimFrames } from './page-type.ts';
import { changeReservation, exchangeReservation, UNFINISHED, unfinished } from './reservation.ts';

const ARCH_MAX_PFN = shared_info.offset.arch; // arch.max_pfn is the first field
const domainArg = new GuestStruct(xen_memory_domain);
const mapArg = new GuestStruct(xen_memory_map);
const foreignMapArg = new GuestStruct(xen_foreign_memory_map);
const foreignMap = xen_memory_map.on(foreignMapArg.bytes.buffer).at(xen_foreign_memory_map.offset.map);
const mappingArg = new GuestStruct(xen_machphys_mapping);
const mfnListArg = new GuestStruct(xen_machphys_mfn_list);
const rdmArg = new GuestBytes(24);
const scratch = new Uint8Array(E820_MAX * E820_ENTRY_SIZE);
const scratchFields = new DataView(scratch.buffer);

type Command = (v: Vcpu, vaLo: number, vaHi: number) => number;

const forbidden: Command = () => -EPERM;
const COMMANDS: ReadonlyMap<number, Command> = new Map<number, Command>([
  [XENMEM.exchange, exchangeReservation],
  [XENMEM.maximum_ram_page, (v) => v.domain.mm.total - 1],
  [XENMEM.current_reservation, (v, lo, hi) => ofDomain(v, lo, hi, () => currentReservation(v.domain.mm))],
  [XENMEM.maximum_reservation, (v, lo, hi) => ofDomain(v, lo, hi, () => v.domain.mm.state.max_pages)],
  [XENMEM.maximum_gpfn, (v, lo, hi) => ofDomain(v, lo, hi, () => maximumGpfn(v))],
  [XENMEM.memory_map, memoryMap],
  [XENMEM.set_memory_map, setMemoryMap],
  [XENMEM.machine_memory_map, forbidden],
  [XENMEM.machphys_mapping, machphysMapping],
  [XENMEM.machphys_mfn_list, machphysMfnList],
  [XENMEM.get_sharing_freed_pages, () => 0],
  [XENMEM.get_sharing_shared_pages, () => 0],
  [XENMEM.machphys_compat_mfn_list, () => -EOPNOTSUPP],
  [XENMEM.reserved_device_memory_map, reservedDeviceMemoryMap],
]);

/** Commands that work on a list of extents, and may be continued at any of them. */
const CHANGES: ReadonlySet<number> = new Set([XENMEM.increase_reservation, XENMEM.decrease_reservation, XENMEM.populate_physmap]);

/** memory_op(cmd, arg); the bits of cmd above the command say where a list of extents is to go on. */
export const do_memory_op: Hypercall = (v, a) => {
  const cmd = a.lo(0) & MEMOP_CMD_MASK;
  const start = Math.floor(a.num(0) / (MEMOP_CMD_MASK + 1));
  if (Number.isNaN(start)) return -EINVAL;
  if (CHANGES.has(cmd)) {
    const rc = changeReservation(v, cmd, start, a.lo(1), a.hi(1));
    if (rc !== UNFINISHED) return rc;
    a.set(0, unfinished.nextExtent * (MEMOP_CMD_MASK + 1) + cmd, 0);
    return CONTINUE;
  }
  const command = COMMANDS.get(cmd);
  if (command === undefined) return refusedMemoryOp(v, cmd, a.lo(1), a.hi(1)) ?? -ENOSYS;
  if (start !== 0) return -EINVAL;
  const rc = command(v, a.lo(1), a.hi(1));
  return rc === UNFINISHED ? CONTINUE : rc;
};

function ofDomain(v: Vcpu, lo: number, hi: number, value: () => number): number {
  if (!domainArg.read(v, lo, hi)) return -EFAULT;
  const rc = checkTarget(v.domain, domainArg.view.domid);
  return rc === 0 ? value() : rc;
}

function currentReservation(mm: Mm): number {
  reclaimFrames(mm);
  return mm.state.tot_pages;
}

function maximumGpfn(v: Vcpu): number {
  const { capsule } = v.domain;
  const maxPfn = Number(capsule.dv.getBigUint64(capsule.frame(XEN_FRAME.sharedInfo) + ARCH_MAX_PFN, true));
  return (maxPfn === 0 ? 1 : Math.min(maxPfn, Number.MAX_SAFE_INTEGER)) - 1;
}

/** The E820 map that the toolstack set, or the guest itself. */
function memoryMap(v: Vcpu, lo: number, hi: number): number {
  const { capsule, mm } = v.domain;
  if (!mapArg.read(v, lo, hi)) return -EFAULT;
  if (mm.state.nr_e820 === 0) return -ENOSYS;
  const count = Math.min(mapArg.view.nr_entries, mm.state.nr_e820);
  const { buffer } = mapArg.view;
  if (!copyToGuest(v, Number(buffer & 0xffff_ffffn), Number(buffer >> 32n), capsule.u8, E820_TABLE, count * E820_ENTRY_SIZE)) return -EFAULT;
  mapArg.view.nr_entries = count;
  return mapArg.write(v, lo, hi) ? 0 : -EFAULT;
}

function setMemoryMap(v: Vcpu, lo: number, hi: number): number {
  const { capsule, mm } = v.domain;
  if (!foreignMapArg.read(v, lo, hi)) return -EFAULT;
  const { nr_entries: count, buffer } = foreignMap;
  if (count > E820_MAX) return -EINVAL;
  const rc = checkTarget(v.domain, foreignMapArg.view.domid);
  if (rc !== 0) return rc;
  if (!copyFromGuest(v, Number(buffer & 0xffff_ffffn), Number(buffer >> 32n), scratch, 0, count * E820_ENTRY_SIZE)) return -EFAULT;
  capsule.u8.set(scratch.subarray(0, count * E820_ENTRY_SIZE), E820_TABLE);
  mm.state.nr_e820 = count;
  return 0;
}

function machphysMapping(v: Vcpu, lo: number, hi: number): number {
  mappingArg.view.v_start = MACH2PHYS_VIRT_START;
  mappingArg.view.v_end = MACH2PHYS_VIRT_END;
  mappingArg.view.max_mfn = ((MACH2PHYS_VIRT_END - MACH2PHYS_VIRT_START) >> 3n) - 1n;
  return mappingArg.write(v, lo, hi) ? 0 : -EFAULT;
}

/** Memory that devices reserve: there are none. */
function reservedDeviceMemoryMap(v: Vcpu, lo: number, hi: number): number {
  if (!rdmArg.read(v, lo, hi)) return -EFAULT;
  if ((rdmArg.u32(0) & ~1) !== 0) return -EINVAL;
  rdmArg.fields.setUint32(4, 0, true); // nr_entries
  return rdmArg.write(v, lo, hi) ? 0 : -EFAULT;
}

/** First frames of the m2p's 2 MiB extents. */
function machphysMfnList(v: Vcpu, lo: number, hi: number): number {
  if (!mfnListArg.read(v, lo, hi)) return -EFAULT;
  const { base, frames } = m2pFrames(v.domain.mm);
  const count = Math.min(mfnListArg.view.max_extents, Math.ceil(frames / 512));
  for (let i = 0; i < count; i++) scratchFields.setBigUint64(i * 8, BigInt(base + i * 512), true);
  const { extent_start: list } = mfnListArg.view;
  if (!copyToGuest(v, Number(list & 0xffff_ffffn), Number(list >> 32n), scratch, 0, count * 8)) return -EFAULT;
  mfnListArg.view.nr_extents = count;
  return mfnListArg.write(v, lo, hi) ? 0 : -EFAULT;
}
