// HYPERVISOR_event_channel_op (public/event_channel.h). The table of ports is in event-table.ts, delivery in event-2l.ts and
// event-fifo.ts, the ends that Domain-0 holds in event-backend.ts, other domains in event-peer.ts.

import { EACCES, EBUSY, EEXIST, EFAULT, EINVAL, ENOENT, ENOSYS, EPERM, ESRCH } from '#abi/errno.ts';
import {
  EVTCHN_FIFO_LINK_BITS, EVTCHN_FIFO_PRIORITY_MIN, EVTCHNOP, EVTCHNSTAT, evtchn_alloc_unbound, evtchn_bind_interdomain, evtchn_bind_ipi, evtchn_bind_pirq,
  evtchn_bind_vcpu, evtchn_bind_virq, evtchn_expand_array, evtchn_init_control, evtchn_port, evtchn_reset, evtchn_set_priority, evtchn_status,
} from '#abi/event-channel.ts';
import { NR_VIRQS } from '#abi/xen.ts';
import { assert, unreachable } from '#base/assert.ts';
import { COUNTER, count } from './counters.ts';
import type { Domain } from './domain.ts';
import { checkTarget, peerOf, resolveDomid } from './domid.ts';
import { allocUnboundFor, cutWire, notifyBackend } from './event-backend.ts';
import { dropFifo, expandArray, initControl } from './event-fifo-setup.ts';
import { withLocks } from './event-peer.ts';
import { freePort, getFreePort, setPortPending, setVirqPort, unmaskPort, virqIsGlobal, virqPort } from './event-port.ts';
import { ECS, type PortTable } from './event-table.ts';
import { GuestStruct } from './guest-struct.ts';
import type { Hypercall } from './hypercall.ts';
import { NR_PIRQS } from './physdev.ts';
import type { Vcpu } from './vcpu.ts';

// The arguments of the call that is under way.
const allocUnboundArg = new GuestStruct(evtchn_alloc_unbound);
const bindInterdomainArg = new GuestStruct(evtchn_bind_interdomain);
const bindVirqArg = new GuestStruct(evtchn_bind_virq);
const bindPirqArg = new GuestStruct(evtchn_bind_pirq);
const bindIpiArg = new GuestStruct(evtchn_bind_ipi);
const portArg = new GuestStruct(evtchn_port);
const statusArg = new GuestStruct(evtchn_status);
const bindVcpuArg = new GuestStruct(evtchn_bind_vcpu);
const resetArg = new GuestStruct(evtchn_reset);
const initControlArg = new GuestStruct(evtchn_init_control);
const expandArrayArg = new GuestStruct(evtchn_expand_array);
const setPriorityArg = new GuestStruct(evtchn_set_priority);

interface Op { readonly arg: { read(v: Vcpu, lo: number, hi: number): boolean; write(v: Vcpu, lo: number, hi: number): boolean }; readonly run: (v: Vcpu) => number; readonly out?: true }

/** One row for each EVTCHNOP; `out`: the argument is copied back when the call succeeds. */
const OPS: { readonly [cmd: number]: Op } = {
  [EVTCHNOP.alloc_unbound]: { arg: allocUnboundArg, run: allocUnbound, out: true },
  [EVTCHNOP.bind_interdomain]: { arg: bindInterdomainArg, run: bindInterdomain, out: true },
  [EVTCHNOP.bind_virq]: { arg: bindVirqArg, run: bindVirq, out: true },
  [EVTCHNOP.bind_pirq]: { arg: bindPirqArg, run: () => bindPirqArg.view.pirq >= NR_PIRQS ? -EINVAL : -EPERM },
  [EVTCHNOP.bind_ipi]: { arg: bindIpiArg, run: bindIpi, out: true },
  [EVTCHNOP.close]: { arg: portArg, run: (v) => closePort(v.domain, portArg.view.port) },
  [EVTCHNOP.send]: { arg: portArg, run: (v) => {
    count(v, COUNTER.sends);
    if (v.domain.trace.events) v.domain.trace.send(v, portArg.view.port);
    return send(v.domain, portArg.view.port);
  } },
  [EVTCHNOP.status]: { arg: statusArg, run: status, out: true },
  [EVTCHNOP.bind_vcpu]: { arg: bindVcpuArg, run: bindVcpu },
  [EVTCHNOP.unmask]: { arg: portArg, run: unmask },
  [EVTCHNOP.reset]: { arg: resetArg, run: reset },
  [EVTCHNOP.init_control]: { arg: initControlArg, run: initControlBlock, out: true },
  [EVTCHNOP.expand_array]: { arg: expandArrayArg, run: (v) => expandArray(v.domain, Number(expandArrayArg.view.array_gfn)) },
  [EVTCHNOP.reset_cont]: { arg: resetArg, run: (v) => checkTarget(v.domain, resetArg.view.dom) || -EBUSY }, // no reset was interrupted
  [EVTCHNOP.set_priority]: { arg: setPriorityArg, run: setPriority },
};

/** (cmd, arg): 0, or a negated errno. */
export const do_event_channel_op: Hypercall = (v, a) => {
  const op = OPS[a.lo(0)];
  if (!op) return -ENOSYS;
  if (!op.arg.read(v, a.lo(1), a.hi(1))) return -EFAULT;
  const result = op.run(v);
  if (result === 0 && op.out && !op.arg.write(v, a.lo(1), a.hi(1))) return -EFAULT;
  return result;
};

function allocUnbound(v: Vcpu): number {
  const { domain } = v;
  const arg = allocUnboundArg.view;
  const refused = checkTarget(domain, arg.dom);
  if (refused) return refused;
  const port = allocUnboundFor(domain, resolveDomid(domain, arg.remote_dom));
  if (port < 0) return port;
  arg.port = port;
  return 0;
}

/** Domain-0's ports are in no table, and it leaves none unbound for a guest. */
function bindInterdomain(v: Vcpu): number {
  const { domain } = v;
  const arg = bindInterdomainArg.view;
  const remoteDomid = resolveDomid(domain, arg.remote_dom);
  const far = peerOf(domain, remoteDomid);
  if (!far && remoteDomid !== 0) return -ESRCH;
  const local = getFreePort(domain);
  if (local < 0) return local;
  if (!far) return -EINVAL;
  const bound = withLocks(domain, far, () => {
    if (!bindFarEnd(far.events, arg.remote_port, domain.domid, local)) return false;
    domain.events.claim(local, ECS.interdomain, remoteDomid, arg.remote_port);
    return true;
  });
  if (!bound) return -EINVAL;
  arg.local_port = local;
  setPortPending(domain, local); // events may have been sent while nobody was bound
  return 0;
}

/** Binds a port that waits for domain `domid`. False when it does not. */
function bindFarEnd(events: PortTable, port: number, domid: number, theirs: number): boolean {
  if (!events.isValid(port)) return false;
  const chn = events.at(port);
  if (chn.state !== ECS.unbound || chn.remote_domid !== domid) return false;
  chn.remote_port = theirs;
  chn.state = ECS.interdomain;
  return true;
}

function bindVirq(v: Vcpu): number {
  const { domain } = v;
  const { virq, vcpu } = bindVirqArg.view;
  if (virq >= NR_VIRQS || (virqIsGlobal(virq) && vcpu !== 0)) return -EINVAL;
  const target = domain.vcpus[vcpu];
  if (!target) return -ENOENT;
  if (virqPort(target, virq) !== 0) return -EEXIST;
  const port = getFreePort(domain);
  if (port < 0) return port;
  const chn = domain.events.claim(port, ECS.virq);
  chn.notify_vcpu_id = vcpu;
  chn.virq = virq;
  setVirqPort(target, virq, port);
  bindVirqArg.view.port = port;
  return 0;
}

function bindIpi(v: Vcpu): number {
  const { domain } = v;
  const { vcpu } = bindIpiArg.view;
  if (!domain.vcpus[vcpu]) return -ENOENT;
  const port = getFreePort(domain);
  if (port < 0) return port;
  domain.events.claim(port, ECS.ipi).notify_vcpu_id = vcpu;
  bindIpiArg.view.port = port;
  return 0;
}

/** Closes a port of the domain, whatever it is bound to. The far end, if any, is left unbound. */
function closePort(domain: Domain, port: number): number {
  if (!domain.events.isValid(port)) return -EINVAL;
  const chn = domain.events.at(port);
  switch (chn.state) {
    case ECS.free: case ECS.reserved: return -EINVAL;
    case ECS.virq:
      for (const v of domain.vcpus) if (virqPort(v, chn.virq) === port) setVirqPort(v, chn.virq, 0);
      break;
    case ECS.unbound: case ECS.interdomain:
      closeChannel(domain, port, chn.remote_domid);
      return 0;
    case ECS.ipi: break;
    default: unreachable('no other kind of port is made');
  }
  freePort(domain, port);
  return 0;
}

/** @param remoteDomid the domain that is bound to the port, or may be as soon as the lock is free */
function closeChannel(domain: Domain, port: number, remoteDomid: number): void {
  const far = peerOf(domain, remoteDomid) ?? domain;
  withLocks(domain, far, () => {
    const { state, remote_port } = domain.events.at(port);
    if (state === ECS.interdomain) {
      if (remoteDomid === 0) cutWire(domain, port);
      else if (far.domid === remoteDomid) unbindFarEnd(far.events, remote_port, domain.domid);
    }
    freePort(domain, port);
  });
}

/** The far end of a channel that domain `domid` closes waits for that domain again. */
function unbindFarEnd(events: PortTable, port: number, domid: number): void {
  const chn = events.at(port);
  assert(chn.state === ECS.interdomain && chn.remote_domid === domid, 'both ends of a channel are bound');
  chn.state = ECS.unbound;
}

function send(domain: Domain, port: number): number {
  if (!domain.events.isValid(port)) return -EINVAL;
  const { state, remote_domid, remote_port } = domain.events.at(port);
  switch (state) {
    case ECS.ipi: setPortPending(domain, port); return 0;
    case ECS.interdomain:
      if (remote_domid === domain.domid) setPortPending(domain, remote_port);
      else if (remote_domid === 0) notifyBackend(domain, port);
      else domain.peers.get(remote_domid)?.notify(remote_port, domain.domid);
      return 0;
    case ECS.unbound: return 0; // nobody there: dropped
    default: return -EINVAL;
  }
}

const STATUS_OF: { readonly [state: number]: number } = {
  [ECS.free]: EVTCHNSTAT.closed, [ECS.reserved]: EVTCHNSTAT.closed, [ECS.unbound]: EVTCHNSTAT.unbound, [ECS.interdomain]: EVTCHNSTAT.interdomain,
  [ECS.virq]: EVTCHNSTAT.virq, [ECS.ipi]: EVTCHNSTAT.ipi,
};

function status(v: Vcpu): number {
  const arg = statusArg.view;
  const refused = checkTarget(v.domain, arg.dom);
  if (refused) return v.domain.peers.get(arg.dom)?.events.isValid(arg.port) === false ? -EINVAL : refused;
  if (!v.domain.events.isValid(arg.port)) return -EINVAL;
  const chn = v.domain.events.at(arg.port);
  arg.status = STATUS_OF[chn.state] as number;
  arg.vcpu = chn.notify_vcpu_id;
  if (chn.state === ECS.virq) { arg.u_dom = chn.virq; arg.u_pad = 0; }
  if (chn.state === ECS.unbound || chn.state === ECS.interdomain) arg.u_dom = chn.remote_domid;
  if (chn.state === ECS.interdomain) arg.u_port = chn.remote_port;
  return 0;
}

/** Per-vCPU virtual IRQs and IPIs stay with their vCPU. */
function bindVcpu(v: Vcpu): number {
  const { port, vcpu } = bindVcpuArg.view;
  if (!v.domain.vcpus[vcpu]) return -ENOENT;
  if (!v.domain.events.isValid(port)) return -EINVAL;
  const chn = v.domain.events.at(port);
  const movable = chn.state === ECS.unbound || chn.state === ECS.interdomain || (chn.state === ECS.virq && virqIsGlobal(chn.virq));
  if (!movable) return -EINVAL;
  chn.notify_vcpu_id = vcpu;
  return 0;
}

function unmask(v: Vcpu): number {
  const { port } = portArg.view;
  if (!v.domain.events.isValid(port)) return -EINVAL;
  unmaskPort(v.domain, port);
  return 0;
}

function reset(v: Vcpu): number {
  const refused = checkTarget(v.domain, resetArg.view.dom);
  if (refused) return refused;
  destroyEventChannels(v.domain);
  return 0;
}

/** Closes every port and goes back to the two-level ABI: EVTCHNOP_reset, and the end of a domain. */
export function destroyEventChannels(domain: Domain): void {
  for (let port = 1, end = domain.events.valid; port < end; port++) closePort(domain, port);
  dropFifo(domain);
}

function initControlBlock(v: Vcpu): number {
  const { control_gfn, offset, vcpu } = initControlArg.view;
  initControlArg.view.link_bits = EVTCHN_FIFO_LINK_BITS;
  return initControl(v.domain, vcpu, Number(control_gfn), offset);
}

/** The next event joins the queue of its new priority; one that is in a queue stays there. */
function setPriority(v: Vcpu): number {
  const { events } = v.domain;
  const { port, priority } = setPriorityArg.view;
  if (!events.isValid(port)) return -EINVAL;
  if (events.state.fifo === 0) return -ENOSYS;
  if (!events.isUsable(port)) return -EACCES;
  if (priority > EVTCHN_FIFO_PRIORITY_MIN) return -EINVAL;
  events.at(port).priority = priority;
  return 0;
}
