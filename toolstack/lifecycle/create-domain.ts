// Creates a domain, as xl create does, all of it on one thread: for `xenith run` and for tests. The domain does not run until
// its scheduler is called (hypervisor/sched.ts).

import type { Host } from '#base/host.ts';
import type { ConsoleBackend } from '#devices/console/console-backend.ts';
import type { Domain } from '#hypervisor/domain.ts';
import { bindBackend, notifyFromBackend } from '#hypervisor/event-backend.ts';
import type { RingServer } from '../xenstore/ring.ts';
import type { Store } from '../xenstore/store.ts';
import { connectDomain } from './connect-domain.ts';
import { type DomainConfig, type DomainWires, makeDomain } from './make-domain.ts';

export interface CreatedDomain {
  readonly domain: Domain;
  readonly wires: DomainWires;
  readonly console: ConsoleBackend;
  readonly xenstore: RingServer;
}

/**
 * Creates a domain.
 * @param output takes what the guest writes to its console
 * @throws BuilderError for kernels, sizes and images that cannot be
 */
export function createDomain(config: DomainConfig, host: Host, store: Store, output: (bytes: Uint8Array) => void): CreatedDomain {
  const { domain, wires } = makeDomain(config, host);
  const { console, xenstore, onEvent } = connectDomain(store, config, domain.capsule, wires, output, (port) => notifyFromBackend(domain, port));
  for (const port of [wires.storePort, wires.consolePort]) bindBackend(domain, port, () => onEvent(port));
  return { domain, wires, console, xenstore };
}
