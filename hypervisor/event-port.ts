// Event channel ports of one domain and their delivery, by the two-level ABI (public/event_channel.h, xen.h).
//
// A port has a pending and a mask bit in the shared info page. Setting it pending also sets the bit of its 64-port
// word in the vCPU's evtchn_pending_sel and evtchn_upcall_pending, in this order, unless the port is masked: then
// the unmasking (EVTCHNOP_unmask, or the guest itself) does so. These bits are shared with guest code and with other
// threads, hence changed with Atomics only. What a port is bound to is in the capsule's port table.
//
// A port number is valid below a limit that grows in steps of 64 as ports are allocated; port 0 is never given out.

import { EVTCHN_2L_NR_CHANNELS, shared_info, VIRQ, vcpu_info } from '#abi/xen.ts';
import { ENOSPC } from '#abi/errno.ts';
import { assert } from '#base/assert.ts';
import { struct } from '#base/struct.ts';
import type { Domain } from './domain.ts';
import { DOMAIN_STATE, XEN_FRAME } from './layout.ts';
import { preempt, schedOf, vcpu_sched, wake } from './vcpu-sched.ts';
import { type Vcpu, VPF } from './vcpu.ts';

/** What a port is, as Xen's ECS_*. */
export const ECS = { free: 0, reserved: 1, unbound: 2, interdomain: 3, pirq: 4, virq: 5, ipi: 6 } as const;

const PORTS_PER_STEP = 64;
export const evtchn = struct('evtchn', 32, {
  state: 'u32', // ECS
  notify_vcpu_id: 'u32',
  remote_domid: 'u32', // unbound: who may bind; interdomain: who is bound
  remote_port: 'u32', // interdomain
  virq: 'u32',
  missed: 'u32', // interdomain: the peer's back end was not there when it was notified
  reserved: ['u32', 2],
});
type Evtchn = ReturnType<typeof evtchn.on>;
const domain_events = struct('domain_events', 4, { validPorts: 'u32' });

const PENDING = shared_info.offset.evtchn_pending;
const MASK = shared_info.offset.evtchn_mask;

interface Cursors { readonly port: Evtchn; readonly peer: Evtchn; readonly events: ReturnType<typeof domain_events.on> }
const cursors = new WeakMap<Domain, Cursors>();
function cursorsOf(domain: Domain): Cursors {
  let c = cursors.get(domain);
  if (!c) {
    const { buffer } = domain.capsule;
    cursors.set(domain, c = { port: evtchn.on(buffer), peer: evtchn.on(buffer), events: domain_events.on(buffer).at(DOMAIN_STATE.events) });
  }
  return c;
}

/** Empties the port table of a new domain. */
export function initEventPorts(domain: Domain): void {
  domain.capsule.u8.fill(0, DOMAIN_STATE.eventChannels, DOMAIN_STATE.eventChannels + EVTCHN_2L_NR_CHANNELS * evtchn.size);
  cursorsOf(domain).events.validPorts = PORTS_PER_STEP;
  portOf(domain, 0).state = ECS.reserved;
}

export function portIsValid(domain: Domain, port: number): boolean { return port < cursorsOf(domain).events.validPorts; }
/** Ports [0, this) are valid. */
export function validPorts(domain: Domain): number { return cursorsOf(domain).events.validPorts; }

/** The record of a valid port, on a cursor that the next call moves. */
export function portOf(domain: Domain, port: number): Evtchn {
  assert(port < EVTCHN_2L_NR_CHANNELS, 'port number in range');
  return cursorsOf(domain).port.at(DOMAIN_STATE.eventChannels + port * evtchn.size) as Evtchn;
}
/** The same on a second cursor, for the far end of a port. */
export function peerOf(domain: Domain, port: number): Evtchn {
  assert(port < EVTCHN_2L_NR_CHANNELS, 'port number in range');
  return cursorsOf(domain).peer.at(DOMAIN_STATE.eventChannels + port * evtchn.size) as Evtchn;
}

/** The lowest free port, or -ENOSPC. */
export function getFreePort(domain: Domain): number {
  const { events } = cursorsOf(domain);
  for (let port = 1; port < events.validPorts; port++) if (portOf(domain, port).state === ECS.free) return port;
  if (events.validPorts === EVTCHN_2L_NR_CHANNELS) return -ENOSPC;
  events.validPorts += PORTS_PER_STEP;
  return events.validPorts - PORTS_PER_STEP;
}

/** Makes a port free again; a left-over event would surprise its next owner. */
export function freePort(domain: Domain, port: number): void {
  Atomics.and(domain.capsule.i32, bitWord(domain, PENDING, port), ~portBit(port));
  const chn = portOf(domain, port);
  domain.capsule.u8.fill(0, chn.base, chn.base + evtchn.size);
}

const portBit = (port: number): number => 1 << (port & 31);
const bitWord = (domain: Domain, table: number, port: number): number => (domain.capsule.frame(XEN_FRAME.sharedInfo) + table + (port >>> 5) * 4) >>> 2;

export function portIsPending(domain: Domain, port: number): boolean { return (Atomics.load(domain.capsule.i32, bitWord(domain, PENDING, port)) & portBit(port)) !== 0; }
export function portIsMasked(domain: Domain, port: number): boolean { return (Atomics.load(domain.capsule.i32, bitWord(domain, MASK, port)) & portBit(port)) !== 0; }

/** An event on a port of this domain. Nothing new when one is pending already. */
export function setPortPending(domain: Domain, port: number): void {
  const bit = portBit(port);
  const { i32 } = domain.capsule;
  if (Atomics.or(i32, bitWord(domain, PENDING, port), bit) & bit) return;
  if (!portIsMasked(domain, port)) select(domain, port);
  wakePollers(domain, port);
}

/** Clears the mask bit, and delivers what was held back by it. */
export function unmaskPort(domain: Domain, port: number): void {
  const bit = portBit(port);
  const wasMasked = (Atomics.and(domain.capsule.i32, bitWord(domain, MASK, port), ~bit) & bit) !== 0;
  if (wasMasked && portIsPending(domain, port)) select(domain, port);
}

/** Sets the selector bit of the port's word for the vCPU that it notifies. */
function select(domain: Domain, port: number): void {
  const v = domain.vcpus[portOf(domain, port).notify_vcpu_id] as Vcpu;
  const word = port >>> 6;
  const bit = portBit(word);
  const at = (v.info + vcpu_info.offset.evtchn_pending_sel + (word >>> 5) * 4) >>> 2;
  if (!(Atomics.or(domain.capsule.i32, at, bit) & bit)) markEventsPending(v);
}

/** Raises the upcall flag of a vCPU and wakes it. */
export function markEventsPending(v: Vcpu): void {
  const { domain } = v;
  const was = Atomics.exchange(domain.capsule.u8, v.info + vcpu_info.offset.evtchn_upcall_pending, 1);
  const mfn = (v.info - domain.capsule.frames) >>> 12;
  if (mfn !== XEN_FRAME.sharedInfo) domain.machine.frameWritten(mfn);
  if (was) return;
  wake(v);
  preempt(v);
}

/** True when the vCPU has an event to take and takes events. */
export function eventsNeedDelivery(v: Vcpu): boolean { return v.upcallPending && v.upcallMask === 0; }

function wakePollers(domain: Domain, port: number): void {
  for (const v of domain.vcpus) {
    if (!(v.pauseFlags & VPF.polling)) continue;
    const polled = schedOf(v).pollPort;
    if (polled === 0 || polled === port) wake(v);
  }
}

/** True for virtual IRQs that a domain has one of; the others it has one of for each vCPU. */
export function virqIsGlobal(virq: number): boolean {
  return virq !== VIRQ.TIMER && virq !== VIRQ.DEBUG && virq !== VIRQ.XENOPROF && virq !== VIRQ.XENPMU;
}

const virqWord = (v: Vcpu, virq: number): number => (schedOf(v).base + vcpu_sched.offset.virqPort) / 4 + virq;
/** The port that a virtual IRQ of a vCPU is bound to; 0: none. */
export function virqPort(v: Vcpu, virq: number): number { return v.domain.capsule.u32[virqWord(v, virq)] as number; }
export function setVirqPort(v: Vcpu, virq: number, port: number): void { v.domain.capsule.u32[virqWord(v, virq)] = port; }

/** Raises a virtual IRQ that a vCPU has of its own; dropped when it is not bound. */
export function sendVcpuVirq(v: Vcpu, virq: number): void {
  const port = virqPort(v, virq);
  if (port !== 0) setPortPending(v.domain, port);
}
