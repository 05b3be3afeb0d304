// Who owns which part of the capsule's hypervisor state. Each owner declares its records with struct() in its own file.
// Everything a snapshot needs lies here or in the frames; JavaScript objects hold caches only.

import { DOMAIN_BASE } from '#base/capsule.ts';

/** Domain-wide state: capsule offsets. */
export const DOMAIN_STATE = {
  domain: DOMAIN_BASE, // domain.ts
  mm: DOMAIN_BASE + 0x1000, // mm/
  time: DOMAIN_BASE + 0x2000, // time.ts
  sched: DOMAIN_BASE + 0x2100, // domain-sched.ts
  events: DOMAIN_BASE + 0x2200, // event-table.ts
  version: DOMAIN_BASE + 0x2300, // version.ts
  physdev: DOMAIN_BASE + 0x2380, // physdev.ts
  console: DOMAIN_BASE + 0x2400, // console-io.ts
  counters: DOMAIN_BASE + 0x2600, // counters.ts
  crashText: DOMAIN_BASE + 0x3000, // crash-text.ts
  credit: DOMAIN_BASE + 0x7000, // credit.ts
  eventArray: DOMAIN_BASE + 0x8000, // event-fifo-pages.ts: 128 frame numbers
  eventChannels: DOMAIN_BASE + 0x1_0000, // event-table.ts: 8192 ports × 16 bytes
  maptrack: DOMAIN_BASE + 0x3_0000, // grant-handles.ts: 12288 handles × 16 bytes
  grantTable: DOMAIN_BASE + 0x6_0000, // grant-entry.ts
} as const;
/** Bytes of each. */
export const DOMAIN_STATE_SIZE: { readonly [name in keyof typeof DOMAIN_STATE]: number } = {
  domain: 0x1000, mm: 0x1000, time: 0x100, sched: 0x100, events: 0x100, version: 0x80, physdev: 0x80, console: 0x200, counters: 0x20, crashText: 0x4000, credit: 0x200, eventArray: 0x200,
  eventChannels: 0x2_0000, maptrack: 0x3_0000, grantTable: 0x100,
};

/** Per-vCPU state: offsets from the vCPU context's base. The first 4 KiB are the machine's register file. */
export const VCPU_STATE = {
  vcpu: 0x1000, // vcpu.ts: trap delivery, callbacks, kernel stack
  mm: 0x1c00, // mm/gdt.ts: GDT, LDT
  trapTable: 0x2000, // traps.ts: 256 × 16 bytes
  sched: 0x3000, // vcpu-sched.ts: run state, timers, registered areas
  events: 0x3800, // event-fifo-pages.ts: control block and queues
  counters: 0x3a00, // counters.ts
} as const;
/** Bytes of each. */
export const VCPU_STATE_SIZE: { readonly [name in keyof typeof VCPU_STATE]: number } = { vcpu: 0xc00, mm: 0x400, trapTable: 0x1000, sched: 0x800, events: 0x100, counters: 0x400 };

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
