// What the pure layers need of the machine that they run on. Implemented under hosts/, one implementation a runtime.

import type { WasmMemory } from './webassembly.ts';

export type LogLevel = 'debug' | 'info' | 'warning' | 'error';

export interface Host {
  /** monotonic time in nanoseconds, from any origin */
  now(): number;
  /** wall clock in nanoseconds since 1970-01-01 UTC (a double: good to about 256 ns) */
  wallClock(): number;
  /** fills with random bytes */
  random(into: Uint8Array): void;
  log(level: LogLevel, message: string): void;
  /**
   * Gives the machine back what holds these bytes of a memory: each is zero then, or as it was. Absent where that cannot be done; a
   * host leaves out what is not whole pages of its own.
   */
  discard?(memory: WasmMemory, offset: number, bytes: number): void;
  /** What `make` gives, which is the same in each run of this program: made now, or kept from an earlier run. */
  kept?(name: string, make: () => Uint8Array): Uint8Array;
}
