// Who owns which part of the capsule's hypervisor state. Each owner declares its records with struct() in its own file.
// Everything a snapshot needs lies here or in the frames; JavaScript objects hold caches only.

import { DOMAIN_BASE } from '#base/capsule.ts';

/** Domain-wide state: capsule offsets. */
export const DOMAIN_STATE = {
  domain: DOMAIN_BASE, // 4 KiB, domain.ts
  mm: DOMAIN_BASE + 0x1000, // 4 KiB, mm/
  misc: DOMAIN_BASE + 0x2000, // 8 KiB, time, scheduler, versions
  eventChannels: DOMAIN_BASE + 0x1_0000, // 128 KiB: 4096 ports × 32 bytes
  grants: DOMAIN_BASE + 0x3_0000, // 128 KiB: grant-table.ts
} as const;

/** Per-vCPU state: offsets from the vCPU context's base. The first 4 KiB are the machine's register file. */
export const VCPU_STATE = {
  vcpu: 0x1000, // 4 KiB, vcpu.ts: trap delivery, callbacks, kernel stack, page-table bases
  trapTable: 0x2000, // 4 KiB: 256 × 16 bytes, traps.ts
  time: 0x3000, // 4 KiB, vcpu-op.ts and time.ts: timers, runstate, registered areas
} as const;

/** Frames that Xen keeps for itself in every domain, by number. Frame 0 is never handed out. */
export const XEN_FRAME = {
  sharedInfo: 1,
  grantTable: 2, // 32 frames: v1 entries, 8 bytes each
  grantFrames: 32,
  /** first frame of Xen's page tables and the machine-to-physical table; mm/m2p.ts counts them */
  m2p: 34,
} as const;
