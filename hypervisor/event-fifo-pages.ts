// The guest's pages of the FIFO ABI: the event array, which grows page by page, and a control block for each vCPU. Each
// page is held as one that may be written to until the ABI is given up (EVTCHNOP_reset, or the domain's end).
//
// What must be trusted is not in them: where they are, and the tail of each queue, lie in the capsule.

import { EVTCHN_FIFO_MAX_QUEUES, EVTCHN_FIFO_NR_CHANNELS } from '#abi/event-channel.ts';
import { assert } from '#base/assert.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import { struct } from '#base/struct.ts';
import type { Domain } from './domain.ts';
import { getWritableFrame, putWritableFrame } from './guest-frame.ts';
import { DOMAIN_STATE, VCPU_STATE } from './layout.ts';
import type { Vcpu } from './vcpu.ts';

const WORDS_PER_PAGE = PAGE_SIZE / 4;
const MAX_ARRAY_PAGES = EVTCHN_FIFO_NR_CHANNELS / WORDS_PER_PAGE;

const vcpu_events = struct('vcpu_events', 68, {
  controlBlock: 'u32', // capsule offset; 0: none
  tails: ['u32', EVTCHN_FIFO_MAX_QUEUES], // the last port that joined each queue, 0: none
});
const array = DOMAIN_STATE.eventArray >>> 2;

const base = (v: Vcpu): number => (v.cpu.base + VCPU_STATE.events) >>> 2;
/** Capsule offset of a vCPU's control block; 0 when it has none. */
export function controlBlock(v: Vcpu): number { return v.domain.capsule.u32[base(v)] as number; }
/** Where a queue's tail is kept, as an index of 32-bit words of the capsule. */
export function tailOf(v: Vcpu, priority: number): number { return base(v) + vcpu_events.offset.tails / 4 + priority; }

/** Where a port's event word is, as an index of 32-bit words of the capsule; -1 while the event array has no page for it. */
export function eventWord(domain: Domain, port: number): number {
  const page = Math.floor(port / WORDS_PER_PAGE);
  if (page >= domain.events.state.arrayPages) return -1;
  return (domain.capsule.frame(domain.capsule.u32[array + page] as number) >>> 2) + port % WORDS_PER_PAGE;
}

/** Takes a control block for a vCPU that has none. False when the frame is not one that may be written to. */
export function addControlBlock(v: Vcpu, mfn: number, offset: number): boolean {
  const { domain } = v;
  if (!getWritableFrame(domain, mfn)) return false;
  domain.capsule.u32[base(v)] = domain.capsule.frame(mfn) + offset;
  return true;
}

/** True when the event array has as many pages as there can be. */
export function arrayIsFull(domain: Domain): boolean { return domain.events.state.arrayPages === MAX_ARRAY_PAGES; }

/**
 * Takes a page for the event array's end.
 * @returns the first port that has its word there, or -1 when the frame is not one that may be written to
 */
export function addArrayPage(domain: Domain, mfn: number): number {
  const { state } = domain.events;
  assert(state.arrayPages < MAX_ARRAY_PAGES, 'the event array has room');
  if (!getWritableFrame(domain, mfn)) return -1;
  domain.capsule.u32[array + state.arrayPages] = mfn;
  return state.arrayPages++ * WORDS_PER_PAGE;
}

/** The frames that are held: one entry for each reference. */
export function fifoFrames(domain: Domain): number[] {
  const { capsule, vcpus, events } = domain;
  const blocks = vcpus.map(controlBlock).filter((at) => at !== 0).map((at) => (at - capsule.frames) >>> 12);
  return [...blocks, ...capsule.u32.subarray(array, array + events.state.arrayPages)];
}

/** Gives all pages back; queues are empty afterwards. */
export function dropFifoPages(domain: Domain): void {
  const frames = fifoFrames(domain);
  for (const v of domain.vcpus) domain.capsule.u32.fill(0, base(v), base(v) + vcpu_events.size / 4);
  domain.events.state.arrayPages = 0;
  for (const mfn of frames) putWritableFrame(domain, mfn);
}
