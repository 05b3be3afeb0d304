// Mapping grants into a domain's own address space: GNTTABOP_map_grant_ref, _unmap_grant_ref and
// _unmap_and_replace. A guest can map what it granted to itself; grants of other domains are not there yet.
//
// A handle is an index into the maptrack table. The mapping is an ordinary entry in one of the guest's L1 tables, with
// the counts of an ordinary entry; the handle holds a pin on the grant beside it.

import {
  GNTMAP_application_map, GNTMAP_contains_pte, GNTMAP_device_map, GNTMAP_guest_avail0, GNTMAP_host_map, GNTMAP_readonly, GNTST,
  gnttab_map_grant_ref, gnttab_unmap_and_replace, gnttab_unmap_grant_ref,
} from '#abi/grant-table.ts';
import { PTE } from '#abi/mmu.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import { struct } from '#base/struct.ts';
import type { Domain } from './domain.ts';
import { pinGrant, unpinGrant } from './grant-active.ts';
import { GuestStruct } from './guest-struct.ts';
import { DOMAIN_STATE } from './layout.ts';
import { setL1Entry } from './mm/update-entry.ts';
import { findL1Table, slotOf } from './mm/walk.ts';
import type { Vcpu } from './vcpu.ts';

export const mapArg = new GuestStruct(gnttab_map_grant_ref);
export const unmapArg = new GuestStruct(gnttab_unmap_grant_ref);
export const unmapReplaceArg = new GuestStruct(gnttab_unmap_and_replace);

/** One mapping; flags 0: the handle is free. */
const grant_mapping = struct('grant_mapping', 16, { flags: 'u32', ref: 'u32', frame: 'u32', reserved: 'u32' });
const NR_HANDLES = 4096;
type Mapping = ReturnType<typeof grant_mapping.on>;

const mappings = new WeakMap<Domain, Mapping>();
function mappingOf(domain: Domain, handle: number): Mapping {
  let view = mappings.get(domain);
  if (!view) mappings.set(domain, view = grant_mapping.on(domain.capsule.buffer));
  return view.at(DOMAIN_STATE.maptrack + handle * grant_mapping.size) as Mapping;
}

function freeHandle(domain: Domain): number {
  for (let handle = 0; handle < NR_HANDLES; handle++) if (mappingOf(domain, handle).flags === 0) return handle;
  return -1;
}

interface L1Slot { readonly table: number; readonly slot: number }

/** The L1 entry that a host_addr names: by a linear address, or by the entry's own machine address. */
function l1Slot(v: Vcpu, address: bigint, containsPte: boolean): L1Slot | undefined {
  const { mm } = v.domain;
  const lo = Number(address & 0xffff_ffffn);
  const hi = Number(address >> 32n);
  if (!containsPte) {
    const table = findL1Table(mm, v.state.guest_table, lo, hi);
    return table >= 0 && mm.frames.isTable(table, 1) ? { table, slot: slotOf(1, lo, hi) } : undefined;
  }
  const table = Number(address / BigInt(PAGE_SIZE));
  return lo % 8 === 0 && mm.frames.isValid(table) && mm.frames.isTable(table, 1) ? { table, slot: (lo & 4095) >>> 3 } : undefined;
}

/** map_grant_ref of `mapArg`: fills in its results. @returns GNTST */
export function mapGrantRef(v: Vcpu): number {
  const { domain } = v;
  const { host_addr, flags, ref, dom } = mapArg.view;
  if ((flags & (GNTMAP_device_map | GNTMAP_host_map)) === 0) return GNTST.bad_gntref;
  if (dom !== domain.domid) return GNTST.bad_domain;
  const handle = freeHandle(domain);
  if (handle < 0) return GNTST.no_device_space;
  const write = (flags & GNTMAP_readonly) === 0;
  const page = pinGrant(domain, ref, write, domain.domid);
  if (page < 0) return page;
  const frame = (page - domain.capsule.frame(0)) / PAGE_SIZE;
  if (flags & GNTMAP_host_map) {
    const at = l1Slot(v, host_addr, (flags & GNTMAP_contains_pte) !== 0);
    if (!at || setL1Entry(domain.mm, at.table, at.slot, entryLo(frame, flags), 0, false) !== 0) {
      unpinGrant(domain, ref, write);
      return GNTST.general_error;
    }
  }
  const mapping = mappingOf(domain, handle);
  mapping.flags = flags;
  mapping.ref = ref;
  mapping.frame = frame;
  mapArg.view.handle = handle;
  mapArg.view.dev_bus_addr = BigInt(frame) * BigInt(PAGE_SIZE);
  return GNTST.okay;
}

/** Low half of the entry that maps a grant, with the bits that the guest wants in it for itself. */
function entryLo(frame: number, flags: number): number {
  let lo: number = PTE.PRESENT | PTE.ACCESSED | PTE.DIRTY;
  if ((flags & GNTMAP_readonly) === 0) lo |= PTE.RW;
  if (flags & GNTMAP_application_map) lo |= PTE.USER;
  lo |= ((flags >>> GNTMAP_guest_avail0) << 9) & PTE.AVAIL;
  return (frame * PAGE_SIZE + lo) >>> 0;
}

/** unmap_grant_ref of `unmapArg`. @returns GNTST */
export function unmapGrantRef(v: Vcpu): number {
  const { host_addr, dev_bus_addr, handle } = unmapArg.view;
  return unmap(v, handle, host_addr, dev_bus_addr, undefined);
}

/** unmap_and_replace of `unmapReplaceArg`: the entry under new_addr takes the mapping's place. @returns GNTST */
export function unmapAndReplace(v: Vcpu): number {
  const { host_addr, new_addr, handle } = unmapReplaceArg.view;
  return unmap(v, handle, host_addr, 0n, new_addr);
}

function unmap(v: Vcpu, handle: number, hostAddr: bigint, devBusAddr: bigint, newAddr: bigint | undefined): number {
  const { domain } = v;
  if (handle >= NR_HANDLES || mappingOf(domain, handle).flags === 0) return GNTST.bad_handle;
  const { flags, ref, frame } = mappingOf(domain, handle);
  if (devBusAddr !== 0n && devBusAddr !== BigInt(frame) * BigInt(PAGE_SIZE)) return GNTST.general_error;
  let left = flags;
  if (hostAddr !== 0n && flags & GNTMAP_host_map) {
    if (!unmapHost(v, hostAddr, flags, frame, newAddr)) return GNTST.general_error;
    left &= ~GNTMAP_host_map;
  }
  if (devBusAddr !== 0n) left &= ~GNTMAP_device_map;
  const done = (left & (GNTMAP_host_map | GNTMAP_device_map)) === 0;
  mappingOf(domain, handle).flags = done ? 0 : left;
  if (done) unpinGrant(domain, ref, (flags & GNTMAP_readonly) === 0);
  return GNTST.okay;
}

function unmapHost(v: Vcpu, hostAddr: bigint, flags: number, frame: number, newAddr: bigint | undefined): boolean {
  const { mm } = v.domain;
  const at = l1Slot(v, hostAddr, (flags & GNTMAP_contains_pte) !== 0);
  if (!at) return false;
  const old = mm.u32[mm.entry(at.table, at.slot)] as number;
  if ((old & PTE.PRESENT) === 0 || old >>> 12 !== frame) return false;
  if (newAddr === undefined || newAddr === 0n) return setL1Entry(mm, at.table, at.slot, 0, 0, false) === 0;
  if (flags & GNTMAP_contains_pte) return false; // Xen cannot either
  const from = l1Slot(v, newAddr, false);
  if (!from) return false;
  const i = mm.entry(from.table, from.slot);
  if (setL1Entry(mm, at.table, at.slot, mm.u32[i] as number, mm.u32[i + 1] as number, false) !== 0) return false;
  return setL1Entry(mm, from.table, from.slot, 0, 0, false) === 0;
}
