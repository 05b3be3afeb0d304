// HYPERVISOR_event_channel_op (public/event_channel.h). Ports and delivery are in event-port.ts, the ends that
// Domain-0 holds in event-backend.ts.
//
// FIFO event channels answer -ENOSYS, as a Xen before 4.4: guests then stay with the two-level ABI.

import { EBUSY, EEXIST, EFAULT, EINVAL, ENOENT, ENOSYS, EPERM, ESRCH } from '#abi/errno.ts';
import {
  EVTCHNOP, EVTCHNSTAT, evtchn_alloc_unbound, evtchn_bind_interdomain, evtchn_bind_ipi, evtchn_bind_pirq, evtchn_bind_vcpu, evtchn_bind_virq,
  evtchn_expand_array, evtchn_init_control, evtchn_port, evtchn_reset, evtchn_set_priority, evtchn_status,
} from '#abi/event-channel.ts';
import { NR_VIRQS } from '#abi/xen.ts';
import { unreachable } from '#base/assert.ts';
import type { Domain } from './domain.ts';
import { checkTarget, isSelf } from './domid.ts';
import { cutWire, notifyBackend } from './event-backend.ts';
import {
  ECS, freePort, getFreePort, peerOf, portIsValid, portOf, setPortPending, setVirqPort, unmaskPort, validPorts, virqIsGlobal, virqPort,
} from './event-port.ts';
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
  [EVTCHNOP.send]: { arg: portArg, run: (v) => send(v.domain, portArg.view.port) },
  [EVTCHNOP.status]: { arg: statusArg, run: status, out: true },
  [EVTCHNOP.bind_vcpu]: { arg: bindVcpuArg, run: bindVcpu },
  [EVTCHNOP.unmask]: { arg: portArg, run: unmask },
  [EVTCHNOP.reset]: { arg: resetArg, run: reset },
  [EVTCHNOP.init_control]: { arg: initControlArg, run: () => -ENOSYS },
  [EVTCHNOP.expand_array]: { arg: expandArrayArg, run: () => -ENOSYS },
  [EVTCHNOP.reset_cont]: { arg: resetArg, run: (v) => checkTarget(v.domain, resetArg.view.dom) || -EBUSY }, // no reset was interrupted
  [EVTCHNOP.set_priority]: { arg: setPriorityArg, run: (v) => portIsValid(v.domain, setPriorityArg.view.port) ? -ENOSYS : -EINVAL },
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
  const port = getFreePort(domain);
  if (port < 0) return port;
  const chn = portOf(domain, port);
  chn.state = ECS.unbound;
  chn.remote_domid = isSelf(domain, arg.remote_dom) ? domain.domid : arg.remote_dom;
  arg.port = port;
  return 0;
}

/** Within the domain only: Domain-0's ports are not in the capsule, and it leaves none unbound for a guest. */
function bindInterdomain(v: Vcpu): number {
  const { domain } = v;
  const arg = bindInterdomainArg.view;
  if (!isSelf(domain, arg.remote_dom)) return arg.remote_dom === 0 ? -EINVAL : -ESRCH;
  const local = getFreePort(domain);
  if (local < 0) return local;
  if (!portIsValid(domain, arg.remote_port)) return -EINVAL;
  const remote = peerOf(domain, arg.remote_port);
  if (remote.state !== ECS.unbound || remote.remote_domid !== domain.domid) return -EINVAL;
  const chn = portOf(domain, local);
  chn.state = remote.state = ECS.interdomain;
  chn.remote_domid = domain.domid;
  chn.remote_port = arg.remote_port;
  remote.remote_port = local;
  arg.local_port = local;
  setPortPending(domain, local); // events may have been sent while nobody was bound
  return 0;
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
  const chn = portOf(domain, port);
  chn.state = ECS.virq;
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
  const chn = portOf(domain, port);
  chn.state = ECS.ipi;
  chn.notify_vcpu_id = vcpu;
  bindIpiArg.view.port = port;
  return 0;
}

/** Closes a port of the domain, whatever it is bound to. The far end, if any, is left unbound. */
export function closePort(domain: Domain, port: number): number {
  if (!portIsValid(domain, port)) return -EINVAL;
  const chn = portOf(domain, port);
  switch (chn.state) {
    case ECS.free: case ECS.reserved: return -EINVAL;
    case ECS.virq:
      for (const v of domain.vcpus) if (virqPort(v, chn.virq) === port) setVirqPort(v, chn.virq, 0);
      break;
    case ECS.interdomain:
      if (chn.remote_domid === domain.domid) peerOf(domain, chn.remote_port).state = ECS.unbound;
      else cutWire(domain, port);
      break;
    case ECS.unbound: case ECS.ipi: break;
    default: unreachable('no other kind of port is made');
  }
  freePort(domain, port);
  return 0;
}

function send(domain: Domain, port: number): number {
  if (!portIsValid(domain, port)) return -EINVAL;
  const chn = portOf(domain, port);
  switch (chn.state) {
    case ECS.ipi: setPortPending(domain, port); return 0;
    case ECS.interdomain:
      if (chn.remote_domid === domain.domid) setPortPending(domain, chn.remote_port);
      else notifyBackend(domain, port);
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
  if (refused) return refused;
  if (!portIsValid(v.domain, arg.port)) return -EINVAL;
  const chn = portOf(v.domain, arg.port);
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
  if (!portIsValid(v.domain, port)) return -EINVAL;
  const chn = portOf(v.domain, port);
  const movable = chn.state === ECS.unbound || chn.state === ECS.interdomain || (chn.state === ECS.virq && virqIsGlobal(chn.virq));
  if (!movable) return -EINVAL;
  chn.notify_vcpu_id = vcpu;
  return 0;
}

function unmask(v: Vcpu): number {
  const { port } = portArg.view;
  if (!portIsValid(v.domain, port)) return -EINVAL;
  unmaskPort(v.domain, port);
  return 0;
}

function reset(v: Vcpu): number {
  const refused = checkTarget(v.domain, resetArg.view.dom);
  if (refused) return refused;
  for (let port = 1, end = validPorts(v.domain); port < end; port++) closePort(v.domain, port);
  return 0;
}
