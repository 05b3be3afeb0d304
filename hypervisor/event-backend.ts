// Event channels between a domain and Domain-0's back ends, which are JavaScript. The back end's port has no record
// of its own: the guest's port says all. What a back end gives here is a callback, a wire that may be cut and put
// back at any time (a snapshot has none); a notification that finds no wire is kept in the port's `missed`.
//
// The callback runs inside the guest's hypercall: it should note the event and return.

import { EINVAL } from '#abi/errno.ts';
import { assert } from '#base/assert.ts';
import type { Domain } from './domain.ts';
import { freePort, getFreePort, setPortPending } from './event-port.ts';
import { ECS } from './event-table.ts';

type OnNotify = () => void;
const wires = new WeakMap<Domain, Map<number, OnNotify>>();

/**
 * Makes an unbound port in a domain, for `remoteDomid` to bind (EVTCHNOP_alloc_unbound, its own or Domain-0's).
 * @returns the port, or a negated errno
 */
export function allocUnboundFor(domain: Domain, remoteDomid: number): number {
  const port = getFreePort(domain);
  if (port < 0) return port;
  domain.events.lock();
  domain.events.claim(port, ECS.unbound, remoteDomid);
  domain.events.unlock();
  return port;
}

/**
 * Binds Domain-0 to a guest port that waits for it, or takes up such a binding again.
 * @param port the guest's
 * @param onNotify called at every event the guest sends; once right away when one was missed
 * @returns 0, or -EINVAL when the port does not wait for Domain-0
 */
export function bindBackend(domain: Domain, port: number, onNotify: OnNotify): number {
  if (!domain.events.isValid(port)) return -EINVAL;
  const chn = domain.events.at(port);
  if (chn.remote_domid !== 0 || (chn.state !== ECS.unbound && chn.state !== ECS.interdomain)) return -EINVAL;
  chn.state = ECS.interdomain;
  chn.remote_port = port;
  let table = wires.get(domain);
  if (!table) wires.set(domain, table = new Map());
  table.set(port, onNotify);
  const { missed } = chn;
  chn.missed = 0;
  if (missed) onNotify();
  return 0;
}

/**
 * Takes up again all of Domain-0's bindings, for a domain whose capsule has come from elsewhere.
 * @param onNotify called at every event the guest sends, with the port; and for each port with one that was missed
 */
export function rebindBackends(domain: Domain, onNotify: (port: number) => void): void {
  for (let port = 1, end = domain.events.valid; port < end; port++) if (boundToBackend(domain, port)) bindBackend(domain, port, () => onNotify(port));
}

/** Sends an event from Domain-0 to a guest port that it is bound to. @returns 0, or -EINVAL when it is not */
export function notifyFromBackend(domain: Domain, port: number): number {
  if (!domain.events.isValid(port) || !boundToBackend(domain, port)) return -EINVAL;
  setPortPending(domain, port);
  return 0;
}

/** Domain-0 closes its end: the guest's port waits for a new back end. */
export function unbindBackend(domain: Domain, port: number): void {
  if (domain.events.isValid(port) && boundToBackend(domain, port)) domain.events.at(port).state = ECS.unbound;
  cutWire(domain, port);
}

/** The toolstack closes a port that it made for the guest (as EVTCHNOP_close, which the guest itself may call too). */
export function closeBackendPort(domain: Domain, port: number): void {
  cutWire(domain, port);
  if (domain.events.isValid(port) && domain.events.isUsable(port)) freePort(domain, port);
}

/** The guest sent an event to Domain-0. */
export function notifyBackend(domain: Domain, port: number): void {
  assert(boundToBackend(domain, port), 'the port is bound to Domain-0');
  const onNotify = wires.get(domain)?.get(port);
  if (onNotify) onNotify();
  else domain.events.at(port).missed = 1;
}

/** Forgets the callback of a port that is closed. */
export function cutWire(domain: Domain, port: number): void { wires.get(domain)?.delete(port); }

function boundToBackend(domain: Domain, port: number): boolean {
  const chn = domain.events.at(port);
  return chn.state === ECS.interdomain && chn.remote_domid === 0;
}
