// Who owns which part of the capsule's hypervisor state. Each owner declares its records with struct() in its own file.
// Everything a snapshot needs lies here or in the frames; JavaScript objects hold caches only.

import { DOMAIN_BASE } from '#base/capsule.ts';

/** Domain-wide state: capsule offsets. */
export const DOMAIN_STATE = {
  domain: DOMAIN_BASE, // 4 KiB, domain.ts
  mm: DOMAIN_BASE + 0x1000, // 4 KiB, mm/
  time: DOMAIN_BASE + 0x2000, // 256 bytes, time.ts
  sched: DOMAIN_BASE + 0x2100, // 256 bytes, domain-sched.ts
  events: DOMAIN_BASE + 0x2200, // 256 bytes, event-table.ts
  version: DOMAIN_BASE + 0x2300, // 128 bytes, version.ts
  physdev: DOMAIN_BASE + 0x2380, // 128 bytes, physdev.ts
  console: DOMAIN_BASE + 0x2400, // 512 bytes, console-io.ts
  credit: DOMAIN_BASE + 0x2f00, // 256 bytes, credit.ts
  eventArray: DOMAIN_BASE + 0x8000, // 512 bytes, event-fifo-pages.ts: 128 frame numbers
  eventChannels: DOMAIN_BASE + 0x1_0000, // 128 KiB: 8192 ports × 16 bytes, event-table.ts
  maptrack: DOMAIN_BASE + 0x3_0000, // 192 KiB: 12288 handles × 16 bytes, grant-handles.ts
  grantTable: DOMAIN_BASE + 0x6_0000, // 256 bytes, grant-entry.ts
} as const;

/** Per-vCPU state: offsets from the vCPU context's base. The first 4 KiB are the machine's register file. */
export const VCPU_STATE = {
  vcpu: 0x1000, // 3 KiB, vcpu.ts: trap delivery, callbacks, kernel stack
  mm: 0x1c00, // 1 KiB, mm/gdt.ts: GDT, LDT
  trapTable: 0x2000, // 4 KiB: 256 × 16 bytes, traps.ts
  sched: 0x3000, // 2 KiB, vcpu-sched.ts: run state, timers, registered areas
  events: 0x3800, // 256 bytes, event-fifo-pages.ts: control block and queues
} as const;

/** Frames that Xen keeps for itself in every domain, by number. Frame 0 is never handed out. */
export const XEN_FRAME = {
  sharedInfo: 1,
  grantTable: 2, // entries of 8 bytes, or of 16 in version 2; grant-entry.ts
  grantFrames: 64,
  grantStatus: 66, // status words of version 2, 2 bytes each
  statusFrames: 8,
  // from here on the guest never sees them
  grantActive: 74, // 192 frames: 32768 entries × 24 bytes, grant-active.ts
  foreign: 266, // 64 frames: 16384 entries × 16 bytes, mm/foreign-frames.ts
  /** first frame of Xen's page tables and the machine-to-physical table; mm/m2p.ts counts them */
  m2p: 330,
} as const;
