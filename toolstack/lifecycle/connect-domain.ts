// Domain-0's part of a new domain: it is made known to the store, and its console and its connection to the store are
// served. Only its capsule is needed, and a way to send it events: it may run on another thread.

import type { Capsule } from '#base/capsule.ts';
import { ConsoleBackend } from '#devices/console/console-backend.ts';
import { introduceDomain } from '../xenstore/domain-tree.ts';
import { serveRing, type RingServer } from '../xenstore/ring.ts';
import type { Store } from '../xenstore/store.ts';
import type { DomainConfig, DomainWires } from './make-domain.ts';

export interface BackEnds {
  readonly console: ConsoleBackend;
  readonly xenstore: RingServer;
  /** to be called when the guest has sent an event to this port of its */
  onEvent(port: number): void;
}

/**
 * @param about `online`: how many of its vCPUs it is to use, all unless said otherwise
 * @param output takes what the guest writes to its console
 * @param notify sends an event to a port of the guest
 */
export function connectDomain(
  store: Store, about: Pick<DomainConfig, 'domid' | 'name' | 'uuid' | 'memory' | 'maxmem' | 'vcpus'> & { readonly online?: number }, capsule: Capsule, wires: DomainWires, output: (bytes: Uint8Array) => void, notify: (port: number) => void,
): BackEnds {
  const { domid, name, uuid, memory, maxmem = memory, vcpus, online = vcpus } = about;
  const { storePort, storeMfn, consolePort, consoleMfn } = wires;
  introduceDomain(store, { domid, name, uuid, memoryKiB: memory * 1024, maxMemoryKiB: maxmem * 1024, vcpus, online, storePort, storeMfn, consolePort, consoleMfn });
  const xenstore = serveRing(store, domid, capsule, capsule.frame(storeMfn), () => notify(storePort));
  const console = new ConsoleBackend(capsule, capsule.frame(consoleMfn), output, () => notify(consolePort));
  return {
    console, xenstore,
    onEvent(port) {
      if (port === storePort) xenstore.onEvent();
      else if (port === consolePort) console.onEvent();
    },
  };
}
