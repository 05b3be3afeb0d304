// Channels between domains. A domain reaches another one's port table (domain-registry.ts), which is shared memory, and has a
// way to tell it of an event. The other may run on another thread, so an event is a message: it names the port and who sent
// it, may arrive late, and is looked at again when it arrives.

import type { Peer } from './domain-registry.ts';
import type { Domain } from './domain.ts';
import { setPortPending } from './event-port.ts';
import { ECS } from './event-table.ts';

/**
 * Raises an event that another domain sent, on this domain's thread. It is dropped when the port has nothing to do with
 * the sender any more. One that the sender has closed meanwhile still gets it: it was sent before.
 */
export function deliver(domain: Domain, port: number, from: number): void {
  if (!domain.events.isValid(port)) return;
  const { state, remote_domid } = domain.events.at(port);
  if (remote_domid === from && (state === ECS.interdomain || state === ECS.unbound)) setPortPending(domain, port);
}

/** Does something with the locks of two port tables, which may be one and the same. */
export function withLocks<T>(a: Pick<Peer, 'domid' | 'events'>, b: Pick<Peer, 'domid' | 'events'>, body: () => T): T {
  const [first, second] = a.domid <= b.domid ? [a, b] : [b, a];
  first.events.lock();
  if (second.events !== first.events) second.events.lock();
  try {
    return body();
  } finally {
    if (second.events !== first.events) second.events.unlock();
    first.events.unlock();
  }
}
