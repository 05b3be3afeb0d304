// A guest's change to the FIFO ABI and back: EVTCHNOP_init_control, EVTCHNOP_expand_array, and the end of it.
//
// The first control block is the change. Ports that are bound keep what was pending, until the event array has a word for
// them.

import { EINVAL, ENOENT, ENOSPC, EOPNOTSUPP } from '#abi/errno.ts';
import { evtchn_fifo_control_block } from '#abi/event-channel.ts';
import { PAGE_SIZE } from '#base/capsule.ts';
import type { Domain } from './domain.ts';
import { addArrayPage, addControlBlock, arrayIsFull, controlBlock, dropFifoPages } from './event-fifo-pages.ts';
import { portIsPending, setPortPending } from './event-port.ts';

/**
 * Gives a vCPU its control block.
 * @param mfn frame number, unchecked
 * @param offset bytes into the frame, unchecked
 * @returns 0, -ENOENT for no such vCPU, or -EINVAL: the place is bad or the vCPU has one
 */
export function initControl(domain: Domain, vcpu: number, mfn: number, offset: number): number {
  const v = domain.vcpus[vcpu];
  if (!v) return -ENOENT;
  if (offset > PAGE_SIZE - evtchn_fifo_control_block.size || offset % 8 !== 0) return -EINVAL;
  if (controlBlock(v) !== 0 || !addControlBlock(v, mfn, offset)) return -EINVAL;
  if (domain.events.state.fifo === 0) changeToFifo(domain);
  return 0;
}

function changeToFifo(domain: Domain): void {
  const { events } = domain;
  for (let port = 1; port < events.valid; port++) {
    const pending = portIsPending(domain, port);
    events.at(port).pending = pending ? 1 : 0;
  }
  events.state.fifo = 1;
}

/**
 * Adds a page to the event array.
 * @param mfn frame number, unchecked
 * @returns 0, -EOPNOTSUPP without a control block, -ENOSPC when there are words for all ports, -EINVAL for a bad frame
 */
export function expandArray(domain: Domain, mfn: number): number {
  const { events } = domain;
  if (events.state.fifo === 0) return -EOPNOTSUPP;
  if (arrayIsFull(domain)) return -ENOSPC;
  const first = addArrayPage(domain, mfn);
  if (first < 0) return -EINVAL;
  for (let port = first; port < events.valid; port++) {
    const chn = events.at(port);
    if (chn.pending === 0) continue;
    chn.pending = 0;
    setPortPending(domain, port);
  }
  return 0;
}

/** Back to the two-level ABI, when all ports are closed. */
export function dropFifo(domain: Domain): void {
  dropFifoPages(domain);
  domain.events.state.fifo = 0;
}
