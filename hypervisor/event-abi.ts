// What an ABI of event delivery does. A guest begins with the two-level one (event-2l.ts) and may change to FIFO
// (event-fifo.ts); reset takes it back.

import type { Domain } from './domain.ts';

/** Ports given to these are valid and below `maxPorts`. */
export interface EventAbi {
  /** ports that it can number */
  readonly maxPorts: number;
  /** An event: nothing new when one is pending already. */
  setPending(domain: Domain, port: number): void;
  clearPending(domain: Domain, port: number): void;
  isPending(domain: Domain, port: number): boolean;
  isMasked(domain: Domain, port: number): boolean;
  /** True while the guest has yet to take the port off a queue: it cannot have another use before. */
  isBusy(domain: Domain, port: number): boolean;
  /** Clears the mask bit, and delivers what was held back by it. */
  unmask(domain: Domain, port: number): void;
}
