// Delivery by the FIFO ABI (public/event_channel.h and the design "FIFO-based event channels"). An event has a word of
// its own in the event array: PENDING, MASKED, LINKED, BUSY, and the LINK to the next event in its queue. A vCPU has a queue
// for each of 16 priorities; its control block has their heads, and which of them have become non-empty.
//
// Xen links an event that is pending and not masked to the tail of its queue; the guest takes them off at the head and
// clears LINKED. When the tail's word is not LINKED any more, the guest has emptied the queue, and the event becomes the
// head. Words are the guest's to write: we follow no LINK, and what we trust (the tails) is in the capsule.

import {
  EVTCHN_FIFO_BUSY, EVTCHN_FIFO_LINK_BITS, EVTCHN_FIFO_LINKED, EVTCHN_FIFO_MASKED, EVTCHN_FIFO_PENDING, evtchn_fifo_control_block,
} from '#abi/event-channel.ts';
import { assert } from '#base/assert.ts';
import type { Domain } from './domain.ts';
import type { EventAbi } from './event-abi.ts';
import { controlBlock, eventWord, tailOf } from './event-fifo-pages.ts';
import { MAX_PORTS } from './event-table.ts';
import { markEventsPending, wakePollers } from './event-upcall.ts';
import type { Vcpu } from './vcpu.ts';

const PENDING = 1 << EVTCHN_FIFO_PENDING, MASKED = 1 << EVTCHN_FIFO_MASKED, LINKED = 1 << EVTCHN_FIFO_LINKED, BUSY = 1 << EVTCHN_FIFO_BUSY;
const LINK_MASK = (1 << EVTCHN_FIFO_LINK_BITS) - 1;
assert(MAX_PORTS <= LINK_MASK + 1, 'a link can name every port');
const READY = evtchn_fifo_control_block.offset.ready >>> 2, HEADS = evtchn_fifo_control_block.offset.head >>> 2;

export const fifo: EventAbi = {
  maxPorts: MAX_PORTS,
  setPending,
  clearPending(domain, port) {
    const word = eventWord(domain, port);
    if (word < 0) return;
    Atomics.and(domain.capsule.i32, word, ~PENDING);
    written(domain, word);
  },
  isPending(domain, port) { return hasBit(domain, port, PENDING); },
  isMasked(domain, port) { return hasBit(domain, port, MASKED); },
  isBusy(domain, port) { return hasBit(domain, port, LINKED); },
  unmask(domain, port) {
    const word = eventWord(domain, port);
    if (word < 0) return;
    const old = Atomics.and(domain.capsule.i32, word, ~MASKED);
    written(domain, word);
    if (old & PENDING) setPending(domain, port);
  },
};

function hasBit(domain: Domain, port: number, bit: number): boolean {
  const word = eventWord(domain, port);
  return word >= 0 && (Atomics.load(domain.capsule.i32, word) & bit) !== 0;
}

/** Code may have been decoded from any page of the guest's. */
function written(domain: Domain, word: number): void { domain.machine.frameWritten((word * 4 - domain.capsule.frames) >>> 12); }

/** Without a control block the event stays pending and joins no queue: the guest was to set it up first. */
function setPending(domain: Domain, port: number): void {
  const { i32 } = domain.capsule;
  const chn = domain.events.at(port);
  const word = eventWord(domain, port);
  if (word < 0) {
    chn.pending = 1;
    return;
  }
  const v = domain.vcpus[chn.notify_vcpu_id] as Vcpu;
  const old = Atomics.or(i32, word, PENDING);
  const block = controlBlock(v) >>> 2;
  if (block !== 0 && !(old & MASKED) && !(Atomics.or(i32, word, LINKED) & LINKED)) join(v, block, port);
  written(domain, word);
  if (!(old & PENDING)) wakePollers(domain, port);
}

/** Puts an event that was just marked LINKED at the end of its queue. @param block the control block, as a word index */
function join(v: Vcpu, block: number, port: number): void {
  const { domain } = v;
  const { u32, i32 } = domain.capsule;
  const chn = domain.events.at(port);
  const { priority } = chn;
  // As the tail of the queue that it was in last, its word now would say that there is something in that queue.
  const last = tailOf(domain.vcpus[chn.last_vcpu_id] as Vcpu, chn.last_priority);
  if (u32[last] === port) u32[last] = 0;
  chn.last_vcpu_id = v.id;
  chn.last_priority = priority;
  const tail = tailOf(v, priority);
  const before = u32[tail] as number;
  u32[tail] = port;
  if (before !== 0 && setLink(domain, before, port)) return;
  Atomics.store(i32, block + HEADS + priority, port);
  const bit = 1 << priority;
  const ready = Atomics.or(i32, block + READY, bit);
  written(domain, block);
  if (!(ready & bit)) markEventsPending(v);
}

/** The guest may change a LINKED word four times in the way; more is not for Xen to wait for. */
const TRIES = 5;

/**
 * Makes the queue go on from its tail, if the guest has not taken that off. The guest does not unmask a BUSY event, so
 * that a linked word changes a few times at the most: MASKED set, PENDING cleared, LINKED and LINK cleared.
 * @returns false when the queue was empty
 */
function setLink(domain: Domain, tail: number, link: number): boolean {
  const { i32 } = domain.capsule;
  const word = eventWord(domain, tail);
  let w = Atomics.load(i32, word);
  if (!(w & LINKED)) return false;
  for (let tries = 0; tries < TRIES && w & LINKED; tries++) {
    const seen = Atomics.compareExchange(i32, word, w, (w & ~(BUSY | LINK_MASK)) | link);
    if (seen === w) {
      written(domain, word);
      return true;
    }
    w = tries === 0 ? Atomics.or(i32, word, BUSY) | BUSY : seen;
  }
  Atomics.and(i32, word, ~BUSY);
  written(domain, word);
  return (w & LINKED) !== 0;
}
