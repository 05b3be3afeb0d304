// HYPERVISOR_xen_version (public/version.h): what this hypervisor says it is. It speaks Xen 4.17's PV interface to
// 64-bit guests and says so; build details are its own.
//
// The command line and the build id are for privileged domains: Xen answers an unprivileged one "<denied>" or -EPERM.

import { EFAULT, EINVAL, ENOSYS, EPERM } from '#abi/errno.ts';
import {
  XEN_CAPABILITIES_INFO_LEN, XEN_CHANGESET_INFO_LEN, XEN_COMMANDLINE_LEN, XEN_EXTRAVERSION_LEN, XENVER, xen_compile_info, xen_feature_info,
  xen_platform_parameters,
} from '#abi/version.ts';
import {
  HYPERVISOR_VIRT_START, XENFEAT_direct_mapped, XENFEAT_gnttab_map_avail_bits, XENFEAT_highmem_assist, XENFEAT_memory_op_vnode_supported,
  XENFEAT_mmu_pt_update_preserve_ad, XENFEAT_pae_pgdir_above_4gb,
} from '#abi/xen.ts';
import { assert } from '#base/assert.ts';
import { type Capsule, PAGE_SIZE } from '#base/capsule.ts';
import type { Domain } from './domain.ts';
import { copyToGuest } from './guest-access.ts';
import { GuestStruct } from './guest-struct.ts';
import type { Hypercall, HypercallArgs } from './hypercall.ts';
import { DOMAIN_STATE } from './layout.ts';
import type { Vcpu } from './vcpu.ts';

export const XEN_MAJOR = 4, XEN_MINOR = 17;
export const XEN_EXTRAVERSION = '-xenith';
export const XEN_VERSION = `${XEN_MAJOR}.${XEN_MINOR}${XEN_EXTRAVERSION}`;
/** The kinds of guest that can run: 64-bit PV only. The space ends each, as Xen writes them. */
export const XEN_CAPABILITIES = 'xen-3.0-x86_64 ';
export const XEN_CHANGESET = 'unavailable';

/**
 * The features of a PV DomU, those that real Xen 4.17 reports (0x220f0), and what they promise:
 * - pae_pgdir_above_4gb: page tables may be anywhere in memory;
 * - mmu_pt_update_preserve_ad: MMU_PT_UPDATE_PRESERVE_AD keeps accessed and dirty bits;
 * - highmem_assist: MMUEXT_CLEAR_PAGE and MMUEXT_COPY_PAGE;
 * - gnttab_map_avail_bits: GNTTABOP_map_grant_ref puts the given available bits into the entry;
 * - memory_op_vnode_supported: XENMEMF_vnode is looked at (and refused: no domain has virtual NUMA);
 * - direct_mapped: what a PV guest's frame numbers are to it, machine frames.
 */
export const FEATURES: number = [
  XENFEAT_pae_pgdir_above_4gb, XENFEAT_mmu_pt_update_preserve_ad, XENFEAT_highmem_assist, XENFEAT_gnttab_map_avail_bits,
  XENFEAT_memory_op_vnode_supported, XENFEAT_direct_mapped,
].reduce((map, bit) => map | (1 << bit), 0);

const compileInfo = new GuestStruct(xen_compile_info);
const platformParameters = new GuestStruct(xen_platform_parameters);
const featureInfo = new GuestStruct(xen_feature_info);
const scratch = new Uint8Array(XEN_CAPABILITIES_INFO_LEN);

const HANDLE_LENGTH = 16;

/** Sets the domain's UUID (xen_domain_handle_t), 16 bytes. */
export function setGuestHandle(capsule: Capsule, uuid: Uint8Array): void {
  assert(uuid.length === HANDLE_LENGTH, 'a UUID has 16 bytes');
  capsule.u8.set(uuid, DOMAIN_STATE.version);
}
/** The domain's UUID. */
export function guestHandle(domain: Domain): Uint8Array { return domain.capsule.u8.slice(DOMAIN_STATE.version, DOMAIN_STATE.version + HANDLE_LENGTH); }

/** (cmd, arg): zero or a positive answer, or a negated errno. */
export const do_xen_version: Hypercall = (v, a) => {
  switch (a.lo(0)) {
    case XENVER.version: return (XEN_MAJOR << 16) | XEN_MINOR;
    case XENVER.extraversion: return putString(v, a, XEN_EXTRAVERSION, XEN_EXTRAVERSION_LEN);
    case XENVER.compile_info: return putCompileInfo(v, a);
    case XENVER.capabilities: return putString(v, a, XEN_CAPABILITIES, XEN_CAPABILITIES_INFO_LEN);
    case XENVER.changeset: return putString(v, a, XEN_CHANGESET, XEN_CHANGESET_INFO_LEN);
    case XENVER.platform_parameters:
      platformParameters.view.virt_start = HYPERVISOR_VIRT_START;
      return platformParameters.write(v, a.lo(1), a.hi(1)) ? 0 : -EFAULT;
    case XENVER.get_features: return getFeatures(v, a);
    case XENVER.pagesize: return (a.lo(1) | a.hi(1)) === 0 ? PAGE_SIZE : -EINVAL;
    case XENVER.guest_handle: return copyToGuest(v, a.lo(1), a.hi(1), v.domain.capsule.u8, DOMAIN_STATE.version, HANDLE_LENGTH) ? 0 : -EFAULT;
    case XENVER.commandline: return putString(v, a, '<denied>', XEN_COMMANDLINE_LEN);
    case XENVER.build_id: return -EPERM;
    default: return -ENOSYS;
  }
};

/** Writes a string padded with zeros to a field of `length` bytes. */
function putString(v: Vcpu, a: HypercallArgs, text: string, length: number): number {
  encodeText(text, scratch, 0, length);
  return copyToGuest(v, a.lo(1), a.hi(1), scratch, 0, length) ? 0 : -EFAULT;
}

function putCompileInfo(v: Vcpu, a: HypercallArgs): number {
  encodeCompileInfo(compileInfo.bytes, 0);
  return compileInfo.write(v, a.lo(1), a.hi(1)) ? 0 : -EFAULT;
}
/** Writes a xen_compile_info at `at`. */
export function encodeCompileInfo(into: Uint8Array, at: number): void {
  const { offset } = xen_compile_info;
  encodeText('TypeScript', into, at + offset.compiler, 64);
  encodeText('xenith', into, at + offset.compile_by, 16);
  encodeText('', into, at + offset.compile_domain, 32);
  encodeText('', into, at + offset.compile_date, 32);
}

/** Writes ASCII text, padded with zeros, into a field of `length` bytes. */
export function encodeText(text: string, into: Uint8Array, at: number, length: number): void {
  assert(text.length < length, 'the string fits its field');
  into.fill(0, at, at + length);
  for (let i = 0; i < text.length; i++) into[at + i] = text.charCodeAt(i);
}

function getFeatures(v: Vcpu, a: HypercallArgs): number {
  if (!featureInfo.read(v, a.lo(1), a.hi(1))) return -EFAULT;
  if (featureInfo.view.submap_idx !== 0) return -EINVAL;
  featureInfo.view.submap = FEATURES;
  return featureInfo.write(v, a.lo(1), a.hi(1)) ? 0 : -EFAULT;
}
