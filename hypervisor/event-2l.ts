// Delivery by the two-level ABI (public/xen.h): a port has a pending and a mask bit in the shared info page. Setting it
// pending also sets the bit of its 64-port word in the vCPU's evtchn_pending_sel and evtchn_upcall_pending, in this
// order, unless the port is masked: then the unmasking (EVTCHNOP_unmask, or the guest itself) does so. Guest code and
// other threads change these bits too, hence Atomics.

import { EVTCHN_2L_NR_CHANNELS, shared_info, vcpu_info } from '#abi/xen.ts';
import type { Domain } from './domain.ts';
import type { EventAbi } from './event-abi.ts';
import { markEventsPending, wakePollers } from './event-upcall.ts';
import { XEN_FRAME } from './layout.ts';
import type { Vcpu } from './vcpu.ts';

const PENDING = shared_info.offset.evtchn_pending;
const MASK = shared_info.offset.evtchn_mask;
const portBit = (port: number): number => 1 << (port & 31);
const bitWord = (domain: Domain, bits: number, port: number): number => (domain.capsule.frame(XEN_FRAME.sharedInfo) + bits + (port >>> 5) * 4) >>> 2;

export const twoLevel: EventAbi = {
  maxPorts: EVTCHN_2L_NR_CHANNELS,
  setPending(domain, port) {
    const bit = portBit(port);
    const { i32 } = domain.capsule;
    if (Atomics.or(i32, bitWord(domain, PENDING, port), bit) & bit) return;
    if (!(Atomics.load(i32, bitWord(domain, MASK, port)) & bit)) select(domain, port);
    wakePollers(domain, port);
  },
  clearPending(domain, port) { Atomics.and(domain.capsule.i32, bitWord(domain, PENDING, port), ~portBit(port)); },
  isPending,
  isMasked(domain, port) { return (Atomics.load(domain.capsule.i32, bitWord(domain, MASK, port)) & portBit(port)) !== 0; },
  isBusy: () => false,
  unmask(domain, port) {
    const bit = portBit(port);
    const wasMasked = (Atomics.and(domain.capsule.i32, bitWord(domain, MASK, port), ~bit) & bit) !== 0;
    if (wasMasked && isPending(domain, port)) select(domain, port);
  },
};

function isPending(domain: Domain, port: number): boolean { return (Atomics.load(domain.capsule.i32, bitWord(domain, PENDING, port)) & portBit(port)) !== 0; }

/** Sets the selector bit of the port's word for the vCPU that it notifies. */
function select(domain: Domain, port: number): void {
  const v = domain.vcpus[domain.events.at(port).notify_vcpu_id] as Vcpu;
  const bit = portBit(port >>> 6);
  if (!(Atomics.or(domain.capsule.i32, selectorWord(v, port), bit) & bit)) markEventsPending(v);
}
/** That bit is set. */
export function isSelected(v: Vcpu, port: number): boolean { return (Atomics.load(v.domain.capsule.i32, selectorWord(v, port)) & portBit(port >>> 6)) !== 0; }
const selectorWord = (v: Vcpu, port: number): number => (v.info + vcpu_info.offset.evtchn_pending_sel + (port >>> 11) * 4) >>> 2;
